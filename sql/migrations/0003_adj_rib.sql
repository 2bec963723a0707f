-- Adj-RIB-In and Adj-RIB-Out (RFC 7854, RFC 8671), the neighbours of each router and what routers count of them.

-- Routers -------------------------------------------------------------------------------------------------------

ALTER TABLE routers ADD COLUMN display_name TEXT, ADD COLUMN location TEXT;

COMMENT ON COLUMN routers.display_name IS 'What operators call it; theirs to fill in.';
COMMENT ON COLUMN routers.location IS 'Where it is; the operators'' to fill in.';

-- Adj-RIBs: the columns of current_routes, the neighbour in the key ----------------------------------------------

DO $make$
DECLARE
    rib TEXT;
    what TEXT;
    columns TEXT[][];
    named TEXT[];
BEGIN
FOREACH rib IN ARRAY ARRAY['adj_rib_in', 'adj_rib_out'] LOOP
    EXECUTE format($sql$
        CREATE TABLE %1$I (
            router_id         TEXT        NOT NULL,
            peer_address      INET        NOT NULL,
            peer_asn          BIGINT      NOT NULL,
            peer_bgp_id       TEXT        NOT NULL DEFAULT '',
            is_post_policy    BOOLEAN     NOT NULL,
            table_name        TEXT        NOT NULL,
            afi               SMALLINT    NOT NULL CHECK (afi IN (4, 6)),
            prefix            CIDR        NOT NULL,
            path_id           BIGINT      NOT NULL DEFAULT 0,
            nexthop           INET,
            as_path           TEXT,
            origin            TEXT,
            localpref         BIGINT,
            med               BIGINT,
            origin_asn        BIGINT,
            communities_std   TEXT[],
            communities_ext   TEXT[],
            communities_large TEXT[],
            attrs             JSONB,
            first_seen        TIMESTAMPTZ NOT NULL DEFAULT now(),
            updated_at        TIMESTAMPTZ NOT NULL DEFAULT now(),
            PRIMARY KEY (router_id, peer_address, is_post_policy, table_name, afi, prefix, path_id)
        ) WITH (
            -- As current_routes.
            autovacuum_vacuum_scale_factor = 0.02,
            autovacuum_vacuum_threshold = 10000,
            autovacuum_vacuum_insert_scale_factor = 0.1,
            autovacuum_analyze_scale_factor = 0.05,
            autovacuum_analyze_threshold = 5000,
            autovacuum_vacuum_cost_limit = 2000
        );
        CREATE INDEX idx_%1$s_prefix_gist ON %1$I USING gist (prefix inet_ops);
        CREATE INDEX idx_%1$s_prefix_btree ON %1$I (prefix);
        CREATE INDEX idx_%1$s_router_peer ON %1$I (router_id, peer_address);
        CREATE INDEX idx_%1$s_router_table_afi ON %1$I (router_id, table_name, afi);
        CREATE INDEX idx_%1$s_origin_asn ON %1$I (origin_asn);
        CREATE INDEX idx_%1$s_nexthop ON %1$I (nexthop);
        CREATE INDEX idx_%1$s_updated_at ON %1$I (updated_at DESC);
        CREATE INDEX idx_%1$s_comm_std_gin ON %1$I USING gin (communities_std);
        CREATE INDEX idx_%1$s_comm_ext_gin ON %1$I USING gin (communities_ext);
        CREATE INDEX idx_%1$s_comm_large_gin ON %1$I USING gin (communities_large);
        ALTER TABLE %1$I ALTER COLUMN prefix SET (n_distinct = -0.02);

        CREATE TABLE %1$s_sync_status (
            router_id            TEXT        NOT NULL,
            peer_address         INET        NOT NULL,
            is_post_policy       BOOLEAN     NOT NULL,
            table_name           TEXT        NOT NULL,
            afi                  SMALLINT    NOT NULL,
            session_start_time   TIMESTAMPTZ,
            eor_seen             BOOLEAN     NOT NULL DEFAULT false,
            eor_time             TIMESTAMPTZ,
            updated_at           TIMESTAMPTZ NOT NULL DEFAULT now(),
            last_parsed_msg_time TIMESTAMPTZ,
            last_raw_msg_time    TIMESTAMPTZ,
            PRIMARY KEY (router_id, peer_address, is_post_policy, table_name, afi)
        ) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

        -- As route_summary: grouped by next hop first.
        CREATE MATERIALIZED VIEW %1$s_summary AS
        WITH by_nexthop AS (
            SELECT router_id, peer_address, peer_asn, is_post_policy, table_name, afi, nexthop,
                   count(*) AS routes, bool_or(path_id <> 0) AS has_paths, max(updated_at) AS last_update
            FROM %1$I
            GROUP BY router_id, peer_address, peer_asn, is_post_policy, table_name, afi, nexthop
        ), by_table AS (
            SELECT router_id, peer_address, peer_asn, is_post_policy, table_name, afi,
                   sum(routes)::bigint AS route_count, bool_or(has_paths) AS has_paths,
                   count(nexthop) AS unique_nexthops, max(last_update) AS last_update
            FROM by_nexthop
            GROUP BY router_id, peer_address, peer_asn, is_post_policy, table_name, afi
        )
        SELECT t.router_id, t.peer_address, t.peer_asn, t.is_post_policy, t.table_name, t.afi, t.route_count,
               CASE WHEN t.has_paths
                    THEN (SELECT count(DISTINCT c.prefix) FROM %1$I c
                          WHERE c.router_id = t.router_id AND c.peer_address = t.peer_address AND c.peer_asn = t.peer_asn
                            AND c.is_post_policy = t.is_post_policy AND c.table_name = t.table_name AND c.afi = t.afi)
                    ELSE t.route_count
               END AS unique_prefixes,
               t.unique_nexthops, t.last_update
        FROM by_table t;
        CREATE UNIQUE INDEX idx_%1$s_summary_key
            ON %1$s_summary (router_id, peer_address, peer_asn, is_post_policy, table_name, afi);
        $sql$, rib);

    what := CASE rib WHEN 'adj_rib_in' THEN 'received from' ELSE 'sent to' END;
    EXECUTE format('COMMENT ON TABLE %I IS %L', rib, 'One row per route that a router ' || what || ' a BGP neighbour, before or after policy.');
    EXECUTE format('COMMENT ON TABLE %s_sync_status IS %L', rib, 'How far each view of each neighbour is synchronised; the row goes with its routes.');
    EXECUTE format('COMMENT ON MATERIALIZED VIEW %s_summary IS %L', rib, 'Route counts per neighbour, view, table and family as of the last maintenance run.');
    columns := ARRAY[
        ['', 'router_id', 'The router, see routers.'],
        ['', 'peer_address', 'The neighbour''s address.'],
        ['', 'peer_asn', 'The neighbour''s AS.'],
        ['', 'peer_bgp_id', 'The neighbour''s BGP identifier; empty where none is known.'],
        ['', 'is_post_policy', 'Whether this is the view behind the policy (L flag).'],
        ['', 'table_name', 'UNKNOWN, or the VRF: its name or rd:<distinguisher>; |rd:.. and |labelled are VPN and labelled unicast, |as:.. a second neighbour of one address.'],
        ['', 'afi', '4 for IPv4, 6 for IPv6.'],
        ['', 'prefix', 'Destination.'],
        ['', 'path_id', 'Add-Path identifier (RFC 7911); 0 when Add-Path is not in use.'],
        ['', 'nexthop', 'BGP next hop.'],
        ['', 'as_path', 'As current_routes.as_path.'],
        ['', 'origin', 'IGP, EGP or INCOMPLETE.'],
        ['', 'localpref', 'LOCAL_PREF, unsigned 32 bit.'],
        ['', 'med', 'MULTI_EXIT_DISC, unsigned 32 bit.'],
        ['', 'origin_asn', 'As current_routes.origin_asn.'],
        ['', 'communities_std', 'Communities (RFC 1997) as ASN:value.'],
        ['', 'communities_ext', 'Extended communities (RFC 4360): RT:ASN:value, SOO:ASN:value, others as 16 hex digits.'],
        ['', 'communities_large', 'Large communities (RFC 8092) as GA:LD1:LD2.'],
        ['', 'attrs', 'All other path attributes by name; NULL when there are none.'],
        ['', 'first_seen', 'When the route was first inserted; never overwritten.'],
        ['', 'updated_at', 'When the row was last written.'],
        ['_sync_status', 'router_id', 'The router, see routers.'],
        ['_sync_status', 'peer_address', 'The neighbour''s address.'],
        ['_sync_status', 'is_post_policy', 'Whether this is the view behind the policy.'],
        ['_sync_status', 'table_name', 'The table_name of its routes.'],
        ['_sync_status', 'afi', '4 for IPv4, 6 for IPv6.'],
        ['_sync_status', 'session_start_time', 'When the current dump began.'],
        ['_sync_status', 'eor_seen', 'Whether this session has sent its End-of-RIB.'],
        ['_sync_status', 'eor_time', 'When End-of-RIB was seen; NULL if not yet.'],
        ['_sync_status', 'updated_at', 'Last change of this row.'],
        ['_sync_status', 'last_parsed_msg_time', 'When the routes last took a message.'],
        ['_sync_status', 'last_raw_msg_time', 'When route_events last took a message of this view.'],
        ['_summary', 'router_id', 'The router.'],
        ['_summary', 'peer_address', 'The neighbour''s address.'],
        ['_summary', 'peer_asn', 'The neighbour''s AS.'],
        ['_summary', 'is_post_policy', 'Whether this is the view behind the policy.'],
        ['_summary', 'table_name', 'The table_name of its routes.'],
        ['_summary', 'afi', '4 for IPv4, 6 for IPv6.'],
        ['_summary', 'route_count', 'Routes, all paths counted.'],
        ['_summary', 'unique_prefixes', 'Distinct prefixes.'],
        ['_summary', 'unique_nexthops', 'Distinct next hops.'],
        ['_summary', 'last_update', 'Latest updated_at of its routes.']];
    FOREACH named SLICE 1 IN ARRAY columns LOOP
        EXECUTE format('COMMENT ON COLUMN %I.%I IS %L', rib || named[1], named[2], named[3]);
    END LOOP;
