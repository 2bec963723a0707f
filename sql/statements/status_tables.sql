-- The tables of all routers, or of some ($1), at most $2 of them, how far each is synchronized, and how many routes it has.
SELECT s.router_id, s.table_name, s.afi, s.eor_seen, s.eor_time, s.synced_at, s.stale_since, s.session_start_time,
       s.last_parsed_msg_time, s.last_raw_msg_time, GREATEST(COALESCE(c.routes, 0), 0) AS routes
FROM rib_sync_status s
LEFT JOIN route_counts c
    ON c.router_id = s.router_id AND c.rib = 'loc-rib' AND c.table_name = s.table_name AND c.afi = s.afi
WHERE $1::text[] IS NULL OR s.router_id = ANY ($1)
ORDER BY s.router_id, s.table_name, s.afi
LIMIT $2::bigint
