-- Stores what was observed of sessions. One that somebody deletes is left out.
INSERT INTO registry.session_observations AS o
    (session_uuid, verdict, since, peers_up, peers_expected, flaps, routes_received, reason, changed_at, row_updated_at, is_own)
SELECT s.uuid, n.verdict, 'epoch'::TIMESTAMPTZ + n.since * INTERVAL '1 microsecond', n.up, n.expected, n.flaps, n.routes, n.reason, now(),
       'epoch'::TIMESTAMPTZ + n.row_updated_at * INTERVAL '1 microsecond', n.is_own
FROM unnest($1::TEXT[], $2::TEXT[], $3::BIGINT[], $4::INTEGER[], $5::INTEGER[], $6::BIGINT[], $7::BIGINT[], $8::TEXT[], $9::BIGINT[], $10::BOOLEAN[])
    AS n (uuid, verdict, since, up, expected, flaps, routes, reason, row_updated_at, is_own)
JOIN registry.bgp_sessions s ON s.uuid = n.uuid::UUID
FOR KEY SHARE OF s SKIP LOCKED
ON CONFLICT (session_uuid) DO UPDATE SET verdict = EXCLUDED.verdict, since = EXCLUDED.since, peers_up = EXCLUDED.peers_up,
    peers_expected = EXCLUDED.peers_expected, flaps = EXCLUDED.flaps, routes_received = EXCLUDED.routes_received, reason = EXCLUDED.reason,
    changed_at = EXCLUDED.changed_at, row_updated_at = EXCLUDED.row_updated_at, is_own = EXCLUDED.is_own