END LOOP;
END
$make$;

-- History -------------------------------------------------------------------------------------------------------

ALTER TABLE route_events
    ADD COLUMN peer_address INET, ADD COLUMN peer_asn BIGINT, ADD COLUMN peer_bgp_id TEXT,
    ADD COLUMN is_post_policy BOOLEAN, ADD COLUMN rib TEXT;

COMMENT ON COLUMN route_events.peer_address IS 'The neighbour of an Adj-RIB; NULL for the Loc-RIB, as the next three.';
COMMENT ON COLUMN route_events.peer_asn IS 'The neighbour''s AS.';
COMMENT ON COLUMN route_events.peer_bgp_id IS 'The neighbour''s BGP identifier.';
COMMENT ON COLUMN route_events.is_post_policy IS 'Whether the view is the one behind the policy.';
COMMENT ON COLUMN route_events.rib IS 'loc-rib, adj-rib-in or adj-rib-out; NULL in events older than the Adj-RIBs: loc-rib.';
COMMENT ON COLUMN session_events.kind IS 'session_up, terminated, session_lost, session_closed, collector_stopped, hold_expired, peer_up, peer_down, end_of_rib, resync_quiet, refused, isolated, table_full, view_dropped, drift.';

-- Neighbours ----------------------------------------------------------------------------------------------------

