-- Adj-RIB-In (RFC 7854) and Adj-RIB-Out (RFC 8671): what 0001_routes has for the Loc-RIB, with the peer in the key.

DO $make$
DECLARE
    rib TEXT;
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
            synced_at            TIMESTAMPTZ,
            stale_since          TIMESTAMPTZ,
            PRIMARY KEY (router_id, peer_address, is_post_policy, table_name, afi)
        ) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

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

        COMMENT ON COLUMN %1$I.peer_bgp_id IS 'The peer''s BGP Identifier; empty where none is known.';
        COMMENT ON COLUMN %1$I.table_name IS 'UNKNOWN, or the VRF: its name, or rd:<distinguisher>. |rd:<distinguisher> holds VPN routes, |labelled those of labeled unicast, |as:<number> a second peer at one address. See table_names.';
        COMMENT ON COLUMN %1$s_sync_status.router_id IS 'The router, see routers.';
        COMMENT ON COLUMN %1$s_sync_status.table_name IS 'The table_name of its routes.';
        COMMENT ON COLUMN %1$s_summary.table_name IS 'The table_name of its routes.';
        $sql$, rib);
END LOOP;
END
$make$;

COMMENT ON TABLE adj_rib_in IS 'Adj-RIB-In (RFC 7854): one row per route that a router received from a BGP peer, before or after policy. Lives as current_routes does, peer by peer.';
COMMENT ON TABLE adj_rib_out IS 'Adj-RIB-Out (RFC 8671): one row per route that a router sent to a BGP peer, before or after policy. Lives as current_routes does, peer by peer.';
COMMENT ON TABLE adj_rib_in_sync_status IS 'How complete each Adj-RIB-In table of each peer is, by family. As rib_sync_status.';
COMMENT ON TABLE adj_rib_out_sync_status IS 'How complete each Adj-RIB-Out table of each peer is, by family. As rib_sync_status.';
COMMENT ON MATERIALIZED VIEW adj_rib_in_summary IS 'Adj-RIB-In routes per peer, RIB, table and family, as of the last maintenance run.';
COMMENT ON MATERIALIZED VIEW adj_rib_out_summary IS 'Adj-RIB-Out routes per peer, RIB, table and family, as of the last maintenance run.';

-- The other columns are about the peer, or mean what they mean for the Loc-RIB.
DO $$
DECLARE
    one RECORD;
BEGIN
    FOR one IN
        SELECT a.attrelid::regclass AS relation, a.attname,
               CASE a.attname
               WHEN 'peer_address' THEN 'The peer''s address.'
               WHEN 'peer_asn' THEN 'The peer''s AS number.'
               WHEN 'is_post_policy' THEN 'True for the RIB after policy, false for the one before (L flag).'
               ELSE (SELECT col_description(l.attrelid, l.attnum) FROM pg_attribute l
                     WHERE l.attrelid = of.loc_rib AND l.attname = a.attname)
               END AS comment
        FROM (VALUES ('adj_rib_in'::regclass, 'current_routes'::regclass), ('adj_rib_out', 'current_routes'),
                     ('adj_rib_in_sync_status', 'rib_sync_status'), ('adj_rib_out_sync_status', 'rib_sync_status'),
                     ('adj_rib_in_summary', 'route_summary'), ('adj_rib_out_summary', 'route_summary')) AS of (adj_rib, loc_rib)
        JOIN pg_attribute a ON a.attrelid = of.adj_rib AND a.attnum > 0 AND col_description(a.attrelid, a.attnum) IS NULL
    LOOP
        EXECUTE format('COMMENT ON COLUMN %s.%I IS %L', one.relation, one.attname, one.comment);
    END LOOP;
END;
$$;
