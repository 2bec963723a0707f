-- The tables of routers ($1) with their families, and whether what is stored of them is what the router has.
SELECT router_id, NULL::inet AS peer_address, NULL::boolean AS is_post_policy, table_name, afi,
       synced_at IS NOT NULL AND stale_since IS NULL AS is_synced
FROM rib_sync_status
WHERE router_id = ANY ($1::text[])
UNION ALL
SELECT router_id, peer_address, is_post_policy, table_name, afi, synced_at IS NOT NULL AND stale_since IS NULL
FROM adj_rib_in_sync_status
WHERE router_id = ANY ($1::text[])
ORDER BY router_id, peer_address NULLS FIRST, is_post_policy, table_name, afi
