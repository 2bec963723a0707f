COPY {routes} (
    router_id, {peer}table_name, afi, prefix, path_id, {speaker}nexthop, as_path, origin, localpref, med, origin_asn,
    communities_std, communities_ext, communities_large, attrs
) FROM STDIN (FORMAT binary)
