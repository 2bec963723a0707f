-- As api_routes.sql, for the Adj-RIBs $17 before or after policy ($16); of the peer $15 where it is not NULL. For those that
-- are to be sent the table is replaced: both in one statement would have no order, and each page would sort all that
-- follows.
SELECT row_to_json(line)::text AS json,
       json_build_array(line.router_id, line.peer_address, line.table_name, line.afi, line.prefix, line.path_id)::text AS key
FROM (
    SELECT $17::text || CASE WHEN $16 THEN '-post' ELSE '-pre' END AS view,
           r.router_id, r.peer_address, r.peer_asn, r.peer_bgp_id, r.is_post_policy, r.table_name, r.afi, r.prefix, r.path_id,
           r.nexthop, r.as_path, r.origin, r.localpref, r.med, r.origin_asn, r.communities_std, r.communities_ext,
           r.communities_large, r.attrs, r.first_seen, r.updated_at
    FROM (
        SELECT * FROM adj_rib_in r
        WHERE r.is_post_policy = $16::boolean
          AND ($1::text IS NULL OR r.router_id = $1)
          AND ($12::text IS NULL
               OR (r.router_id, r.peer_address, r.is_post_policy, r.table_name, r.afi, r.prefix, r.path_id)
                > ($12::jsonb ->> 0, ($12::jsonb ->> 1)::inet, $16, $12::jsonb ->> 2, ($12::jsonb ->> 3)::smallint,
                   ($12::jsonb ->> 4)::cidr, ($12::jsonb ->> 5)::bigint))
          AND ($15::text IS NULL OR r.peer_address = $15::text::inet)
    ) AS r
    WHERE ($2::text IS NULL OR r.table_name = $2)
      AND ($3::smallint IS NULL OR r.afi = $3)
      AND ($4::text IS NULL OR r.prefix = $4::text::cidr)
      AND ($5::text IS NULL OR r.prefix = ANY (covering_prefixes($5::text::inet)::cidr[]))
      AND ($6::text IS NULL OR r.prefix <<= $6::text::inet)
      AND ($7::bigint[] IS NULL OR r.origin_asn = ANY ($7))
      AND ($8::text IS NULL OR r.nexthop = $8::text::inet)
      AND ($9::text[] IS NULL OR r.communities_std @> $9)
      AND ($10::text[] IS NULL OR r.communities_large @> $10)
      AND ($11::text[] IS NULL OR r.communities_ext @> $11)
      AND ($14::text IS NULL OR CASE WHEN r.as_path = '' THEN '' ELSE r.as_path || ' ' END ~ $14)
    ORDER BY r.router_id, r.peer_address, r.is_post_policy, r.table_name, r.afi, r.prefix, r.path_id
    LIMIT $13
) AS line
