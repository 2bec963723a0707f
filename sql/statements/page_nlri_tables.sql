-- One page of the tables of other families of router $1 with their numbers of routes: $2 of them, page $3 counted from 0,
-- or the last page.
WITH found AS MATERIALIZED (
    SELECT * FROM nlri_tables WHERE router_id = $1
), known AS (
    SELECT count(*) AS tables FROM found
)
SELECT s.rib || CASE WHEN s.is_post_policy THEN '-post' WHEN NOT s.is_post_policy THEN '-pre' ELSE '' END AS view,
       COALESCE(host(s.peer_address), '') AS peer, s.table_name, s.stale_since IS NOT NULL AS is_stale,
       s.synced_at IS NOT NULL AS is_complete, s.routes, k.tables
FROM known k
CROSS JOIN (
    SELECT * FROM found
    ORDER BY rib DESC, peer_address, is_post_policy, table_name
    LIMIT $2 OFFSET (SELECT LEAST($3::bigint, GREATEST(tables - 1, 0) / $2) * $2 FROM known)
) AS s
ORDER BY s.rib DESC, s.peer_address, s.is_post_policy, s.table_name