CREATE TABLE peers (
    router_id     TEXT        NOT NULL,
    peer_type     TEXT        NOT NULL,
    distinguisher TEXT        NOT NULL DEFAULT '',
    peer_address  INET        NOT NULL,
    peer_asn      BIGINT      NOT NULL,
    peer_bgp_id   TEXT        NOT NULL DEFAULT '',
    local_address INET,
    local_port    INTEGER,
    remote_port   INTEGER,
    hold_time     INTEGER,
    capabilities  JSONB,
    description   TEXT,
    state         TEXT        NOT NULL CHECK (state IN ('up', 'down', 'unknown')),
    since         TIMESTAMPTZ NOT NULL DEFAULT now(),
    last_reason   TEXT,
    flap_count    BIGINT      NOT NULL DEFAULT 0,
    first_seen    TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at    TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (router_id, peer_type, distinguisher, peer_address, peer_asn)
);

CREATE INDEX idx_peers_peer_address ON peers (peer_address);
CREATE INDEX idx_peers_peer_asn ON peers (peer_asn);

COMMENT ON TABLE peers IS 'One row per BGP neighbour that a router reports, those that were never up included.';
COMMENT ON COLUMN peers.router_id IS 'The router, see routers.';
COMMENT ON COLUMN peers.peer_type IS 'global, rd or local (RFC 7854 section 4.2), else the type''s number.';
COMMENT ON COLUMN peers.distinguisher IS 'Peer distinguisher as type:administrator:number; empty where there is none.';
COMMENT ON COLUMN peers.peer_address IS 'The neighbour''s address.';
COMMENT ON COLUMN peers.peer_asn IS 'The neighbour''s AS.';
COMMENT ON COLUMN peers.peer_bgp_id IS 'The neighbour''s BGP identifier; empty where it was never up.';
COMMENT ON COLUMN peers.local_address IS 'The router''s end of the BGP session.';
COMMENT ON COLUMN peers.local_port IS 'The router''s port.';
COMMENT ON COLUMN peers.remote_port IS 'The neighbour''s port.';
COMMENT ON COLUMN peers.hold_time IS 'The smaller hold time of both OPENs, in seconds.';
COMMENT ON COLUMN peers.capabilities IS 'What the OPENs announced: {"sent": [..], "received": [..]}.';
COMMENT ON COLUMN peers.description IS 'What the router calls the neighbour (Peer Up TLV type 0), where it says.';
COMMENT ON COLUMN peers.state IS 'up, down, or unknown when the router is not heard of any more.';
COMMENT ON COLUMN peers.since IS 'Since when it is in this state, as far as was seen.';
COMMENT ON COLUMN peers.last_reason IS 'Why it was last down, in words.';
COMMENT ON COLUMN peers.flap_count IS 'How often it went from up to down.';
COMMENT ON COLUMN peers.first_seen IS 'When the neighbour was first reported.';
COMMENT ON COLUMN peers.updated_at IS 'When it was last reported.';

