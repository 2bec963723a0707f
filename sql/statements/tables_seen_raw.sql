-- Records that the history of the tables had messages in this batch.
--
-- Only existing rows are updated: the state writer inserts and deletes them, and a late batch of history must not bring
-- back a table that went down. Each is searched for by its key, one after the other, and locked in the state writer's
-- order, so that the two never deadlock. As a join, old statistics made thousands of tables a matter of minutes.
INSERT INTO {sync} (router_id, {peer}table_name, afi)
SELECT s.router_id, {s.peer}s.table_name, s.afi
FROM (
    SELECT router_id, {peer}table_name, afi
    FROM unnest($1::text[], $2::text[], $3::smallint[], $4::inet[], $5::boolean[])
        AS seen (router_id, table_name, afi, peer_address, is_post_policy)
    ORDER BY router_id, {peer}table_name, afi
) s
CROSS JOIN LATERAL (
    SELECT FROM {sync} r
    WHERE r.router_id = s.router_id AND r.table_name = s.table_name AND r.afi = s.afi
        {and r.peer = s.peer}
    FOR NO KEY UPDATE OF r
) there
ON CONFLICT (router_id, {peer}table_name, afi) DO UPDATE
SET last_raw_msg_time = now(), updated_at = now()
