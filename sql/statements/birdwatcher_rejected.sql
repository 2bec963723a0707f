-- The routes of a table before policy whose networks have no path after policy: of a router ($1) and a peer ($2), by name
-- ($3) and family ($4), received or to be sent ($5: adj-rib-in or adj-rib-out). $6: with the verdict of the VRPs.
WITH routes AS NOT MATERIALIZED (
    SELECT * FROM adj_rib_in WHERE $5::text = 'adj-rib-in'
    UNION ALL SELECT * FROM adj_rib_out WHERE $5 = 'adj-rib-out'
)
SELECT r.prefix::text AS prefix, host(r.nexthop) AS nexthop, r.as_path, r.origin, r.localpref, r.med, r.communities_std,
       r.communities_ext, r.communities_large, r.attrs ->> 'only_to_customer' AS otc,
       r.attrs ->> 'link_local_next_hop' AS link_local, r.attrs #> '{path_status,status}' @> '["best"]' AS is_best, r.updated_at,
       CASE WHEN $6::boolean
            THEN rov(r.prefix, rpki.route_origin(r.origin_asn, r.as_path, (SELECT as_number FROM routers WHERE router_id = $1))) = 'invalid'
       END AS is_rpki_invalid
FROM routes r
WHERE r.router_id = $1 AND r.peer_address = $2::text::inet AND NOT r.is_post_policy AND r.table_name = $3 AND r.afi = $4
  AND NOT EXISTS (SELECT FROM routes a
                  WHERE a.router_id = $1 AND a.peer_address = $2::text::inet AND a.is_post_policy AND a.table_name = $3
                    AND a.afi = $4 AND a.prefix = r.prefix)
