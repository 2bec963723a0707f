-- The callbacks that would hear of the opening of an incident: of the team $1, the condition $2 and the severity $3, of a
-- watch of the kind $4. The same rules as for events.
SELECT c.name, c.format FROM watch.callbacks c
WHERE c.enabled AND c.format <> 'heartbeat' AND c.team IS NOT DISTINCT FROM $1
  AND (c.conditions IS NULL OR $2 = ANY (c.conditions)) AND (c.format <> 'flapalerted' OR $2 = 'flapping' AND $4 = 'prefix')
  AND array_position('{info,warning,error,critical}', $3) >= array_position('{info,warning,error,critical}', c.min_severity)
ORDER BY c.name
