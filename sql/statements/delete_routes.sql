-- Deletes the staged keys.
--
-- Each key is searched for as the first row between itself and itself in the order of the primary key: under
-- key_join_settings.sql no other index can answer that, whatever the statistics are.
DELETE FROM current_routes
WHERE ctid = ANY (ARRAY(
    SELECT found.ctid
    FROM staged_keys s
    CROSS JOIN LATERAL (
        SELECT c.ctid
        FROM current_routes c
        WHERE (c.router_id, /*adj c.peer_address, c.is_post_policy, */c.table_name, c.afi, c.prefix, c.path_id) >= (s.router_id, /*adj s.peer_address, s.is_post_policy, */s.table_name, s.afi, s.prefix, s.path_id)
          AND (c.router_id, /*adj c.peer_address, c.is_post_policy, */c.table_name, c.afi, c.prefix, c.path_id) <= (s.router_id, /*adj s.peer_address, s.is_post_policy, */s.table_name, s.afi, s.prefix, s.path_id)
        ORDER BY c.router_id, /*adj c.peer_address, c.is_post_policy, */c.table_name, c.afi, c.prefix, c.path_id
        LIMIT 1
    ) AS found
))
