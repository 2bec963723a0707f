-- Routers that have the address $1 as their identifier or connected from it: two at most, since one alone is of use.
SELECT router_id
FROM routers
WHERE router_id = $1 OR router_ip = $1::text::inet
ORDER BY router_id
LIMIT 2
