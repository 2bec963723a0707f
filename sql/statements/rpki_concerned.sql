-- Routes that a VRP would cover, their state now, and whether it would match them.
SELECT found.prefix::text, found.origin, rov(found.prefix, found.origin),
       found.origin = $3 AND found.origin > 0 AND masklen(found.prefix) <= $2, count(DISTINCT found.router_id)
FROM (
    SELECT r.router_id, r.prefix, rpki.route_origin(r.origin_asn, r.as_path, o.as_number) AS origin
    FROM current_routes r LEFT JOIN routers o USING (router_id) WHERE r.prefix <<= $1::text::cidr
    UNION ALL
    SELECT r.router_id, r.prefix, rpki.route_origin(r.origin_asn, r.as_path, o.as_number)
    FROM adj_rib_in r LEFT JOIN routers o USING (router_id) WHERE r.prefix <<= $1::text::cidr
) AS found
WHERE found.origin IS NOT NULL
GROUP BY found.prefix, found.origin
ORDER BY found.prefix, found.origin
