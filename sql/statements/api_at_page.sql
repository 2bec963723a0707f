-- As api_at.sql without a prefix ($4), in pages: the history of other prefixes is not read.
SELECT row_to_json(line)::text AS json,
       json_build_array(line.router_id, line.table_name, line.afi, line.prefix, line.path_id)::text AS key
FROM routes_as_of_page($1::text[], $2::text::timestamptz, $3::text, $5::jsonb ->> 0, $5::jsonb ->> 1, ($5::jsonb ->> 3)::cidr,
                       ($5::jsonb ->> 4)::bigint, $6::bigint) AS line
WHERE $4::text IS NULL
