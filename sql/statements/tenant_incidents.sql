-- Brings the incidents of teams up to date with those of their watches: which are open, have an event since the last
-- round, or were not resolved here. Title and text are written once: they are the team's.
WITH concerned AS MATERIALIZED (
    SELECT i.id FROM watch.incidents i WHERE i.state <> 'closed' AND i.team IS NOT NULL
    UNION
    SELECT e.incident_id FROM watch.incident_events e WHERE e.team IS NOT NULL AND e.at > (SELECT p.incidents_at FROM tenant.progress p)
    UNION
    SELECT i.incident_id FROM tenant.incidents i WHERE i.state <> 'resolved'
), judged AS MATERIALIZED (
    SELECT i.id, i.team, i.watch_id, w.kind, w.prefix, i.condition, i.summary, i.opened_at, i.acknowledged_at, i.acknowledged_by, i.closed_at,
           CASE WHEN i.state = 'closed' THEN 'resolved'
                WHEN i.over_since IS NOT NULL THEN 'monitoring'
                WHEN i.state IN ('acknowledged', 'snoozed') THEN 'identified'
                ELSE 'investigating' END AS state,
           CASE WHEN i.severity IN ('critical', 'error') THEN 'critical'
                WHEN i.severity = 'warning' AND i.condition = 'missing' AND EXISTS (
                    SELECT FROM watch.conditions c
                    WHERE c.watch_id = i.watch_id AND c.condition = 'missing'
                      AND NOT EXISTS (SELECT FROM current_routes r
                                      WHERE r.router_id = c.router_id AND r.prefix = ANY (covering_prefixes(COALESCE(w.address, w.prefix))))
                      AND NOT EXISTS (SELECT FROM adj_rib_in r
                                      WHERE r.router_id = c.router_id AND r.prefix = ANY (covering_prefixes(COALESCE(w.address, w.prefix)))))
                    THEN 'major'
                ELSE 'minor' END AS severity,
           i.state <> 'closed' AND i.over_since IS NULL AS holds
    FROM concerned n
    JOIN watch.incidents i ON i.id = n.id
    JOIN tenant.teams t ON t.id = i.team
    LEFT JOIN watch.watches w ON w.id = i.watch_id
), targets AS MATERIALIZED (
    SELECT DISTINCT j.id, r.domain_id, NULL::TEXT AS resource_id
    FROM judged j
    JOIN tenant.record_addresses a ON a.team_id = j.team AND a.watch_id = j.watch_id
    JOIN tenant.dns_records r ON r.team_id = a.team_id AND r.id = a.record_id
    UNION ALL
    SELECT j.id, NULL, min(s.id) FROM judged j JOIN tenant.resources s ON s.team_id = j.team AND s.prefix = j.prefix
    WHERE j.kind = 'prefix' GROUP BY j.id
), made AS (
    INSERT INTO tenant.incidents (team_id, domain_id, resource_id, incident_id, condition, severity, state, title, summary, opened_at,
                                  acknowledged_at, acknowledged_by, resolved_at)
    SELECT j.team, t.domain_id, t.resource_id, j.id, j.condition, j.severity, j.state, left(concat_ws(': ', d.hostname, j.summary), 1000), j.summary,
           j.opened_at, j.acknowledged_at, j.acknowledged_by, j.closed_at
    FROM judged j
    LEFT JOIN targets t ON t.id = j.id
    LEFT JOIN tenant.domains d ON d.team_id = j.team AND d.id = t.domain_id
    -- One that has lost its target, because a record was deleted, keeps the row that it has.
    WHERE t.id IS NOT NULL OR NOT EXISTS (SELECT FROM tenant.incidents o WHERE o.team_id = j.team AND o.incident_id = j.id)
    ON CONFLICT (team_id, incident_id, domain_id, resource_id) WHERE incident_id IS NOT NULL DO NOTHING
)
UPDATE tenant.incidents i
SET severity = CASE WHEN j.holds THEN j.severity ELSE i.severity END, state = j.state, summary = j.summary, acknowledged_at = j.acknowledged_at,
    acknowledged_by = j.acknowledged_by, resolved_at = j.closed_at
FROM judged j
WHERE i.team_id = j.team AND i.incident_id = j.id
  AND (CASE WHEN j.holds THEN j.severity ELSE i.severity END, j.state, j.summary, j.acknowledged_at, j.acknowledged_by, j.closed_at)
      IS DISTINCT FROM (i.severity, i.state, i.summary, i.acknowledged_at, i.acknowledged_by, i.resolved_at)
