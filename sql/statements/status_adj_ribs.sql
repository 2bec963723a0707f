-- The Adj-RIBs of all routers, or of some ($1), by view, table and family: the numbers of peers, of peers in sync, and
-- of routes.
WITH sync AS (
    SELECT 'adj-rib-in' AS rib, s.router_id, s.is_post_policy, s.table_name, s.afi, s.synced_at, s.last_parsed_msg_time
    FROM adj_rib_in_sync_status s WHERE $1::text[] IS NULL OR s.router_id = ANY ($1)
    UNION ALL
    SELECT 'adj-rib-out', s.router_id, s.is_post_policy, s.table_name, s.afi, s.synced_at, s.last_parsed_msg_time
    FROM adj_rib_out_sync_status s WHERE $1::text[] IS NULL OR s.router_id = ANY ($1)
), counted AS (
    SELECT rib, router_id, is_post_policy, table_name, afi, GREATEST(sum(routes), 0)::bigint AS routes
    FROM route_counts WHERE rib <> 'loc-rib' AND ($1::text[] IS NULL OR router_id = ANY ($1))
    GROUP BY rib, router_id, is_post_policy, table_name, afi
)
SELECT s.router_id, s.rib || CASE WHEN s.is_post_policy THEN '-post' ELSE '-pre' END AS view, s.table_name, s.afi,
       count(*) AS peers, count(s.synced_at) AS synchronized,
       max(s.last_parsed_msg_time) AS last_parsed_msg_time, COALESCE(max(c.routes), 0) AS routes
FROM sync s
LEFT JOIN counted c USING (rib, router_id, is_post_policy, table_name, afi)
GROUP BY s.router_id, s.rib, s.is_post_policy, s.table_name, s.afi
ORDER BY s.router_id, s.rib, s.is_post_policy, s.table_name, s.afi
