-- Locks the status rows of one table, and returns for each whether it has been stale for $5 seconds.
SELECT COALESCE(s.stale_since <= now() - make_interval(secs => $5), false)
FROM {sync} s,
     (SELECT $1::text AS router_id, $2::text AS table_name, $3::inet AS peer_address, $4::boolean AS is_post_policy) t
WHERE s.router_id = t.router_id AND s.table_name = t.table_name {and s.peer = t.peer}
ORDER BY s.afi
FOR UPDATE OF s
