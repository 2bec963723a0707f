-- Changes of incidents behind the number $1, at most $2, of the last hour, as JSON.
SELECT e.id, e.team, i.watch_id, w.name AS watch,
       json_build_object('id', e.id, 'incident_id', e.incident_id, 'event', e.event, 'at', e.at, 'who', e.who, 'note', e.note,
                         'severity', e.severity, 'state', e.state, 'affected', e.affected, 'known', e.known, 'summary', e.summary,
                         'team', e.team, 'watch_id', i.watch_id, 'watch', w.name, 'condition', i.condition, 'subject', i.subject)::text AS json
FROM watch.incident_events e
JOIN watch.incidents i ON i.id = e.incident_id
LEFT JOIN watch.watches w ON w.id = i.watch_id
WHERE e.id > $1 AND e.at > now() - interval '1 hour'
ORDER BY e.id
LIMIT $2
