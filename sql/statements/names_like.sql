-- At most $2 ASes whose name contains $1, by number. A list of all ASes has about 100,000 rows: read whole in some
-- milliseconds, for a search that a person makes.
SELECT asn, name::text AS name, country::text AS country
FROM names.as_names
WHERE strpos(lower(name), lower($1)) > 0
ORDER BY asn
LIMIT $2
