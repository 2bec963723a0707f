-- Which process a collector is: what an operator needs to find the one that has a COLLECTOR_ID.
ALTER TABLE collectors ADD COLUMN host TEXT, ADD COLUMN process_id BIGINT;

COMMENT ON COLUMN collectors.host IS 'Name of the machine or container that the process runs on.';
COMMENT ON COLUMN collectors.process_id IS 'Its process number there.';
