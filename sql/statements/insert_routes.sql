COPY current_routes (
    router_id, /*adj peer_address, is_post_policy, */table_name, afi, prefix, path_id, /*adj peer_asn, peer_bgp_id, */nexthop, as_path, origin, localpref, med, origin_asn,
    communities_std, communities_ext, communities_large, attrs
) FROM STDIN (FORMAT binary)
