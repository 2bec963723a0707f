-- The longest match for the address or prefix $1, per table, with all its paths: in the Loc-RIBs, then in the Adj-RIBs;
-- $2: in this view only. All prefixes that can match are listed, so that the B-trees on prefix are used; lookup() does
-- the same.
WITH candidates AS MATERIALIZED (
    SELECT covering_prefixes($1::text::inet) AS prefixes
), adj_rib AS (
    SELECT 'adj-rib-in-' || CASE WHEN r.is_post_policy THEN 'post' ELSE 'pre' END AS view, r.peer_address, r.router_id,
           r.table_name, r.afi, r.prefix, r.path_id, r.nexthop, r.as_path, r.origin, r.localpref, r.med, r.origin_asn,
           r.communities_std, r.communities_ext, r.communities_large, r.attrs, r.first_seen, r.updated_at, to_jsonb(r) AS own
    FROM adj_rib_in r
    WHERE r.prefix = ANY ((SELECT prefixes FROM candidates)::cidr[]) AND ($2::text IS NULL OR $2 LIKE 'adj-rib-in-%')
    UNION ALL
    SELECT 'adj-rib-out-' || CASE WHEN r.is_post_policy THEN 'post' ELSE 'pre' END, r.peer_address, r.router_id,
           r.table_name, r.afi, r.prefix, r.path_id, r.nexthop, r.as_path, r.origin, r.localpref, r.med, r.origin_asn,
           r.communities_std, r.communities_ext, r.communities_large, r.attrs, r.first_seen, r.updated_at, to_jsonb(r)
    FROM adj_rib_out r
    WHERE r.prefix = ANY ((SELECT prefixes FROM candidates)::cidr[]) AND ($2::text IS NULL OR $2 LIKE 'adj-rib-out-%')
), longest AS (
    SELECT a.*, max(masklen(a.prefix)) OVER (PARTITION BY a.view, a.router_id, a.peer_address, a.table_name, a.afi) AS longest
    FROM adj_rib a
    WHERE $2::text IS NULL OR a.view = $2
)
SELECT 'loc-rib' AS view, NULL::text AS peer_address, l.router_id, l.table_name, l.afi, l.prefix::text AS prefix, l.path_id,
       host(l.nexthop) AS nexthop, l.as_path, l.origin, l.localpref, l.med, l.origin_asn, l.communities_std,
       l.communities_ext, l.communities_large, l.attrs::text AS attrs, l.first_seen, l.updated_at,
       row_to_json(l)::text AS json
FROM lookup($1::text::cidr) AS l
WHERE $2::text IS NULL OR $2 = 'loc-rib'
UNION ALL
SELECT a.view, host(a.peer_address), a.router_id, a.table_name, a.afi, a.prefix::text, a.path_id, host(a.nexthop), a.as_path,
       a.origin, a.localpref, a.med, a.origin_asn, a.communities_std, a.communities_ext, a.communities_large, a.attrs::text,
       a.first_seen, a.updated_at, (jsonb_build_object('view', a.view) || a.own)::text
FROM longest a
WHERE masklen(a.prefix) = a.longest
ORDER BY router_id, view DESC, table_name, peer_address NULLS FIRST, path_id
