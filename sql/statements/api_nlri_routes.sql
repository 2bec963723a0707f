-- At most $10 routes of other families as JSON, in the order of their keys, after the key $9. Each other parameter is a
-- condition where it is not NULL: the routers $1, the RIB $2, the table $3, the peers $4, the family $5 by which keys
-- begin, the type $6, the key $7, and text $8 somewhere in the key.
SELECT row_to_json(line)::text AS json,
       json_build_array(line.router_id, line.view, COALESCE(line.peer_address, '0.0.0.0'), line.table_name, line.nlri_key,
                        line.path_id)::text AS key
FROM (
    SELECT r.view, r.router_id, r.peer_address, r.peer_asn, r.peer_bgp_id, r.is_post_policy, r.table_name, r.afi, r.safi,
           r.nlri_key, r.path_id, r.nlri, r.nexthop, r.as_path, r.origin, r.localpref, r.med, r.origin_asn,
           r.communities_std, r.communities_ext, r.communities_large, r.attrs, r.first_seen, r.updated_at
    FROM (
        SELECT n.rib || CASE WHEN n.is_post_policy THEN '-post' WHEN NOT n.is_post_policy THEN '-pre' ELSE '' END AS view, n.*
        FROM nlri_routes n
    ) AS r
    WHERE ($1::text[] IS NULL OR r.router_id = ANY ($1))
      AND ($2::text IS NULL OR r.view = $2)
      AND ($3::text IS NULL OR r.table_name = $3)
      AND ($4::text[] IS NULL OR r.peer_address = ANY ($4::text[]::inet[]))
      AND ($5::text IS NULL OR split_part(r.nlri_key, ':', 1) = $5)
      AND ($6::text IS NULL OR r.nlri ->> 'type' = $6)
      AND ($7::text IS NULL OR r.nlri_key = $7)
      AND ($8::text IS NULL OR strpos(r.nlri_key, $8) > 0)
      AND ($9::text IS NULL
           OR (r.router_id, r.view, COALESCE(r.peer_address, '0.0.0.0'), r.table_name, r.nlri_key, r.path_id)
            > ($9::jsonb ->> 0, $9::jsonb ->> 1, ($9::jsonb ->> 2)::inet, $9::jsonb ->> 3, $9::jsonb ->> 4,
               ($9::jsonb ->> 5)::bigint))
    ORDER BY r.router_id, r.view, COALESCE(r.peer_address, '0.0.0.0'), r.table_name, r.nlri_key, r.path_id
    LIMIT $10
) AS line
