-- What callbacks of the format alertmanager know to be open: the latest that each was told of each incident.
SELECT c.id, c.team, c.name, c.format, c.url, c.url_end, c.headers::TEXT, s.secret, c.max_per_minute, c.failures, told.body::TEXT
FROM watch.callbacks c
LEFT JOIN watch.callback_secrets s ON s.callback_id = c.id
JOIN watch.incidents i ON i.state <> 'closed' AND i.team IS NOT DISTINCT FROM c.team
CROSS JOIN LATERAL (
    SELECT d.body FROM watch.deliveries d
    WHERE d.callback_id = c.id AND d.incident_id = i.id AND d.state = 'delivered' ORDER BY d.id DESC LIMIT 1
) told
WHERE c.enabled AND c.format = 'alertmanager'
ORDER BY c.id, i.id
