-- Disk space: the history's partitions with their indexes, and the database. It reads no rows.
SELECT count(i.inhrelid) AS partitions,
       COALESCE(sum(pg_total_relation_size(i.inhrelid)), 0)::bigint AS partition_bytes,
       pg_database_size(current_database()) AS database_bytes
FROM pg_inherits i
WHERE i.inhparent = 'route_events'::regclass
