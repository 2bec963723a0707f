-- The routers that are known or have a number of routes, and the sum of their numbers.
SELECT router_id, COALESCE(sum(GREATEST(c.routes, 0)), 0)::bigint AS routes
FROM (SELECT router_id FROM routers UNION SELECT router_id FROM route_counts) AS known
LEFT JOIN route_counts c USING (router_id)
GROUP BY router_id
ORDER BY router_id
