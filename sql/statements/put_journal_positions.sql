-- Moves the positions of sessions: $1 sessions, $2 octets, $3 routers, of the writer $4 on the collector $5; $6 are the
-- octets that this writer has committed before. A batch of which a part was stored by an attempt in doubt comes again
-- with the same position, so none goes back. Returns router, stored octet and committed octet of each session of which
-- the database has less than it had committed, which may be nothing: another server answers, which lacks the last
-- commits.
WITH n AS (
    SELECT session::uuid, octet, router_id, committed
    FROM unnest($1::TEXT[], $2::BIGINT[], $3::TEXT[], $6::BIGINT[]) AS n (session, octet, router_id, committed)
),
moved AS (
    INSERT INTO journal_positions AS p (session, writer, octet, router_id, collector_id)
    SELECT n.session, $4, n.octet, n.router_id, $5 FROM n
    ON CONFLICT (session, writer) DO UPDATE SET octet = GREATEST(p.octet, EXCLUDED.octet), updated_at = now()
)
SELECT n.router_id, COALESCE(p.octet, 0), n.committed
FROM n LEFT JOIN journal_positions p ON p.session = n.session AND p.writer = $4
WHERE COALESCE(p.octet, 0) < n.committed
