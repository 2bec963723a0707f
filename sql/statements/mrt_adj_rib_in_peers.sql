-- The peers of the router $1 with routes in the table $2 after ($3) or before policy, by family, and whether any of these
-- has a path identifier.
SELECT peer_address, peer_asn, peer_bgp_id, afi, bool_or(path_id <> 0) AS has_path_ids
FROM adj_rib_in
WHERE router_id = $1 AND table_name = $2 AND is_post_policy = $3
GROUP BY peer_address, peer_asn, peer_bgp_id, afi
ORDER BY peer_address, peer_asn, peer_bgp_id, afi
