-- The routes of all peers of the router $1 in the table $2 after ($3) or before policy, by prefix.
SELECT peer_address, peer_asn, peer_bgp_id,
       afi, host(prefix)::inet AS network, masklen(prefix) AS length, path_id, updated_at AS time,
       nexthop, as_path, origin, localpref, med, communities_std, communities_ext, communities_large, attrs
FROM adj_rib_in
WHERE router_id = $1 AND table_name = $2 AND is_post_policy = $3
ORDER BY adj_rib_in.afi, adj_rib_in.prefix, adj_rib_in.peer_address, adj_rib_in.path_id
