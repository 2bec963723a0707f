-- The Adj-RIBs of each router by view, table and family: how many neighbours, how many of them in sync, how many routes.
WITH sync AS (
    SELECT 'adj-rib-in' AS rib, s.router_id, s.is_post_policy, s.table_name, s.afi, s.synced_at, s.last_parsed_msg_time
    FROM adj_rib_in_sync_status s
    UNION ALL
    SELECT 'adj-rib-out', s.router_id, s.is_post_policy, s.table_name, s.afi, s.synced_at, s.last_parsed_msg_time
    FROM adj_rib_out_sync_status s
), counted AS (
    SELECT 'adj-rib-in' AS rib, router_id, is_post_policy, table_name, afi, count(*) AS routes
    FROM adj_rib_in GROUP BY router_id, is_post_policy, table_name, afi
    UNION ALL
    SELECT 'adj-rib-out', router_id, is_post_policy, table_name, afi, count(*)
    FROM adj_rib_out GROUP BY router_id, is_post_policy, table_name, afi
)
SELECT s.router_id, s.rib || CASE WHEN s.is_post_policy THEN '-post' ELSE '-pre' END AS view, s.table_name, s.afi,
       count(*) AS neighbours, count(s.synced_at) AS synchronised,
       max(s.last_parsed_msg_time) AS last_parsed_msg_time, COALESCE(max(c.routes), 0) AS routes
FROM sync s
LEFT JOIN counted c USING (rib, router_id, is_post_policy, table_name, afi)
GROUP BY s.router_id, s.rib, s.is_post_policy, s.table_name, s.afi
ORDER BY s.router_id, s.rib, s.is_post_policy, s.table_name, s.afi
