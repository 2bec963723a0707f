-- Records that the history of the tables had messages in this batch.
--
-- Only existing rows are updated: the state writer inserts and deletes them, and a late batch of history must not bring
-- back a table that went down. Each is searched for by its key, one after the other, and locked in the state writer's
-- order, so that the two never deadlock. As a join, old statistics made thousands of tables a matter of minutes.
INSERT INTO rib_sync_status (router_id, /*adj peer_address, is_post_policy, */table_name, afi)
SELECT s.router_id, /*adj s.peer_address, s.is_post_policy, */s.table_name, s.afi
FROM (
    SELECT router_id, /*adj peer_address, is_post_policy, */table_name, afi
    FROM unnest($1::text[], $2::text[], $3::smallint[]/*adj , $4::inet[], $5::boolean[]*/)
        AS seen (router_id, table_name, afi/*adj , peer_address, is_post_policy*/)
    ORDER BY router_id, /*adj peer_address, is_post_policy, */table_name, afi
) s
CROSS JOIN LATERAL (
    SELECT FROM rib_sync_status r
    WHERE r.router_id = s.router_id AND r.table_name = s.table_name AND r.afi = s.afi
        /*adj AND r.peer_address = s.peer_address AND r.is_post_policy = s.is_post_policy*/
    FOR NO KEY UPDATE OF r
) there
ON CONFLICT (router_id, /*adj peer_address, is_post_policy, */table_name, afi) DO UPDATE
SET last_raw_msg_time = now(), updated_at = now()
