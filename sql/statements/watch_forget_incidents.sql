-- Deletes incidents that have been closed for $1 days at the time $3, at most $2 of them, with their events and deliveries. Another
-- collector may do the same.
WITH old AS (
    SELECT id FROM watch.incidents
    WHERE state = 'closed' AND opened_at < $3::timestamptz - make_interval(days => $1) AND closed_at < $3::timestamptz - make_interval(days => $1)
    ORDER BY opened_at LIMIT $2
    FOR UPDATE SKIP LOCKED
), told AS (
    DELETE FROM watch.deliveries WHERE incident_id IN (SELECT id FROM old)
)
DELETE FROM watch.incidents WHERE id IN (SELECT id FROM old)
