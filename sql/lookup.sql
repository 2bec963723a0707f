-- The longest match for the address or prefix $1, per table, with all its paths.
SELECT l.router_id, l.table_name, l.afi, l.prefix::text AS prefix, l.path_id, host(l.nexthop) AS nexthop, l.as_path, l.origin,
       l.localpref, l.med, l.origin_asn, l.communities_std, l.communities_ext, l.communities_large, l.attrs::text AS attrs,
       l.first_seen, l.updated_at, row_to_json(l)::text AS json
FROM lookup($1::text::cidr) AS l
