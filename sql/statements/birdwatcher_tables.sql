-- The unicast Adj-RIB tables of a router ($1) in one direction ($2: adj-rib-in or adj-rib-out), each with its peer, and the
-- routes of each view; NULL where the view is not stored.
SELECT host(s.peer_address) AS peer_address,
       COALESCE(t.peer_asn, (SELECT max(p.peer_asn) FROM peers p WHERE p.router_id = $1 AND p.peer_address = s.peer_address), 0) AS peer_asn,
       COALESCE(t.distinguisher, '') AS distinguisher, s.table_name, s.afi,
       GREATEST(sum(COALESCE(c.routes, 0)) FILTER (WHERE NOT s.is_post_policy), 0)::bigint AS pre,
       GREATEST(sum(COALESCE(c.routes, 0)) FILTER (WHERE s.is_post_policy), 0)::bigint AS post,
       bool_or(NOT s.is_post_policy) AS has_pre, bool_or(s.is_post_policy) AS has_post
FROM (SELECT * FROM adj_rib_in_sync_status WHERE $2::text = 'adj-rib-in'
      UNION ALL SELECT * FROM adj_rib_out_sync_status WHERE $2 = 'adj-rib-out') AS s
LEFT JOIN table_names t
    ON t.router_id = $1 AND t.rib = $2 AND t.peer_address = s.peer_address AND t.table_name = s.table_name
LEFT JOIN route_counts c
    ON c.router_id = $1 AND c.rib = $2 AND c.peer_address = s.peer_address AND c.is_post_policy = s.is_post_policy
       AND c.table_name = s.table_name AND c.afi = s.afi
WHERE s.router_id = $1 AND COALESCE(t.safi, 1) = 1
GROUP BY s.peer_address, t.peer_asn, t.distinguisher, s.table_name, s.afi
ORDER BY s.peer_address, s.table_name, s.afi
