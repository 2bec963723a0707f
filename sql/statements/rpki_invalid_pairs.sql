-- How many pairs of prefix and origin are invalid as of the last scan; of $1 of them, how many there are and how many are
-- accepted: a router has them in a Loc-RIB or after policy. LIMIT in the subqueries: one probe of an index for each pair.
SELECT (SELECT count(*) FROM rpki.route_validity WHERE state = 'invalid'), count(*), count(*) FILTER (WHERE l.found OR p.found)
FROM (SELECT prefix, origin_asn FROM rpki.route_validity WHERE state = 'invalid' LIMIT $1) AS v
LEFT JOIN LATERAL (
    SELECT true AS found FROM current_routes r LEFT JOIN routers o USING (router_id)
    WHERE r.prefix = v.prefix AND rpki.route_origin(r.origin_asn, r.as_path, o.as_number) = v.origin_asn LIMIT 1
) AS l ON true
LEFT JOIN LATERAL (
    SELECT true AS found FROM adj_rib_in r LEFT JOIN routers o USING (router_id)
    WHERE r.prefix = v.prefix AND r.is_post_policy
      AND rpki.route_origin(r.origin_asn, r.as_path, o.as_number) = v.origin_asn LIMIT 1
) AS p ON l.found IS NULL
