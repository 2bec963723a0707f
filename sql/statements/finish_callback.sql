-- Notes how the callback $1 answered: $2 whether it accepted, $3 the HTTP status, $4 the error, $5 seconds of pause.
-- One that accepts again after a failure gets everything that waits at once.
WITH was AS (SELECT failures > 0 AS is_failing FROM watch.callbacks WHERE id = $1),
noted AS (
    UPDATE watch.callbacks
    SET last_at = now(), last_status = $3, last_error = $4, failing_since = CASE WHEN $2 THEN NULL ELSE COALESCE(failing_since, now()) END,
        failures = CASE WHEN $2 THEN 0 ELSE failures + 1 END, paused_until = now() + make_interval(secs => $5)
    WHERE id = $1
)
UPDATE watch.deliveries d SET next_try_at = now()
FROM was WHERE $2 AND was.is_failing AND d.callback_id = $1 AND d.state = 'pending' AND d.next_try_at > now()
