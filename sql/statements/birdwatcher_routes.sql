-- The routes of one view of a table: of a router ($1), a peer ($2), before or after policy ($3), by name ($4) and family ($5).
SELECT prefix::text AS prefix, host(nexthop) AS nexthop, as_path, origin, localpref, med, communities_std, communities_ext,
       communities_large, attrs ->> 'only_to_customer' AS otc, attrs ->> 'link_local_next_hop' AS link_local,
       attrs #> '{path_status,status}' @> '["best"]' AS is_best, updated_at, NULL::boolean AS is_rpki_invalid
FROM adj_rib_in
WHERE router_id = $1 AND peer_address = $2::text::inet AND is_post_policy = $3 AND table_name = $4 AND afi = $5
