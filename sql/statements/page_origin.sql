-- One page of the prefixes that AS $1 originates, with the number of routers and paths that have each: $3 of them, page
-- $4 counted from 0, or the last page. At most $2 routes of each kind of RIB are counted, so that an AS with millions
-- of routes costs no more; one more is read to learn whether there are more. The range and the order leave the planner
-- only the index on origin_asn, whatever its statistics of this AS are.
WITH loc_rib AS MATERIALIZED (
    SELECT router_id, prefix FROM current_routes
    WHERE origin_asn BETWEEN $1::bigint AND $1 ORDER BY origin_asn LIMIT $2 + 1
), received AS MATERIALIZED (
    SELECT router_id, prefix FROM adj_rib_in
    WHERE origin_asn BETWEEN $1::bigint AND $1 ORDER BY origin_asn LIMIT $2 + 1
), sent AS MATERIALIZED (
    SELECT router_id, prefix FROM adj_rib_out
    WHERE origin_asn BETWEEN $1::bigint AND $1 ORDER BY origin_asn LIMIT $2 + 1
), found AS MATERIALIZED (
    SELECT prefix, count(DISTINCT router_id) AS routers, count(*) FILTER (WHERE rib = 0) AS loc_rib,
           count(*) FILTER (WHERE rib = 1) AS received, count(*) FILTER (WHERE rib = 2) AS sent
    FROM ((SELECT 0 AS rib, * FROM loc_rib LIMIT $2) UNION ALL (SELECT 1, * FROM received LIMIT $2)
          UNION ALL (SELECT 2, * FROM sent LIMIT $2)) AS r
    GROUP BY prefix
), counted AS MATERIALIZED (
    SELECT count(*) AS prefixes,
           $2 < GREATEST((SELECT count(*) FROM loc_rib), (SELECT count(*) FROM received), (SELECT count(*) FROM sent)) AS is_cut
    FROM found
)
SELECT f.prefix::text AS prefix, f.routers, f.loc_rib, f.received, f.sent, c.prefixes, c.is_cut
FROM (
    SELECT * FROM found
    ORDER BY prefix
    LIMIT $3 OFFSET (SELECT LEAST($4::bigint, GREATEST(prefixes - 1, 0) / $3) * $3 FROM counted)
) AS f
CROSS JOIN counted c
ORDER BY f.prefix
