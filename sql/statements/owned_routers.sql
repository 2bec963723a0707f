-- The routers of a collector ($1), the last to connect first, at most $2; and whether tables of them are stored.
SELECT o.router_id, r.hostname, r.router_ip,
       EXISTS (SELECT FROM rib_sync_status s WHERE s.router_id = o.router_id)
    OR EXISTS (SELECT FROM adj_rib_in_sync_status s WHERE s.router_id = o.router_id)
    OR EXISTS (SELECT FROM adj_rib_out_sync_status s WHERE s.router_id = o.router_id)
    OR EXISTS (SELECT FROM nlri_loc_rib_sync_status s WHERE s.router_id = o.router_id)
    OR EXISTS (SELECT FROM nlri_adj_rib_in_sync_status s WHERE s.router_id = o.router_id)
    OR EXISTS (SELECT FROM nlri_adj_rib_out_sync_status s WHERE s.router_id = o.router_id) AS has_tables
FROM router_owner o JOIN routers r USING (router_id)
WHERE o.collector_id = $1
ORDER BY r.last_seen DESC, o.router_id
LIMIT $2
