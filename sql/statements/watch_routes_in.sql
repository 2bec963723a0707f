-- The routes of the prefixes of these watches and inside them, at these routers or all.
-- Routes that differ in nothing that a watch asks for are one row. Paths are told apart where some watch judges them ($1),
-- and where the origin cannot be told without them. Routes with one of the communities $4 are told apart by those.
-- What is inside a prefix follows it in the order of cidr, up to its last address. That order is asked for so that the
-- B-tree is read, which finds it many times as fast as GiST does. A watch that only says that its prefix must be there,
-- of the default route say, reads nothing inside it.
SELECT router_id, table_name, prefix::text, origin_asn, CASE WHEN origin_asn IS NULL OR $1 THEN as_path END AS told_path,
       min(as_path), bool_or(is_loc_rib), bool_or(is_post_policy), bool_or(NOT is_loc_rib AND NOT is_post_policy),
       min(peer_address), mitigation
FROM (
    SELECT r.router_id, r.table_name, r.prefix, r.origin_asn, r.as_path, true AS is_loc_rib,
           false AS is_post_policy, NULL::inet AS peer_address,
           CASE WHEN r.communities_std && $4::text[] OR r.communities_large && $4 OR r.communities_ext && $4
                THEN array_to_string(ARRAY(SELECT c FROM unnest(r.communities_std || r.communities_large || r.communities_ext) AS c
                                           WHERE c = ANY ($4) ORDER BY c), ' ') END AS mitigation
    FROM watch.watches w
    CROSS JOIN LATERAL (
        SELECT * FROM current_routes r
        WHERE r.prefix >= w.prefix
          AND r.prefix <= CASE WHEN cardinality(w.expected_origins) > 0 OR w.max_length > masklen(w.prefix)
                                    OR w.conditions && '{rpki_invalid,rpki_uncovered,roa_expiring}'
                               THEN set_masklen(broadcast(w.prefix), -1) ELSE w.prefix END
          AND ($3::text[] IS NULL OR r.router_id = ANY ($3))
          -- Routes of an expected origin are asked for inside only where some condition judges them.
          AND (r.prefix = w.prefix
               OR cardinality(w.expected_origins) > 0 AND (r.origin_asn = ANY (w.expected_origins)) IS NOT TRUE
               OR CASE WHEN masklen(r.prefix) <= COALESCE(w.max_length, masklen(w.prefix))
                       THEN num_nonnulls(w.expected_upstreams, w.expected_downstreams, w.path_match) > 0
                       ELSE w.conditions @> '{more_specific_own}' END
               OR (w.conditions IS NULL OR w.conditions && '{rpki_invalid,rpki_uncovered,roa_expiring}')
                  AND EXISTS (SELECT FROM rpki.vrp_set WHERE version > 0)
               OR (w.conditions IS NULL OR w.conditions @> '{mitigated}')
                  AND (w.expected_via <> '{}' OR r.communities_std && $4 OR r.communities_large && $4 OR r.communities_ext && $4))
        ORDER BY r.prefix
    ) r
    WHERE w.id = ANY ($2)
    UNION
    SELECT r.router_id, r.table_name, r.prefix, r.origin_asn, r.as_path, false AS is_loc_rib,
           r.is_post_policy, r.peer_address,
           CASE WHEN r.communities_std && $4::text[] OR r.communities_large && $4 OR r.communities_ext && $4
                THEN array_to_string(ARRAY(SELECT c FROM unnest(r.communities_std || r.communities_large || r.communities_ext) AS c
                                           WHERE c = ANY ($4) ORDER BY c), ' ') END AS mitigation
    FROM watch.watches w
    CROSS JOIN LATERAL (
        SELECT * FROM adj_rib_in r
        WHERE r.prefix >= w.prefix
          AND r.prefix <= CASE WHEN cardinality(w.expected_origins) > 0 OR w.max_length > masklen(w.prefix)
                                    OR w.conditions && '{rpki_invalid,rpki_uncovered,roa_expiring}'
                               THEN set_masklen(broadcast(w.prefix), -1) ELSE w.prefix END
          AND ($3::text[] IS NULL OR r.router_id = ANY ($3))
          -- Routes of an expected origin are asked for inside only where some condition judges them.
          AND (r.prefix = w.prefix
               OR cardinality(w.expected_origins) > 0 AND (r.origin_asn = ANY (w.expected_origins)) IS NOT TRUE
               OR CASE WHEN masklen(r.prefix) <= COALESCE(w.max_length, masklen(w.prefix))
                       THEN num_nonnulls(w.expected_upstreams, w.expected_downstreams, w.path_match) > 0
                       ELSE w.conditions @> '{more_specific_own}' END
               OR (w.conditions IS NULL OR w.conditions && '{rpki_invalid,rpki_uncovered,roa_expiring}')
                  AND EXISTS (SELECT FROM rpki.vrp_set WHERE version > 0)
               OR (w.conditions IS NULL OR w.conditions @> '{mitigated}')
                  AND (w.expected_via <> '{}' OR r.communities_std && $4 OR r.communities_large && $4 OR r.communities_ext && $4))
        ORDER BY r.prefix
    ) r
    WHERE w.id = ANY ($2)
) AS found
GROUP BY router_id, table_name, prefix, origin_asn, told_path, mitigation
