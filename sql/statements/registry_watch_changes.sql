-- The watches of sessions that are missing, and those that are too many: the name, and for a new one the session, the
-- router and the address. Sessions that should be up have one for each peer, or for their first address where none fits.
WITH own AS (
    SELECT s.uuid, b.router_id,
           COALESCE(registry.address(s.ipv6_link_local), registry.address(s.ipv6), registry.address(s.ipv4)) AS first
    FROM registry.bgp_sessions s
    JOIN registry.router_bindings b ON b.router = s.router AND b.router_id IS NOT NULL
    JOIN registry.status_codes() c ON c.code = s.status AND c.name IN ('ACTIVE', 'ERROR')
    WHERE EXISTS (SELECT FROM registry.settings WHERE key = 'watches' AND value = 'on')
), wanted AS (
    SELECT DISTINCT o.uuid, o.router_id, COALESCE(p.peer_address, o.first) AS address
    FROM own o LEFT JOIN registry.session_peers p ON p.session_uuid = o.uuid AND p.fit IN ('address', 'asn')
    WHERE COALESCE(p.peer_address, o.first) IS NOT NULL
), named AS (
    SELECT 'registry ' || uuid || ' ' || host(address) AS name, uuid, router_id, address FROM wanted
)
SELECT COALESCE(n.name, w.name), n.uuid::TEXT, n.router_id, n.address
FROM named n
FULL JOIN (SELECT name, router_id FROM watch.watches WHERE source = 'registry' AND team IS NULL) w
    ON w.name = n.name AND w.router_id = n.router_id
WHERE n.name IS NULL OR w.name IS NULL
ORDER BY n.name IS NULL DESC, 1
