-- Routers with tables, and when the last of their dumps was over.
SELECT router_id, (extract(epoch FROM max(synced_at)) * 1000000)::bigint
FROM (SELECT router_id, synced_at FROM rib_sync_status UNION ALL SELECT router_id, synced_at FROM adj_rib_in_sync_status) AS tables
GROUP BY router_id ORDER BY router_id
