-- One row per router for the status page. Counts come from route_summary, which may be minutes old: counting
-- current_routes would read all of it each time the page is shown.
SELECT r.router_id, r.router_ip, r.hostname, r.as_number,
       v.collector_id, v.state, v.since, v.session_collector, v.source, v.reason, v.stale_since, v.expires_at,
       COALESCE(s.tables, 0)::bigint AS tables, COALESCE(s.synchronized, 0)::bigint AS synchronized, s.last_message,
       COALESCE(c.routes, 0)::bigint AS routes
FROM routers r
JOIN router_states v USING (router_id)
LEFT JOIN (SELECT router_id, sum(tables) AS tables, sum(synchronized) AS synchronized, max(last_message) AS last_message
           FROM (SELECT router_id, count(*) AS tables, count(synced_at) AS synchronized,
                        max(GREATEST(last_parsed_msg_time, last_raw_msg_time)) AS last_message
                 FROM rib_sync_status GROUP BY router_id
                 UNION ALL
                 SELECT router_id, count(*), count(synced_at), max(GREATEST(last_parsed_msg_time, last_raw_msg_time))
                 FROM adj_rib_in_sync_status GROUP BY router_id
                 UNION ALL
                 SELECT router_id, count(*), count(synced_at), max(GREATEST(last_parsed_msg_time, last_raw_msg_time))
                 FROM adj_rib_out_sync_status GROUP BY router_id) AS each_rib
           GROUP BY router_id) s USING (router_id)
LEFT JOIN (SELECT router_id, sum(route_count) AS routes FROM route_summary GROUP BY router_id) c USING (router_id)
ORDER BY r.router_id
LIMIT $1
