-- Peer Downs of routers since a time, oldest first.
SELECT e.router_id, e.peer_address, p.peer_asn, p.description, (extract(epoch FROM min(e.event_time)) * 1000000)::bigint,
       max(e.reason), sum(e.routes)::bigint
FROM session_events e
LEFT JOIN LATERAL (
    SELECT p.peer_asn, p.description FROM peers p
    WHERE p.router_id = e.router_id AND p.peer_address = e.peer_address
    ORDER BY p.since DESC LIMIT 1
) p ON true
WHERE e.router_id = ANY ($1) AND e.event_time >= 'epoch'::timestamptz + $2 * interval '1 microsecond'
  AND e.kind = 'peer_down' AND e.peer_address IS NOT NULL
GROUP BY e.router_id, e.peer_address, p.peer_asn, p.description
ORDER BY 5
