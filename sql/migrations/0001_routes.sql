-- Routers, the Loc-RIB as it is now and as it changed.
--
-- The comments that this and the following migrations store in the database are the reference for readers: docs/schema.md
-- is generated from them (tests/store/schema_page.rs). A table that readers do not need is called internal in its
-- comment. Where a column may be NULL, its comment says when.
--
-- Needs the right to create in the database and in its first schema, not superuser: btree_gist is a trusted extension.
-- localpref, med and origin_asn are BIGINT because they are unsigned 32-bit numbers on the wire
-- (RFC 4271 section 4.3, RFC 6793), and no value from the wire may fail a batch.

CREATE EXTENSION IF NOT EXISTS btree_gist;

COMMENT ON COLUMN schema_migrations.name IS 'Name of the migration, they are applied in this order.';
COMMENT ON COLUMN schema_migrations.checksum IS 'SHA-256 of its text, in hex.';
COMMENT ON COLUMN schema_migrations.applied_at IS 'When it was applied.';

-- Routers -------------------------------------------------------------------------------------------------------

CREATE TABLE routers (
    router_id    TEXT PRIMARY KEY,
    router_ip    INET,
    hostname     TEXT,
    as_number    BIGINT,
    description  TEXT,
    first_seen   TIMESTAMPTZ NOT NULL DEFAULT now(),
    last_seen    TIMESTAMPTZ NOT NULL DEFAULT now(),
    display_name TEXT,
    location     TEXT
);

COMMENT ON TABLE routers IS 'One row per router, from its BMP Initiation and Peer Up messages. Kept when the router goes. Values that a later session does not report stay.';
COMMENT ON COLUMN routers.router_id IS 'Identifies the router in all tables: by default its BGP Identifier as text, else (RIB_INGESTER_ROUTER_ID_FROM) its source address or sysName.';
COMMENT ON COLUMN routers.router_ip IS 'The address from which its latest session came; NULL where unknown.';
COMMENT ON COLUMN routers.hostname IS 'sysName of the Initiation; NULL where the router sends none.';
COMMENT ON COLUMN routers.as_number IS 'AS number of the router, unsigned 32 bits; NULL where unknown.';
COMMENT ON COLUMN routers.description IS 'sysDescr of the Initiation; NULL where the router sends none.';
COMMENT ON COLUMN routers.first_seen IS 'When its first session began; never overwritten.';
COMMENT ON COLUMN routers.last_seen IS 'When its latest session began, or last said more of the router itself. Says nothing of whether it is connected: see bmp_sessions.';
COMMENT ON COLUMN routers.display_name IS 'A name that operators give it; the collector never writes it. NULL until somebody does.';
COMMENT ON COLUMN routers.location IS 'Where it stands; written by operators only. NULL until somebody does.';

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
) WITH (
    -- A table of millions of rows under constant change: the default of a fifth of all rows lets the indexes more than
    -- double before the first vacuum.
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 10000,
    autovacuum_vacuum_insert_scale_factor = 0.1,
    autovacuum_analyze_scale_factor = 0.05,
    autovacuum_analyze_threshold = 5000,
    autovacuum_vacuum_cost_limit = 2000
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
-- index, thirty to sixty times slower. One prefix is known by some fifty routers at most in most networks. CREATE TABLE
-- has no place for it.
ALTER TABLE current_routes ALTER COLUMN prefix SET (n_distinct = -0.02);

COMMENT ON TABLE current_routes IS 'The Loc-RIB of each router as it is now (RFC 9069): one row per route and path. An announcement writes the row, a withdrawal deletes it, a Peer Down or Termination deletes the table. A lost session deletes nothing at first: the table is stale (rib_sync_status).';
COMMENT ON COLUMN current_routes.router_id IS 'The router: routers.router_id. No foreign key.';
COMMENT ON COLUMN current_routes.table_name IS 'The name of the Loc-RIB table: what the router calls it (RFC 9069 section 5.2.1), else UNKNOWN, or rd:<distinguisher> where it has one. See table_names.';
COMMENT ON COLUMN current_routes.afi IS 'Address family: 4 for IPv4, 6 for IPv6. Not the IANA number.';
COMMENT ON COLUMN current_routes.prefix IS 'Destination, without host bits.';
COMMENT ON COLUMN current_routes.path_id IS 'Add-Path identifier (RFC 7911); 0 where Add-Path is not in use. route_events has NULL there.';
COMMENT ON COLUMN current_routes.nexthop IS 'BGP next hop, the global one of two. NULL where the router sends none.';
COMMENT ON COLUMN current_routes.as_path IS 'AS_PATH: AS numbers in decimal, separated by spaces; AS_SET {1,2}, AS_CONFED_SEQUENCE (1 2), AS_CONFED_SET [1,2]. The empty string is an empty path, NULL no path attribute.';
COMMENT ON COLUMN current_routes.origin IS 'IGP, EGP or INCOMPLETE; NULL where the router sends none.';
COMMENT ON COLUMN current_routes.localpref IS 'LOCAL_PREF, unsigned 32 bits; NULL where the router sends none.';
COMMENT ON COLUMN current_routes.med IS 'MULTI_EXIT_DISC, unsigned 32 bits; NULL where the router sends none.';
COMMENT ON COLUMN current_routes.origin_asn IS 'The last AS number of as_path, unsigned 32 bits; NULL where the path is empty, absent, or does not end in an AS_SEQUENCE.';
COMMENT ON COLUMN current_routes.communities_std IS 'Communities (RFC 1997) as ASN:value in decimal, in the router''s order; NULL where the router sends none.';
COMMENT ON COLUMN current_routes.communities_ext IS 'Extended communities (RFC 4360): RT:ASN:value, SOO:ASN:value, the administrator an AS number or an IPv4 address; any other as 16 lower-case hex digits. NULL where the router sends none.';
COMMENT ON COLUMN current_routes.communities_large IS 'Large communities (RFC 8092) as GA:LD1:LD2 in decimal; NULL where the router sends none.';
COMMENT ON COLUMN current_routes.attrs IS 'All other path attributes, each under its name in the IANA registry in snake case, an unregistered one under its type code; and labels, rd, link_local_next_hop and path_status. NULL where there is none.';
COMMENT ON COLUMN current_routes.first_seen IS 'When this key was inserted; updates keep it. A route that is withdrawn and returns is a new row.';
COMMENT ON COLUMN current_routes.updated_at IS 'When the row was last written. Moves exactly when it is: a dump that repeats a route unchanged does not write it.';

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
    peer_address      INET,
    peer_asn          BIGINT,
    peer_bgp_id       TEXT,
    is_post_policy    BOOLEAN,
    rib               TEXT,
    PRIMARY KEY (event_id, ingest_time)
) PARTITION BY RANGE (ingest_time);

