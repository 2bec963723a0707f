-- Records that the tables had messages in this batch; inserts the row of a table that has none yet.
--
-- Sorted, because the event writer locks the same rows in the same order.
INSERT INTO rib_sync_status (router_id, /*adj peer_address, is_post_policy, */table_name, afi, last_parsed_msg_time)
SELECT router_id, /*adj peer_address, is_post_policy, */table_name, afi, now()
FROM unnest($1::text[], $2::text[], $3::smallint[]/*adj , $4::inet[], $5::boolean[]*/)
    AS seen (router_id, table_name, afi/*adj , peer_address, is_post_policy*/)
ORDER BY router_id, /*adj peer_address, is_post_policy, */table_name, afi
ON CONFLICT (router_id, /*adj peer_address, is_post_policy, */table_name, afi) DO UPDATE SET last_parsed_msg_time = now(), updated_at = now()
