SET LOCAL statement_timeout = '10min';
SET LOCAL work_mem = '128MB';
-- What is compiled costs more than it saves.
SET LOCAL jit = off
