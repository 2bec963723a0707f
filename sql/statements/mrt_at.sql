-- The routes of a Loc-RIB table by prefix, as they were at $3.
SELECT NULL::inet AS peer_address, NULL::bigint AS peer_asn, NULL::text AS peer_bgp_id,
       r.afi, host(r.prefix)::inet AS network, masklen(r.prefix) AS length, r.path_id, r.since AS time,
       r.nexthop, r.as_path, r.origin, r.localpref, r.med, r.communities_std, r.communities_ext, r.communities_large, r.attrs
FROM routes_as_of($1, $2, $3) AS r
ORDER BY r.afi, r.prefix, r.path_id
