-- Deletes the staged keys. All five key columns are joined, so that the primary key answers.
DELETE FROM current_routes c USING staged_keys s
WHERE c.router_id = s.router_id AND c.table_name = s.table_name AND c.afi = s.afi
  AND c.prefix = s.prefix AND c.path_id = s.path_id
