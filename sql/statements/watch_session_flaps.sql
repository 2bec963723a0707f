-- BGP sessions that go down often: per session watch and peer the Peer Downs in the watch's own time and in the last
-- quarter of an hour, and the first and the last one. A Peer Down may be several rows, one for each table.
SELECT w.id, e.router_id, e.peer_address, w.flap_changes, w.flap_secs,
       count(DISTINCT date_trunc('second', e.event_time)) FILTER (WHERE e.event_time >= now() - w.flap_secs * interval '1 second'),
       count(DISTINCT date_trunc('second', e.event_time)) FILTER (WHERE e.event_time >= now() - interval '15 minutes'),
       (extract(epoch FROM min(e.event_time)) * 1000000)::bigint,
       (array_agg(e.reason ORDER BY e.event_time DESC))[1], max(p.peer_asn), max(p.description)
FROM (
    SELECT id, router_id, peer_address, asn, COALESCE(flap_changes, 3) AS flap_changes, COALESCE(flap_secs, 3600) AS flap_secs
    FROM watch.watches
    WHERE enabled AND kind = 'session' AND (conditions IS NULL OR 'flapping' = ANY (conditions))
) AS w
JOIN session_events e ON e.kind = 'peer_down' AND e.reason IS DISTINCT FROM 'renamed by the router'
    AND e.peer_address IS NOT NULL AND e.event_time >= now() - GREATEST(w.flap_secs, 900) * interval '1 second'
    AND (w.router_id IS NULL OR e.router_id = w.router_id) AND (w.peer_address IS NULL OR e.peer_address = w.peer_address)
LEFT JOIN LATERAL (
    SELECT p.peer_asn, p.description FROM peers p
    WHERE p.router_id = e.router_id AND p.peer_address = e.peer_address
    ORDER BY p.since DESC LIMIT 1
) p ON true
WHERE w.asn IS NULL OR p.peer_asn = w.asn
GROUP BY w.id, e.router_id, e.peer_address, w.flap_changes, w.flap_secs
HAVING count(DISTINCT date_trunc('second', e.event_time)) >= LEAST(w.flap_changes, 5)
