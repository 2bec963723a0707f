-- The processes that hold locks on the tables $1 (oids as text), the oldest transaction first, at most three.
SELECT string_agg(DISTINCT format('process %s of the server (%s)', pid, who), ', ')
FROM (SELECT l.pid, COALESCE(NULLIF(a.application_name, ''), a.usename::text, 'no application name') AS who
      FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
      WHERE l.locktype = 'relation' AND l.granted AND l.pid <> pg_backend_pid()
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND l.relation::text = ANY (string_to_array($1, ','))
      ORDER BY a.xact_start NULLS LAST LIMIT 3) AS held
