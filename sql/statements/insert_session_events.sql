-- Inserts rows of session_events in their order, at the time $8 or now, and notifies the listeners of rib_session of
-- each.
--
-- NOTIFY accepts less than 8000 octets. A character is at most six of them in JSON (a control character), so each of
-- the three texts is cut if it could exceed 2400; `cut` then reports it.
WITH new AS (
    INSERT INTO session_events (event_time, router_id, table_name, peer_address, afi, kind, reason, routes)
    SELECT COALESCE($8::timestamptz, clock_timestamp()), router_id, table_name, peer_address, afi, kind, reason, routes
    FROM unnest($1::text[], $2::text[], $3::inet[], $4::smallint[], $5::text[], $6::text[], $7::bigint[])
        WITH ORDINALITY AS event (router_id, table_name, peer_address, afi, kind, reason, routes, number)
    ORDER BY number
    RETURNING id, event_time, router_id, table_name, host(peer_address) AS peer_address, afi, kind, reason, routes
), measured AS (
    SELECT *, COALESCE(octet_length(to_json(router_id)::text) > 2400, false) AS long_router,
           COALESCE(octet_length(to_json(table_name)::text) > 2400, false) AS long_table,
           COALESCE(octet_length(to_json(reason)::text) > 2400, false) AS long_reason
    FROM new
)
SELECT pg_notify('rib_session', row_to_json(told)::text)
FROM measured m
CROSS JOIN LATERAL (
    SELECT m.id, m.event_time, CASE WHEN long_router THEN left(m.router_id, 390) || '...' ELSE m.router_id END AS router_id,
           CASE WHEN long_table THEN left(m.table_name, 390) || '...' ELSE m.table_name END AS table_name, m.peer_address,
           m.afi, m.kind, CASE WHEN long_reason THEN left(m.reason, 390) || '...' ELSE m.reason END AS reason, m.routes,
           long_router OR long_table OR long_reason AS cut
) AS told
