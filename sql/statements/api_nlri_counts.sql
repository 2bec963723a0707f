-- At most $6 numbers of routes of other families over time as JSON, the latest first, after the key $5: of the routers $1
-- and the peers $2, from $3 to $4, where these are not NULL.
SELECT row_to_json(line)::text AS json,
       json_build_array(line.at, line.router_id, line.peer_address, line.table_name)::text AS key
FROM (
    SELECT n.at, n.router_id, n.peer_address, n.table_name, n.afi, n.safi, n.pre, n.post
    FROM peer_nlri_counts n
    WHERE ($1::text[] IS NULL OR n.router_id = ANY ($1))
      AND ($2::text[] IS NULL OR n.peer_address = ANY ($2::text[]::inet[]))
      AND n.at >= $3::text::timestamptz AND n.at <= $4::text::timestamptz
      AND ($5::text IS NULL
           OR n.at <= ($5::jsonb ->> 0)::timestamptz
              AND (n.at, n.router_id, n.peer_address, n.table_name)
                < (($5::jsonb ->> 0)::timestamptz, $5::jsonb ->> 1, ($5::jsonb ->> 2)::inet, $5::jsonb ->> 3))
    ORDER BY n.at DESC, n.router_id DESC, n.peer_address DESC, n.table_name DESC
    LIMIT $6
) AS line
