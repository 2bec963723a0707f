-- Which open critical incidents that nobody acknowledged are due to be sent again, by their latest event.
SELECT c.id, last.incident_event_id
FROM watch.callbacks c
JOIN watch.incidents i ON i.state = 'open' AND i.severity = 'critical' AND i.silence_id IS NULL AND i.parent_id IS NULL
                      AND i.team IS NOT DISTINCT FROM c.team
CROSS JOIN LATERAL (
    SELECT d.incident_event_id, d.state, COALESCE(d.delivered_at, d.created_at) AS at FROM watch.deliveries d
    WHERE d.callback_id = c.id AND d.incident_id = i.id AND d.state <> 'superseded' ORDER BY d.id DESC LIMIT 1
) last
WHERE c.enabled AND c.repeat_secs IS NOT NULL AND last.state = 'delivered' AND last.at <= now() - make_interval(secs => c.repeat_secs)
ORDER BY c.id, last.incident_event_id
