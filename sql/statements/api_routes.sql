-- At most $13 routes of Loc-RIBs as JSON, in the order of their keys, after the key $12. Each other parameter is a
-- condition where it is not NULL: the router $1, the table $2, the family $3, the prefix $4, covering $5, covered by $6,
-- the origins $7, the next hop $8, all of the communities $9 to $11, the AS path $14 with a space after each AS.
--
-- It is planned with the values, so a condition that is not given costs nothing, and the others choose the index.
-- Prefixes that cover $5, at most 129, are listed, as in longest_match.sql.
--
-- Conditions of the key are inside, where routes.rs adds an end to the walk along the key.
SELECT row_to_json(line)::text AS json,
       json_build_array(line.router_id, line.table_name, line.afi, line.prefix, line.path_id)::text AS key
FROM (
    SELECT 'loc-rib' AS view, r.router_id, r.table_name, r.afi, r.prefix, r.path_id, r.nexthop, r.as_path, r.origin,
           r.localpref, r.med, r.origin_asn, r.communities_std, r.communities_ext, r.communities_large, r.attrs,
           r.first_seen, r.updated_at
    FROM (
        SELECT * FROM current_routes r
        WHERE ($1::text IS NULL OR r.router_id = $1)
          AND ($12::text IS NULL
               OR (r.router_id, r.table_name, r.afi, r.prefix, r.path_id)
                > ($12::jsonb ->> 0, $12::jsonb ->> 1, ($12::jsonb ->> 2)::smallint, ($12::jsonb ->> 3)::cidr, ($12::jsonb ->> 4)::bigint))
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
    ORDER BY r.router_id, r.table_name, r.afi, r.prefix, r.path_id
    LIMIT $13
) AS line
