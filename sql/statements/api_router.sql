-- The tables and the latest sessions of the router $1, as JSON. Of the tables of Adj-RIBs all peers are counted together.
SELECT json_build_object(
    'tables', COALESCE((SELECT json_agg(t ORDER BY t.view, t.table_name, t.afi) FROM (
        SELECT 'loc-rib' AS view, s.table_name, s.afi, NULL::bigint AS peers, GREATEST(COALESCE(c.routes, 0), 0) AS routes,
               s.eor_seen, s.eor_time, s.synced_at, s.stale_since, s.session_start_time,
               GREATEST(s.last_parsed_msg_time, s.last_raw_msg_time) AS last_message
        FROM rib_sync_status s
        LEFT JOIN route_counts c
            ON c.router_id = s.router_id AND c.rib = 'loc-rib' AND c.table_name = s.table_name AND c.afi = s.afi
        WHERE s.router_id = $1
        UNION ALL
        SELECT s.rib || CASE WHEN s.is_post_policy THEN '-post' ELSE '-pre' END, s.table_name, s.afi, count(*),
               GREATEST(COALESCE(sum(c.routes), 0), 0)::bigint, bool_and(s.eor_seen), max(s.eor_time),
               CASE WHEN bool_and(s.synced_at IS NOT NULL) THEN max(s.synced_at) END, min(s.stale_since),
               max(s.session_start_time), max(GREATEST(s.last_parsed_msg_time, s.last_raw_msg_time))
        FROM (SELECT 'adj-rib-in' AS rib, i.* FROM adj_rib_in_sync_status i WHERE i.router_id = $1
              UNION ALL SELECT 'adj-rib-out', o.* FROM adj_rib_out_sync_status o WHERE o.router_id = $1) AS s
        LEFT JOIN route_counts c
            ON c.router_id = s.router_id AND c.rib = s.rib AND c.peer_address = s.peer_address
           AND c.is_post_policy = s.is_post_policy AND c.table_name = s.table_name AND c.afi = s.afi
        GROUP BY s.rib, s.is_post_policy, s.table_name, s.afi
    ) AS t), '[]'),
    'sessions', COALESCE((SELECT json_agg(b ORDER BY b.since DESC) FROM (
        SELECT collector_id, source, state, since, reason, began_at
        FROM bmp_sessions WHERE router_id = $1 ORDER BY since DESC LIMIT 100
    ) AS b), '[]'))::text AS json
