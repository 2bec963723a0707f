-- The routes of a router ($1) to one prefix ($2) in every table, each in the view after policy where it is stored.
SELECT host(r.peer_address) AS peer_address, r.table_name, r.afi, r.prefix::text AS prefix, host(r.nexthop) AS nexthop, r.as_path, r.origin,
       r.localpref, r.med, r.communities_std, r.communities_ext, r.communities_large, r.attrs ->> 'only_to_customer' AS otc,
       r.attrs ->> 'link_local_next_hop' AS link_local, r.attrs #> '{path_status,status}' @> '["best"]' AS is_best, r.updated_at,
       NULL::boolean AS is_rpki_invalid
FROM adj_rib_in r
WHERE r.router_id = $1 AND r.prefix = $2::text::cidr
  AND (r.is_post_policy
       OR NOT EXISTS (SELECT FROM adj_rib_in_sync_status s
                      WHERE s.router_id = $1 AND s.peer_address = r.peer_address AND s.is_post_policy
                        AND s.table_name = r.table_name AND s.afi = r.afi))
ORDER BY r.peer_address, r.table_name, r.path_id
