-- Begins the dumps of tables: a session reports them again. Sorted, as everywhere where rows of this table are locked.
INSERT INTO {sync} (router_id, {peer}table_name, afi, session_start_time)
SELECT router_id, {peer}table_name, afi, now()
FROM unnest($1::text[], $2::text[], $3::smallint[], $4::inet[], $5::boolean[])
    AS begun (router_id, table_name, afi, peer_address, is_post_policy)
ORDER BY router_id, {peer}table_name, afi
ON CONFLICT (router_id, {peer}table_name, afi) DO UPDATE
SET session_start_time = now(), eor_seen = false, eor_time = NULL, synced_at = NULL, stale_since = NULL,
    updated_at = now()
