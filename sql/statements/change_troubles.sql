-- What is wrong with watches: conditions at routers ($1), and open incidents wherever they are, but for those of watches that
-- failed when they were made and those that are for information.
SELECT 'condition ' || c.watch_id || ' ' || c.vantage || ' ' || c.condition || ' ' || c.subject AS key,
       concat_ws(' ', 'watch ' || w.name || ':', c.condition, NULLIF(c.subject, ''), 'at ' || c.vantage) AS text, 0 AS severity
FROM watch.conditions c
JOIN watch.watches w ON w.id = c.watch_id
WHERE c.router_id = ANY ($1::text[])
UNION ALL
SELECT 'incident ' || i.id, 'incident ' || i.id || ' (' || i.severity || '): ' || i.summary,
       array_position('{info,warning,error,critical}', i.severity)
FROM watch.incidents i
WHERE i.state <> 'closed' AND NOT i.is_baseline AND i.severity <> 'info'
ORDER BY 1
