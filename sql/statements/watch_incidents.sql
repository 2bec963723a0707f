-- Incidents, with what their events say: how often one reopened lately, and what callbacks were told last of its present life.
SELECT i.id, i.team, i.cause_key, i.watch_id, i.condition, i.subject, i.severity, i.state,
       (extract(epoch FROM i.opened_at) * 1000000)::bigint, (extract(epoch FROM i.cause_at) * 1000000)::bigint,
       (extract(epoch FROM i.snoozed_until) * 1000000)::bigint, (extract(epoch FROM i.over_since) * 1000000)::bigint,
       (extract(epoch FROM i.frozen_since) * 1000000)::bigint, (extract(epoch FROM i.closed_at) * 1000000)::bigint,
       i.affected, i.known, i.silence_id, i.is_baseline, i.summary, i.detail::text, i.parent_id,
       (SELECT count(*) FROM watch.incident_events e
        WHERE e.incident_id = i.id AND e.event = 'reopened' AND e.at > now() - interval '1 hour'),
       told.severity, told.affected, (extract(epoch FROM told.at) * 1000000)::bigint,
       EXISTS (SELECT FROM watch.incident_events e
               WHERE e.incident_id = i.id AND e.event = 'frozen' AND e.is_told AND e.at >= i.frozen_since)
FROM watch.incidents i
LEFT JOIN LATERAL (
    SELECT e.severity, e.affected, e.at FROM watch.incident_events e
    WHERE e.incident_id = i.id AND e.is_told
      AND e.id >= (SELECT max(b.id) FROM watch.incident_events b
                   WHERE b.incident_id = i.id AND b.event IN ('opened', 'reopened'))
    ORDER BY e.id DESC LIMIT 1
) told ON true
