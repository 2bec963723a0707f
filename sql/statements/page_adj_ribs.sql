-- One page of the Adj-RIB tables of a router, each with its peer: $2 of them, page $3 counted from 0, or the last page.
WITH found AS MATERIALIZED (
    SELECT 'adj-rib-in' AS rib, * FROM adj_rib_in_sync_status WHERE router_id = $1
    UNION ALL
    SELECT 'adj-rib-out', * FROM adj_rib_out_sync_status WHERE router_id = $1
), counted AS MATERIALIZED (
    SELECT count(*) AS tables, count(synced_at) AS synchronized FROM found
)
SELECT f.rib || CASE WHEN f.is_post_policy THEN '-post' ELSE '-pre' END AS view, f.peer_address, f.table_name, f.afi, f.eor_seen,
       f.eor_time, f.synced_at, f.stale_since, f.session_start_time, f.last_parsed_msg_time, f.last_raw_msg_time,
       GREATEST(COALESCE(c.routes, 0), 0) AS routes, n.tables, n.synchronized
FROM (
    SELECT * FROM found
    ORDER BY rib, peer_address, table_name, afi, is_post_policy
    LIMIT $2 OFFSET (SELECT LEAST($3::bigint, GREATEST(tables - 1, 0) / $2) * $2 FROM counted)
) AS f
CROSS JOIN counted n
LEFT JOIN route_counts c USING (rib, router_id, peer_address, is_post_policy, table_name, afi)
ORDER BY f.rib, f.peer_address, f.table_name, f.afi, f.is_post_policy
