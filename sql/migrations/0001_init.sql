-- The public schema of rib-ingester: what readers of the database may rely on.
--
-- Needs the right to create in the database and in its first schema, not superuser: btree_gist is a trusted extension.
-- localpref, med and origin_asn are BIGINT because they are unsigned 32-bit numbers on the wire
-- (RFC 4271 section 4.3, RFC 6793), and no value from the wire may fail a batch.

CREATE EXTENSION IF NOT EXISTS btree_gist;

-- Routers -------------------------------------------------------------------------------------------------------

CREATE TABLE routers (
    router_id   TEXT PRIMARY KEY,
    router_ip   INET,
    hostname    TEXT,
    as_number   BIGINT,
    description TEXT,
    first_seen  TIMESTAMPTZ NOT NULL DEFAULT now(),
    last_seen   TIMESTAMPTZ NOT NULL DEFAULT now()
);

COMMENT ON TABLE routers IS 'One row per monitored router, from its BMP Initiation and Peer Up messages (RFC 7854).';
COMMENT ON COLUMN routers.router_id IS 'Router identifier, normally the BGP Identifier.';
COMMENT ON COLUMN routers.router_ip IS 'Address the router connected from.';
COMMENT ON COLUMN routers.hostname IS 'sysName, Initiation TLV type 2.';
COMMENT ON COLUMN routers.as_number IS 'Autonomous system of the router.';
COMMENT ON COLUMN routers.description IS 'sysDescr, Initiation TLV type 1.';
COMMENT ON COLUMN routers.first_seen IS 'When this router was first observed; never overwritten.';
COMMENT ON COLUMN routers.last_seen IS 'When its latest session began.';

-- Current routes ------------------------------------------------------------------------------------------------

CREATE TABLE current_routes (
    router_id         TEXT        NOT NULL,
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
    PRIMARY KEY (router_id, table_name, afi, prefix, path_id)
);

-- inet_ops is named because btree_gist makes another class the default one, which has no >>= operator.
CREATE INDEX idx_current_routes_prefix_gist ON current_routes USING gist (prefix inet_ops);
CREATE INDEX idx_current_routes_prefix_btree ON current_routes (prefix);
CREATE INDEX idx_current_routes_router_table_afi ON current_routes (router_id, table_name, afi);
CREATE INDEX idx_current_routes_origin_asn ON current_routes (origin_asn);
CREATE INDEX idx_current_routes_nexthop ON current_routes (nexthop);
CREATE INDEX idx_current_routes_updated_at ON current_routes (updated_at DESC);
CREATE INDEX idx_current_routes_comparison ON current_routes (table_name, afi, prefix, router_id);
CREATE INDEX idx_current_routes_comm_std_gin ON current_routes USING gin (communities_std);
CREATE INDEX idx_current_routes_comm_ext_gin ON current_routes USING gin (communities_ext);
CREATE INDEX idx_current_routes_comm_large_gin ON current_routes USING gin (communities_large);

-- Without this the planner believes that few prefixes are distinct or that all are, and joins by key over the GiST
-- index, thirty to sixty times slower. One prefix is known by some fifty routers at most in most networks.
ALTER TABLE current_routes ALTER COLUMN prefix SET (n_distinct = -0.02);

-- A table of millions of rows under constant change: the default of a fifth of all rows lets the indexes more than
-- double before the first vacuum.
ALTER TABLE current_routes SET (
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 10000,
    autovacuum_vacuum_insert_scale_factor = 0.1,
    autovacuum_analyze_scale_factor = 0.05,
    autovacuum_analyze_threshold = 5000,
    autovacuum_vacuum_cost_limit = 2000
);

COMMENT ON TABLE current_routes IS 'Current Loc-RIB (RFC 9069), one row per active route.';
COMMENT ON COLUMN current_routes.router_id IS 'The router, see routers.';
COMMENT ON COLUMN current_routes.table_name IS 'BMP table name (RFC 9069 section 5.2.1); UNKNOWN where the router names none.';
COMMENT ON COLUMN current_routes.afi IS '4 for IPv4, 6 for IPv6.';
COMMENT ON COLUMN current_routes.prefix IS 'Destination.';
COMMENT ON COLUMN current_routes.path_id IS 'Add-Path identifier (RFC 7911); 0 when Add-Path is not in use.';
COMMENT ON COLUMN current_routes.nexthop IS 'BGP next hop.';
COMMENT ON COLUMN current_routes.as_path IS 'AS path: sequences delimited by spaces, sets as {1,2}, confederations as (1 2) and [1,2]; empty is the router''s own.';
COMMENT ON COLUMN current_routes.origin IS 'IGP, EGP or INCOMPLETE.';
COMMENT ON COLUMN current_routes.localpref IS 'LOCAL_PREF, unsigned 32 bit.';
COMMENT ON COLUMN current_routes.med IS 'MULTI_EXIT_DISC, unsigned 32 bit.';
COMMENT ON COLUMN current_routes.origin_asn IS 'Last ASN of as_path; NULL when it is empty or does not end in a sequence.';
COMMENT ON COLUMN current_routes.communities_std IS 'Communities (RFC 1997) as ASN:value.';
COMMENT ON COLUMN current_routes.communities_ext IS 'Extended communities (RFC 4360): RT:ASN:value, SOO:ASN:value, others as 16 hex digits.';
COMMENT ON COLUMN current_routes.communities_large IS 'Large communities (RFC 8092) as GA:LD1:LD2.';
COMMENT ON COLUMN current_routes.attrs IS 'All other path attributes by name; NULL when there are none.';
COMMENT ON COLUMN current_routes.first_seen IS 'When the route was first inserted; never overwritten.';
COMMENT ON COLUMN current_routes.updated_at IS 'When the row was last written.';

