-- For the rest of this transaction, rows found in key order are found through the index that has this order.
--
-- The planner knows nothing of the staging tables and may have old statistics of the others, or none. Without these
-- settings it joins by key over the GiST index on prefix (thirty times slower) or reads a whole router per key. The
-- statements used with these settings ask for rows in the order of a key and forbid sorting, so that only the key's own
-- index is left.
SET LOCAL enable_seqscan = off;
SET LOCAL enable_bitmapscan = off;
SET LOCAL enable_hashjoin = off;
SET LOCAL enable_mergejoin = off;
SET LOCAL enable_sort = off;
SET LOCAL enable_incremental_sort = off;
-- Disabled plans count as very expensive, and very expensive statements would be JIT-compiled first.
SET LOCAL jit = off;
