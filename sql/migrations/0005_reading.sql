-- The present, for readers: overviews of peers and routers, and the longest match.

-- Overviews -----------------------------------------------------------------------------------------------------

CREATE VIEW peers_overview AS
SELECT s.router_id, r.hostname AS router_hostname, s.peer_address, s.peer_asn,
       COALESCE((SELECT max(p.peer_bgp_id) FROM peers p
                 WHERE p.router_id = s.router_id AND p.peer_address = s.peer_address AND p.peer_asn = s.peer_asn), '') AS peer_bgp_id,
       COALESCE(sum(s.route_count) FILTER (WHERE NOT s.is_post_policy), 0)::bigint AS pre_policy_routes,
       COALESCE(sum(s.route_count) FILTER (WHERE s.is_post_policy), 0)::bigint AS post_policy_routes,
       COALESCE(sum(s.route_count), 0)::bigint AS total_routes,
       COALESCE(sum(s.unique_prefixes) FILTER (WHERE s.is_post_policy = s.has_post), 0)::bigint AS unique_prefixes,
       max(s.last_update) AS last_update
FROM (SELECT *, bool_or(is_post_policy) OVER (PARTITION BY router_id, peer_address, peer_asn) AS has_post
      FROM adj_rib_in_summary) AS s
LEFT JOIN routers r USING (router_id)
GROUP BY s.router_id, r.hostname, s.peer_address, s.peer_asn;

COMMENT ON VIEW peers_overview IS 'The routes of each peer, as of the last maintenance run. For the state of peers see peers.';
COMMENT ON COLUMN peers_overview.router_id IS 'The router.';
COMMENT ON COLUMN peers_overview.router_hostname IS 'routers.hostname.';
COMMENT ON COLUMN peers_overview.peer_address IS 'The peer''s address.';
COMMENT ON COLUMN peers_overview.peer_asn IS 'The peer''s AS number.';
COMMENT ON COLUMN peers_overview.peer_bgp_id IS 'The peer''s BGP Identifier; empty where none is known.';
COMMENT ON COLUMN peers_overview.pre_policy_routes IS 'Routes before policy.';
COMMENT ON COLUMN peers_overview.post_policy_routes IS 'Routes after policy.';
COMMENT ON COLUMN peers_overview.total_routes IS 'The sum of both.';
COMMENT ON COLUMN peers_overview.unique_prefixes IS 'Distinct prefixes after policy, or before policy where none are stored after it.';
COMMENT ON COLUMN peers_overview.last_update IS 'Latest updated_at of its routes.';

