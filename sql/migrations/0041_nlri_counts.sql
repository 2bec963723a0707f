-- How many NLRI of families that are not prefixes each table has, kept by those who write and delete them, and how many
-- each peer had over time. They have tables of their own, so a sum over route_counts or peer_route_counts stays what it was.

CREATE TABLE nlri_route_counts (
    LIKE route_counts INCLUDING COMMENTS,
    PRIMARY KEY (router_id, rib, peer_address, is_post_policy, table_name, afi),
    CHECK (rib IN ('nlri-loc-rib', 'nlri-adj-rib-in', 'nlri-adj-rib-out'))
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

COMMENT ON TABLE nlri_route_counts IS 'Internal: as route_counts, for other families, written and corrected in the same way; read nlri_tables.';
COMMENT ON COLUMN nlri_route_counts.rib IS 'nlri-loc-rib, nlri-adj-rib-in or nlri-adj-rib-out.';
COMMENT ON COLUMN nlri_route_counts.table_name IS 'As nlri_routes.table_name.';
COMMENT ON COLUMN nlri_route_counts.afi IS '6: the family of the hash.';

INSERT INTO nlri_route_counts
SELECT router_id, 'nlri-loc-rib', '0.0.0.0', false, table_name, afi, count(*) FROM nlri_loc_rib
GROUP BY router_id, table_name, afi
UNION ALL
SELECT router_id, 'nlri-adj-rib-in', peer_address, is_post_policy, table_name, afi, count(*) FROM nlri_adj_rib_in
GROUP BY router_id, peer_address, is_post_policy, table_name, afi
UNION ALL
SELECT router_id, 'nlri-adj-rib-out', peer_address, is_post_policy, table_name, afi, count(*) FROM nlri_adj_rib_out
GROUP BY router_id, peer_address, is_post_policy, table_name, afi;

CREATE VIEW nlri_tables AS
SELECT s.router_id, substr(s.rib, 6) AS rib, s.peer_address, s.is_post_policy, s.table_name,
       substring(s.table_name FROM '\|nlri:(\d+)/\d+$')::integer AS afi,
       substring(s.table_name FROM '\|nlri:\d+/(\d+)$')::smallint AS safi,
       GREATEST(COALESCE(c.routes, 0), 0) AS routes, s.session_start_time, s.eor_seen, s.eor_time, s.synced_at,
       s.stale_since, s.last_parsed_msg_time, s.last_raw_msg_time, s.updated_at
FROM (SELECT router_id, 'nlri-loc-rib' AS rib, NULL::inet AS peer_address, NULL::boolean AS is_post_policy, table_name, afi,
             session_start_time, eor_seen, eor_time, synced_at, stale_since, last_parsed_msg_time, last_raw_msg_time, updated_at
      FROM nlri_loc_rib_sync_status
      UNION ALL
      SELECT router_id, 'nlri-adj-rib-in', peer_address, is_post_policy, table_name, afi, session_start_time, eor_seen,
             eor_time, synced_at, stale_since, last_parsed_msg_time, last_raw_msg_time, updated_at
      FROM nlri_adj_rib_in_sync_status
      UNION ALL
      SELECT router_id, 'nlri-adj-rib-out', peer_address, is_post_policy, table_name, afi, session_start_time, eor_seen,
             eor_time, synced_at, stale_since, last_parsed_msg_time, last_raw_msg_time, updated_at
      FROM nlri_adj_rib_out_sync_status) AS s
LEFT JOIN nlri_route_counts c
    ON c.router_id = s.router_id AND c.rib = s.rib AND c.peer_address = COALESCE(s.peer_address, '0.0.0.0')
       AND c.is_post_policy = COALESCE(s.is_post_policy, false) AND c.table_name = s.table_name AND c.afi = s.afi;

COMMENT ON VIEW nlri_tables IS 'The tables of nlri_routes: how far each is synchronized and how many routes it has now. One row per router, RIB, view, peer, table and family that has sent routes or an End-of-RIB.';
COMMENT ON COLUMN nlri_tables.router_id IS 'The router: routers.router_id.';
COMMENT ON COLUMN nlri_tables.rib IS 'loc-rib, adj-rib-in or adj-rib-out.';
COMMENT ON COLUMN nlri_tables.peer_address IS 'The peer of an Adj-RIB; NULL for a Loc-RIB.';
COMMENT ON COLUMN nlri_tables.is_post_policy IS 'Whether it is the Adj-RIB after policy; NULL for a Loc-RIB.';
COMMENT ON COLUMN nlri_tables.table_name IS 'As nlri_routes.table_name.';
COMMENT ON COLUMN nlri_tables.afi IS 'Address family by its IANA number: 1, 2, 25 for EVPN and VPLS, 16388 for BGP-LS.';
COMMENT ON COLUMN nlri_tables.safi IS 'Subsequent address family by its IANA number.';
COMMENT ON COLUMN nlri_tables.routes IS 'The number of its routes, all paths counted; kept by the writers, so nothing is counted to read it.';
COMMENT ON COLUMN nlri_tables.session_start_time IS 'When the dump of the current session began; NULL where there was none.';
COMMENT ON COLUMN nlri_tables.eor_seen IS 'Whether the dump ended with an End-of-RIB of the family.';
COMMENT ON COLUMN nlri_tables.eor_time IS 'When; NULL until then.';
COMMENT ON COLUMN nlri_tables.synced_at IS 'Since when the table is complete; NULL during a dump and while it is stale.';
COMMENT ON COLUMN nlri_tables.stale_since IS 'Since when no session reports it; NULL while one does.';
COMMENT ON COLUMN nlri_tables.last_parsed_msg_time IS 'When a message last reached the routes.';
COMMENT ON COLUMN nlri_tables.last_raw_msg_time IS 'When a message last reached the history.';
COMMENT ON COLUMN nlri_tables.updated_at IS 'Last change of these times.';

CREATE TABLE peer_nlri_counts (
    router_id    TEXT        NOT NULL,
    peer_address INET        NOT NULL,
    table_name   TEXT        NOT NULL,
    afi          INTEGER     NOT NULL,
    safi         SMALLINT    NOT NULL,
    at           TIMESTAMPTZ NOT NULL,
    pre          BIGINT,
    post         BIGINT,
    is_hourly    BOOLEAN     NOT NULL,
    PRIMARY KEY (router_id, peer_address, table_name, at)
);

CREATE INDEX idx_peer_nlri_counts_passing ON peer_nlri_counts (at) WHERE NOT is_hourly;
CREATE INDEX idx_peer_nlri_counts_at ON peer_nlri_counts USING brin (at);

COMMENT ON TABLE peer_nlri_counts IS 'How many routes of other families each peer sent, over time, written and kept like peer_route_counts: a row each 5 minutes for 2 days, then the first of each hour for 400 days. Only of tables whose dump was complete and whose router had a live BMP session.';
COMMENT ON COLUMN peer_nlri_counts.router_id IS 'The router: routers.router_id. No foreign key.';
COMMENT ON COLUMN peer_nlri_counts.peer_address IS 'The peer.';
COMMENT ON COLUMN peer_nlri_counts.table_name IS 'As nlri_routes.table_name.';
COMMENT ON COLUMN peer_nlri_counts.afi IS 'Address family by its IANA number: 1, 2, 25 for EVPN and VPLS, 16388 for BGP-LS.';
COMMENT ON COLUMN peer_nlri_counts.safi IS 'Subsequent address family by its IANA number.';
COMMENT ON COLUMN peer_nlri_counts.at IS 'When, down to a multiple of 5 minutes.';
COMMENT ON COLUMN peer_nlri_counts.pre IS 'Routes before policy, all paths counted; NULL where none are stored before policy.';
COMMENT ON COLUMN peer_nlri_counts.post IS 'Routes after policy, all paths counted; NULL where none are stored after policy.';
COMMENT ON COLUMN peer_nlri_counts.is_hourly IS 'True for the first row of its hour (UTC), which is kept longer.';
