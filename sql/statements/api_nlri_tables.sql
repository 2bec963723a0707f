-- At most $3 tables of other families after the key $2, as JSON; of the routers $1 where these are not NULL.
SELECT row_to_json(line)::text AS json,
       json_build_array(line.router_id, line.view, COALESCE(line.peer_address, '0.0.0.0'), line.table_name)::text AS key
FROM (
    SELECT s.view, s.router_id, s.peer_address, s.table_name, s.afi, s.safi, s.routes, s.session_start_time, s.eor_seen,
           s.eor_time, s.synced_at, s.stale_since, s.last_parsed_msg_time, s.last_raw_msg_time, s.updated_at
    FROM (SELECT t.rib || CASE WHEN t.is_post_policy THEN '-post' WHEN NOT t.is_post_policy THEN '-pre' ELSE '' END AS view, t.*
          FROM nlri_tables t) AS s
    WHERE ($1::text[] IS NULL OR s.router_id = ANY ($1))
      AND ($2::text IS NULL
           OR (s.router_id, s.view, COALESCE(s.peer_address, '0.0.0.0'), s.table_name)
            > ($2::jsonb ->> 0, $2::jsonb ->> 1, ($2::jsonb ->> 2)::inet, $2::jsonb ->> 3))
    ORDER BY s.router_id, s.view, COALESCE(s.peer_address, '0.0.0.0'), s.table_name
    LIMIT $3
) AS line
