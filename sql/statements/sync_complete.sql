-- Dumps of tables count as complete without an End-of-RIB.
UPDATE rib_sync_status AS r SET synced_at = COALESCE(r.synced_at, now()), updated_at = now()
FROM unnest($1::text[], $2::text[], $3::smallint[]/*adj , $4::inet[], $5::boolean[]*/)
    AS over (router_id, table_name, afi/*adj , peer_address, is_post_policy*/)
WHERE r.router_id = over.router_id AND r.table_name = over.table_name AND r.afi = over.afi
  /*adj AND r.peer_address = over.peer_address AND r.is_post_policy = over.is_post_policy*/
