-- The number of routes of routers ($1): per peer, view, table and family, and of their Loc-RIBs.
SELECT router_id, NULL::inet AS peer_address, NULL::bigint AS peer_asn, NULL::boolean AS is_post_policy, table_name, afi, count(*) AS routes
FROM current_routes
WHERE router_id = ANY ($1::text[])
GROUP BY router_id, table_name, afi
UNION ALL
SELECT router_id, peer_address, peer_asn, is_post_policy, table_name, afi, count(*)
FROM adj_rib_in
WHERE router_id = ANY ($1::text[])
GROUP BY router_id, peer_address, peer_asn, is_post_policy, table_name, afi
ORDER BY router_id, peer_address NULLS FIRST, peer_asn, is_post_policy, table_name, afi
