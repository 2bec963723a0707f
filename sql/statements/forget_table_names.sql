-- Deletes the names of tables ($1 to $3: router, table_name and, for an Adj-RIB, the peer's address) of which nothing
-- is stored any more. With the name of a part, the name of its unicast table is deleted. If another peer or instance
-- has the same name, both stay: each gets its own again.
WITH gone AS (
    SELECT DISTINCT t.router_id, t.rib, t.peer_address, part.table_name
    FROM unnest($1::text[], $2::text[], $3::inet[]) AS removed (router_id, table_name, peer_address)
    JOIN table_names t ON t.router_id = removed.router_id AND t.rib = $4 AND t.table_name = removed.table_name
                      AND t.peer_address = COALESCE(removed.peer_address, '0.0.0.0')
    CROSS JOIN LATERAL (VALUES (t.table_name), (t.unicast_table_name)) AS part (table_name)
)
DELETE FROM table_names t
USING gone
WHERE t.router_id = gone.router_id AND t.rib = gone.rib AND t.peer_address = gone.peer_address AND t.table_name = gone.table_name
  AND NOT EXISTS (SELECT FROM {sync} s
                  WHERE s.router_id = t.router_id AND s.table_name = t.table_name {and s.address = t.address})
  AND NOT EXISTS (SELECT FROM table_names o
                  WHERE o.router_id = t.router_id AND o.rib = t.rib AND o.peer_address = t.peer_address AND o.name = t.name
                    AND o.safi = t.safi AND o.route_distinguisher = t.route_distinguisher AND o.table_name <> t.table_name)
