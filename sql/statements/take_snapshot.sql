-- Copies the current routes of the table $3 of the router $2 into the snapshots of the day $1, in the order in which
-- they are read.
INSERT INTO route_snapshots (day, router_id, table_name, afi, prefix, path_id, nexthop, as_path, origin, localpref, med,
                             origin_asn, communities_std, communities_ext, communities_large, attrs, updated_at)
SELECT $1::text::date, router_id, table_name, afi, prefix, path_id, nexthop, as_path, origin, localpref, med,
       origin_asn, communities_std, communities_ext, communities_large, attrs, updated_at
FROM current_routes
WHERE router_id = $2 AND table_name = $3
ORDER BY afi, prefix, path_id
