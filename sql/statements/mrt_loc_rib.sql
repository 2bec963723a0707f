-- The routes of a Loc-RIB table by prefix.
SELECT NULL::inet AS peer_address, NULL::bigint AS peer_asn, NULL::text AS peer_bgp_id,
       afi, host(prefix)::inet AS network, masklen(prefix) AS length, path_id, updated_at AS time,
       nexthop, as_path, origin, localpref, med, communities_std, communities_ext, communities_large, attrs
FROM current_routes
WHERE router_id = $1 AND table_name = $2
ORDER BY current_routes.afi, current_routes.prefix, current_routes.path_id
