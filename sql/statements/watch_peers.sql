-- Peers with these addresses ($1) or ASes ($2), and when something arrived about each: peers.state may be what an earlier
-- session has left.
SELECT p.router_id, p.peer_address, p.peer_asn, p.description, p.state = 'up', (extract(epoch FROM p.updated_at) * 1000000)::bigint,
       p.last_reason, (extract(epoch FROM p.since) * 1000000)::bigint, gone.routes
FROM peers p
LEFT JOIN LATERAL (
    SELECT sum(e.routes)::bigint AS routes FROM session_events e
    WHERE e.router_id = p.router_id AND e.peer_address = p.peer_address AND e.kind = 'peer_down'
      AND e.event_time BETWEEN p.since - interval '1 minute' AND p.since + interval '1 minute'
) gone ON p.state = 'down'
WHERE p.peer_address = ANY ($1) OR p.peer_asn = ANY ($2)
