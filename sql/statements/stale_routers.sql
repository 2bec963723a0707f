-- The routers of a collector ($1) with a table or a session that has been stale for $2 seconds.
SELECT o.router_id
FROM router_owner o
WHERE o.collector_id = $1
  AND (EXISTS (SELECT FROM rib_sync_status s
               WHERE s.router_id = o.router_id AND s.stale_since <= now() - make_interval(secs => $2))
    OR EXISTS (SELECT FROM adj_rib_in_sync_status s
               WHERE s.router_id = o.router_id AND s.stale_since <= now() - make_interval(secs => $2))
    OR EXISTS (SELECT FROM adj_rib_out_sync_status s
               WHERE s.router_id = o.router_id AND s.stale_since <= now() - make_interval(secs => $2))
    OR EXISTS (SELECT FROM nlri_loc_rib_sync_status s
               WHERE s.router_id = o.router_id AND s.stale_since <= now() - make_interval(secs => $2))
    OR EXISTS (SELECT FROM nlri_adj_rib_in_sync_status s
               WHERE s.router_id = o.router_id AND s.stale_since <= now() - make_interval(secs => $2))
    OR EXISTS (SELECT FROM nlri_adj_rib_out_sync_status s
               WHERE s.router_id = o.router_id AND s.stale_since <= now() - make_interval(secs => $2))
    OR EXISTS (SELECT FROM bmp_sessions s
               WHERE s.router_id = o.router_id AND s.collector_id = $1 AND s.state IN ('stale', 'isolated')
                 AND s.since <= now() - make_interval(secs => $2)))
ORDER BY o.router_id
