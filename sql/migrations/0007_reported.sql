-- What routers report of their RIBs, counted once. A router's own count of its Loc-RIB (statistic 8 about a Loc-RIB instance) is not added to
-- what it reports of its neighbours, and neighbours that are down have no routes any more, whatever they were last reported with.

CREATE OR REPLACE VIEW routers_overview AS
WITH known AS (
    SELECT router_id FROM routers
    UNION SELECT router_id FROM rib_sync_status
    UNION SELECT router_id FROM adj_rib_in_sync_status
    UNION SELECT router_id FROM adj_rib_out_sync_status
    UNION SELECT router_id FROM route_summary
    UNION SELECT router_id FROM adj_rib_in_summary
    UNION SELECT router_id FROM peers
), loc_rib AS (
    SELECT router_id, sum(route_count)::bigint AS route_count, sum(unique_prefixes)::bigint AS unique_prefixes
    FROM route_summary GROUP BY router_id
), adj_rib AS (
    SELECT router_id, sum(route_count)::bigint AS route_count,
           sum(route_count) FILTER (WHERE NOT is_post_policy)::bigint AS pre_policy_count
    FROM adj_rib_in_summary GROUP BY router_id
), neighbours AS (
    SELECT router_id, count(DISTINCT (peer_address, peer_asn)) AS peers
    FROM adj_rib_in_summary GROUP BY router_id
), sync AS (
    SELECT router_id, bool_and(eor_seen) AS all_afis_synced, max(session_start_time) AS session_start_time,
           max(updated_at) AS sync_updated_at
    FROM (SELECT router_id, eor_seen, session_start_time, updated_at FROM rib_sync_status
          UNION ALL SELECT router_id, eor_seen, session_start_time, updated_at FROM adj_rib_in_sync_status
          UNION ALL SELECT router_id, eor_seen, session_start_time, updated_at FROM adj_rib_out_sync_status) AS all_ribs
    GROUP BY router_id
), counted AS (
    SELECT router_id, sum(value)::bigint AS loc_rib_routes
    FROM peer_statistics WHERE peer_type = 'loc_rib' AND stat_type = 8
    GROUP BY router_id
), sizes AS (
    SELECT router_id, peer_type, distinguisher, peer_address, peer_asn,
           max(value) FILTER (WHERE stat_type = 7) AS received, max(value) AS at_most
    FROM peer_statistics WHERE peer_type <> 'loc_rib' AND stat_type IN (7, 8)
    GROUP BY router_id, peer_type, distinguisher, peer_address, peer_asn
), reported AS (
    SELECT router_id, sum(s.received) FILTER (WHERE p.state <> 'down')::bigint AS received,
           -- Nobody knows of how many where one that is up was not counted, or none ever was.
           CASE WHEN count(s.at_most) > 0 AND bool_and(s.at_most IS NOT NULL OR p.state = 'down')
                THEN COALESCE(sum(s.at_most) FILTER (WHERE p.state <> 'down'), 0)::bigint END AS at_most
    FROM peers p LEFT JOIN sizes s USING (router_id, peer_type, distinguisher, peer_address, peer_asn)
    GROUP BY router_id
)
SELECT k.router_id, r.router_ip, r.hostname, r.as_number, r.description, r.first_seen, r.last_seen,
       r.display_name, r.location,
       COALESCE(l.route_count, 0) AS route_count, COALESCE(l.unique_prefixes, 0) AS unique_prefixes,
       COALESCE(a.route_count, 0) AS adj_rib_in_route_count, COALESCE(n.peers, 0) AS adj_rib_in_peer_count,
       COALESCE(s.all_afis_synced, false) AS all_afis_synced, s.session_start_time, s.sync_updated_at,
       COALESCE(c.loc_rib_routes, p.at_most) AS reported_loc_rib_routes, p.received AS reported_adj_rib_in_routes,
       CASE WHEN c.loc_rib_routes IS NOT NULL THEN l.route_count - c.loc_rib_routes
            WHEN p.at_most IS NOT NULL THEN CASE WHEN l.route_count > p.at_most THEN l.route_count - p.at_most WHEN l.route_count IS NOT NULL THEN 0 END
       END AS loc_rib_drift,
       CASE WHEN a.pre_policy_count IS NOT NULL THEN a.pre_policy_count - p.received END AS adj_rib_in_drift
FROM known k
LEFT JOIN routers r USING (router_id)
LEFT JOIN loc_rib l USING (router_id)
LEFT JOIN adj_rib a USING (router_id)
LEFT JOIN neighbours n USING (router_id)
LEFT JOIN sync s USING (router_id)
LEFT JOIN counted c USING (router_id)
LEFT JOIN reported p USING (router_id);

COMMENT ON COLUMN routers_overview.reported_loc_rib_routes IS 'How many Loc-RIB routes the router says it has (statistic 8); where it does not count its Loc-RIB, how many its neighbours that are up have together (the larger of 7 and 8 of each).';
COMMENT ON COLUMN routers_overview.reported_adj_rib_in_routes IS 'How many Adj-RIB-In routes the router says it has (statistic 7), over all neighbours that are not down.';
COMMENT ON COLUMN routers_overview.loc_rib_drift IS 'Stored less reported Loc-RIB routes; where the router does not count its Loc-RIB, by how many more are stored than its neighbours have, its own among them, and never below 0; NULL where either is not known.';
