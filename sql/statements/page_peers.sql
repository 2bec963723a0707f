-- One page of the peers of a router, those that are down first: $2 of them, page $3 counted from 0, or the last page.
-- If there are none, one row with only the counts.
WITH counted AS (
    SELECT count(*) AS peers, count(*) FILTER (WHERE state = 'up') AS up, count(*) FILTER (WHERE state = 'down') AS down
    FROM peers
    WHERE router_id = $1
)
SELECT c.peers, c.up, c.down, host(p.peer_address) AS peer_address, p.peer_asn, p.distinguisher, p.state, p.since, p.last_reason,
       p.flap_count, p.description
FROM counted c
LEFT JOIN (
    SELECT *
    FROM peers
    WHERE router_id = $1
    ORDER BY state = 'up', peer_address, peer_asn, peer_type, distinguisher
    LIMIT $2 OFFSET (SELECT LEAST($3::bigint, GREATEST(peers - 1, 0) / $2) * $2 FROM counted)
) AS p ON true
ORDER BY p.state = 'up', p.peer_address, p.peer_asn, p.peer_type, p.distinguisher