-- Routers that any table knows. Loc-RIB routes are counted live; Adj-RIB-In counts are as of the last maintenance run. What
-- routers report are unsigned 64-bit numbers and sums of them: more than a BIGINT holds is the largest BIGINT.
CREATE VIEW routers_overview AS
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
), adj_rib AS (
    SELECT router_id, sum(route_count)::bigint AS route_count,
           sum(route_count) FILTER (WHERE NOT is_post_policy)::bigint AS pre_policy_count,
           count(DISTINCT (peer_address, peer_asn)) AS peers
    FROM adj_rib_in_summary GROUP BY router_id
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
           least(sum(s.received) FILTER (WHERE p.state <> 'down'), 9223372036854775807)::bigint AS received,
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

COMMENT ON VIEW routers_overview IS 'One row per router that any table knows. Loc-RIB routes are counted when the view is read, Adj-RIB-In routes by the last maintenance run.';
COMMENT ON COLUMN routers_overview.router_id IS 'The router.';
COMMENT ON COLUMN routers_overview.router_ip IS 'Address the router connected from.';
COMMENT ON COLUMN routers_overview.hostname IS 'sysName.';
COMMENT ON COLUMN routers_overview.as_number IS 'Autonomous system of the router.';
COMMENT ON COLUMN routers_overview.description IS 'sysDescr.';
COMMENT ON COLUMN routers_overview.first_seen IS 'When this router was first observed.';
COMMENT ON COLUMN routers_overview.last_seen IS 'When its latest session began.';
COMMENT ON COLUMN routers_overview.display_name IS 'What operators call it.';
COMMENT ON COLUMN routers_overview.location IS 'Where it is.';
COMMENT ON COLUMN routers_overview.route_count IS 'Loc-RIB routes now, all paths counted.';
COMMENT ON COLUMN routers_overview.unique_prefixes IS 'Distinct Loc-RIB prefixes now, table by table.';
COMMENT ON COLUMN routers_overview.adj_rib_in_route_count IS 'Routes of all peers, as of the last maintenance run.';
COMMENT ON COLUMN routers_overview.adj_rib_in_peer_count IS 'Peers with routes, as of the last maintenance run.';
COMMENT ON COLUMN routers_overview.all_afis_synced IS 'True where the dump of every Loc-RIB table and family is complete (synced_at); NULL where the router has no Loc-RIB.';
COMMENT ON COLUMN routers_overview.session_start_time IS 'When its latest dump began, of any RIB.';
COMMENT ON COLUMN routers_overview.sync_updated_at IS 'When the state of any RIB last changed in its sync table.';
COMMENT ON COLUMN routers_overview.reported_loc_rib_routes IS 'Loc-RIB routes by the router''s own count (statistic 8); where it does not count its Loc-RIB, the routes of its peers that are up (the larger of 7 and 8 of each, added up). At most 9223372036854775807; NULL where the router reports neither.';
COMMENT ON COLUMN routers_overview.reported_adj_rib_in_routes IS 'Adj-RIB-In routes by the router''s own count (statistic 7), over all peers that are not down. At most 9223372036854775807; NULL where the router does not report them.';
COMMENT ON COLUMN routers_overview.loc_rib_drift IS 'Stored minus reported Loc-RIB routes. Where the router does not count its Loc-RIB: how many more are stored than its peers have, never below 0. NULL where either is unknown.';
COMMENT ON COLUMN routers_overview.adj_rib_in_drift IS 'Stored minus reported routes before policy; NULL where either is unknown.';

-- Longest match -------------------------------------------------------------------------------------------------

CREATE FUNCTION covering_prefixes(address INET) RETURNS CIDR[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
    SELECT array_agg(network(set_masklen(address, length)))
    FROM generate_series(0, masklen(address)) AS length;
END;

COMMENT ON FUNCTION covering_prefixes IS 'Internal: all prefixes that cover an address or prefix. lookup asks for each of them.';

-- All prefixes that can match are named, so that the B-tree on prefix answers. The planner thinks as well of the GiST index,
-- which takes ten times as long to find what is equal; it can be asked for many values by a bitmap only.
CREATE FUNCTION lookup(address INET) RETURNS SETOF current_routes
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 50
SET enable_bitmapscan = off
SET enable_seqscan = off
-- What is switched off counts as very expensive, and very expensive statements would be compiled first.
SET jit = off
AS $$
BEGIN
    RETURN QUERY
        SELECT (m.route).*
        FROM (SELECT r AS route, max(masklen(r.prefix)) OVER (PARTITION BY r.router_id, r.table_name) AS longest
              FROM current_routes r
              WHERE r.prefix = ANY (covering_prefixes(address))) AS m
        WHERE masklen((m.route).prefix) = m.longest
        ORDER BY (m.route).router_id, (m.route).table_name, (m.route).path_id;
END;
$$;

COMMENT ON FUNCTION lookup IS 'The longest match for an address, or for a prefix that it has to cover, in each table of each router, with all its paths.';

-- The function's names mean the same tables whatever the caller's search_path says. The schema is the one that this
-- migration runs in, whichever that is, so CREATE FUNCTION cannot name it.
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION lookup SET search_path = pg_catalog, %I, pg_temp', current_schema());
END;
$$;