COMMENT ON TABLE route_events IS 'One row per announcement and withdrawal, in partitions of one UTC day (route_events_YYYYMMDD) that are dropped after RIB_INGESTER_RETENTION_DAYS. Nothing updates or deletes a row. Without a condition on ingest_time a query reads every day. Not here: routes that a dump repeats unchanged, and the routes of a table that goes as a whole (session_events).';
COMMENT ON COLUMN route_events.event_id IS 'SHA-256 over router, table, peer, prefix, path, action, attributes, router_time (else received_at) and how often the same came before. 32 octets; one per route, not per message.';
COMMENT ON COLUMN route_events.ingest_time IS 'When the event was written, by the database''s clock. Strictly increases per router, so it orders a router''s events. Partition key.';
COMMENT ON COLUMN route_events.router_id IS 'The router: routers.router_id. No foreign key.';
COMMENT ON COLUMN route_events.table_name IS 'The name of the Loc-RIB table: what the router calls it (RFC 9069 section 5.2.1), else UNKNOWN, or rd:<distinguisher> where it has one. See table_names.';
COMMENT ON COLUMN route_events.afi IS 'Address family: 4 for IPv4, 6 for IPv6. Not the IANA number.';
COMMENT ON COLUMN route_events.prefix IS 'Destination, without host bits.';
COMMENT ON COLUMN route_events.path_id IS 'Add-Path identifier (RFC 7911); NULL where Add-Path is not in use. current_routes has 0 there.';
COMMENT ON COLUMN route_events.action IS 'A: announced (new or changed). D: withdrawn.';
COMMENT ON COLUMN route_events.nexthop IS 'As current_routes.nexthop; NULL where action is D, as all attributes but attrs.';
COMMENT ON COLUMN route_events.as_path IS 'As current_routes.as_path; NULL where action is D.';
COMMENT ON COLUMN route_events.origin IS 'As current_routes.origin; NULL where action is D.';
COMMENT ON COLUMN route_events.localpref IS 'As current_routes.localpref; NULL where action is D.';
COMMENT ON COLUMN route_events.med IS 'As current_routes.med; NULL where action is D.';
COMMENT ON COLUMN route_events.origin_asn IS 'As current_routes.origin_asn; NULL where action is D.';
COMMENT ON COLUMN route_events.communities_std IS 'As current_routes.communities_std; NULL where action is D.';
COMMENT ON COLUMN route_events.communities_ext IS 'As current_routes.communities_ext; NULL where action is D.';
COMMENT ON COLUMN route_events.communities_large IS 'As current_routes.communities_large; NULL where action is D.';
COMMENT ON COLUMN route_events.attrs IS 'As current_routes.attrs. Where action is D: NULL for a withdrawal by the router; {"reason": "stale"} for a route that a new dump did not name; {"reason": "reread"} for one that never was: its NLRI had been read with path identifiers, or without, by mistake.';
COMMENT ON COLUMN route_events.bmp_raw IS 'The BMP message, where RIB_INGESTER_STORE_RAW_BYTES is on, on the first event of the message; NULL on its others. Compressed with zstd if it begins with the octets 28 b5 2f fd.';
COMMENT ON COLUMN route_events.received_at IS 'When the collector read the message, by the collector''s clock. Long before ingest_time where the database was away. This version always sets it.';
COMMENT ON COLUMN route_events.router_time IS 'The time stamp of the per-peer header, by the router''s clock (RFC 7854 section 4.2); NULL where the router sends zero, and for a route that a new dump did not name.';
COMMENT ON COLUMN route_events.peer_address IS 'The peer of an Adj-RIB; NULL for the Loc-RIB, as the next three.';
COMMENT ON COLUMN route_events.peer_asn IS 'The peer''s AS number; NULL for the Loc-RIB.';
COMMENT ON COLUMN route_events.peer_bgp_id IS 'The peer''s BGP Identifier; NULL for the Loc-RIB.';
COMMENT ON COLUMN route_events.is_post_policy IS 'True for the RIB after policy, false for the one before; NULL for the Loc-RIB.';
COMMENT ON COLUMN route_events.rib IS 'loc-rib, adj-rib-in or adj-rib-out; NULL in events older than the column, which are of the Loc-RIB.';

