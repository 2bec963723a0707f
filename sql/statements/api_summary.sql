-- At most $3 rows of route_summary after the key $2, as JSON; of the routers $1 where these are not NULL.
SELECT row_to_json(line)::text AS json, json_build_array(line.router_id, line.table_name, line.afi)::text AS key
FROM (
    SELECT s.router_id, s.table_name, s.afi, s.route_count, s.unique_prefixes, s.unique_nexthops, s.last_update
    FROM route_summary s
    WHERE ($1::text[] IS NULL OR s.router_id = ANY ($1))
      AND ($2::text IS NULL
           OR (s.router_id, s.table_name, s.afi) > ($2::jsonb ->> 0, $2::jsonb ->> 1, ($2::jsonb ->> 2)::smallint))
    ORDER BY s.router_id, s.table_name, s.afi
    LIMIT $3
) AS line
