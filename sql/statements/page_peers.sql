-- The neighbours of a router, those that are down first.
SELECT host(peer_address) AS peer_address, peer_asn, state, since, last_reason, flap_count, description
FROM peers
WHERE router_id = $1
ORDER BY state = 'up', peer_address, peer_asn
LIMIT $2
