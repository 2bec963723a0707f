-- Adds watches of sessions: $1 names, $2 sessions, $3 routers, $4 addresses. A session of a registry is one of many, so
-- one that is down is a warning, also where its router is the only one that is asked.
WITH new AS (
    SELECT * FROM unnest($1::TEXT[], $2::TEXT[], $3::TEXT[], $4::INET[]) AS n (name, uuid, router_id, address)
), added AS (
    INSERT INTO watch.watches (name, kind, router_id, peer_address, severity, source, open_after_secs, settle_secs)
    SELECT name, 'session', router_id, address, 'warning', 'registry',
           (SELECT value::INTEGER FROM registry.settings WHERE key = 'down_after_secs'),
           (SELECT value::INTEGER FROM registry.settings WHERE key = 'settle_secs')
    FROM new
    ON CONFLICT ON CONSTRAINT watches_name DO NOTHING
    RETURNING id, name
)
INSERT INTO registry.session_watches (session_uuid, peer_address, watch_id)
SELECT s.uuid, n.address, a.id FROM new n JOIN added a USING (name) JOIN registry.bgp_sessions s ON s.uuid = n.uuid::UUID
ON CONFLICT (session_uuid, peer_address) DO UPDATE SET watch_id = EXCLUDED.watch_id
