-- Notes that the history of the tables had messages in this batch.
--
-- Only rows that are there: the state writer makes and removes them, and a late batch of history must not bring a
-- table back that went down. Locked in the state writer's order, so that the two never wait for each other in a ring.
WITH seen AS (
    SELECT r.router_id, /*adj r.peer_address, r.is_post_policy, */r.table_name, r.afi
    FROM rib_sync_status r
    JOIN unnest($1::text[], $2::text[], $3::smallint[]/*adj , $4::inet[], $5::boolean[]*/)
        AS s (router_id, table_name, afi/*adj , peer_address, is_post_policy*/)
      ON r.router_id = s.router_id AND r.table_name = s.table_name AND r.afi = s.afi
    /*adj AND r.peer_address = s.peer_address AND r.is_post_policy = s.is_post_policy*/
    ORDER BY r.router_id, /*adj r.peer_address, r.is_post_policy, */r.table_name, r.afi
    FOR NO KEY UPDATE OF r
)
UPDATE rib_sync_status r SET last_raw_msg_time = now(), updated_at = now()
FROM seen s
WHERE r.router_id = s.router_id AND r.table_name = s.table_name AND r.afi = s.afi
    /*adj AND r.peer_address = s.peer_address AND r.is_post_policy = s.is_post_policy*/
