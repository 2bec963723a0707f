-- Notes what became of deliveries: $1 numbers, $2 states, $3 HTTP statuses, $4 errors, $5 seconds until the next try.
UPDATE watch.deliveries d
SET state = r.state, attempts = d.attempts + CASE r.state WHEN 'superseded' THEN 0 ELSE 1 END, last_status = r.status, last_error = r.error,
    delivered_at = CASE r.state WHEN 'delivered' THEN now() END,
    next_try_at = CASE r.state WHEN 'pending' THEN now() + make_interval(secs => r.delay) ELSE d.next_try_at END
FROM unnest($1::BIGINT[], $2::TEXT[], $3::INTEGER[], $4::TEXT[], $5::FLOAT8[]) AS r (id, state, status, error, delay)
WHERE d.id = r.id AND d.state = 'pending'
