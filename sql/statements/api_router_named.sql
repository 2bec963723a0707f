-- The router with the identifier $1; without one, the routers of which that is a name. Two rows are enough to know that
-- nobody can tell which one is meant.
SELECT router_id FROM routers WHERE router_id = $1
UNION ALL
SELECT router_id FROM routers
WHERE NOT EXISTS (SELECT FROM routers WHERE router_id = $1) AND (hostname = $1 OR display_name = $1)
LIMIT 2
