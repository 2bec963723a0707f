-- Makes the hours of which minutes may have been counted again, from their minutes.
INSERT INTO tenant.analytics_data AS stored
    (team_id, domain_id, resource_id, bucket, width, announcements, withdrawals, path_changes, unreachable_secs, has_history)
SELECT m.team_id, m.domain_id, m.resource_id, date_trunc('hour', m.bucket, 'UTC'), 'hour', sum(m.announcements), sum(m.withdrawals), sum(m.path_changes),
       sum(m.unreachable_secs), bool_and(m.has_history)
FROM tenant.analytics_data m
WHERE m.team_id IN (SELECT t.id FROM tenant.teams t) AND m.width = 'minute'
  AND m.bucket >= (SELECT date_trunc('hour', GREATEST(LEAST(p.analyzed_at, now() - interval '5 minutes'), now() - interval '1 day'), 'UTC') FROM tenant.progress p)
GROUP BY m.team_id, m.domain_id, m.resource_id, date_trunc('hour', m.bucket, 'UTC')
ON CONFLICT ON CONSTRAINT analytics_data_key DO UPDATE
SET announcements = EXCLUDED.announcements, withdrawals = EXCLUDED.withdrawals, path_changes = EXCLUDED.path_changes,
    unreachable_secs = EXCLUDED.unreachable_secs, has_history = EXCLUDED.has_history
WHERE (stored.announcements, stored.withdrawals, stored.path_changes, stored.unreachable_secs, stored.has_history)
      IS DISTINCT FROM (EXCLUDED.announcements, EXCLUDED.withdrawals, EXCLUDED.path_changes, EXCLUDED.unreachable_secs, EXCLUDED.has_history)
