-- Ends the server processes of our role that have kept a claim (lock_taken.sql) of our role waiting for $1 seconds: those
-- of writers whose collector is frozen in the middle of a transaction. Returns their application names.
SELECT DISTINCT h.application_name, pg_terminate_backend(h.pid)
FROM pg_stat_activity w
CROSS JOIN LATERAL unnest(pg_blocking_pids(w.pid)) AS b (pid)
JOIN pg_stat_activity h ON h.pid = b.pid
WHERE w.datname = current_database() AND w.usename = current_user AND w.wait_event_type = 'Lock'
  AND starts_with(w.query, '-- Locks a router that is taken from another collector')
  AND w.query_start < clock_timestamp() - make_interval(secs => $1)
  AND h.usename = current_user AND h.application_name ~ '^rib-ingester/(state|events|remove)-'
