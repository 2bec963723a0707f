-- Writes a delivery of the change of each session ($1 uuid, $2 the status before) to the agent of its router.
INSERT INTO watch.deliveries (team, callback_id, subject, ordering_key, body)
SELECT c.team, c.id, 'status', 'registry/' || s.uuid,
       jsonb_build_object(
           'event', 'status', 'at', s.updated_at,
           'session', jsonb_build_object(
               'uuid', s.uuid, 'router', s.router, 'router_name', r.name, 'asn', s.asn, 'interface', s.interface,
               'status', s.status, 'status_name', (SELECT name FROM registry.status_codes() WHERE code = s.status), 'status_before', n.before,
               'last_error', s.last_error, 'verdict', o.verdict, 'since', o.since))
FROM unnest($1::TEXT[], $2::SMALLINT[]) WITH ORDINALITY AS n (uuid, before, place)
JOIN registry.bgp_sessions s ON s.uuid = n.uuid::UUID
JOIN registry.routers r ON r.uuid = s.router
JOIN registry.session_observations o ON o.session_uuid = s.uuid
JOIN watch.callbacks c ON c.team = '@registry' AND c.name = r.uuid::TEXT
WHERE r.callback_url <> ''
ORDER BY n.place
