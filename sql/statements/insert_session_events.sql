-- Inserts rows of session_events in their order, at the time $8 or now. Returns their numbers.
INSERT INTO session_events (event_time, router_id, table_name, peer_address, afi, kind, reason, routes)
SELECT COALESCE($8::timestamptz, clock_timestamp()), router_id, table_name, peer_address, afi, kind, reason, routes
FROM unnest($1::text[], $2::text[], $3::inet[], $4::smallint[], $5::text[], $6::text[], $7::bigint[])
    WITH ORDINALITY AS event (router_id, table_name, peer_address, afi, kind, reason, routes, number)
ORDER BY number
RETURNING id
