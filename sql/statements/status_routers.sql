-- The routers, who writes them, and the state of the latest session of each. One whose collector is not alive has no
-- session, whatever its row says.
SELECT r.router_id, r.router_ip, r.hostname, r.as_number, r.description, r.first_seen, r.last_seen, o.collector_id,
       s.state AS session_state, s.since AS session_since
FROM routers r
LEFT JOIN router_owner o USING (router_id)
LEFT JOIN LATERAL (
    SELECT CASE WHEN b.state IN ('dumping', 'up') AND (c.alive_until > now()) IS NOT TRUE THEN 'no collector'
                ELSE b.state END AS state,
           b.since
    FROM bmp_sessions b LEFT JOIN collectors c USING (collector_id)
    WHERE b.router_id = r.router_id
    ORDER BY b.state = 'ended', b.state NOT IN ('dumping', 'up'), b.since DESC
    LIMIT 1
) s ON true
ORDER BY r.router_id
