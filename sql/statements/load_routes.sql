-- All stored routes of the staged tables, each row with the number of its table.
COPY (
    SELECT t.number, c.prefix, c.path_id, /*adj c.peer_asn, c.peer_bgp_id, */c.nexthop, c.as_path, c.origin, c.localpref, c.med,
           c.origin_asn, c.communities_std, c.communities_ext, c.communities_large, c.attrs
    FROM staged_tables t
    JOIN current_routes c ON c.router_id = t.router_id AND c.table_name = t.table_name AND c.afi = t.afi
        /*adj AND c.peer_address = t.peer_address AND c.is_post_policy = t.is_post_policy*/
) TO STDOUT (FORMAT binary)
