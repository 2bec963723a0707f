-- Accepts what the ASes of these watches originate in these tables of routers. Returns what is new.
INSERT INTO watch.accepted_prefixes (team, watch_id, prefix)
SELECT DISTINCT w.team, w.id, r.prefix
FROM unnest($1::bigint[], $2::text[], $3::text[]) AS first (watch_id, router_id, table_name)
JOIN watch.watches w ON w.id = first.watch_id
JOIN routers o ON o.router_id = first.router_id
JOIN (
    SELECT router_id, table_name, prefix, origin_asn, as_path, communities_std, communities_large, communities_ext
    FROM current_routes
    UNION ALL
    SELECT router_id, table_name, prefix, origin_asn, as_path, communities_std, communities_large, communities_ext
    FROM adj_rib_in
) AS r ON r.router_id = first.router_id AND r.table_name = first.table_name
      AND (r.origin_asn = w.asn OR r.origin_asn IS NULL AND o.as_number = w.asn AND r.as_path ~ '(^|[])])$')
-- What is mitigated now is not there for long.
WHERE (r.communities_std && $4::text[] OR r.communities_large && $4 OR r.communities_ext && $4) IS NOT TRUE
ON CONFLICT (watch_id, prefix) DO NOTHING
RETURNING watch_id, prefix::text
