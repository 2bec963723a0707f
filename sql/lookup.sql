-- The longest match among the candidate prefixes $1, per table, with all its paths.
--
-- All prefixes that can match are named (33 or 129 at most), so that the B-tree on prefix answers: twenty times faster
-- than >>= over the GiST index, which readers may use all the same.
SELECT c.router_id, c.table_name, c.afi, c.prefix::text AS prefix, c.path_id, host(c.nexthop) AS nexthop, c.as_path, c.origin,
       c.localpref, c.med, c.origin_asn, c.communities_std, c.communities_ext, c.communities_large, c.attrs::text AS attrs,
       c.first_seen, c.updated_at, c.json
FROM (SELECT r.*, row_to_json(r)::text AS json,
             max(masklen(r.prefix)) OVER (PARTITION BY r.router_id, r.table_name) AS longest
      FROM current_routes r
      WHERE r.prefix = ANY ($1::text[]::cidr[])) AS c
WHERE masklen(c.prefix) = c.longest
ORDER BY c.router_id, c.table_name, c.path_id
