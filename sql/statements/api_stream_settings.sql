-- For the statements of a stream: the first rows of a whole table may take longer than a short answer.
SET LOCAL statement_timeout = '30s';
SET LOCAL work_mem = '64MB'
