-- The sessions of a router, the latest first, those that have ended last; ended ones are stored for a day.
SELECT b.collector_id, b.source, b.since, b.reason, b.heard_until, b.lag_secs, b.waiting_octets,
       CASE WHEN b.state IN ('dumping', 'up') AND (c.alive_until > now()) IS NOT TRUE THEN 'no collector' ELSE b.state END AS state
FROM bmp_sessions b LEFT JOIN collectors c USING (collector_id)
WHERE b.router_id = $1
ORDER BY b.state = 'ended', b.since DESC
LIMIT $2
