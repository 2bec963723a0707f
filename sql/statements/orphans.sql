-- Routers whose collector is not alive, by collector: no one writes their rows, and no one deletes their stale routes.
SELECT o.collector_id, c.alive_until, array_agg(o.router_id ORDER BY o.router_id) AS routers
FROM router_owner o
LEFT JOIN collectors c USING (collector_id)
WHERE (c.alive_until > now()) IS NOT TRUE
GROUP BY o.collector_id, c.alive_until
ORDER BY o.collector_id
