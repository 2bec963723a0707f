-- The tables of one router.
SELECT s.table_name, s.afi, s.eor_seen, s.eor_time, s.synced_at, s.session_start_time,
       GREATEST(s.last_parsed_msg_time, s.last_raw_msg_time) AS last_message, COALESCE(v.route_count, 0) AS routes
FROM rib_sync_status s
LEFT JOIN route_summary v USING (router_id, table_name, afi)
WHERE s.router_id = $1
ORDER BY s.table_name, s.afi
LIMIT $2
