-- Stores reports about peers, each peer once: the latest values, the first state reported, and the number of flaps
-- since. Values that were not reported stay; a flap is a change from up to down.
INSERT INTO peers (router_id, peer_type, distinguisher, peer_address, peer_asn, peer_bgp_id, local_address, local_port,
                   remote_port, hold_time, capabilities, description, state, last_reason, flap_count, since)
SELECT s.router_id, s.peer_type, s.distinguisher, s.peer_address, s.peer_asn, COALESCE(s.peer_bgp_id, ''), s.local_address,
       s.local_port, s.remote_port, s.hold_time, s.capabilities::jsonb, s.description, s.state, s.last_reason,
       s.flaps + COALESCE(p.flap_count + (p.state = 'up' AND s.first_state = 'down')::int, 0),
       CASE WHEN p.state = s.state AND NOT s.has_changed THEN p.since ELSE now() END
FROM unnest($1::text[], $2::text[], $3::text[], $4::inet[], $5::bigint[], $6::text[], $7::inet[], $8::int[], $9::int[],
            $10::int[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::bigint[], $17::boolean[])
    AS s (router_id, peer_type, distinguisher, peer_address, peer_asn, peer_bgp_id, local_address, local_port, remote_port,
          hold_time, capabilities, description, state, last_reason, first_state, flaps, has_changed)
LEFT JOIN peers p USING (router_id, peer_type, distinguisher, peer_address, peer_asn)
ORDER BY s.router_id, s.peer_type, s.distinguisher, s.peer_address, s.peer_asn
ON CONFLICT (router_id, peer_type, distinguisher, peer_address, peer_asn) DO UPDATE SET
    peer_bgp_id = COALESCE(NULLIF(EXCLUDED.peer_bgp_id, ''), peers.peer_bgp_id),
    local_address = COALESCE(EXCLUDED.local_address, peers.local_address),
    local_port = COALESCE(EXCLUDED.local_port, peers.local_port),
    remote_port = COALESCE(EXCLUDED.remote_port, peers.remote_port),
    hold_time = COALESCE(EXCLUDED.hold_time, peers.hold_time),
    capabilities = COALESCE(EXCLUDED.capabilities, peers.capabilities),
    description = COALESCE(EXCLUDED.description, peers.description),
    last_reason = COALESCE(EXCLUDED.last_reason, peers.last_reason),
    flap_count = EXCLUDED.flap_count,
    since = EXCLUDED.since,
    state = EXCLUDED.state,
    updated_at = now()
