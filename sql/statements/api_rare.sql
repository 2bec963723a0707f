-- Whether at most $7 routes of the RIB $6 (loc-rib, adj-rib-in or adj-rib-out) fulfil those of these conditions that are
-- given and have an index: the origins $1, the next hop $2, all of the communities $3 to $5.
SELECT count(*) <= $7 AS is_rare
FROM (
    SELECT
    -- The planner drops those that are not asked.
    FROM (SELECT origin_asn, nexthop, communities_std, communities_large, communities_ext
          FROM current_routes WHERE $6::text = 'loc-rib'
          UNION ALL
          SELECT origin_asn, nexthop, communities_std, communities_large, communities_ext
          FROM adj_rib_in WHERE $6 = 'adj-rib-in'
          UNION ALL
          SELECT origin_asn, nexthop, communities_std, communities_large, communities_ext
          FROM adj_rib_out WHERE $6 = 'adj-rib-out') AS r
    WHERE ($1::bigint[] IS NULL OR r.origin_asn = ANY ($1))
      AND ($2::text IS NULL OR r.nexthop = $2::text::inet)
      AND ($3::text[] IS NULL OR r.communities_std @> $3)
      AND ($4::text[] IS NULL OR r.communities_large @> $4)
      AND ($5::text[] IS NULL OR r.communities_ext @> $5)
    LIMIT $7::bigint + 1
) AS found
