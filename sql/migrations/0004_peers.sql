-- The BGP peers of each router, the statistics that routers report about them, and the names of their tables.

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

COMMENT ON TABLE peers IS 'One row per BGP peer that a router reports, those that were never up included. Deleted when the peer has been gone for 400 days. Two peers with one link-local address and one AS share a row.';
COMMENT ON COLUMN peers.router_id IS 'The router: routers.router_id. No foreign key.';
COMMENT ON COLUMN peers.peer_type IS 'global, rd or local (RFC 7854 section 4.2), any other type as its number.';
COMMENT ON COLUMN peers.distinguisher IS 'Peer distinguisher as type:administrator:number; empty where there is none.';
COMMENT ON COLUMN peers.peer_address IS 'The peer''s address.';
COMMENT ON COLUMN peers.peer_asn IS 'The peer''s AS number.';
COMMENT ON COLUMN peers.peer_bgp_id IS 'The peer''s BGP Identifier; empty where it was never up.';
COMMENT ON COLUMN peers.local_address IS 'The router''s address in the BGP session; NULL where it was never up.';
COMMENT ON COLUMN peers.local_port IS 'The router''s port; NULL where it was never up.';
COMMENT ON COLUMN peers.remote_port IS 'The peer''s port; NULL where it was never up.';
COMMENT ON COLUMN peers.hold_time IS 'Negotiated hold time in seconds: the smaller one of both OPENs. NULL where it was never up.';
COMMENT ON COLUMN peers.capabilities IS 'The capabilities of both OPENs: {"sent": [..], "received": [..]}. NULL where it was never up.';
COMMENT ON COLUMN peers.description IS 'A name of the router''s for the peer (Peer Up TLV type 0); NULL where it sends none.';
COMMENT ON COLUMN peers.state IS 'up, down, or unknown when no session reports the peer any more.';
COMMENT ON COLUMN peers.since IS 'Since when it is in this state, as far as was seen.';
COMMENT ON COLUMN peers.last_reason IS 'Why it last went down, in words for people; NULL where it has not.';
COMMENT ON COLUMN peers.flap_count IS 'How often it went from up to down.';
COMMENT ON COLUMN peers.first_seen IS 'When the peer was first reported; never overwritten.';
COMMENT ON COLUMN peers.updated_at IS 'When it was last reported.';

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

COMMENT ON TABLE peer_statistics IS 'The latest value of each statistic that a router reports about a peer or a Loc-RIB (RFC 7854 section 4.8).';
COMMENT ON COLUMN peer_statistics.router_id IS 'The router, see routers.';
COMMENT ON COLUMN peer_statistics.peer_type IS 'As peers.peer_type, or loc_rib.';
COMMENT ON COLUMN peer_statistics.distinguisher IS 'As peers.distinguisher.';
COMMENT ON COLUMN peer_statistics.peer_address IS 'The peer''s address; 0.0.0.0 for a Loc-RIB.';
COMMENT ON COLUMN peer_statistics.peer_asn IS 'The peer''s AS number.';
COMMENT ON COLUMN peer_statistics.stat_type IS 'Number of the statistic in the IANA registry of BMP statistics types.';
COMMENT ON COLUMN peer_statistics.afi IS 'Address family by its IANA number (1 is IPv4, 2 is IPv6); 0: all families together.';
COMMENT ON COLUMN peer_statistics.safi IS 'Subsequent address family by its IANA number; 0: all together.';
COMMENT ON COLUMN peer_statistics.name IS 'Name of the statistic, or its number.';
COMMENT ON COLUMN peer_statistics.value IS 'The value, unsigned 64 bits: a counter or a gauge, as the registry says.';
COMMENT ON COLUMN peer_statistics.updated_at IS 'When it was reported.';

-- Where names of two peers or Loc-RIB instances meet, a suffix tells them apart, and it has to be the same in every
-- session. It is also where the structure of a table_name is, which nobody should read out of the text.
CREATE TABLE table_names (
    router_id           TEXT     NOT NULL,
    rib                 TEXT     NOT NULL CHECK (rib IN ('loc-rib', 'adj-rib-in', 'adj-rib-out')),
    peer_type           TEXT     NOT NULL,
    distinguisher       TEXT     NOT NULL DEFAULT '',
    bgp_id              TEXT     NOT NULL DEFAULT '',
    peer_address        INET     NOT NULL,
    peer_asn            BIGINT   NOT NULL,
    name                TEXT     NOT NULL,
    table_name          TEXT     NOT NULL,
    safi                SMALLINT NOT NULL DEFAULT 1 CHECK (safi IN (1, 4, 128)),
    route_distinguisher TEXT     NOT NULL DEFAULT '',
    unicast_table_name  TEXT     NOT NULL,
    -- In this order the rows that share a name stand together.
    PRIMARY KEY (router_id, rib, peer_address, name, safi, route_distinguisher, peer_type, distinguisher, bgp_id, peer_asn),
    UNIQUE (router_id, rib, peer_address, table_name)
);

