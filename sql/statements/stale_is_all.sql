-- Whether a router ($1) has a session on its collector ($3), and whether it has tables that have not been stale for $2
-- seconds.
SELECT EXISTS (SELECT FROM bmp_sessions
               WHERE router_id = $1 AND collector_id = $3 AND state IN ('dumping', 'up')),
       EXISTS (SELECT FROM rib_sync_status
               WHERE router_id = $1 AND (stale_since <= now() - make_interval(secs => $2)) IS NOT TRUE)
    OR EXISTS (SELECT FROM adj_rib_in_sync_status
               WHERE router_id = $1 AND (stale_since <= now() - make_interval(secs => $2)) IS NOT TRUE)
    OR EXISTS (SELECT FROM adj_rib_out_sync_status
               WHERE router_id = $1 AND (stale_since <= now() - make_interval(secs => $2)) IS NOT TRUE)
    OR EXISTS (SELECT FROM nlri_loc_rib_sync_status
               WHERE router_id = $1 AND (stale_since <= now() - make_interval(secs => $2)) IS NOT TRUE)
    OR EXISTS (SELECT FROM nlri_adj_rib_in_sync_status
               WHERE router_id = $1 AND (stale_since <= now() - make_interval(secs => $2)) IS NOT TRUE)
    OR EXISTS (SELECT FROM nlri_adj_rib_out_sync_status
               WHERE router_id = $1 AND (stale_since <= now() - make_interval(secs => $2)) IS NOT TRUE)
