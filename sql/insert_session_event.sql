-- A row of session_events, told to whoever listens to rib_session as well: NOTIFY takes 8000 bytes at most.
WITH new AS (
    INSERT INTO session_events (event_time, router_id, table_name, peer_address, afi, kind, reason, routes)
    VALUES (clock_timestamp(), $1, $2, $3, $4, $5, $6, $7)
    RETURNING id, event_time, router_id, table_name, host(peer_address) AS peer_address, afi, kind,
              left(reason, 500) AS reason, routes
)
SELECT pg_notify('rib_session', row_to_json(new)::text) FROM new
