-- Stores new incidents. Returns the position of each in the arrays, and its number.
WITH new AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::int[], $9::int[],
                         $10::bigint[], $11::boolean[], $12::text[], $13::text[], $14::bigint[])
        WITH ORDINALITY AS n (team, cause_key, watch_id, condition, subject, severity, cause_at, affected, known, silence_id,
                              is_baseline, summary, detail, parent_id, number)
), stored AS (
    INSERT INTO watch.incidents (team, cause_key, watch_id, condition, subject, severity, state, opened_at, cause_at, affected,
                                 known, silence_id, is_baseline, summary, detail, parent_id)
    SELECT team, cause_key, watch_id, condition, subject, severity, 'open', now(),
           'epoch'::timestamptz + cause_at * interval '1 microsecond', affected, known, silence_id, is_baseline, summary,
           detail::jsonb, parent_id
    FROM new ORDER BY number
    RETURNING id, team, cause_key
)
SELECT n.number, s.id FROM stored s JOIN new n ON n.cause_key = s.cause_key AND n.team IS NOT DISTINCT FROM s.team
