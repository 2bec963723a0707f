-- What becomes of each address at each vantage if $2, which is a prefix, a peer or a router ($1), went, and who has the
-- address: where a site names its vantages, only what these lose counts for it.
WITH losses AS MATERIALIZED (
    SELECT * FROM inventory.impact(CASE WHEN $1::text = 'prefix' THEN $2::text::cidr END)
    UNION ALL
    SELECT * FROM inventory.impact_of_peer(CASE WHEN $1 = 'peer' THEN $2::text::inet END)
    UNION ALL
    SELECT * FROM inventory.impact_of_router(CASE WHEN $1 = 'router' THEN $2 END)
), owners AS MATERIALIZED (
    SELECT l.*, o.owner_kind, o.owner_id, o.name
    FROM losses l
    JOIN inventory.owner_reachability o
         ON o.address = l.address AND o.router_id = l.router_id AND o.table_name = l.table_name
)
SELECT host(l.address) AS address, l.router_id, r.hostname, l.table_name, l.prefix::text AS prefix, l.path, l.outcome,
       l.next_prefix::text AS next_prefix, l.others, l.reason,
       array_agg(DISTINCT l.owner_kind || ' ' || l.name) AS owners,
       ARRAY(SELECT DISTINCT s.service_id
             FROM inventory.service_addresses s JOIN owners o USING (owner_kind, owner_id)
             WHERE o.address = l.address AND o.router_id = l.router_id AND o.table_name = l.table_name
             ORDER BY 1) AS services
FROM owners l
LEFT JOIN routers r ON r.router_id = l.router_id
GROUP BY l.address, l.router_id, r.hostname, l.table_name, l.prefix, l.path, l.outcome, l.next_prefix, l.others, l.reason
ORDER BY array_position('{lost,default_only,cannot_tell,covered}', l.outcome), l.address, l.router_id, l.table_name
