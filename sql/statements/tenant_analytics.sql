-- Counts the changes of routes inside the teams' resources by minute, again for the last 5 minutes, because events may be
-- stored late, and at most for the last day. Of each router one view: its Loc-RIB, else after policy, else before. Every
-- search goes down the index of a day by router, table and prefix: what others announce is not read (OFFSET 0 and
-- tenant_analytics_settings.sql keep the planner from reading all of the day).
WITH window_of AS MATERIALIZED (
    SELECT date_trunc('minute', GREATEST(LEAST(p.analyzed_at, now() - interval '5 minutes'), now() - interval '1 day')) AS since FROM tenant.progress p
), networks AS MATERIALIZED (
    SELECT DISTINCT r.prefix, family(r.prefix)::SMALLINT AS afi, set_masklen(broadcast(r.prefix), CASE family(r.prefix) WHEN 4 THEN 32 ELSE 128 END) AS last
    FROM tenant.resources r
), views AS MATERIALIZED (
    SELECT s.router_id, s.table_name, s.afi, NULL::BOOLEAN AS is_post_policy FROM rib_sync_status s
    UNION
    SELECT s.router_id, s.table_name, s.afi, EXISTS (SELECT FROM adj_rib_in_sync_status p WHERE p.router_id = s.router_id AND p.is_post_policy)
    FROM adj_rib_in_sync_status s WHERE NOT EXISTS (SELECT FROM rib_sync_status l WHERE l.router_id = s.router_id)
), events AS MATERIALIZED (
    SELECT n.prefix AS network, e.event_id, e.prefix, e.action, date_trunc('minute', e.ingest_time) AS bucket,
           e.action = 'A' AND (
               SELECT b.action = 'A' AND b.as_path IS DISTINCT FROM e.as_path
               FROM route_events b
               WHERE b.router_id = v.router_id AND b.table_name = v.table_name AND b.afi = v.afi AND b.prefix = e.prefix
                 AND b.peer_address IS NOT DISTINCT FROM e.peer_address AND b.is_post_policy IS NOT DISTINCT FROM v.is_post_policy
                 AND b.rib IS DISTINCT FROM 'adj-rib-out' AND b.path_id IS NOT DISTINCT FROM e.path_id
                 AND b.ingest_time < e.ingest_time AND b.ingest_time > e.ingest_time - interval '1 day'
               ORDER BY b.ingest_time DESC LIMIT 1) AS is_path_change
    FROM networks n
    JOIN views v ON v.afi = n.afi
    CROSS JOIN LATERAL (
        SELECT o.event_id, o.prefix, o.action, o.ingest_time, o.as_path, o.path_id, o.peer_address
        FROM route_events o
        WHERE o.router_id = v.router_id AND o.table_name = v.table_name AND o.afi = v.afi AND o.prefix >= n.prefix AND o.prefix <= n.last
          AND o.ingest_time >= (SELECT w.since FROM window_of w)
          AND o.is_post_policy IS NOT DISTINCT FROM v.is_post_policy AND o.rib IS DISTINCT FROM 'adj-rib-out'
        OFFSET 0
    ) AS e
), by_prefix AS MATERIALIZED (
    -- An event is one, however many resources hold its prefix.
    SELECT u.prefix, u.bucket, count(*) FILTER (WHERE u.action = 'A') AS announcements, count(*) FILTER (WHERE u.action = 'D') AS withdrawals,
           count(*) FILTER (WHERE u.is_path_change) AS path_changes
    FROM (SELECT DISTINCT e.event_id, e.prefix, e.action, e.bucket, e.is_path_change FROM events e) AS u
    GROUP BY u.prefix, u.bucket
), counted AS (
    SELECT r.team_id, NULL::TEXT AS domain_id, r.id AS resource_id, e.bucket, count(*) FILTER (WHERE e.action = 'A') AS announcements,
           count(*) FILTER (WHERE e.action = 'D') AS withdrawals, count(*) FILTER (WHERE e.is_path_change) AS path_changes, 0 AS unreachable_secs
    FROM tenant.resources r JOIN events e ON e.network = r.prefix
    GROUP BY r.team_id, r.id, e.bucket
    UNION ALL
    SELECT d.team_id, d.domain_id, NULL, p.bucket, sum(p.announcements), sum(p.withdrawals), sum(p.path_changes), 0
    FROM (SELECT DISTINCT a.team_id, o.domain_id, c.prefix
          FROM tenant.record_addresses a
          JOIN tenant.dns_records o ON o.team_id = a.team_id AND o.id = a.record_id
          JOIN tenant.resources r ON r.team_id = a.team_id AND r.prefix >>= a.address
          CROSS JOIN LATERAL (SELECT network(set_masklen(a.address, bits)) AS prefix
                              FROM generate_series(masklen(r.prefix), CASE family(r.prefix) WHEN 4 THEN 32 ELSE 128 END) AS bits) AS c) AS d
    JOIN by_prefix p ON p.prefix = d.prefix
    GROUP BY d.team_id, d.domain_id, p.bucket
    UNION ALL
    SELECT m.team_id, m.domain_id, m.resource_id, m.bucket, 0, 0, 0,
           (SELECT sum(extract(epoch FROM upper(one) - lower(one)))
            FROM unnest(range_agg(m.span * tstzrange(m.bucket, m.bucket + interval '1 minute'))) AS one)::INTEGER
    FROM (SELECT t.team_id, t.domain_id, t.resource_id, s.span, b.bucket
          FROM tenant.incidents t
          JOIN watch.incidents i ON i.team = t.team_id AND i.id = t.incident_id
          CROSS JOIN LATERAL (SELECT tstzrange(i.cause_at, GREATEST(i.cause_at, COALESCE(LEAST(i.over_since, i.frozen_since), i.closed_at, now()))) AS span) AS s
          CROSS JOIN window_of w
          CROSS JOIN LATERAL generate_series(w.since, now(), interval '1 minute') AS b (bucket)
          WHERE i.condition = 'missing' AND num_nonnulls(t.domain_id, t.resource_id) = 1
            AND (t.state <> 'resolved' OR t.resolved_at >= w.since)
            AND s.span && tstzrange(b.bucket, b.bucket + interval '1 minute')) AS m
    GROUP BY m.team_id, m.domain_id, m.resource_id, m.bucket
)
INSERT INTO tenant.analytics_data AS stored
    (team_id, domain_id, resource_id, bucket, width, announcements, withdrawals, path_changes, unreachable_secs, has_history)
