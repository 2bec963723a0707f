-- At most $4 rows of flap_report for the last $3 minutes as JSON, the worst first: of the routers $1 and the table $2 where
-- these are not NULL.
SELECT row_to_json(f)::text AS json
FROM flap_report($3::bigint * interval '1 minute') AS f
WHERE ($1::text[] IS NULL OR f.router_id = ANY ($1)) AND ($2::text IS NULL OR f.table_name = $2)
LIMIT $4
