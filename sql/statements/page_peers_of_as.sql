-- One page of the peers of all routers that are in AS $1, those that are down first: $3 of them, page $4 counted from
-- 0, or the last page. At most $2 are counted; one more is read to learn whether there are more.
WITH first AS MATERIALIZED (
    SELECT router_id, peer_type, distinguisher, peer_address, state, since, description
    FROM peers
    WHERE peer_asn BETWEEN $1::bigint AND $1
    ORDER BY peer_asn
    LIMIT $2 + 1
), found AS MATERIALIZED (
    SELECT * FROM first LIMIT $2
), counted AS MATERIALIZED (
    SELECT count(*) AS peers, $2 < (SELECT count(*) FROM first) AS is_cut FROM found
)
SELECT f.router_id, (SELECT hostname FROM routers n WHERE n.router_id = f.router_id) AS hostname, host(f.peer_address) AS peer_address, f.state, f.since, f.description,
       c.peers, c.is_cut
FROM (
    SELECT * FROM found
    ORDER BY state = 'up', router_id, peer_address, peer_type, distinguisher
    LIMIT $3 OFFSET (SELECT LEAST($4::bigint, GREATEST(peers - 1, 0) / $3) * $3 FROM counted)
) AS f
CROSS JOIN counted c
ORDER BY f.state = 'up', f.router_id, f.peer_address, f.peer_type, f.distinguisher
