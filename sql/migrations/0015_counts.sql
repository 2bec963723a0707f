-- How many routes each table has, kept by those who write and delete them; and how many each peer had over time.

CREATE TABLE route_counts (
    router_id      TEXT     NOT NULL,
    rib            TEXT     NOT NULL CHECK (rib IN ('loc-rib', 'adj-rib-in', 'adj-rib-out')),
    peer_address   INET     NOT NULL,
    is_post_policy BOOLEAN  NOT NULL,
    table_name     TEXT     NOT NULL,
    afi            SMALLINT NOT NULL,
    routes         BIGINT   NOT NULL,
    PRIMARY KEY (router_id, rib, peer_address, is_post_policy, table_name, afi)
) WITH (
    -- Few rows, each updated with every batch that adds or deletes routes: room for the new version on the same page, and
    -- a vacuum that keeps up.
    fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000
);

COMMENT ON TABLE route_counts IS 'The number of routes of each table now, written in the transaction that writes or deletes the routes. A table without a row has none. Rows that somebody else inserts or deletes by hand are not counted until the next maintenance run, which compares all sums with the routes and corrects them.';
COMMENT ON COLUMN route_counts.router_id IS 'The router: routers.router_id. No foreign key.';
COMMENT ON COLUMN route_counts.rib IS 'loc-rib: routes of current_routes; adj-rib-in: of adj_rib_in; adj-rib-out: of adj_rib_out.';
COMMENT ON COLUMN route_counts.peer_address IS 'The peer of an Adj-RIB; 0.0.0.0 for a Loc-RIB.';
COMMENT ON COLUMN route_counts.is_post_policy IS 'Whether it is the Adj-RIB after policy; false for a Loc-RIB.';
COMMENT ON COLUMN route_counts.table_name IS 'As current_routes.table_name or adj_rib_in.table_name.';
COMMENT ON COLUMN route_counts.afi IS '4 for IPv4, 6 for IPv6.';
COMMENT ON COLUMN route_counts.routes IS 'The number of rows, all paths counted. Below zero where rows were inserted by hand and then withdrawn, until the next maintenance run.';

INSERT INTO route_counts
SELECT router_id, 'loc-rib', '0.0.0.0', false, table_name, afi, count(*) FROM current_routes
GROUP BY router_id, table_name, afi
UNION ALL
SELECT router_id, 'adj-rib-in', peer_address, is_post_policy, table_name, afi, count(*) FROM adj_rib_in
GROUP BY router_id, peer_address, is_post_policy, table_name, afi
UNION ALL
SELECT router_id, 'adj-rib-out', peer_address, is_post_policy, table_name, afi, count(*) FROM adj_rib_out
GROUP BY router_id, peer_address, is_post_policy, table_name, afi;

CREATE TABLE peer_route_counts (
    router_id    TEXT        NOT NULL,
    peer_address INET        NOT NULL,
    table_name   TEXT        NOT NULL,
    afi          SMALLINT    NOT NULL,
    at           TIMESTAMPTZ NOT NULL,
    pre          BIGINT,
    post         BIGINT,
    is_hourly    BOOLEAN     NOT NULL,
    PRIMARY KEY (router_id, peer_address, table_name, afi, at)
);

CREATE INDEX idx_peer_route_counts_passing ON peer_route_counts (at) WHERE NOT is_hourly;
CREATE INDEX idx_peer_route_counts_at ON peer_route_counts USING brin (at);

COMMENT ON TABLE peer_route_counts IS 'How many routes each peer sent, over time: a row each 5 minutes for 2 days, then the first of each hour for 400 days, written by maintenance. Only of tables whose dump was complete and whose router had a live BMP session.';
COMMENT ON COLUMN peer_route_counts.router_id IS 'The router: routers.router_id. No foreign key.';
COMMENT ON COLUMN peer_route_counts.peer_address IS 'The peer.';
COMMENT ON COLUMN peer_route_counts.table_name IS 'As adj_rib_in.table_name.';
COMMENT ON COLUMN peer_route_counts.afi IS '4 for IPv4, 6 for IPv6.';
COMMENT ON COLUMN peer_route_counts.at IS 'When, down to a multiple of 5 minutes.';
COMMENT ON COLUMN peer_route_counts.pre IS 'Routes before policy, all paths counted; NULL where none are stored before policy.';
COMMENT ON COLUMN peer_route_counts.post IS 'Routes after policy, all paths counted; NULL where none are stored after policy.';
COMMENT ON COLUMN peer_route_counts.is_hourly IS 'True for the first row of its hour (UTC), which is kept longer.';
