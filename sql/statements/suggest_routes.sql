-- The prefixes that these ASes originate now and the paths to them, those of the routers themselves (an empty path)
-- included: at most $2 rows.
SELECT prefix::text, origin_asn, COALESCE(as_path, '')
FROM (
    SELECT prefix, origin_asn, as_path FROM current_routes WHERE origin_asn = ANY ($1)
    UNION
    SELECT prefix, origin_asn, as_path FROM adj_rib_in WHERE origin_asn = ANY ($1)
    UNION
    SELECT c.prefix, r.as_number, '' FROM current_routes c JOIN routers r USING (router_id)
    WHERE r.as_number = ANY ($1) AND c.origin_asn IS NULL AND COALESCE(c.as_path, '') = ''
) AS found
ORDER BY prefix, origin_asn, as_path
LIMIT $2
