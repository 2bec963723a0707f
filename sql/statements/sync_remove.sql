-- Deletes the status rows of tables, in all their families.
DELETE FROM rib_sync_status r
USING unnest($1::text[], $2::text[]/*adj , $3::inet[], $4::boolean[]*/) AS gone (router_id, table_name/*adj , peer_address, is_post_policy*/)
WHERE r.router_id = gone.router_id AND r.table_name = gone.table_name
  /*adj AND r.peer_address = gone.peer_address AND r.is_post_policy = gone.is_post_policy*/