-- Statistics ----------------------------------------------------------------------------------------------------

CREATE TABLE peer_statistics (
    router_id     TEXT        NOT NULL,
    peer_type     TEXT        NOT NULL,
    distinguisher TEXT        NOT NULL DEFAULT '',
    peer_address  INET        NOT NULL,
    peer_asn      BIGINT      NOT NULL,
    stat_type     INTEGER     NOT NULL,
    afi           INTEGER     NOT NULL DEFAULT 0,
    safi          INTEGER     NOT NULL DEFAULT 0,
    name          TEXT        NOT NULL,
    value         NUMERIC(20, 0),
    updated_at    TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (router_id, peer_type, distinguisher, peer_address, peer_asn, stat_type, afi, safi)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

COMMENT ON TABLE peer_statistics IS 'The latest value of each statistic that a router reports of a neighbour or Loc-RIB (RFC 7854 section 4.8).';
COMMENT ON COLUMN peer_statistics.router_id IS 'The router, see routers.';
COMMENT ON COLUMN peer_statistics.peer_type IS 'As peers.peer_type, or loc_rib.';
COMMENT ON COLUMN peer_statistics.distinguisher IS 'As peers.distinguisher.';
COMMENT ON COLUMN peer_statistics.peer_address IS 'The neighbour''s address; 0.0.0.0 for a Loc-RIB.';
COMMENT ON COLUMN peer_statistics.peer_asn IS 'The neighbour''s AS.';
COMMENT ON COLUMN peer_statistics.stat_type IS 'The type''s number in the IANA registry of BMP statistics types.';
COMMENT ON COLUMN peer_statistics.afi IS 'IANA number of the family that it counts (1 is IPv4, 2 IPv6); 0: all of them.';
COMMENT ON COLUMN peer_statistics.safi IS 'IANA number of the subsequent family; 0: all of them.';
COMMENT ON COLUMN peer_statistics.name IS 'The type''s name, or its number.';
COMMENT ON COLUMN peer_statistics.value IS 'The value, unsigned 64 bit.';
COMMENT ON COLUMN peer_statistics.updated_at IS 'When it was reported.';

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

COMMENT ON VIEW peers_overview IS 'What each neighbour announces to each router, as of the last maintenance run.';
COMMENT ON COLUMN peers_overview.router_id IS 'The router.';
COMMENT ON COLUMN peers_overview.router_hostname IS 'Its sysName.';
COMMENT ON COLUMN peers_overview.peer_address IS 'The neighbour''s address.';
COMMENT ON COLUMN peers_overview.peer_asn IS 'The neighbour''s AS.';
COMMENT ON COLUMN peers_overview.peer_bgp_id IS 'The neighbour''s BGP identifier.';
COMMENT ON COLUMN peers_overview.pre_policy_routes IS 'Routes before policy.';
COMMENT ON COLUMN peers_overview.post_policy_routes IS 'Routes behind the policy.';
COMMENT ON COLUMN peers_overview.total_routes IS 'Both.';
COMMENT ON COLUMN peers_overview.unique_prefixes IS 'Distinct prefixes behind the policy, or before it where no others are stored.';
COMMENT ON COLUMN peers_overview.last_update IS 'Latest updated_at of its routes.';

-- Routers that any table knows, and how what they say they hold compares with what is stored: statistics 8 and 10 count
-- the Loc-RIB, 7 and 9 Adj-RIB-In before policy.
CREATE VIEW routers_overview AS
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
), reported AS (
    SELECT router_id,
           sum(value) FILTER (WHERE stat_type = 8)::bigint AS loc_rib_routes,
           sum(value) FILTER (WHERE stat_type = 7)::bigint AS adj_rib_in_routes
    FROM peer_statistics GROUP BY router_id
)
SELECT k.router_id, r.router_ip, r.hostname, r.as_number, r.description, r.first_seen, r.last_seen,
       r.display_name, r.location,
       COALESCE(l.route_count, 0) AS route_count, COALESCE(l.unique_prefixes, 0) AS unique_prefixes,
       COALESCE(a.route_count, 0) AS adj_rib_in_route_count, COALESCE(n.peers, 0) AS adj_rib_in_peer_count,
       COALESCE(s.all_afis_synced, false) AS all_afis_synced, s.session_start_time, s.sync_updated_at,
       p.loc_rib_routes AS reported_loc_rib_routes, p.adj_rib_in_routes AS reported_adj_rib_in_routes,
       CASE WHEN l.route_count IS NOT NULL THEN l.route_count - p.loc_rib_routes END AS loc_rib_drift,
       CASE WHEN a.pre_policy_count IS NOT NULL THEN a.pre_policy_count - p.adj_rib_in_routes END AS adj_rib_in_drift
