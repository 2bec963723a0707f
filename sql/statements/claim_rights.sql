-- What decides whether collector $1 may claim each of the routers $2. A lease counts as running for $3 seconds after
-- the start of the server: while it was away, nobody could extend one. Times are those of the statement, since a claim
-- may have waited for its lock. A session that the owner had when it was killed counts for as long after the owner was
-- started again: the router may be about to reconnect to it.
SELECT w.router_id, o.collector_id AS owner, o.collector_id = $1 AS is_ours,
       CASE WHEN o.handed_until > clock_timestamp() AND h.alive_until > clock_timestamp() THEN o.handed_to END AS handed_to,
       (c.alive_until > clock_timestamp()) IS TRUE
       OR c.collector_id IS NOT NULL AND pg_postmaster_start_time() > clock_timestamp() - make_interval(secs => $3) AS is_alive,
       EXISTS (SELECT FROM bmp_sessions b
               WHERE b.router_id = w.router_id AND b.collector_id = o.collector_id
                 AND (b.state IN ('dumping', 'up')
                      OR b.state = 'stale' AND b.since = c.started_at
                         AND c.started_at > clock_timestamp() - make_interval(secs => $3))) AS has_session
FROM unnest($2::text[]) AS w (router_id)
LEFT JOIN router_owner o USING (router_id)
LEFT JOIN collectors c ON c.collector_id = o.collector_id
LEFT JOIN collectors h ON h.collector_id = o.handed_to
