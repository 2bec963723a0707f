-- The longest match for the prefix $2 (of family $1) in every table of every router, Loc-RIBs first, with all its
-- paths; in the view $5, of the routers $6, in the table $7 only, where these are not NULL. One page of them: $3 paths, page $4 counted from 0, or the last page.
--
-- All prefixes that can match, at most 33 or 129, are listed, so that the B-tree on prefix is used; the function lookup
-- does the same. Only keys are compared and counted; only the rows of the page are read in full.
WITH candidates AS MATERIALIZED (
    SELECT covering_prefixes($2::text::inet) AS prefixes
), found AS (
    SELECT 0 AS rank, 'loc-rib' AS view, router_id, table_name, '0.0.0.0'::inet AS peer_address, false AS is_post_policy,
           prefix, path_id
    FROM current_routes WHERE prefix = ANY ((SELECT prefixes FROM candidates)::cidr[]) AND afi = $1
    UNION ALL
    SELECT 1, CASE WHEN is_post_policy THEN 'adj-rib-in-post' ELSE 'adj-rib-in-pre' END, router_id, table_name,
           peer_address, is_post_policy, prefix, path_id
    FROM adj_rib_in WHERE prefix = ANY ((SELECT prefixes FROM candidates)::cidr[]) AND afi = $1
    UNION ALL
    SELECT 2, CASE WHEN is_post_policy THEN 'adj-rib-out-post' ELSE 'adj-rib-out-pre' END, router_id, table_name,
           peer_address, is_post_policy, prefix, path_id
    FROM adj_rib_out WHERE prefix = ANY ((SELECT prefixes FROM candidates)::cidr[]) AND afi = $1
), chosen AS MATERIALIZED (
    SELECT *
    FROM (SELECT *, max(masklen(prefix)) OVER (PARTITION BY peer_address, router_id, view, table_name) AS longest
          FROM found
          WHERE ($5::text IS NULL OR view = $5)
            AND ($6::text[] IS NULL OR router_id = ANY ($6)) AND ($7::text IS NULL OR table_name = $7)) AS f
    WHERE masklen(prefix) = longest
), counted AS MATERIALIZED (
    SELECT count(*) AS paths, (SELECT count(*) FROM (SELECT DISTINCT router_id FROM chosen) AS d) AS routers,
           ARRAY(SELECT DISTINCT prefix FROM chosen)::text[] AS prefixes
    FROM chosen
), page AS MATERIALIZED (
    SELECT *, row_number() OVER () AS place
    FROM (
        -- Identifiers in the form of IPv4 addresses are sorted by number, others by text.
        SELECT * FROM chosen
        ORDER BY rank, CASE WHEN router_id ~ '^\d{1,3}(\.\d{1,3}){3}$' THEN string_to_array(router_id, '.')::int[] END,
                 router_id, table_name, peer_address, is_post_policy, path_id
        LIMIT $3 OFFSET (SELECT LEAST($4::bigint, GREATEST(paths - 1, 0) / $3) * $3 FROM counted)
    ) AS c
)
SELECT p.view, CASE WHEN p.rank > 0 THEN p.peer_address END AS peer_address, p.router_id,
       (SELECT hostname FROM routers n WHERE n.router_id = p.router_id) AS hostname,
       p.table_name, p.prefix::text AS prefix, p.path_id, host(r.nexthop) AS nexthop, r.as_path, r.origin, r.localpref, r.med,
       r.communities_std, r.communities_ext, r.communities_large, r.updated_at, r.json, t.paths, t.routers, t.prefixes,
       -- As rpki.route_origin(), which not everybody who may read routes may call.
       CASE WHEN r.origin_asn IS NOT NULL THEN r.origin_asn
            WHEN r.as_path = '' OR right(r.as_path, 1) IN (')', ']')
            THEN (SELECT as_number FROM routers n WHERE n.router_id = p.router_id)
            WHEN right(r.as_path, 1) = '}' THEN 0 END AS route_origin
FROM page p
CROSS JOIN counted t
CROSS JOIN LATERAL (
    SELECT nexthop, as_path, origin_asn, origin, localpref, med, communities_std, communities_ext, communities_large, updated_at,
           row_to_json(r)::text AS json
    FROM current_routes r
    WHERE p.rank = 0 AND r.router_id = p.router_id AND r.table_name = p.table_name AND r.afi = $1 AND r.prefix = p.prefix
      AND r.path_id = p.path_id
    UNION ALL
    SELECT nexthop, as_path, origin_asn, origin, localpref, med, communities_std, communities_ext, communities_large, updated_at,
           (SELECT row_to_json(own)::text FROM (SELECT p.view, r.*) AS own)
    FROM adj_rib_in r
    WHERE p.rank = 1 AND r.router_id = p.router_id AND r.peer_address = p.peer_address
      AND r.is_post_policy = p.is_post_policy AND r.table_name = p.table_name AND r.afi = $1 AND r.prefix = p.prefix
      AND r.path_id = p.path_id
    UNION ALL
    SELECT nexthop, as_path, origin_asn, origin, localpref, med, communities_std, communities_ext, communities_large, updated_at,
           (SELECT row_to_json(own)::text FROM (SELECT p.view, r.*) AS own)
    FROM adj_rib_out r
    WHERE p.rank = 2 AND r.router_id = p.router_id AND r.peer_address = p.peer_address
      AND r.is_post_policy = p.is_post_policy AND r.table_name = p.table_name AND r.afi = $1 AND r.prefix = p.prefix
      AND r.path_id = p.path_id
) AS r
ORDER BY p.place
