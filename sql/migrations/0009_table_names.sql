-- What the tables of each router are called, and by whom: where names of two peers or Loc-RIB instances meet, a suffix tells
-- them apart, and it has to be the same in every session. It is also where the structure of a table_name is, which nobody
-- should read out of the text.

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

COMMENT ON TABLE table_names IS 'What the tables of a router are called, and whose they are; a row goes with the last route and status of its table, unless another peer or instance has the same name.';
COMMENT ON COLUMN table_names.router_id IS 'The router, see routers.';
COMMENT ON COLUMN table_names.rib IS 'loc-rib, adj-rib-in or adj-rib-out.';
COMMENT ON COLUMN table_names.peer_type IS 'As peers.peer_type, or loc_rib.';
COMMENT ON COLUMN table_names.distinguisher IS 'As peers.distinguisher.';
COMMENT ON COLUMN table_names.bgp_id IS 'The BGP identifier that tells the peer or instance apart: of Loc-RIB instances and of peers with a link-local address; empty for others.';
COMMENT ON COLUMN table_names.peer_address IS 'The peer''s address; 0.0.0.0 for a Loc-RIB.';
COMMENT ON COLUMN table_names.peer_asn IS 'The peer''s AS; 0 for a Loc-RIB.';
COMMENT ON COLUMN table_names.name IS 'What the router calls the table (a | in it is %7C), else UNKNOWN or rd:<distinguisher>.';
COMMENT ON COLUMN table_names.table_name IS 'What it is called in all other tables: the name, what tells it apart, and its part.';
COMMENT ON COLUMN table_names.safi IS 'Which part: 1 unicast, 4 labelled unicast, 128 VPN.';
COMMENT ON COLUMN table_names.route_distinguisher IS 'Of a VPN table the distinguisher of its routes; empty for others.';
COMMENT ON COLUMN table_names.unicast_table_name IS 'The table_name of the unicast table beside it.';
