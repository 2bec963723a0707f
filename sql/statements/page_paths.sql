-- The longest match for the prefix $2 (of family $1) in every table of every router, Loc-RIBs first, with all its paths.
-- All prefixes that can match are named, 33 or 129 at most, so that the B-tree on prefix answers.
WITH candidates AS MATERIALIZED (
    SELECT ARRAY(SELECT network(set_masklen($2::text::inet, length))::cidr
                 FROM generate_series(0, masklen($2::text::inet)) AS length) AS prefixes
), found AS (
    SELECT 0 AS rank, NULL::inet AS peer_address, NULL::boolean AS is_post_policy, r.router_id, r.table_name, r.prefix,
           r.path_id, r.nexthop, r.as_path, r.origin, r.localpref, r.med, r.communities_std, r.communities_ext,
           r.communities_large, r.updated_at
    FROM current_routes r WHERE r.prefix = ANY ((SELECT prefixes FROM candidates)::cidr[]) AND r.afi = $1
    UNION ALL
    SELECT 1, r.peer_address, r.is_post_policy, r.router_id, r.table_name, r.prefix,
           r.path_id, r.nexthop, r.as_path, r.origin, r.localpref, r.med, r.communities_std, r.communities_ext,
           r.communities_large, r.updated_at
    FROM adj_rib_in r WHERE r.prefix = ANY ((SELECT prefixes FROM candidates)::cidr[]) AND r.afi = $1
    UNION ALL
    SELECT 2, r.peer_address, r.is_post_policy, r.router_id, r.table_name, r.prefix,
           r.path_id, r.nexthop, r.as_path, r.origin, r.localpref, r.med, r.communities_std, r.communities_ext,
           r.communities_large, r.updated_at
    FROM adj_rib_out r WHERE r.prefix = ANY ((SELECT prefixes FROM candidates)::cidr[]) AND r.afi = $1
), longest AS (
    SELECT f.*, max(masklen(f.prefix)) OVER (PARTITION BY f.rank, f.router_id, f.peer_address, f.is_post_policy, f.table_name) AS longest
    FROM found f
)
SELECT CASE rank WHEN 0 THEN '' WHEN 1 THEN 'in' ELSE 'out' END AS direction, host(peer_address) AS peer_address,
       is_post_policy, router_id, table_name, prefix::text AS prefix, path_id, host(nexthop) AS nexthop, as_path, origin,
       localpref, med, communities_std, communities_ext, communities_large, updated_at
FROM longest
WHERE masklen(prefix) = longest
ORDER BY rank, router_id, table_name, peer_address, is_post_policy, path_id
LIMIT $3
