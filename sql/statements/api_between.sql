-- At most $6 differences of the Loc-RIBs of the routers $1 between $2 and $3, after the key $5, as JSON: of the table $4
-- where it is not NULL.
SELECT row_to_json(line)::text AS json,
       json_build_array(line.router_id, line.table_name, line.afi, line.prefix, line.path_id)::text AS key
FROM (
    SELECT d.*
    FROM unnest($1::text[]) AS r(router_id)
    CROSS JOIN LATERAL routes_between($2::text::timestamptz, $3::text::timestamptz, r.router_id, $4::text) AS d
    WHERE $5::text IS NULL
       OR (d.router_id, d.table_name, d.afi, d.prefix, d.path_id)
        > ($5::jsonb ->> 0, $5::jsonb ->> 1, ($5::jsonb ->> 2)::smallint, ($5::jsonb ->> 3)::cidr, ($5::jsonb ->> 4)::bigint)
    ORDER BY d.router_id, d.table_name, d.afi, d.prefix, d.path_id
    LIMIT $6
) AS line
