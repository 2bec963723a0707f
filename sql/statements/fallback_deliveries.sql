-- Which fallbacks hear of which events: critical ones that a callback that has failed for $1 seconds did not take.
SELECT c.fallback, d.incident_event_id
FROM watch.callbacks c
JOIN watch.callbacks f ON f.id = c.fallback AND f.enabled
JOIN watch.deliveries d ON d.callback_id = c.id
WHERE c.failing_since <= now() - make_interval(secs => $1) AND d.state IN ('pending', 'dead') AND d.subject <> 'repeated'
  AND d.created_at >= c.failing_since - interval '1 hour' AND d.body #>> '{incident,severity}' = 'critical'
  AND NOT EXISTS (SELECT FROM watch.deliveries told WHERE told.callback_id = f.id AND told.incident_event_id = d.incident_event_id)
ORDER BY d.id
