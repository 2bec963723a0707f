-- For the rest of this transaction, the rows of each table in a list are found through an index, one table after the
-- other.
--
-- The planner knows nothing of the list: without these settings it may read all rows of all routers for a few empty
-- tables.
SET LOCAL enable_seqscan = off;
SET LOCAL enable_hashjoin = off;
SET LOCAL enable_mergejoin = off;
SET LOCAL max_parallel_workers_per_gather = 0;
-- Disabled plans count as very expensive, and very expensive statements would be JIT-compiled first.
SET LOCAL jit = off;
