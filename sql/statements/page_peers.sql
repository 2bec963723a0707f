-- One page of the peers of a router, those that are down first: $2 of them, page $3 counted from 0, or the last page.
-- If there are none, one row with only the counts. The routes of a peer are those of its Adj-RIBs-In; a table that is known
-- as that of another peer at the same address is not counted.
WITH counted AS (
    SELECT count(*) AS peers, count(*) FILTER (WHERE state = 'up') AS up, count(*) FILTER (WHERE state = 'down') AS down
    FROM peers
    WHERE router_id = $1
)
SELECT c.peers, c.up, c.down, host(p.peer_address) AS peer_address, p.peer_asn, p.distinguisher, p.state, p.since, p.last_reason,
       p.flap_count, p.description, n.pre, n.post
FROM counted c
LEFT JOIN (
    SELECT *
    FROM peers
    WHERE router_id = $1
    ORDER BY state = 'up', peer_address, peer_asn, peer_type, distinguisher
    LIMIT $2 OFFSET (SELECT LEAST($3::bigint, GREATEST(peers - 1, 0) / $2) * $2 FROM counted)
) AS p ON true
LEFT JOIN LATERAL (
    SELECT GREATEST(sum(r.routes) FILTER (WHERE NOT r.is_post_policy), 0)::bigint AS pre,
           GREATEST(sum(r.routes) FILTER (WHERE r.is_post_policy), 0)::bigint AS post
    FROM route_counts r
    WHERE r.router_id = $1 AND r.rib = 'adj-rib-in' AND r.peer_address = p.peer_address
      AND NOT EXISTS (SELECT FROM table_names t
                      WHERE t.router_id = $1 AND t.rib = 'adj-rib-in' AND t.peer_address = r.peer_address
                        AND t.table_name = r.table_name
                        AND (t.peer_type, t.distinguisher, t.peer_asn) <> (p.peer_type, p.distinguisher, p.peer_asn))
) AS n ON true
ORDER BY p.state = 'up', p.peer_address, p.peer_asn, p.peer_type, p.distinguisher
