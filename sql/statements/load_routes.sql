-- All stored routes of the staged tables, each row with the number of its table.
COPY (
    SELECT t.number, c.prefix, c.path_id, {c.speaker}c.nexthop, c.as_path, c.origin, c.localpref, c.med,
           c.origin_asn, c.communities_std, c.communities_ext, c.communities_large, c.attrs
    FROM {staged}_tables t
    JOIN {routes} c ON c.router_id = t.router_id AND c.table_name = t.table_name AND c.afi = t.afi
        {and c.peer = t.peer}
) TO STDOUT (FORMAT binary)
