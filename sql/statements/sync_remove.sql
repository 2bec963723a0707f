-- Deletes the status rows of tables, in all their families.
DELETE FROM {sync} r
USING unnest($1::text[], $2::text[], $3::inet[], $4::boolean[]) AS gone (router_id, table_name, peer_address, is_post_policy)
WHERE r.router_id = gone.router_id AND r.table_name = gone.table_name
  {and r.peer = gone.peer}
