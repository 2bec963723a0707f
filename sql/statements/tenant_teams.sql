-- Teams with their numbers, those with incidents first.
SELECT t.*, to_json(t)::text AS json
FROM (
    SELECT t.id, t.name, (SELECT count(*) FROM tenant.resources r WHERE r.team_id = t.id) AS resources,
           (SELECT count(*) FROM tenant.domains d WHERE d.team_id = t.id) AS domains, r.watched, r.not_permitted,
           (SELECT count(*) FROM watch.watches w WHERE w.team = t.id) AS watches,
           (SELECT count(*) FROM tenant.members m WHERE m.team_id = t.id) AS members, i.incidents, i.worst
    FROM tenant.teams t
    CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE d.state = 'watched') AS watched, count(*) FILTER (WHERE d.state = 'not_permitted') AS not_permitted
        FROM tenant.dns_records d WHERE d.team_id = t.id
    ) AS r
    CROSS JOIN LATERAL (
        SELECT count(*) AS incidents, (array_agg(i.severity ORDER BY array_position('{critical,major,minor}', i.severity)))[1] AS worst
        FROM tenant.incidents i WHERE i.team_id = t.id AND i.state <> 'resolved'
    ) AS i
) AS t
ORDER BY array_position('{critical,major,minor}', t.worst), t.name, t.id
LIMIT $1 OFFSET $2
