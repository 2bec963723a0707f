-- At most $3 routers after the key $2, or the router $1, as JSON. As the view routers_overview, whose columns these are,
-- except that routes are taken from the counts that the writers keep, so that a million of them are not counted for each
-- request, and that the state of the session comes with it.
WITH chosen AS MATERIALIZED (
    SELECT r.*
    FROM routers r
    WHERE ($1::text IS NULL OR r.router_id = $1) AND ($2::text IS NULL OR r.router_id > ($2::jsonb ->> 0))
    ORDER BY r.router_id
    LIMIT $3
), stored AS (
    SELECT router_id,
           GREATEST(sum(routes) FILTER (WHERE rib = 'loc-rib'), 0)::bigint AS loc_rib,
           GREATEST(sum(routes) FILTER (WHERE rib = 'adj-rib-in'), 0)::bigint AS adj_rib_in,
           GREATEST(sum(routes) FILTER (WHERE rib = 'adj-rib-in' AND NOT is_post_policy), 0)::bigint AS pre_policy,
           GREATEST(sum(routes) FILTER (WHERE rib = 'adj-rib-out'), 0)::bigint AS adj_rib_out,
           count(DISTINCT peer_address) FILTER (WHERE rib = 'adj-rib-in' AND routes > 0) AS peers
    FROM route_counts WHERE router_id IN (SELECT router_id FROM chosen)
    GROUP BY router_id
), sync AS (
    SELECT router_id, max(session_start_time) AS session_start_time, max(updated_at) AS sync_updated_at,
           max(GREATEST(last_parsed_msg_time, last_raw_msg_time)) AS last_message,
           bool_and(synced_at IS NOT NULL) FILTER (WHERE is_loc_rib) AS all_afis_synced
    FROM (SELECT router_id, session_start_time, updated_at, last_parsed_msg_time, last_raw_msg_time, synced_at, true AS is_loc_rib
          FROM rib_sync_status WHERE router_id IN (SELECT router_id FROM chosen)
          UNION ALL
          SELECT router_id, session_start_time, updated_at, last_parsed_msg_time, last_raw_msg_time, synced_at, false
          FROM adj_rib_in_sync_status WHERE router_id IN (SELECT router_id FROM chosen)
          UNION ALL
          SELECT router_id, session_start_time, updated_at, last_parsed_msg_time, last_raw_msg_time, synced_at, false
          FROM adj_rib_out_sync_status WHERE router_id IN (SELECT router_id FROM chosen)) AS all_ribs
    GROUP BY router_id
), loc_rib_size AS (
    SELECT router_id, least(sum(value), 9223372036854775807)::bigint AS routes
    FROM peer_statistics
    WHERE router_id IN (SELECT router_id FROM chosen) AND peer_type = 'loc_rib' AND stat_type = 8
    GROUP BY router_id
), sizes AS (
    SELECT router_id, peer_type, distinguisher, peer_address, peer_asn,
           max(value) FILTER (WHERE stat_type = 7) AS received, max(value) AS at_most
    FROM peer_statistics
    WHERE router_id IN (SELECT router_id FROM chosen) AND peer_type <> 'loc_rib' AND stat_type IN (7, 8)
    GROUP BY router_id, peer_type, distinguisher, peer_address, peer_asn
), reported AS (
    SELECT router_id,
           least(sum(s.received) FILTER (WHERE p.state <> 'down'), 9223372036854775807)::bigint AS received,
           -- Nobody knows of how many where one that is up was not counted, or none ever was.
           CASE WHEN count(s.at_most) > 0 AND bool_and(s.at_most IS NOT NULL OR p.state = 'down')
                THEN least(COALESCE(sum(s.at_most) FILTER (WHERE p.state <> 'down'), 0), 9223372036854775807)::bigint
           END AS at_most
    FROM peers p LEFT JOIN sizes s USING (router_id, peer_type, distinguisher, peer_address, peer_asn)
    WHERE p.router_id IN (SELECT router_id FROM chosen)
    GROUP BY router_id
)
SELECT row_to_json(line)::text AS json, json_build_array(line.router_id)::text AS key
FROM (
    SELECT r.router_id, r.router_ip, r.hostname, r.as_number, r.description, r.first_seen, r.last_seen, r.display_name,
           r.location, v.collector_id, v.state, v.since, v.reason, v.stale_since, v.expires_at,
           COALESCE(c.loc_rib, 0) AS route_count, COALESCE(c.adj_rib_in, 0) AS adj_rib_in_route_count,
           COALESCE(c.peers, 0) AS adj_rib_in_peer_count, COALESCE(c.adj_rib_out, 0) AS adj_rib_out_route_count,
           s.all_afis_synced, s.session_start_time, s.sync_updated_at, s.last_message,
           COALESCE(l.routes, p.at_most) AS reported_loc_rib_routes, p.received AS reported_adj_rib_in_routes,
           CASE WHEN s.all_afis_synced IS NULL THEN NULL
                WHEN l.routes IS NOT NULL THEN COALESCE(c.loc_rib, 0) - l.routes
                WHEN p.at_most IS NOT NULL THEN GREATEST(COALESCE(c.loc_rib, 0) - p.at_most, 0) END AS loc_rib_drift,
           CASE WHEN c.pre_policy IS NOT NULL THEN c.pre_policy - p.received END AS adj_rib_in_drift
    FROM chosen r
    LEFT JOIN router_states v USING (router_id)
    LEFT JOIN stored c USING (router_id)
    LEFT JOIN sync s USING (router_id)
    LEFT JOIN loc_rib_size l USING (router_id)
    LEFT JOIN reported p USING (router_id)
) AS line
ORDER BY line.router_id
