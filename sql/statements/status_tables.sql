-- The tables of all routers, or of some ($1), at most $3 of them, and how far each is synchronized. Their routes are
-- counted now if $2; otherwise as of the last maintenance run, which reads none of them.
SELECT s.router_id, s.table_name, s.afi, s.eor_seen, s.eor_time, s.synced_at, s.stale_since, s.session_start_time,
       s.last_parsed_msg_time, s.last_raw_msg_time,
       COALESCE(CASE WHEN $2::boolean THEN c.routes ELSE v.route_count END, 0) AS routes
FROM rib_sync_status s
LEFT JOIN (SELECT router_id, table_name, afi, count(*) AS routes FROM current_routes
           WHERE $2 AND ($1::text[] IS NULL OR router_id = ANY ($1))
           GROUP BY router_id, table_name, afi) c
    USING (router_id, table_name, afi)
LEFT JOIN route_summary v USING (router_id, table_name, afi)
WHERE $1::text[] IS NULL OR s.router_id = ANY ($1)
ORDER BY s.router_id, s.table_name, s.afi
LIMIT $3::bigint
