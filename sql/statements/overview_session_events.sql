-- The latest events of a router's sessions and peers, or of all routers'. The limit is applied before the names are
-- joined.
SELECT e.event_time, e.router_id, (SELECT r.hostname FROM routers r WHERE r.router_id = e.router_id) AS hostname, e.table_name,
       host(e.peer_address) AS peer_address, e.afi, e.kind, e.reason, e.routes
FROM (
    SELECT id, event_time, router_id, table_name, peer_address, afi, kind, reason, routes
    FROM session_events
    WHERE $1::text IS NULL OR router_id = $1
    ORDER BY event_time DESC, id DESC
    LIMIT $2
) AS e
ORDER BY e.event_time DESC, e.id DESC
