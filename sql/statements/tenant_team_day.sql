-- What the minutes of the last day say of each domain and resource of a team.
SELECT d.*, to_json(d)::text AS json
FROM (
    SELECT COALESCE(o.hostname, r.prefix::text) AS about, a.domain_id, a.resource_id, sum(a.announcements) AS announcements, sum(a.withdrawals) AS withdrawals,
           sum(a.path_changes) AS path_changes, sum(a.unreachable_secs) AS unreachable_secs, bool_and(a.has_history) AS has_history
    FROM tenant.analytics_data a
    LEFT JOIN tenant.domains o ON o.team_id = a.team_id AND o.id = a.domain_id
    LEFT JOIN tenant.resources r ON r.team_id = a.team_id AND r.id = a.resource_id
    WHERE a.team_id = $1 AND a.width = 'minute' AND a.bucket > now() - interval '1 day'
    GROUP BY o.hostname, r.prefix, a.domain_id, a.resource_id
) AS d
ORDER BY d.unreachable_secs DESC, d.announcements + d.withdrawals DESC, d.about
LIMIT $2