COMMENT ON TABLE table_names IS 'Which peer or instance each table_name stands for. A name is the same in every session, whatever the order of Peer Ups. Read the structure here, not out of the name. Deleted with the last route and sync row of the table.';
COMMENT ON COLUMN table_names.router_id IS 'The router, see routers.';
COMMENT ON COLUMN table_names.rib IS 'loc-rib, adj-rib-in or adj-rib-out.';
COMMENT ON COLUMN table_names.peer_type IS 'As peers.peer_type, or loc_rib.';
COMMENT ON COLUMN table_names.distinguisher IS 'As peers.distinguisher.';
COMMENT ON COLUMN table_names.bgp_id IS 'The BGP identifier that tells the peer or instance apart: of Loc-RIB instances and of peers with a link-local address; empty for others.';
COMMENT ON COLUMN table_names.peer_address IS 'The peer''s address; 0.0.0.0 for a Loc-RIB.';
COMMENT ON COLUMN table_names.peer_asn IS 'The peer''s AS; 0 for a Loc-RIB.';
COMMENT ON COLUMN table_names.name IS 'What the router calls the table (a | in it is %7C), else UNKNOWN or rd:<distinguisher>.';
COMMENT ON COLUMN table_names.table_name IS 'The table_name of the other tables: name, what tells it apart, and its part.';
COMMENT ON COLUMN table_names.safi IS 'Which part: 1 unicast, 4 labeled unicast, 128 VPN.';
COMMENT ON COLUMN table_names.route_distinguisher IS 'Of a VPN table the distinguisher of its routes; empty for others.';
COMMENT ON COLUMN table_names.unicast_table_name IS 'The table_name of the unicast table beside it.';

-- What routers have shown of path identifiers (RFC 7911). Some NLRI can be read with and without: what is remembered here
-- decides them in a router's next session, until that has shown something itself.
CREATE TABLE add_path_evidence (
    router_id      TEXT        NOT NULL,
    rib            TEXT        NOT NULL CHECK (rib IN ('loc-rib', 'adj-rib-in', 'adj-rib-out')),
    is_post_policy BOOLEAN     NOT NULL,
    peer_type      TEXT        NOT NULL,
    distinguisher  TEXT        NOT NULL,
    peer_address   INET        NOT NULL,
    peer_asn       BIGINT      NOT NULL,
    peer_bgp_id    INET        NOT NULL,
    afi            INTEGER     NOT NULL,
    safi           SMALLINT    NOT NULL,
    is_sent        BOOLEAN     NOT NULL,
    is_announced   BOOLEAN     NOT NULL,
    closed_at      TIMESTAMPTZ,
    updated_at     TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (router_id, rib, is_post_policy, peer_type, distinguisher, peer_address, peer_asn, peer_bgp_id, afi, safi)
);

COMMENT ON TABLE add_path_evidence IS 'Internal: peers and RIBs whose messages did not carry path identifiers as their capabilities announced.';
COMMENT ON COLUMN add_path_evidence.router_id IS 'The router, see routers.';
COMMENT ON COLUMN add_path_evidence.rib IS 'loc-rib, adj-rib-in or adj-rib-out.';
COMMENT ON COLUMN add_path_evidence.is_post_policy IS 'Whether it is the Adj-RIB after policy; false for a Loc-RIB.';
COMMENT ON COLUMN add_path_evidence.peer_type IS 'global, rd, local or loc_rib (RFC 7854 section 4.2, RFC 9069 section 4.1), else the type''s number.';
COMMENT ON COLUMN add_path_evidence.distinguisher IS 'Peer distinguisher as type:administrator:number; empty where there is none.';
COMMENT ON COLUMN add_path_evidence.peer_address IS 'The peer''s address; 0.0.0.0 for a Loc-RIB.';
COMMENT ON COLUMN add_path_evidence.peer_asn IS 'The peer''s AS; 0 for a Loc-RIB.';
COMMENT ON COLUMN add_path_evidence.peer_bgp_id IS 'The BGP identifier where it tells peers or instances apart, else 0.0.0.0.';
COMMENT ON COLUMN add_path_evidence.afi IS 'Address family, as IANA numbers it.';
COMMENT ON COLUMN add_path_evidence.safi IS 'Subsequent address family, as IANA numbers it.';
COMMENT ON COLUMN add_path_evidence.is_sent IS 'Whether the newest message that could be read one way only carried path identifiers.';
COMMENT ON COLUMN add_path_evidence.is_announced IS 'Whether the capabilities said that messages would carry them.';
COMMENT ON COLUMN add_path_evidence.closed_at IS 'When a session was closed to have its routes read anew, more having been read the wrong way than are kept; this happens once. NULL: never.';
COMMENT ON COLUMN add_path_evidence.updated_at IS 'When this was written last.';
