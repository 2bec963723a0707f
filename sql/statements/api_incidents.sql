-- At most $8 incidents as JSON, the newest ones first, after the key $7. Each other parameter is a condition where it is
-- not NULL: the states $1, the severities $2, the conditions $3, the watches $4 by number or name, the team of the caller's
-- token $5, the incident $6.
SELECT row_to_json(line)::text AS json, json_build_array(line.id)::text AS key
FROM (
    SELECT i.id, i.team, i.cause_key, i.watch_id, w.name AS watch, i.condition, i.subject, i.severity, i.state, i.opened_at, i.cause_at,
           i.acknowledged_at, i.acknowledged_by, i.snoozed_until, i.over_since, i.frozen_since, i.closed_at, i.affected,
           i.known, i.silence_id, i.is_baseline, i.summary, i.detail, i.parent_id, w.runbook_url
    FROM watch.incidents i LEFT JOIN watch.watches w ON w.id = i.watch_id
    WHERE ($1::text[] IS NULL OR i.state = ANY ($1))
      AND ($2::text[] IS NULL OR i.severity = ANY ($2))
      AND ($3::text[] IS NULL OR i.condition = ANY ($3))
      AND ($4::text[] IS NULL OR w.name = ANY ($4) OR i.watch_id::text = ANY ($4))
      AND ($5::text IS NULL OR i.team = $5)
      AND ($6::bigint IS NULL OR i.id = $6)
      AND ($7::text IS NULL OR i.id < ($7::jsonb ->> 0)::bigint)
    ORDER BY i.id DESC
    LIMIT $8
) AS line
