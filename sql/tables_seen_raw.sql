-- Notes that the history of the tables had messages in this batch.
--
-- Only rows that are there: the state writer makes and removes them, and a late batch of history must not bring a
-- table back that went down. Locked in the state writer's order, so that the two never wait for each other in a ring.
WITH seen AS (
    SELECT r.router_id, r.table_name, r.afi
    FROM rib_sync_status r
    JOIN unnest($1::text[], $2::text[], $3::smallint[]) AS s (router_id, table_name, afi)
      ON r.router_id = s.router_id AND r.table_name = s.table_name AND r.afi = s.afi
    ORDER BY r.router_id, r.table_name, r.afi
    FOR NO KEY UPDATE OF r
)
UPDATE rib_sync_status r SET last_raw_msg_time = now(), updated_at = now()
FROM seen s
WHERE r.router_id = s.router_id AND r.table_name = s.table_name AND r.afi = s.afi
