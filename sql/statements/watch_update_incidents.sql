-- Stores what the evaluator has changed. Who acknowledged an incident, and when, is left as it is.
UPDATE watch.incidents i SET
    severity = n.severity, state = n.state, cause_at = 'epoch'::timestamptz + n.cause_at * interval '1 microsecond',
    snoozed_until = 'epoch'::timestamptz + n.snoozed_until * interval '1 microsecond',
    over_since = 'epoch'::timestamptz + n.over_since * interval '1 microsecond',
    frozen_since = 'epoch'::timestamptz + n.frozen_since * interval '1 microsecond',
    closed_at = 'epoch'::timestamptz + n.closed_at * interval '1 microsecond',
    affected = n.affected, known = n.known, silence_id = n.silence_id, summary = n.summary, detail = n.detail::jsonb,
    parent_id = n.parent_id, is_baseline = n.is_baseline,
    acknowledged_at = CASE WHEN n.state = 'open' THEN NULL ELSE i.acknowledged_at END,
    acknowledged_by = CASE WHEN n.state = 'open' THEN NULL ELSE i.acknowledged_by END
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::int[],
            $10::int[], $11::bigint[], $12::text[], $13::text[], $14::bigint[], $15::boolean[])
    AS n (id, severity, state, cause_at, snoozed_until, over_since, frozen_since, closed_at, affected, known, silence_id, summary,
          detail, parent_id, is_baseline)
WHERE i.id = n.id
