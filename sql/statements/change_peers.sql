-- The BGP peers of routers ($1). One is up if a Peer Up arrived in the live BMP session of its router: peers.state may be
-- what an earlier session has left.
SELECT p.router_id, p.peer_type, p.distinguisher, p.peer_address, p.peer_asn, p.description, p.last_reason,
       (p.state = 'up' AND p.updated_at >= l.began) IS TRUE AS is_up
FROM peers p
LEFT JOIN LATERAL (
    SELECT max(s.began_at) AS began FROM bmp_sessions s JOIN collectors c USING (collector_id)
    WHERE s.router_id = p.router_id AND s.state IN ('dumping', 'up') AND c.alive_until > now()
) l ON true
WHERE p.router_id = ANY ($1::text[])
ORDER BY p.router_id, p.peer_address, p.peer_asn, p.peer_type, p.distinguisher
