-- The routers that are known or have a number of routes, and the sum of their numbers, those of other families too.
WITH kept AS (
    SELECT router_id, routes FROM route_counts UNION ALL SELECT router_id, routes FROM nlri_route_counts
)
SELECT router_id, COALESCE(sum(GREATEST(c.routes, 0)), 0)::bigint AS routes
FROM (SELECT router_id FROM routers UNION SELECT router_id FROM kept) AS known
LEFT JOIN kept c USING (router_id)
GROUP BY router_id
ORDER BY router_id
