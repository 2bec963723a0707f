-- Routers that have the address $1 as their identifier or connected from it: at most two, since only a single one is
-- useful.
SELECT router_id
FROM routers
WHERE router_id = $1 OR router_ip = $1::text::inet
ORDER BY router_id
LIMIT 2
