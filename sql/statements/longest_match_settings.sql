-- For longest_match.sql. The planner considers the GiST index on prefix too, which takes ten times as long to find what
-- is equal; it can be asked for many values by a bitmap only. What is switched off counts as very expensive, and very
-- expensive statements would be compiled first. One plan fits all values, and to make it takes longer than to run it: a
-- connection that keeps the statement makes it once.
SET LOCAL enable_bitmapscan = off;
SET LOCAL enable_seqscan = off;
SET LOCAL jit = off;
SET LOCAL plan_cache_mode = force_generic_plan
