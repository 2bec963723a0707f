-- Notes how many routes each peer has now, by table and family, at most once in 5 minutes: of tables whose dump is
-- complete, at routers with a live BMP session. Anything else says nothing of the peer. Beside it what the router says of
-- the unicast routes of the address, where only one peer has it.
WITH live AS (
    SELECT DISTINCT s.router_id FROM bmp_sessions s JOIN collectors c USING (collector_id)
    WHERE s.state IN ('dumping', 'up') AND c.alive_until > now()
), counted AS (
    SELECT s.router_id, s.peer_address, s.table_name, s.afi,
           sum(GREATEST(COALESCE(c.routes, 0), 0)) FILTER (WHERE NOT s.is_post_policy) AS pre,
           sum(GREATEST(COALESCE(c.routes, 0), 0)) FILTER (WHERE s.is_post_policy) AS post
    FROM adj_rib_in_sync_status s
    JOIN live USING (router_id)
    LEFT JOIN route_counts c
        ON c.router_id = s.router_id AND c.rib = 'adj-rib-in' AND c.peer_address = s.peer_address
           AND c.is_post_policy = s.is_post_policy AND c.table_name = s.table_name AND c.afi = s.afi
    GROUP BY s.router_id, s.peer_address, s.table_name, s.afi
    HAVING bool_and(s.synced_at IS NOT NULL AND s.stale_since IS NULL)
), told AS (
    -- RFC 9972: 21 routes after policy, 22 rejected, 23 accepted, each of one family.
    SELECT p.router_id, p.peer_address, CASE p.afi WHEN 1 THEN 4 ELSE 6 END AS afi,
           COALESCE(max(p.value) FILTER (WHERE p.stat_type = 23), max(p.value) FILTER (WHERE p.stat_type = 21)) AS accepted,
           max(p.value) FILTER (WHERE p.stat_type = 22) AS rejected
    FROM peer_statistics p
    JOIN live USING (router_id)
    WHERE p.stat_type IN (21, 22, 23) AND p.afi IN (1, 2) AND p.safi = 1 AND p.peer_type <> 'loc_rib' AND p.value <= 9223372036854775807
    GROUP BY p.router_id, p.peer_address, p.afi
    HAVING count(DISTINCT (p.peer_type, p.distinguisher, p.peer_asn)) = 1
)
INSERT INTO peer_route_counts (router_id, peer_address, table_name, afi, at, pre, post, accepted, rejected, is_hourly)
SELECT router_id, peer_address, table_name, afi, date_bin('5 minutes', now(), 'epoch'), pre, post,
       CASE WHEN table_name NOT LIKE '%|labelled' THEN told.accepted END, CASE WHEN table_name NOT LIKE '%|labelled' THEN told.rejected END,
       NOT EXISTS (SELECT FROM peer_route_counts e
                   WHERE e.router_id = counted.router_id AND e.peer_address = counted.peer_address
                     AND e.table_name = counted.table_name AND e.afi = counted.afi
                     AND e.at >= date_bin('1 hour', now(), 'epoch'))
FROM counted
LEFT JOIN told USING (router_id, peer_address, afi)
ON CONFLICT DO NOTHING
