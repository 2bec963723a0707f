-- The names of ASes ($1) and the meanings of communities ($2), where they have any.
SELECT a.asn, NULL AS community, a.name::text AS name, a.country::text AS country
FROM names.as_names a
WHERE a.asn = ANY ($1)
UNION ALL
SELECT NULL, c.community, c.text, NULL
FROM (SELECT asked.community, names.community_text(asked.community) AS text FROM unnest($2::text[]) AS asked (community)) AS c
WHERE c.text IS NOT NULL
