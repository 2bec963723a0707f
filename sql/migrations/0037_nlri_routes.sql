-- NLRI of families that are not prefixes: EVPN, FlowSpec, BGP-LS, SR policies, route target constraints, multicast VPN.
--
-- They take the same way as routes, so their tables have the columns of current_routes, adj_rib_in and adj_rib_out: a hash
-- of the NLRI's key in the place of a prefix, and the NLRI in attrs. Readers have the views nlri_routes and
-- nlri_sync_status, where every RIB and the columns of a reader are in one place.

DO $make$
DECLARE
    rib    TEXT;
    source TEXT;
    sync   TEXT;
    peer   TEXT;
BEGIN
FOR rib, source, sync, peer IN
    VALUES ('nlri_loc_rib', 'current_routes', 'rib_sync_status', ''),
           ('nlri_adj_rib_in', 'adj_rib_in', 'adj_rib_in_sync_status', 'peer_address, is_post_policy, '),
           ('nlri_adj_rib_out', 'adj_rib_out', 'adj_rib_out_sync_status', 'peer_address, is_post_policy, ')
LOOP
    EXECUTE format($sql$
        CREATE TABLE %1$I (
            LIKE %2$I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING COMMENTS,
            nlri_key TEXT GENERATED ALWAYS AS (attrs ->> 'nlri_key') STORED,
            PRIMARY KEY (router_id, %4$s table_name, afi, prefix, path_id)
        );
        CREATE INDEX idx_%1$s_nlri_key ON %1$I (nlri_key);
        CREATE TABLE %1$s_sync_status (
            LIKE %3$I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING COMMENTS,
            PRIMARY KEY (router_id, %4$s table_name, afi)
        ) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
        COMMENT ON TABLE %1$I IS 'Internal: the NLRI of other families as the collector writes them; read nlri_routes.';
        COMMENT ON COLUMN %1$I.table_name IS 'As in %2$s, with |nlri:AFI/SAFI after it.';
        COMMENT ON COLUMN %1$I.afi IS '6: the family of the hash.';
        COMMENT ON COLUMN %1$I.prefix IS 'The first 128 bits of the SHA-256 of nlri_key.';
        COMMENT ON COLUMN %1$I.attrs IS 'As in %2$s, and nlri, nlri_key, nlri_afi and nlri_safi.';
        COMMENT ON COLUMN %1$I.nlri_key IS 'What identifies the NLRI, as in nlri_routes.';
        COMMENT ON TABLE %1$s_sync_status IS 'Internal: how far the tables of %1$s are synchronized; read nlri_sync_status.';
    $sql$, rib, source, sync, peer);
END LOOP;
END
$make$;

CREATE VIEW nlri_routes AS
SELECT router_id, 'loc-rib' AS rib, NULL::inet AS peer_address, NULL::bigint AS peer_asn, NULL::text AS peer_bgp_id,
       NULL::boolean AS is_post_policy, table_name, (attrs ->> 'nlri_afi')::integer AS afi,
       (attrs ->> 'nlri_safi')::smallint AS safi, nlri_key, path_id, attrs -> 'nlri' AS nlri, nexthop, as_path, origin,
       localpref, med, origin_asn, communities_std, communities_ext, communities_large,
       NULLIF(attrs - ARRAY['nlri', 'nlri_key', 'nlri_afi', 'nlri_safi'], '{}') AS attrs, first_seen, updated_at
FROM nlri_loc_rib
UNION ALL
SELECT router_id, 'adj-rib-in', peer_address, peer_asn, peer_bgp_id, is_post_policy, table_name,
       (attrs ->> 'nlri_afi')::integer, (attrs ->> 'nlri_safi')::smallint, nlri_key, path_id, attrs -> 'nlri', nexthop,
       as_path, origin, localpref, med, origin_asn, communities_std, communities_ext, communities_large,
       NULLIF(attrs - ARRAY['nlri', 'nlri_key', 'nlri_afi', 'nlri_safi'], '{}'), first_seen, updated_at
FROM nlri_adj_rib_in
UNION ALL
SELECT router_id, 'adj-rib-out', peer_address, peer_asn, peer_bgp_id, is_post_policy, table_name,
       (attrs ->> 'nlri_afi')::integer, (attrs ->> 'nlri_safi')::smallint, nlri_key, path_id, attrs -> 'nlri', nexthop,
       as_path, origin, localpref, med, origin_asn, communities_std, communities_ext, communities_large,
       NULLIF(attrs - ARRAY['nlri', 'nlri_key', 'nlri_afi', 'nlri_safi'], '{}'), first_seen, updated_at
FROM nlri_adj_rib_out;

