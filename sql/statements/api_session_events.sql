-- At most $6 rows of session_events after the key $5 as JSON, the latest first: of the routers $1, of the kind $2, from
-- $3 to $4, where these are not NULL.
SELECT row_to_json(line)::text AS json, json_build_array(line.event_time, line.id)::text AS key
FROM (
    SELECT e.id, e.event_time, e.router_id, e.table_name, e.peer_address, e.afi, e.kind, e.reason, e.routes
    FROM session_events e
    WHERE ($1::text[] IS NULL OR e.router_id = ANY ($1))
      AND ($2::text IS NULL OR e.kind = $2)
      AND ($3::text IS NULL OR e.event_time >= $3::text::timestamptz)
      AND ($4::text IS NULL OR e.event_time <= $4::text::timestamptz)
      AND ($5::text IS NULL
           OR e.event_time <= ($5::jsonb ->> 0)::timestamptz
              AND (e.event_time, e.id) < (($5::jsonb ->> 0)::timestamptz, ($5::jsonb ->> 1)::bigint))
    ORDER BY e.event_time DESC, e.id DESC
    LIMIT $6
) AS line