FROM known k
LEFT JOIN routers r USING (router_id)
LEFT JOIN loc_rib l USING (router_id)
LEFT JOIN adj_rib a USING (router_id)
LEFT JOIN neighbours n USING (router_id)
LEFT JOIN sync s USING (router_id)
LEFT JOIN reported p USING (router_id);

COMMENT ON VIEW routers_overview IS 'Every router that any table knows; counts are as of the last maintenance run.';
COMMENT ON COLUMN routers_overview.router_id IS 'The router.';
COMMENT ON COLUMN routers_overview.router_ip IS 'Address the router connected from.';
COMMENT ON COLUMN routers_overview.hostname IS 'sysName.';
COMMENT ON COLUMN routers_overview.as_number IS 'Autonomous system of the router.';
COMMENT ON COLUMN routers_overview.description IS 'sysDescr.';
COMMENT ON COLUMN routers_overview.first_seen IS 'When this router was first observed.';
COMMENT ON COLUMN routers_overview.last_seen IS 'When its latest session began.';
COMMENT ON COLUMN routers_overview.display_name IS 'What operators call it.';
COMMENT ON COLUMN routers_overview.location IS 'Where it is.';
COMMENT ON COLUMN routers_overview.route_count IS 'Loc-RIB routes, all paths counted.';
COMMENT ON COLUMN routers_overview.unique_prefixes IS 'Distinct Loc-RIB prefixes, table by table.';
COMMENT ON COLUMN routers_overview.adj_rib_in_route_count IS 'Routes of all neighbours.';
COMMENT ON COLUMN routers_overview.adj_rib_in_peer_count IS 'Neighbours with routes.';
COMMENT ON COLUMN routers_overview.all_afis_synced IS 'Whether every table, view and family has had its End-of-RIB.';
COMMENT ON COLUMN routers_overview.session_start_time IS 'When its latest dump began.';
COMMENT ON COLUMN routers_overview.sync_updated_at IS 'When its synchronisation last changed.';
COMMENT ON COLUMN routers_overview.reported_loc_rib_routes IS 'How many Loc-RIB routes the router says it has (statistic 8).';
COMMENT ON COLUMN routers_overview.reported_adj_rib_in_routes IS 'How many Adj-RIB-In routes the router says it has (statistic 7), over all neighbours.';
COMMENT ON COLUMN routers_overview.loc_rib_drift IS 'Stored less reported Loc-RIB routes; NULL where either is not known.';
COMMENT ON COLUMN routers_overview.adj_rib_in_drift IS 'Stored less reported pre-policy routes; NULL where either is not known.';
