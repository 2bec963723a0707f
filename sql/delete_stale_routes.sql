-- Deletes the staged keys of one table, as far as this session has not written them: the second lock on the door
-- against deleting a live route. Without a session_start_time nothing is deleted.
DELETE FROM current_routes c USING staged_keys s
WHERE c.router_id = s.router_id AND c.table_name = s.table_name AND c.afi = s.afi
  AND c.prefix = s.prefix AND c.path_id = s.path_id
  AND c.updated_at < (SELECT r.session_start_time FROM rib_sync_status r
                      WHERE r.router_id = $1 AND r.table_name = $2 AND r.afi = $3)
