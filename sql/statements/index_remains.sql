-- What a REINDEX CONCURRENTLY of the tables of routes left when it was interrupted.
SELECT i.indexrelid::regclass::text AS index
FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid IN ('current_routes'::regclass, 'adj_rib_in'::regclass, 'adj_rib_out'::regclass)
  AND NOT i.indisvalid AND c.relname ~ '_cc(new|old)[0-9]*$'
