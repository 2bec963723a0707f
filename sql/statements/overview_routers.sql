-- One row per router for the status page. Counts come from route_summary, which may be minutes old: counting
-- current_routes would read all of it for each look at the page.
SELECT r.router_id, r.router_ip, r.hostname, r.as_number, o.collector_id, COALESCE(s.tables, 0) AS tables,
       COALESCE(s.synchronised, 0) AS synchronised, s.last_message, COALESCE(v.routes, 0)::bigint AS routes
FROM routers r
LEFT JOIN router_owner o USING (router_id)
LEFT JOIN (SELECT router_id, count(*) AS tables, count(synced_at) AS synchronised,
                  max(GREATEST(last_parsed_msg_time, last_raw_msg_time)) AS last_message
           FROM rib_sync_status GROUP BY router_id) s USING (router_id)
LEFT JOIN (SELECT router_id, sum(route_count) AS routes FROM route_summary GROUP BY router_id) v USING (router_id)
ORDER BY r.router_id
LIMIT $1
