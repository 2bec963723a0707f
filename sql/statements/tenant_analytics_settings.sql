-- For tenant_analytics.sql: how many events there are is known to nobody before they are read, and by its guesses the
-- planner reads a whole day, and compares each address with each event.
SET LOCAL enable_seqscan = off;
SET LOCAL enable_bitmapscan = off;
SET LOCAL enable_nestloop = off;
