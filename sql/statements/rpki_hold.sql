-- A set that lacks too much waits; the time counts from the first of several.
UPDATE rpki.vrp_set
SET held_reason = $1, held_source = $2, held_vrps = $3, held_since = COALESCE(held_since, now()),
    held_until = COALESCE(held_until, now() + $4 * INTERVAL '1 s'), max_age_secs = $5,
    tried_at = now(), last_error = NULL, failing_since = NULL
