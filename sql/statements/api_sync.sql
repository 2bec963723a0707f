-- At most $3 tables after the key $2 with how complete they are, as JSON; of the routers $1 where these are not NULL.
SELECT row_to_json(line)::text AS json,
       json_build_array(line.router_id, line.view, COALESCE(line.peer_address, '0.0.0.0'), line.table_name, line.afi)::text AS key
FROM (
    SELECT *
    FROM (SELECT 'loc-rib' AS view, s.router_id, NULL::inet AS peer_address, s.table_name, s.afi, s.session_start_time,
                 s.eor_seen, s.eor_time, s.synced_at, s.stale_since, s.last_parsed_msg_time, s.last_raw_msg_time, s.updated_at
          FROM rib_sync_status s
          UNION ALL
          SELECT CASE WHEN s.is_post_policy THEN 'adj-rib-in-post' ELSE 'adj-rib-in-pre' END, s.router_id, s.peer_address,
                 s.table_name, s.afi, s.session_start_time, s.eor_seen, s.eor_time, s.synced_at, s.stale_since,
                 s.last_parsed_msg_time, s.last_raw_msg_time, s.updated_at
          FROM adj_rib_in_sync_status s
          UNION ALL
          SELECT CASE WHEN s.is_post_policy THEN 'adj-rib-out-post' ELSE 'adj-rib-out-pre' END, s.router_id, s.peer_address,
                 s.table_name, s.afi, s.session_start_time, s.eor_seen, s.eor_time, s.synced_at, s.stale_since,
                 s.last_parsed_msg_time, s.last_raw_msg_time, s.updated_at
          FROM adj_rib_out_sync_status s) AS s
    WHERE ($1::text[] IS NULL OR s.router_id = ANY ($1))
      AND ($2::text IS NULL
           OR (s.router_id, s.view, COALESCE(s.peer_address, '0.0.0.0'), s.table_name, s.afi)
            > ($2::jsonb ->> 0, $2::jsonb ->> 1, ($2::jsonb ->> 2)::inet, $2::jsonb ->> 3, ($2::jsonb ->> 4)::smallint))
    ORDER BY s.router_id, s.view, COALESCE(s.peer_address, '0.0.0.0'), s.table_name, s.afi
    LIMIT $3
) AS line
