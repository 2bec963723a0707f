-- The threads of collectors, with application names that begin with $1, that wait for a lock in this database: the
-- tables, and the processes that block them. For processes of another role, only the application name is shown.
SELECT split_part(a.application_name, '/', 2) AS thread,
       (SELECT string_agg(DISTINCT l.relation::regclass::text, ', ') FROM pg_locks l
        WHERE l.pid = a.pid AND NOT l.granted AND l.locktype = 'relation') AS relations,
       (SELECT string_agg(format('process %s of the server (%s)', b.pid,
                                 COALESCE(NULLIF(h.application_name, ''), h.usename::text, 'no application name')), ', ' ORDER BY b.pid)
        FROM (SELECT DISTINCT unnest(pg_blocking_pids(a.pid)) AS pid) AS b LEFT JOIN pg_stat_activity h ON h.pid = b.pid) AS holders
FROM pg_stat_activity a
WHERE a.datname = current_database() AND a.wait_event_type = 'Lock' AND starts_with(a.application_name, $1)
ORDER BY thread
