-- Ends the server processes of our role that belong to collectors (mark_connection.sql) whose lease is over: a collector
-- that is frozen would keep the locks of its work for all collectors. Returns their application names.
SELECT a.application_name, pg_terminate_backend(a.pid)
FROM collectors c
CROSS JOIN LATERAL hashtextextended(current_schema() || ' collector ' || c.collector_id, 0) AS of (key)
JOIN pg_locks l ON l.classid = ((of.key >> 32) & 4294967295)::oid AND l.objid = (of.key & 4294967295)::oid
JOIN pg_stat_activity a ON a.pid = l.pid
WHERE c.alive_until < clock_timestamp()
  AND l.locktype = 'advisory' AND l.objsubid = 1 AND l.mode = 'ShareLock' AND l.granted
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND a.usename = current_user
