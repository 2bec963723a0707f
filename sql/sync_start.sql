-- A table's dump begins: a session speaks of it again.
INSERT INTO rib_sync_status (router_id, /*adj peer_address, is_post_policy, */table_name, afi, session_start_time)
VALUES ($1, /*adj $4, $5, */$2, $3, now())
ON CONFLICT (router_id, /*adj peer_address, is_post_policy, */table_name, afi) DO UPDATE
SET session_start_time = now(), eor_seen = false, eor_time = NULL, updated_at = now(), synced_at = NULL, stale_since = NULL
