-- The tables have lost their session. When they did so first is the time that stays until one begins them again.
UPDATE rib_sync_status AS r
SET eor_seen = false, synced_at = NULL, stale_since = COALESCE(r.stale_since, now()), updated_at = now()
FROM unnest($1::text[], $2::text[], $3::smallint[]/*adj , $4::inet[], $5::boolean[]*/)
    AS lost (router_id, table_name, afi/*adj , peer_address, is_post_policy*/)
WHERE r.router_id = lost.router_id AND r.table_name = lost.table_name AND r.afi = lost.afi
  /*adj AND r.peer_address = lost.peer_address AND r.is_post_policy = lost.is_post_policy*/