COMMENT ON VIEW nlri_routes IS 'The NLRI of families that are not prefixes, as they are now: EVPN (RFC 7432), FlowSpec (RFC 8955, 8956), BGP-LS (RFC 9552), SR policies (RFC 9830), route target constraints (RFC 4684), multicast VPN (RFC 6514). One row per NLRI and path, of the families in RIB_INGESTER_STORED_FAMILIES and the RIBs in RIB_INGESTER_STORED_RIBS; written, stale and deleted like the rows of current_routes and adj_rib_in. Their changes are not in route_events.';
COMMENT ON COLUMN nlri_routes.router_id IS 'The router: routers.router_id.';
COMMENT ON COLUMN nlri_routes.rib IS 'loc-rib, adj-rib-in or adj-rib-out.';
COMMENT ON COLUMN nlri_routes.peer_address IS 'The peer of an Adj-RIB; NULL for a Loc-RIB.';
COMMENT ON COLUMN nlri_routes.peer_asn IS 'The AS of that peer; NULL for a Loc-RIB.';
COMMENT ON COLUMN nlri_routes.peer_bgp_id IS 'The BGP identifier of that peer; NULL for a Loc-RIB.';
COMMENT ON COLUMN nlri_routes.is_post_policy IS 'Whether it is the Adj-RIB after policy; NULL for a Loc-RIB.';
COMMENT ON COLUMN nlri_routes.table_name IS 'As current_routes.table_name or adj_rib_in.table_name, with |nlri:AFI/SAFI after it.';
COMMENT ON COLUMN nlri_routes.afi IS 'Address family by its IANA number: 1, 2, 25 for EVPN, 16388 for BGP-LS.';
COMMENT ON COLUMN nlri_routes.safi IS 'Subsequent address family by its IANA number.';
COMMENT ON COLUMN nlri_routes.nlri_key IS 'What identifies the route: the family, the type and the fields that its RFC makes part of the key, at most 1,000 octets.';
COMMENT ON COLUMN nlri_routes.path_id IS 'Add-Path identifier (RFC 7911); 0 where Add-Path is not in use.';
COMMENT ON COLUMN nlri_routes.nlri IS 'All fields of the NLRI, as rib-ingester decode prints them.';
COMMENT ON COLUMN nlri_routes.nexthop IS 'As in current_routes; NULL where the router sends none, as with FlowSpec.';
COMMENT ON COLUMN nlri_routes.as_path IS 'As in current_routes; NULL where the router sends none.';
COMMENT ON COLUMN nlri_routes.origin IS 'As in current_routes; NULL where the router sends none.';
COMMENT ON COLUMN nlri_routes.localpref IS 'As in current_routes; NULL where the router sends none.';
COMMENT ON COLUMN nlri_routes.med IS 'As in current_routes; NULL where the router sends none.';
COMMENT ON COLUMN nlri_routes.origin_asn IS 'As in current_routes; NULL where the path is empty, absent, or does not end in an AS_SEQUENCE.';
COMMENT ON COLUMN nlri_routes.communities_std IS 'As in current_routes; NULL where the router sends none.';
COMMENT ON COLUMN nlri_routes.communities_ext IS 'As in current_routes; NULL where the router sends none.';
COMMENT ON COLUMN nlri_routes.communities_large IS 'As in current_routes; NULL where the router sends none.';
COMMENT ON COLUMN nlri_routes.attrs IS 'As in current_routes; NULL where there is none.';
COMMENT ON COLUMN nlri_routes.first_seen IS 'When this key was inserted; updates keep it.';
COMMENT ON COLUMN nlri_routes.updated_at IS 'When the row was last written.';

CREATE VIEW nlri_sync_status AS
SELECT router_id, 'loc-rib' AS rib, NULL::inet AS peer_address, NULL::boolean AS is_post_policy, table_name,
       session_start_time, eor_seen, eor_time, synced_at, stale_since
FROM nlri_loc_rib_sync_status
UNION ALL
SELECT router_id, 'adj-rib-in', peer_address, is_post_policy, table_name, session_start_time, eor_seen, eor_time,
       synced_at, stale_since
FROM nlri_adj_rib_in_sync_status
UNION ALL
SELECT router_id, 'adj-rib-out', peer_address, is_post_policy, table_name, session_start_time, eor_seen, eor_time,
       synced_at, stale_since
FROM nlri_adj_rib_out_sync_status;

COMMENT ON VIEW nlri_sync_status IS 'How far the tables of nlri_routes are synchronized: one row per router, RIB, peer and family that has sent routes or an End-of-RIB.';
COMMENT ON COLUMN nlri_sync_status.router_id IS 'The router: routers.router_id.';
COMMENT ON COLUMN nlri_sync_status.rib IS 'loc-rib, adj-rib-in or adj-rib-out.';
COMMENT ON COLUMN nlri_sync_status.peer_address IS 'The peer of an Adj-RIB; NULL for a Loc-RIB.';
COMMENT ON COLUMN nlri_sync_status.is_post_policy IS 'Whether it is the Adj-RIB after policy; NULL for a Loc-RIB.';
COMMENT ON COLUMN nlri_sync_status.table_name IS 'As nlri_routes.table_name.';
COMMENT ON COLUMN nlri_sync_status.session_start_time IS 'When the dump of the current session began; NULL where there was none.';
COMMENT ON COLUMN nlri_sync_status.eor_seen IS 'Whether the dump ended with an End-of-RIB of the family.';
COMMENT ON COLUMN nlri_sync_status.eor_time IS 'When; NULL until then.';
COMMENT ON COLUMN nlri_sync_status.synced_at IS 'Since when the table is complete; NULL during a dump and while it is stale.';
COMMENT ON COLUMN nlri_sync_status.stale_since IS 'Since when no session reports it; NULL while one does.';

-- Names of these tables too.
ALTER TABLE table_names
    DROP CONSTRAINT table_names_rib_check,
    ADD CONSTRAINT table_names_rib_check CHECK (rib IN ('loc-rib', 'adj-rib-in', 'adj-rib-out',
                                                        'nlri-loc-rib', 'nlri-adj-rib-in', 'nlri-adj-rib-out')),
    DROP CONSTRAINT table_names_safi_check,
    ADD CONSTRAINT table_names_safi_check CHECK (safi IN (1, 4, 128) OR rib LIKE 'nlri-%');

COMMENT ON COLUMN table_names.rib IS 'loc-rib, adj-rib-in or adj-rib-out; of tables of nlri_routes the same with nlri- before it.';
COMMENT ON COLUMN table_names.safi IS 'Which part: 1 unicast, 4 labeled unicast, 128 VPN; of a table of nlri_routes its SAFI.';
COMMENT ON COLUMN table_names.route_distinguisher IS 'Of a VPN table the distinguisher of its routes; of a table of nlri_routes its AFI; empty for others.';
