-- The incidents of a team: those that are not resolved, then the latest of the others.
SELECT i.incident_id, COALESCE(d.hostname, r.prefix::text) AS about, i.severity, i.state, i.title, i.opened_at, to_json(i)::text AS json
FROM tenant.incidents i
LEFT JOIN tenant.domains d ON d.team_id = i.team_id AND d.id = i.domain_id
LEFT JOIN tenant.resources r ON r.team_id = i.team_id AND r.id = i.resource_id
WHERE i.team_id = $1
ORDER BY i.state = 'resolved', array_position('{critical,major,minor}', i.severity), i.opened_at DESC, i.id
LIMIT $2
