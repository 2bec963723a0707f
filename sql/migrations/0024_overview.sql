-- routers_overview for routers without a Loc-RIB.

-- Routers that any table knows. Adj-RIB-In routes are those of the summary; where it has none of a router yet, they are those
-- of route_counts, so that a router without a Loc-RIB has routes before the next maintenance run. The view says NULL where a
-- router reports nothing (least() passes over a NULL). What routers report are unsigned 64-bit numbers and sums of them: more
-- than a BIGINT holds is the largest BIGINT.
CREATE OR REPLACE VIEW routers_overview AS
-- Each router's first row of a RIB leads to the next router, so a million routes cost a look at an index each.
WITH RECURSIVE in_loc_rib AS (
    (SELECT router_id FROM current_routes ORDER BY router_id LIMIT 1)
    UNION ALL
    SELECT (SELECT c.router_id FROM current_routes c WHERE c.router_id > f.router_id ORDER BY c.router_id LIMIT 1)
    FROM in_loc_rib f WHERE f.router_id IS NOT NULL
), in_adj_rib_in AS (
    (SELECT router_id FROM adj_rib_in ORDER BY router_id LIMIT 1)
    UNION ALL
    SELECT (SELECT c.router_id FROM adj_rib_in c WHERE c.router_id > f.router_id ORDER BY c.router_id LIMIT 1)
    FROM in_adj_rib_in f WHERE f.router_id IS NOT NULL
), in_adj_rib_out AS (
    (SELECT router_id FROM adj_rib_out ORDER BY router_id LIMIT 1)
    UNION ALL
    SELECT (SELECT c.router_id FROM adj_rib_out c WHERE c.router_id > f.router_id ORDER BY c.router_id LIMIT 1)
    FROM in_adj_rib_out f WHERE f.router_id IS NOT NULL
), known AS (
    SELECT router_id FROM routers
    UNION SELECT router_id FROM rib_sync_status
    UNION SELECT router_id FROM adj_rib_in_sync_status
    UNION SELECT router_id FROM adj_rib_out_sync_status
    UNION SELECT router_id FROM adj_rib_in_summary
    UNION SELECT router_id FROM peers
    UNION SELECT router_id FROM in_loc_rib WHERE router_id IS NOT NULL
    UNION SELECT router_id FROM in_adj_rib_in WHERE router_id IS NOT NULL
    UNION SELECT router_id FROM in_adj_rib_out WHERE router_id IS NOT NULL
), by_table AS (
    SELECT router_id, table_name, afi, count(*) AS route_count, bool_or(path_id <> 0) AS has_paths
    FROM current_routes GROUP BY router_id, table_name, afi
), loc_rib AS (
    SELECT t.router_id, sum(t.route_count)::bigint AS route_count,
           -- Prefixes are told apart only where there may be several paths to one.
           sum(CASE WHEN t.has_paths
                    THEN (SELECT count(*) FROM (SELECT DISTINCT c.prefix FROM current_routes c
                                                WHERE c.router_id = t.router_id AND c.table_name = t.table_name
                                                  AND c.afi = t.afi) AS prefixes)
                    ELSE t.route_count END)::bigint AS unique_prefixes
    FROM by_table t GROUP BY t.router_id
), summed AS (
    SELECT router_id, sum(route_count)::bigint AS route_count,
           sum(route_count) FILTER (WHERE NOT is_post_policy)::bigint AS pre_policy_count,
           count(DISTINCT (peer_address, peer_asn)) AS peers
    FROM adj_rib_in_summary GROUP BY router_id
), adj_rib AS (
    SELECT * FROM summed
    UNION ALL
    -- Tables of several peers at one address have names of their own.
    SELECT c.router_id, GREATEST(sum(c.routes), 0)::bigint AS route_count,
           GREATEST(sum(c.routes) FILTER (WHERE NOT c.is_post_policy), 0)::bigint AS pre_policy_count,
           count(DISTINCT (c.peer_address, t.peer_type, t.distinguisher, t.peer_asn)) FILTER (WHERE c.routes > 0) AS peers
    FROM route_counts c
    LEFT JOIN table_names t
        ON t.router_id = c.router_id AND t.rib = c.rib AND t.peer_address = c.peer_address AND t.table_name = c.table_name
    WHERE c.rib = 'adj-rib-in' AND NOT EXISTS (SELECT FROM summed s WHERE s.router_id = c.router_id)
    GROUP BY c.router_id
), started AS (
    SELECT router_id, max(session_start_time) AS session_start_time, max(updated_at) AS sync_updated_at
    FROM (SELECT router_id, session_start_time, updated_at FROM rib_sync_status
          UNION ALL SELECT router_id, session_start_time, updated_at FROM adj_rib_in_sync_status
          UNION ALL SELECT router_id, session_start_time, updated_at FROM adj_rib_out_sync_status) AS all_ribs
    GROUP BY router_id
), synced AS (
    SELECT router_id, bool_and(synced_at IS NOT NULL) AS all_afis_synced FROM rib_sync_status GROUP BY router_id
), counted AS (
    SELECT router_id, least(sum(value), 9223372036854775807)::bigint AS loc_rib_routes
    FROM peer_statistics WHERE peer_type = 'loc_rib' AND stat_type = 8
    GROUP BY router_id
), sizes AS (
    SELECT router_id, peer_type, distinguisher, peer_address, peer_asn,
           max(value) FILTER (WHERE stat_type = 7) AS received, max(value) AS at_most
    FROM peer_statistics WHERE peer_type <> 'loc_rib' AND stat_type IN (7, 8)
    GROUP BY router_id, peer_type, distinguisher, peer_address, peer_asn
), reported AS (
    SELECT router_id,
           CASE WHEN count(s.received) FILTER (WHERE p.state <> 'down') > 0
                THEN least(sum(s.received) FILTER (WHERE p.state <> 'down'), 9223372036854775807)::bigint
           END AS received,
           -- Nobody knows of how many where one that is up was not counted, or none ever was.
           CASE WHEN count(s.at_most) > 0 AND bool_and(s.at_most IS NOT NULL OR p.state = 'down')
                THEN least(COALESCE(sum(s.at_most) FILTER (WHERE p.state <> 'down'), 0), 9223372036854775807)::bigint
           END AS at_most
    FROM peers p LEFT JOIN sizes s USING (router_id, peer_type, distinguisher, peer_address, peer_asn)
    GROUP BY router_id
)
SELECT k.router_id, r.router_ip, r.hostname, r.as_number, r.description, r.first_seen, r.last_seen,
       r.display_name, r.location,
       COALESCE(l.route_count, 0) AS route_count, COALESCE(l.unique_prefixes, 0) AS unique_prefixes,
       COALESCE(a.route_count, 0) AS adj_rib_in_route_count, COALESCE(a.peers, 0) AS adj_rib_in_peer_count,
       s.all_afis_synced, t.session_start_time, t.sync_updated_at,
       COALESCE(c.loc_rib_routes, p.at_most) AS reported_loc_rib_routes, p.received AS reported_adj_rib_in_routes,
       CASE WHEN c.loc_rib_routes IS NOT NULL THEN l.route_count - c.loc_rib_routes
            WHEN p.at_most IS NOT NULL THEN CASE WHEN l.route_count > p.at_most THEN l.route_count - p.at_most WHEN l.route_count IS NOT NULL THEN 0 END
       END AS loc_rib_drift,
       CASE WHEN a.pre_policy_count IS NOT NULL THEN a.pre_policy_count - p.received END AS adj_rib_in_drift
FROM known k
LEFT JOIN routers r USING (router_id)
LEFT JOIN loc_rib l USING (router_id)
LEFT JOIN adj_rib a USING (router_id)
LEFT JOIN started t USING (router_id)
LEFT JOIN synced s USING (router_id)
LEFT JOIN counted c USING (router_id)
LEFT JOIN reported p USING (router_id);

COMMENT ON VIEW routers_overview IS 'One row per router that any table knows. Loc-RIB routes are counted when the view is read; Adj-RIB-In routes by the last maintenance run, or now where that saw none of the router.';
COMMENT ON COLUMN routers_overview.adj_rib_in_route_count IS 'Adj-RIB-In routes of all peers, before and after policy, all paths counted.';
COMMENT ON COLUMN routers_overview.adj_rib_in_peer_count IS 'Peers with Adj-RIB-In routes.';
