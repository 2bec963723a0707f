-- A neighbour was reported. What was not said stays; a flap is a step from up to down.
INSERT INTO peers (router_id, peer_type, distinguisher, peer_address, peer_asn, peer_bgp_id, local_address, local_port,
                   remote_port, hold_time, capabilities, description, state, last_reason)
VALUES ($1, $2, $3, $4, $5, COALESCE($6, ''), $7, $8, $9, $10, $11::text::jsonb, $12, $13, $14)
ON CONFLICT (router_id, peer_type, distinguisher, peer_address, peer_asn) DO UPDATE SET
    peer_bgp_id = COALESCE(NULLIF(EXCLUDED.peer_bgp_id, ''), peers.peer_bgp_id),
    local_address = COALESCE(EXCLUDED.local_address, peers.local_address),
    local_port = COALESCE(EXCLUDED.local_port, peers.local_port),
    remote_port = COALESCE(EXCLUDED.remote_port, peers.remote_port),
    hold_time = COALESCE(EXCLUDED.hold_time, peers.hold_time),
    capabilities = COALESCE(EXCLUDED.capabilities, peers.capabilities),
    description = COALESCE(EXCLUDED.description, peers.description),
    last_reason = COALESCE(EXCLUDED.last_reason, peers.last_reason),
    flap_count = peers.flap_count + (peers.state = 'up' AND EXCLUDED.state = 'down')::int,
    since = CASE WHEN peers.state = EXCLUDED.state THEN peers.since ELSE now() END,
    state = EXCLUDED.state,
    updated_at = now()
