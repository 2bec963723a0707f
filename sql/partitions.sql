-- The partitions of the table $1: attached ones, those an interrupted DETACH .. CONCURRENTLY left half detached, and
-- tables of the same name pattern and schema that were detached and not dropped yet. Oldest first.
SELECT c.relname::text AS name,
       CASE WHEN i.inhrelid IS NULL THEN 'detached' WHEN i.inhdetachpending THEN 'detaching' ELSE 'attached' END AS state,
       GREATEST(c.reltuples, 0)::bigint AS rows,
       pg_total_relation_size(c.oid) AS bytes
FROM pg_class c
LEFT JOIN pg_inherits i ON i.inhrelid = c.oid AND i.inhparent = $1::text::regclass
WHERE c.relkind = 'r' AND c.relname ~ ('^' || $1 || '_[0-9]{8}$')
  AND c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = $1::text::regclass)
ORDER BY c.relname