-- History -------------------------------------------------------------------------------------------------------

CREATE TABLE route_events (
    event_id          BYTEA       NOT NULL,
    ingest_time       TIMESTAMPTZ NOT NULL,
    router_id         TEXT        NOT NULL,
    table_name        TEXT        NOT NULL,
    afi               SMALLINT    NOT NULL,
    prefix            CIDR        NOT NULL,
    path_id           BIGINT,
    action            CHAR(1)     NOT NULL,
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
    bmp_raw           BYTEA,
    received_at       TIMESTAMPTZ,
    router_time       TIMESTAMPTZ,
    PRIMARY KEY (event_id, ingest_time)
) PARTITION BY RANGE (ingest_time);

COMMENT ON TABLE route_events IS 'Every announce and withdraw, in partitions of one UTC day named route_events_YYYYMMDD.';
COMMENT ON COLUMN route_events.event_id IS 'SHA-256 of the event''s content, 32 bytes.';
COMMENT ON COLUMN route_events.ingest_time IS 'When the event was written, by the clock of the database; strictly increasing per router. Partition key.';
COMMENT ON COLUMN route_events.router_id IS 'The router, see routers.';
COMMENT ON COLUMN route_events.table_name IS 'BMP table name.';
COMMENT ON COLUMN route_events.afi IS '4 for IPv4, 6 for IPv6.';
COMMENT ON COLUMN route_events.prefix IS 'Destination.';
COMMENT ON COLUMN route_events.path_id IS 'Add-Path identifier (RFC 7911); NULL when Add-Path is not in use.';
COMMENT ON COLUMN route_events.action IS 'A announce, D withdraw.';
COMMENT ON COLUMN route_events.nexthop IS 'BGP next hop; this and the following attributes are NULL for withdraws.';
COMMENT ON COLUMN route_events.as_path IS 'AS path at the time of the event.';
COMMENT ON COLUMN route_events.origin IS 'IGP, EGP or INCOMPLETE.';
COMMENT ON COLUMN route_events.localpref IS 'LOCAL_PREF, unsigned 32 bit.';
COMMENT ON COLUMN route_events.med IS 'MULTI_EXIT_DISC, unsigned 32 bit.';
COMMENT ON COLUMN route_events.origin_asn IS 'As current_routes.origin_asn.';
COMMENT ON COLUMN route_events.communities_std IS 'Communities (RFC 1997).';
COMMENT ON COLUMN route_events.communities_ext IS 'Extended communities (RFC 4360).';
COMMENT ON COLUMN route_events.communities_large IS 'Large communities (RFC 8092).';
COMMENT ON COLUMN route_events.attrs IS 'All other path attributes; {"reason": "stale"} for a route that a new dump did not name.';
COMMENT ON COLUMN route_events.bmp_raw IS 'The BMP message, on its first event only; zstd when it starts with 28b52ffd.';
COMMENT ON COLUMN route_events.received_at IS 'When the collector read the message, by its own clock.';
COMMENT ON COLUMN route_events.router_time IS 'Per-peer timestamp of the BMP message (RFC 7854 section 4.2); NULL when it was zero.';

-- Synchronisation -----------------------------------------------------------------------------------------------

CREATE TABLE rib_sync_status (
    router_id            TEXT        NOT NULL,
    table_name           TEXT        NOT NULL,
    afi                  SMALLINT    NOT NULL,
    last_parsed_msg_time TIMESTAMPTZ,
    last_raw_msg_time    TIMESTAMPTZ,
    eor_seen             BOOLEAN     NOT NULL DEFAULT false,
    eor_time             TIMESTAMPTZ,
    session_start_time   TIMESTAMPTZ,
    updated_at           TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (router_id, table_name, afi)
) WITH (
    -- Few rows, each updated with every batch: room for the new version on the same page, and a vacuum that keeps up.
    fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000
);

COMMENT ON TABLE rib_sync_status IS 'How far each table of each router is synchronised; the row goes with the table.';
COMMENT ON COLUMN rib_sync_status.router_id IS 'The router, see routers.';
COMMENT ON COLUMN rib_sync_status.table_name IS 'BMP table name.';
COMMENT ON COLUMN rib_sync_status.afi IS '4 for IPv4, 6 for IPv6.';
COMMENT ON COLUMN rib_sync_status.last_parsed_msg_time IS 'When current_routes last took a message of this table.';
COMMENT ON COLUMN rib_sync_status.last_raw_msg_time IS 'When route_events last took a message of this table.';
COMMENT ON COLUMN rib_sync_status.eor_seen IS 'Whether this session has sent its End-of-RIB.';
COMMENT ON COLUMN rib_sync_status.eor_time IS 'When End-of-RIB was seen; NULL if not yet.';
COMMENT ON COLUMN rib_sync_status.session_start_time IS 'When the current dump began.';
COMMENT ON COLUMN rib_sync_status.updated_at IS 'Last change of this row.';

