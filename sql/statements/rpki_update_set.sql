-- The set in force is another one, or the same once more. Where nobody says when it was made, it is as old as its
-- content.
UPDATE rpki.vrp_set
SET generated = CASE WHEN $5 OR $2 OR generated IS NULL OR source IS DISTINCT FROM $3
                     THEN 'epoch'::timestamptz + $4::bigint * INTERVAL '1 microsecond' ELSE generated END,
    version = $1, source = $3, fetched_at = now(), taken_at = CASE WHEN $2 THEN now() ELSE taken_at END,
    valid_until = 'epoch'::timestamptz + $6::bigint * INTERVAL '1 microsecond', max_age_secs = $7,
    vrps = $8, aspas = $9, slurm_filtered = $10, slurm_added = $11,
    tried_at = now(), last_error = NULL, failing_since = NULL,
    held_since = NULL, held_until = NULL, held_reason = NULL, held_source = NULL, held_vrps = NULL,
    accept_asked_at = NULL, accept_asked_by = NULL,
    taken_after_hold_at = CASE WHEN $12::text IS NOT NULL THEN now() WHEN $13 OR taken_after_hold_at < now() - INTERVAL '1 day' THEN NULL ELSE taken_after_hold_at END,
    taken_after_hold_why = CASE WHEN $12::text IS NOT NULL THEN $12 WHEN $13 OR taken_after_hold_at < now() - INTERVAL '1 day' THEN NULL ELSE taken_after_hold_why END
