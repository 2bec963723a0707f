-- Records that events of a router were lost: history is incomplete from $2 on, until the table's next dump is complete.
WITH new AS (
    INSERT INTO session_events (event_time, router_id, kind, reason, routes)
    VALUES ($2, $1, 'gap', $3, $4)
    RETURNING id, event_time, router_id, table_name, peer_address, afi, kind, reason, routes, false AS cut
)
SELECT pg_notify('rib_session', row_to_json(new)::text) FROM new
