-- One page of the tables of other families of router $1 with their numbers of routes: $2 of them, page $3 counted from 0,
-- or the last page. The routes of the router are counted once, whatever the page.
WITH counted AS (
    SELECT n.rib, n.peer_address, n.is_post_policy, n.table_name, count(*) AS routes
    FROM nlri_routes n
    WHERE n.router_id = $1
    GROUP BY n.rib, n.peer_address, n.is_post_policy, n.table_name
), known AS (
    SELECT count(*) AS tables FROM nlri_sync_status WHERE router_id = $1
)
SELECT s.rib || CASE WHEN s.is_post_policy THEN '-post' WHEN NOT s.is_post_policy THEN '-pre' ELSE '' END AS view,
       COALESCE(host(s.peer_address), '') AS peer, s.table_name, s.stale_since IS NOT NULL AS is_stale,
       s.synced_at IS NOT NULL AS is_complete, COALESCE(c.routes, 0) AS routes, k.tables
FROM known k
CROSS JOIN (
    SELECT * FROM nlri_sync_status
    WHERE router_id = $1
    ORDER BY rib DESC, peer_address, is_post_policy, table_name
    LIMIT $2 OFFSET (SELECT LEAST($3::bigint, GREATEST(tables - 1, 0) / $2) * $2 FROM known)
) AS s
LEFT JOIN counted c ON c.rib = s.rib AND c.table_name = s.table_name AND c.peer_address IS NOT DISTINCT FROM s.peer_address
                   AND c.is_post_policy IS NOT DISTINCT FROM s.is_post_policy
ORDER BY s.rib DESC, s.peer_address, s.is_post_policy, s.table_name