-- Ours, beside the contract -------------------------------------------------------------------------------------

CREATE TABLE session_events (
    id           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_time   TIMESTAMPTZ NOT NULL DEFAULT now(),
    router_id    TEXT,
    table_name   TEXT,
    peer_address INET,
    afi          SMALLINT,
    kind         TEXT        NOT NULL,
    reason       TEXT,
    routes       BIGINT
);

CREATE INDEX idx_session_events_event_time ON session_events (event_time DESC);
CREATE INDEX idx_session_events_router ON session_events (router_id, event_time DESC);

COMMENT ON TABLE session_events IS 'Changes of sessions, peers and tables; a mass removal is one row here, not a million in route_events.';
COMMENT ON COLUMN session_events.id IS 'Order of writing.';
COMMENT ON COLUMN session_events.event_time IS 'When it was written.';
COMMENT ON COLUMN session_events.router_id IS 'The router; NULL where none is meant.';
COMMENT ON COLUMN session_events.table_name IS 'BMP table name, where one table is meant.';
COMMENT ON COLUMN session_events.peer_address IS 'The BGP neighbour, or the source of a refused connection.';
COMMENT ON COLUMN session_events.afi IS '4 or 6, where one family is meant.';
COMMENT ON COLUMN session_events.kind IS 'session_up, terminated, session_lost, session_closed, collector_stopped, hold_expired, peer_up, peer_down, end_of_rib, resync_quiet, refused, isolated.';
COMMENT ON COLUMN session_events.reason IS 'Why, in words.';
COMMENT ON COLUMN session_events.routes IS 'How many routes went or came with it.';

CREATE TABLE router_owner (
    router_id    TEXT PRIMARY KEY,
    collector_id TEXT        NOT NULL,
    epoch        BIGINT      NOT NULL,
    since        TIMESTAMPTZ NOT NULL DEFAULT now()
) WITH (
    -- Every write transaction takes a share lock here, which leaves a mark on the row.
    fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000
);

COMMENT ON TABLE router_owner IS 'Which collector writes which router; every write transaction checks the epoch.';
COMMENT ON COLUMN router_owner.router_id IS 'The router.';
COMMENT ON COLUMN router_owner.collector_id IS 'The collector that took it last.';
COMMENT ON COLUMN router_owner.epoch IS 'Counts the sessions that took it; an older one writes nothing more.';
COMMENT ON COLUMN router_owner.since IS 'When it was taken.';

-- Summary -------------------------------------------------------------------------------------------------------

-- Grouped by next hop first, because counting distinct values of a million rows sorts them all. Prefixes are counted
-- one by one only in tables where a path_id other than 0 exists; in all others each row is a prefix of its own.
CREATE MATERIALIZED VIEW route_summary AS
WITH by_nexthop AS (
    SELECT router_id, table_name, afi, nexthop,
           count(*) AS routes, bool_or(path_id <> 0) AS has_paths, max(updated_at) AS last_update
    FROM current_routes
    GROUP BY router_id, table_name, afi, nexthop
), by_table AS (
    SELECT router_id, table_name, afi,
           sum(routes)::bigint AS route_count, bool_or(has_paths) AS has_paths,
           count(nexthop) AS unique_nexthops, max(last_update) AS last_update
    FROM by_nexthop
    GROUP BY router_id, table_name, afi
)
SELECT t.router_id, t.table_name, t.afi, t.route_count,
       CASE WHEN t.has_paths
            THEN (SELECT count(DISTINCT c.prefix) FROM current_routes c
                  WHERE c.router_id = t.router_id AND c.table_name = t.table_name AND c.afi = t.afi)
            ELSE t.route_count
       END AS unique_prefixes,
       t.unique_nexthops, t.last_update
FROM by_table t;

CREATE UNIQUE INDEX idx_route_summary_key ON route_summary (router_id, table_name, afi);

COMMENT ON MATERIALIZED VIEW route_summary IS 'Route counts per router, table and family as of the last maintenance run.';
COMMENT ON COLUMN route_summary.router_id IS 'The router.';
COMMENT ON COLUMN route_summary.table_name IS 'BMP table name.';
COMMENT ON COLUMN route_summary.afi IS '4 for IPv4, 6 for IPv6.';
COMMENT ON COLUMN route_summary.route_count IS 'Routes, all paths counted.';
COMMENT ON COLUMN route_summary.unique_prefixes IS 'Distinct prefixes.';
COMMENT ON COLUMN route_summary.unique_nexthops IS 'Distinct next hops.';
COMMENT ON COLUMN route_summary.last_update IS 'Latest updated_at of its routes.';
