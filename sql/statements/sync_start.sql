-- Begins the dumps of tables: a session reports them again. Sorted, as everywhere where rows of this table are locked.
INSERT INTO rib_sync_status (router_id, /*adj peer_address, is_post_policy, */table_name, afi, session_start_time)
SELECT router_id, /*adj peer_address, is_post_policy, */table_name, afi, now()
FROM unnest($1::text[], $2::text[], $3::smallint[]/*adj , $4::inet[], $5::boolean[]*/)
    AS begun (router_id, table_name, afi/*adj , peer_address, is_post_policy*/)
ORDER BY router_id, /*adj peer_address, is_post_policy, */table_name, afi
ON CONFLICT (router_id, /*adj peer_address, is_post_policy, */table_name, afi) DO UPDATE
SET session_start_time = now(), eor_seen = false, eor_time = NULL, updated_at = now(), synced_at = NULL, stale_since = NULL
