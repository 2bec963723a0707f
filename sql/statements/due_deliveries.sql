-- What can be sent now: deliveries of callbacks that are neither busy ($1) nor paused, and that no earlier one of their
-- key holds up. At most $2 of each callback, in order.
SELECT d.id, c.id, c.team, c.name, c.format, c.url, c.url_end, c.headers::TEXT, s.secret, c.max_per_minute, c.failures, d.target_url,
       d.subject, d.ordering_key, d.attempts, d.body::TEXT,
       -- The receiver is not told of the end of what it was never told of.
       d.subject IN ('closed', 'acknowledged', 'snoozed')
           AND EXISTS (SELECT FROM watch.deliveries p
                       WHERE p.callback_id = d.callback_id AND p.incident_id = d.incident_id AND p.id < d.id AND p.state = 'dead')
           AND NOT EXISTS (SELECT FROM watch.deliveries p
                           WHERE p.callback_id = d.callback_id AND p.incident_id = d.incident_id AND p.id < d.id AND p.state = 'delivered'),
       extract(epoch FROM now() - COALESCE(e.at, d.created_at))::FLOAT8
FROM watch.callbacks c
LEFT JOIN watch.callback_secrets s ON s.callback_id = c.id
CROSS JOIN LATERAL (
    SELECT * FROM watch.deliveries one
    WHERE one.callback_id = c.id AND one.state = 'pending' AND one.next_try_at <= now()
      AND NOT EXISTS (SELECT FROM watch.deliveries earlier
                      WHERE earlier.callback_id = c.id AND earlier.ordering_key = one.ordering_key AND earlier.state = 'pending'
                        AND earlier.id < one.id AND earlier.next_try_at > now())
    ORDER BY one.id LIMIT $2
) d
LEFT JOIN watch.incident_events e ON e.id = d.incident_event_id
WHERE c.enabled AND (c.paused_until IS NULL OR c.paused_until <= now()) AND c.id <> ALL ($1)
ORDER BY c.id, d.id
