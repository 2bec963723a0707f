-- The latest of what happened to a router's sessions and peers, or to all routers'.
SELECT event_time, router_id, table_name, host(peer_address) AS peer_address, afi, kind, reason, routes
FROM session_events
WHERE $1::text IS NULL OR router_id = $1
ORDER BY event_time DESC, id DESC
LIMIT $2
