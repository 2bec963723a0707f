-- Moves the positions of sessions: $1 sessions, $2 octets, $3 routers, of the writer $4 on the collector $5. A batch of
-- which a part was stored by an attempt in doubt comes again with the same position, so none goes back.
INSERT INTO journal_positions AS p (session, writer, octet, router_id, collector_id)
SELECT n.session::uuid, $4, n.octet, n.router_id, $5 FROM unnest($1::TEXT[], $2::BIGINT[], $3::TEXT[]) AS n (session, octet, router_id)
ON CONFLICT (session, writer) DO UPDATE SET octet = GREATEST(p.octet, EXCLUDED.octet), updated_at = now()
