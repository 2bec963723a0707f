-- One page of the routes of a table of another family: of router $1, RIB $2, peer $3 (empty: a Loc-RIB) and table $4, $5 of
-- them, page $6 counted from 0, or the last page.
WITH routes AS MATERIALIZED (
    SELECT n.nlri_key, n.path_id, host(n.nexthop) AS nexthop, n.as_path, n.updated_at
    FROM nlri_routes n
    WHERE n.router_id = $1 AND n.table_name = $4
      AND n.rib || CASE WHEN n.is_post_policy THEN '-post' WHEN NOT n.is_post_policy THEN '-pre' ELSE '' END = $2
      AND COALESCE(host(n.peer_address), '') = $3
), known AS (
    SELECT count(*) AS total FROM routes
)
SELECT r.nlri_key, r.path_id, r.nexthop, r.as_path, r.updated_at, k.total
FROM known k
CROSS JOIN (
    SELECT * FROM routes
    ORDER BY nlri_key, path_id
    LIMIT $5 OFFSET (SELECT LEAST($6::bigint, GREATEST(total - 1, 0) / $5) * $5 FROM known)
) AS r
ORDER BY r.nlri_key, r.path_id
