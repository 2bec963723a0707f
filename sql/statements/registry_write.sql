-- Writes the status and the error of sessions, each as long as nobody else has changed it or is about to: $1 uuid, $2 the
-- status and $3 the updated_at that were seen, $4 the new status, $5 the new error. Returns those that were written.
WITH unchanged AS (
    SELECT s.uuid, n.status, n.error
    FROM unnest($1::TEXT[], $2::SMALLINT[], $3::BIGINT[], $4::SMALLINT[], $5::TEXT[]) AS n (uuid, seen, seen_at, status, error)
    JOIN registry.bgp_sessions s ON s.uuid = n.uuid::UUID AND s.status = n.seen
        AND s.updated_at = 'epoch'::TIMESTAMPTZ + n.seen_at * INTERVAL '1 microsecond'
    FOR UPDATE OF s SKIP LOCKED
), written AS (
    UPDATE registry.bgp_sessions s
    SET status = n.status, last_error = n.error, updated_at = GREATEST(clock_timestamp(), s.updated_at + INTERVAL '1 microsecond')
    FROM unchanged n WHERE s.uuid = n.uuid
    RETURNING s.uuid, s.updated_at
), noted AS (
    UPDATE registry.session_observations o
    SET row_updated_at = w.updated_at, is_own = true,
        written_at = ARRAY(SELECT at FROM unnest(o.written_at) AS at WHERE at > now() - INTERVAL '1 hour') || w.updated_at
    FROM written w WHERE o.session_uuid = w.uuid
)
SELECT uuid::TEXT FROM written
