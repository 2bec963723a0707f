-- The table's dump counts as complete without an End-of-RIB.
UPDATE rib_sync_status SET synced_at = COALESCE(synced_at, now()), updated_at = now()
WHERE router_id = $1 AND table_name = $2 AND afi = $3 /*adj AND peer_address = $4 AND is_post_policy = $5*/
