-- The routes that watches of ASes have to judge, at these routers or all: those that are as they should be are left out.
-- Of each watch ($2): the paths whose upstream is expected ($5), the paths with a neighbor that is not ($6), whether it
-- judges new prefixes ($7) and other origins of accepted ones ($8), and the state of routes by the VRPs ($9).
-- Routes that differ in nothing that a watch asks for are one row, as in watch_routes_in.sql.
WITH asked AS (
    SELECT w.id, w.asn, w.expected_origins, w.conditions @> '{mitigated}' AS for_mitigated, a.fine_paths, a.odd_paths, a.for_new,
           a.for_origin,
           a.for_rpki AND EXISTS (SELECT FROM rpki.vrp_set WHERE version > 0) AS for_rpki
    FROM unnest($2::bigint[], $5::text[], $6::text[], $7::boolean[], $8::boolean[], $9::boolean[])
        AS a (id, fine_paths, odd_paths, for_new, for_origin, for_rpki)
    JOIN watch.watches w USING (id)
), routes AS NOT MATERIALIZED (
    SELECT router_id, table_name, prefix, origin_asn, as_path, true AS is_loc_rib, false AS is_post_policy,
           NULL::inet AS peer_address, communities_std, communities_large, communities_ext
    FROM current_routes
    UNION ALL
    SELECT router_id, table_name, prefix, origin_asn, as_path, false, is_post_policy, peer_address, communities_std,
           communities_large, communities_ext
    FROM adj_rib_in
)
SELECT router_id, table_name, prefix::text, origin_asn, CASE WHEN origin_asn IS NULL OR $1 THEN as_path END AS told_path,
       min(as_path), bool_or(is_loc_rib), bool_or(is_post_policy), bool_or(NOT is_loc_rib AND NOT is_post_policy),
       min(peer_address), mitigation
FROM (
    SELECT r.router_id, r.table_name, r.prefix, r.origin_asn, r.as_path, r.is_loc_rib, r.is_post_policy, r.peer_address,
           CASE WHEN r.communities_std && $4::text[] OR r.communities_large && $4 OR r.communities_ext && $4
                THEN array_to_string(ARRAY(SELECT c FROM unnest(r.communities_std || r.communities_large || r.communities_ext) AS c
                                           WHERE c = ANY ($4) ORDER BY c), ' ') END AS mitigation
    FROM routes r JOIN asked w ON r.origin_asn = w.asn
    WHERE ($3::text[] IS NULL OR r.router_id = ANY ($3))
      AND (w.for_new AND NOT EXISTS (SELECT FROM watch.accepted_prefixes p WHERE p.watch_id = w.id AND p.prefix = r.prefix)
           OR NOT r.as_path ~ w.fine_paths
           OR w.for_rpki
           OR w.for_mitigated AND (r.communities_std && $4 OR r.communities_large && $4 OR r.communities_ext && $4))
    UNION
    -- A router's own routes, by an empty path or a final confederation segment.
    SELECT r.router_id, r.table_name, r.prefix, r.origin_asn, r.as_path, r.is_loc_rib, r.is_post_policy, r.peer_address,
           CASE WHEN r.communities_std && $4 OR r.communities_large && $4 OR r.communities_ext && $4
                THEN array_to_string(ARRAY(SELECT c FROM unnest(r.communities_std || r.communities_large || r.communities_ext) AS c
                                           WHERE c = ANY ($4) ORDER BY c), ' ') END AS mitigation
    FROM routes r JOIN routers o USING (router_id) JOIN asked w ON o.as_number = w.asn
    WHERE ($3::text[] IS NULL OR r.router_id = ANY ($3)) AND r.origin_asn IS NULL AND r.as_path ~ '(^|[])])$'
    UNION
    SELECT r.router_id, r.table_name, r.prefix, r.origin_asn, r.as_path, r.is_loc_rib, r.is_post_policy, r.peer_address,
           CASE WHEN r.communities_std && $4 OR r.communities_large && $4 OR r.communities_ext && $4
                THEN array_to_string(ARRAY(SELECT c FROM unnest(r.communities_std || r.communities_large || r.communities_ext) AS c
                                           WHERE c = ANY ($4) ORDER BY c), ' ') END AS mitigation
    FROM asked w JOIN watch.accepted_prefixes p ON p.watch_id = w.id JOIN routes r ON r.prefix = p.prefix
    WHERE ($3::text[] IS NULL OR r.router_id = ANY ($3)) AND w.for_origin AND r.origin_asn IS DISTINCT FROM w.asn
      AND (r.origin_asn = ANY (w.expected_origins)) IS NOT TRUE
    UNION
    SELECT r.router_id, r.table_name, r.prefix, r.origin_asn, r.as_path, r.is_loc_rib, r.is_post_policy, r.peer_address,
           CASE WHEN r.communities_std && $4 OR r.communities_large && $4 OR r.communities_ext && $4
                THEN array_to_string(ARRAY(SELECT c FROM unnest(r.communities_std || r.communities_large || r.communities_ext) AS c
                                           WHERE c = ANY ($4) ORDER BY c), ' ') END AS mitigation
    FROM routes r JOIN asked w ON r.as_path ~ w.odd_paths
    WHERE ($3::text[] IS NULL OR r.router_id = ANY ($3))
) AS found
GROUP BY router_id, table_name, prefix, origin_asn, told_path, mitigation
