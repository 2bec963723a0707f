-- Which of these prefixes have an origin that is none of these ASes ($2), in a Loc-RIB or in what peers sent.
SELECT prefix::text, array_agg(DISTINCT origin_asn ORDER BY origin_asn)
FROM (SELECT prefix, origin_asn FROM current_routes WHERE prefix = ANY ($1::text[]::cidr[])
      UNION ALL
      SELECT prefix, origin_asn FROM adj_rib_in WHERE prefix = ANY ($1::text[]::cidr[])) AS found
WHERE origin_asn <> ALL ($2)
GROUP BY prefix
