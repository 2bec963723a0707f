-- For the rest of this transaction a join by key goes through an index, row by row of the staging table.
--
-- The planner knows nothing about the staging table and may hold stale statistics of current_routes. Left alone it
-- reads a whole router per batch, or looks for each prefix in the GiST index, thirty to sixty times slower.
SET LOCAL enable_seqscan = off;
SET LOCAL enable_bitmapscan = off;
SET LOCAL enable_hashjoin = off;
SET LOCAL enable_mergejoin = off;
