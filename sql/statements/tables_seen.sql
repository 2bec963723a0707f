-- Records that the tables had messages in this batch; inserts the row of a table that has none yet.
--
-- Sorted, because the event writer locks the same rows in the same order.
INSERT INTO {sync} (router_id, {peer}table_name, afi, last_parsed_msg_time)
SELECT router_id, {peer}table_name, afi, now()
FROM unnest($1::text[], $2::text[], $3::smallint[], $4::inet[], $5::boolean[])
    AS seen (router_id, table_name, afi, peer_address, is_post_policy)
ORDER BY router_id, {peer}table_name, afi
ON CONFLICT (router_id, {peer}table_name, afi) DO UPDATE SET last_parsed_msg_time = now(), updated_at = now()
