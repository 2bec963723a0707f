-- The eBGP sessions of the routers of these ASes that are up.
SELECT host(p.peer_address), p.peer_asn, min(p.description)
FROM peers p JOIN routers r USING (router_id)
WHERE r.as_number = ANY ($1) AND p.peer_asn <> r.as_number AND p.state = 'up' AND p.peer_type = 'global'
  AND NOT p.peer_address <<= 'fe80::/10' AND NOT p.peer_address <<= '0.0.0.0/8' AND p.peer_address <> '::'
GROUP BY p.peer_address, p.peer_asn
ORDER BY p.peer_asn, p.peer_address