-- Synchronization -----------------------------------------------------------------------------------------------

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
    synced_at            TIMESTAMPTZ,
    stale_since          TIMESTAMPTZ,
    PRIMARY KEY (router_id, table_name, afi)
) WITH (
    -- Few rows, each updated with every batch: room for the new version on the same page, and a vacuum that keeps up.
    fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000
);

COMMENT ON TABLE rib_sync_status IS 'How complete each Loc-RIB table is, by family. The row is made with the table and deleted with it. A table that has been stale for RIB_INGESTER_STALE_ROUTES_SECS is deleted.';
COMMENT ON COLUMN rib_sync_status.router_id IS 'The router: routers.router_id. No foreign key.';
COMMENT ON COLUMN rib_sync_status.table_name IS 'As current_routes.table_name.';
COMMENT ON COLUMN rib_sync_status.afi IS '4 for IPv4, 6 for IPv6.';
COMMENT ON COLUMN rib_sync_status.last_parsed_msg_time IS 'When a message of the table last reached the current state; NULL where none has.';
COMMENT ON COLUMN rib_sync_status.last_raw_msg_time IS 'When a message of the table last reached route_events; NULL where none has.';
COMMENT ON COLUMN rib_sync_status.eor_seen IS 'True once this session has sent the End-of-RIB of the table; false again when the session is lost. Routers that send none never set it: see synced_at.';
COMMENT ON COLUMN rib_sync_status.eor_time IS 'When the End-of-RIB came; NULL until the first one of the dump.';
COMMENT ON COLUMN rib_sync_status.session_start_time IS 'When the latest dump of the table began; NULL where none has.';
COMMENT ON COLUMN rib_sync_status.updated_at IS 'Last change of this row.';
COMMENT ON COLUMN rib_sync_status.synced_at IS 'When the dump counted as complete: by End-of-RIB, or because it fell quiet. NULL until then and while the table is stale.';
COMMENT ON COLUMN rib_sync_status.stale_since IS 'Since when no session reports the table; NULL while one does. A later loss does not move it.';

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

COMMENT ON MATERIALIZED VIEW route_summary IS 'Routes per router, table and family, as of the last maintenance run (RIB_INGESTER_MAINTENANCE_INTERVAL_SECS). Count current_routes for the present.';
COMMENT ON COLUMN route_summary.router_id IS 'The router.';
COMMENT ON COLUMN route_summary.table_name IS 'BMP table name.';
COMMENT ON COLUMN route_summary.afi IS '4 for IPv4, 6 for IPv6.';
COMMENT ON COLUMN route_summary.route_count IS 'Routes, each path counted.';
COMMENT ON COLUMN route_summary.unique_prefixes IS 'Distinct prefixes.';
COMMENT ON COLUMN route_summary.unique_nexthops IS 'Distinct next hops.';
COMMENT ON COLUMN route_summary.last_update IS 'Latest updated_at of its routes.';
