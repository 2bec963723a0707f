-- Notes how many routes of other families each peer has now, as counts_sample.sql does of routes to prefixes.
WITH live AS (
    SELECT DISTINCT s.router_id FROM bmp_sessions s JOIN collectors c USING (collector_id)
    WHERE s.state IN ('dumping', 'up') AND c.alive_until > now()
)
INSERT INTO peer_nlri_counts AS n (router_id, peer_address, table_name, afi, safi, at, pre, post, is_hourly)
SELECT t.router_id, t.peer_address, t.table_name, t.afi, t.safi, date_bin('5 minutes', now(), 'epoch'),
       sum(t.routes) FILTER (WHERE NOT t.is_post_policy), sum(t.routes) FILTER (WHERE t.is_post_policy),
       NOT EXISTS (SELECT FROM peer_nlri_counts e
                   WHERE e.router_id = t.router_id AND e.peer_address = t.peer_address AND e.table_name = t.table_name
                     AND e.at >= date_bin('1 hour', now(), 'epoch'))
FROM nlri_tables t
JOIN live USING (router_id)
WHERE t.rib = 'adj-rib-in'
GROUP BY t.router_id, t.peer_address, t.table_name, t.afi, t.safi
HAVING bool_and(t.synced_at IS NOT NULL AND t.stale_since IS NULL)
ON CONFLICT DO NOTHING
