-- The session that holds the advisory lock $1 in this database. Another role's application name and address may be
-- hidden from us.
SELECT format('process %s of the server (%s, %s)', l.pid, COALESCE(NULLIF(a.application_name, ''), 'no application name'),
              CASE WHEN a.client_addr IS NOT NULL THEN 'from ' || host(a.client_addr)
                   WHEN a.pid IS NULL THEN 'gone' ELSE 'from an address that is not shown' END)
FROM pg_locks l
LEFT JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.classid = (($1 >> 32) & 4294967295)::oid AND l.objid = ($1 & 4294967295)::oid
