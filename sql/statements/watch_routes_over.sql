-- The routes that cover these addresses at these routers.
-- Routes that differ in nothing that a watch asks for are one row. Paths are told apart where some watch judges them ($1),
-- and where the origin cannot be told without them. Routes with one of the communities $4 are told apart by those.
SELECT router_id, table_name, prefix::text, origin_asn, CASE WHEN origin_asn IS NULL OR $1 THEN as_path END AS told_path,
       min(as_path), bool_or(is_loc_rib), bool_or(is_post_policy), bool_or(NOT is_loc_rib AND NOT is_post_policy),
       min(peer_address), mitigation
FROM (
    SELECT r.router_id, r.table_name, r.prefix, r.origin_asn, r.as_path, true AS is_loc_rib,
           false AS is_post_policy, NULL::inet AS peer_address,
           CASE WHEN r.communities_std && $4::text[] OR r.communities_large && $4 OR r.communities_ext && $4
                THEN array_to_string(ARRAY(SELECT c FROM unnest(r.communities_std || r.communities_large || r.communities_ext) AS c
                                           WHERE c = ANY ($4) ORDER BY c), ' ') END AS mitigation
    FROM unnest($2::text[], $3::inet[]) AS asked (router_id, address)
    CROSS JOIN LATERAL unnest(covering_prefixes(asked.address)) AS covering (prefix)
    JOIN current_routes r ON r.router_id = asked.router_id AND r.prefix = covering.prefix
    UNION
    SELECT r.router_id, r.table_name, r.prefix, r.origin_asn, r.as_path, false AS is_loc_rib,
           r.is_post_policy, r.peer_address,
           CASE WHEN r.communities_std && $4::text[] OR r.communities_large && $4 OR r.communities_ext && $4
                THEN array_to_string(ARRAY(SELECT c FROM unnest(r.communities_std || r.communities_large || r.communities_ext) AS c
                                           WHERE c = ANY ($4) ORDER BY c), ' ') END AS mitigation
    FROM unnest($2::text[], $3::inet[]) AS asked (router_id, address)
    CROSS JOIN LATERAL unnest(covering_prefixes(asked.address)) AS covering (prefix)
    JOIN adj_rib_in r ON r.router_id = asked.router_id AND r.prefix = covering.prefix
) AS found
GROUP BY router_id, table_name, prefix, origin_asn, told_path, mitigation
