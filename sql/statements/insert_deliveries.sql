-- Writes a delivery for each pair of a callback ($1) and an event ($2); $3 is its subject, NULL: the event's own. An
-- event goes to a callback once, unless it is repeated.
INSERT INTO watch.deliveries (team, callback_id, subject, ordering_key, incident_id, incident_event_id, body)
SELECT c.team, c.id, COALESCE($3, e.event), i.cause_key, i.id, e.id,
       jsonb_strip_nulls(jsonb_build_object(
           'event', COALESCE($3, e.event),
           'at', CASE WHEN $3 = 'repeated' THEN now() ELSE e.at END,
           'who', e.who,
           'note', e.note,
           'incident', jsonb_build_object(
               'id', i.id, 'key', i.cause_key, 'team', i.team, 'condition', i.condition, 'subject', NULLIF(i.subject, ''),
               'severity', e.severity, 'first_severity', first.severity, 'state', e.state, 'opened_at', i.opened_at, 'since', i.cause_at,
               'acknowledged_at', i.acknowledged_at, 'acknowledged_by', i.acknowledged_by, 'snoozed_until', i.snoozed_until,
               'closed_at', i.closed_at, 'affected', e.affected, 'known', e.known, 'summary', e.summary, 'parent_id', i.parent_id),
           'watch', CASE WHEN w.id IS NOT NULL THEN jsonb_build_object(
               'name', w.name, 'kind', w.kind, 'prefix', w.prefix, 'address', host(w.address), 'asn', w.asn, 'router_id', w.router_id,
               'table_name', w.table_name, 'peer_address', host(w.peer_address), 'runbook_url', w.runbook_url) END,
           'expected', CASE WHEN w.id IS NOT NULL THEN jsonb_build_object(
               'origins', w.expected_origins, 'upstreams', w.expected_upstreams, 'downstreams', w.expected_downstreams, 'via', w.expected_via,
               'path_match', w.path_match, 'max_length', w.max_length, 'min_routes', w.min_routes, 'max_routes', w.max_routes,
               'min_up', w.min_up) END,
           'local', CASE WHEN c.time_zone IS NOT NULL THEN jsonb_build_object(
               'zone', c.time_zone, 'at', to_char(e.at AT TIME ZONE c.time_zone, 'YYYY-MM-DD HH24:MI:SS'),
               'since', to_char(i.cause_at AT TIME ZONE c.time_zone, 'YYYY-MM-DD HH24:MI:SS')) END
       )) || jsonb_build_object('found', i.detail)
FROM unnest($1::BIGINT[], $2::BIGINT[]) WITH ORDINALITY AS pair (callback_id, event_id, place)
JOIN watch.callbacks c ON c.id = pair.callback_id
JOIN watch.incident_events e ON e.id = pair.event_id
JOIN watch.incidents i ON i.id = e.incident_id
LEFT JOIN watch.watches w ON w.id = i.watch_id
CROSS JOIN LATERAL (SELECT o.severity FROM watch.incident_events o WHERE o.incident_id = i.id ORDER BY o.id LIMIT 1) first
ORDER BY pair.place
ON CONFLICT (callback_id, incident_event_id) WHERE subject <> 'repeated' DO NOTHING
