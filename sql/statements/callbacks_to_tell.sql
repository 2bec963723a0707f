-- Which callbacks hear of the events $1. What opens or worsens is filtered; what follows goes to all that were told of
-- the incident before, or are told of it by an earlier event of this call.
SELECT c.id, e.id
FROM watch.incident_events e
JOIN watch.incidents i ON i.id = e.incident_id
JOIN watch.callbacks c ON c.enabled AND c.format <> 'heartbeat' AND c.team IS NOT DISTINCT FROM i.team
WHERE e.id = ANY ($1) AND e.is_told
  AND (
      EXISTS (SELECT FROM watch.deliveries told WHERE told.incident_id = i.id AND told.callback_id = c.id)
      OR (
          (
              e.event IN ('opened', 'reopened', 'worse', 'woke', 'unsilenced', 'flapping')
              OR EXISTS (SELECT FROM watch.incident_events o
                         WHERE o.incident_id = i.id AND o.id = ANY ($1) AND o.id < e.id AND o.is_told AND o.event IN ('opened', 'reopened'))
          )
          AND (c.conditions IS NULL OR i.condition = ANY (c.conditions))
          AND (c.format <> 'flapalerted'
               OR i.condition = 'flapping' AND EXISTS (SELECT FROM watch.watches w WHERE w.id = i.watch_id AND w.kind = 'prefix'))
          AND array_position('{info,warning,error,critical}', e.severity) >= array_position('{info,warning,error,critical}', c.min_severity)
      )
  )
ORDER BY e.id, c.id
