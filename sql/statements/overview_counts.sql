-- The tables of each router, those that are in sync, their latest message, and its Loc-RIB routes.
SELECT router_id, sum(tables)::bigint AS tables, sum(synchronized)::bigint AS synchronized, max(last_message) AS last_message,
       GREATEST((SELECT sum(c.routes) FROM route_counts c
                 WHERE c.router_id = each_rib.router_id AND c.rib = 'loc-rib'), 0)::bigint AS routes
FROM (SELECT router_id, count(*) AS tables, count(synced_at) AS synchronized,
             max(GREATEST(last_parsed_msg_time, last_raw_msg_time)) AS last_message
      FROM rib_sync_status GROUP BY router_id
      UNION ALL
      SELECT router_id, count(*), count(synced_at), max(GREATEST(last_parsed_msg_time, last_raw_msg_time))
      FROM adj_rib_in_sync_status GROUP BY router_id
      UNION ALL
      SELECT router_id, count(*), count(synced_at), max(GREATEST(last_parsed_msg_time, last_raw_msg_time))
      FROM adj_rib_out_sync_status GROUP BY router_id) AS each_rib
GROUP BY router_id