SELECT c.team_id, c.domain_id, c.resource_id, c.bucket, 'minute', sum(c.announcements), sum(c.withdrawals), sum(c.path_changes), sum(c.unreachable_secs),
       -- A session begins with this row where the history is off.
       NOT EXISTS (SELECT FROM bmp_sessions b
                   WHERE b.state = 'up' AND EXISTS (SELECT FROM session_events s
                                                    WHERE s.router_id = b.router_id AND s.kind = 'history_off' AND s.event_time >= b.began_at))
FROM counted c
WHERE c.announcements + c.withdrawals + c.unreachable_secs > 0
GROUP BY c.team_id, c.domain_id, c.resource_id, c.bucket
ON CONFLICT ON CONSTRAINT analytics_data_key DO UPDATE
SET announcements = EXCLUDED.announcements, withdrawals = EXCLUDED.withdrawals, path_changes = EXCLUDED.path_changes,
    unreachable_secs = EXCLUDED.unreachable_secs, has_history = EXCLUDED.has_history
WHERE (stored.announcements, stored.withdrawals, stored.path_changes, stored.unreachable_secs, stored.has_history)
      IS DISTINCT FROM (EXCLUDED.announcements, EXCLUDED.withdrawals, EXCLUDED.path_changes, EXCLUDED.unreachable_secs, EXCLUDED.has_history)
