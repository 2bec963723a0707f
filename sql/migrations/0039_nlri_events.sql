-- The history of the NLRI of families that are not prefixes.
--
-- Their events take the same way as those of routes, so their table has the columns of route_events, with a hash of the
-- NLRI's key in the place of a prefix. Readers have the view nlri_events, with the columns of nlri_routes.

CREATE TABLE nlri_route_events (
    LIKE route_events INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING COMMENTS,
    nlri_key TEXT GENERATED ALWAYS AS (attrs ->> 'nlri_key') STORED,
    PRIMARY KEY (event_id, ingest_time)
) PARTITION BY RANGE (ingest_time);

COMMENT ON TABLE nlri_route_events IS 'Internal: the events of other families as the collector writes them, in partitions of one UTC day like route_events; read nlri_events.';
COMMENT ON COLUMN nlri_route_events.table_name IS 'As in route_events, with |nlri:AFI/SAFI after it.';
COMMENT ON COLUMN nlri_route_events.afi IS '6: the family of the hash.';
COMMENT ON COLUMN nlri_route_events.prefix IS 'The first 128 bits of the SHA-256 of nlri_key.';
COMMENT ON COLUMN nlri_route_events.attrs IS 'As in route_events, and nlri, nlri_key, nlri_afi and nlri_safi, of withdrawals too.';
COMMENT ON COLUMN nlri_route_events.rib IS 'nlri-loc-rib, nlri-adj-rib-in or nlri-adj-rib-out.';
COMMENT ON COLUMN nlri_route_events.nlri_key IS 'As nlri_events.nlri_key.';

CREATE VIEW nlri_events AS
SELECT event_id, ingest_time, router_id, substr(rib, 6) AS rib, peer_address, peer_asn, peer_bgp_id, is_post_policy,
       table_name, (attrs ->> 'nlri_afi')::integer AS afi, (attrs ->> 'nlri_safi')::smallint AS safi, nlri_key, path_id,
       action, attrs -> 'nlri' AS nlri, nexthop, as_path, origin, localpref, med, origin_asn, communities_std,
       communities_ext, communities_large,
       NULLIF(attrs - ARRAY['nlri', 'nlri_key', 'nlri_afi', 'nlri_safi'], '{}') AS attrs, bmp_raw, received_at,
       router_time
FROM nlri_route_events;

COMMENT ON VIEW nlri_events IS 'One row per announcement and withdrawal of an NLRI of nlri_routes: route_events of the families that are not prefixes. Written where RIB_INGESTER_STORED_FAMILIES lists the family and RIB_INGESTER_HISTORY is on; kept in days like route_events, which the archive does not have. Not here: routes that a dump repeats unchanged, and the routes of a table that goes as a whole (session_events).';
COMMENT ON COLUMN nlri_events.event_id IS 'As route_events.event_id.';
COMMENT ON COLUMN nlri_events.ingest_time IS 'As route_events.ingest_time: it orders all events of a router, of both tables.';
COMMENT ON COLUMN nlri_events.router_id IS 'The router: routers.router_id.';
COMMENT ON COLUMN nlri_events.rib IS 'loc-rib, adj-rib-in or adj-rib-out.';
COMMENT ON COLUMN nlri_events.peer_address IS 'The peer of an Adj-RIB; NULL for a Loc-RIB.';
COMMENT ON COLUMN nlri_events.peer_asn IS 'The AS of that peer; NULL for a Loc-RIB.';
COMMENT ON COLUMN nlri_events.peer_bgp_id IS 'The BGP identifier of that peer; NULL for a Loc-RIB.';
COMMENT ON COLUMN nlri_events.is_post_policy IS 'Whether it is the Adj-RIB after policy; NULL for a Loc-RIB.';
COMMENT ON COLUMN nlri_events.table_name IS 'As nlri_routes.table_name.';
COMMENT ON COLUMN nlri_events.afi IS 'Address family by its IANA number: 1, 2, 25 for EVPN, 16388 for BGP-LS.';
COMMENT ON COLUMN nlri_events.safi IS 'Subsequent address family by its IANA number.';
COMMENT ON COLUMN nlri_events.nlri_key IS 'As nlri_routes.nlri_key. NULL where the router withdraws what it has not announced.';
COMMENT ON COLUMN nlri_events.path_id IS 'Add-Path identifier (RFC 7911); NULL where Add-Path is not in use. nlri_routes has 0 there.';
COMMENT ON COLUMN nlri_events.action IS 'A: announced (new or changed). D: withdrawn.';
COMMENT ON COLUMN nlri_events.nlri IS 'As nlri_routes.nlri; where action is D, the fields as the router had announced them, and NULL where nlri_key is.';
COMMENT ON COLUMN nlri_events.nexthop IS 'As nlri_routes.nexthop; NULL where action is D, as the next eight.';
COMMENT ON COLUMN nlri_events.as_path IS 'As nlri_routes.as_path.';
COMMENT ON COLUMN nlri_events.origin IS 'As nlri_routes.origin.';
COMMENT ON COLUMN nlri_events.localpref IS 'As nlri_routes.localpref.';
COMMENT ON COLUMN nlri_events.med IS 'As nlri_routes.med.';
COMMENT ON COLUMN nlri_events.origin_asn IS 'As nlri_routes.origin_asn.';
COMMENT ON COLUMN nlri_events.communities_std IS 'As nlri_routes.communities_std.';
COMMENT ON COLUMN nlri_events.communities_ext IS 'As nlri_routes.communities_ext.';
COMMENT ON COLUMN nlri_events.communities_large IS 'As nlri_routes.communities_large.';
COMMENT ON COLUMN nlri_events.attrs IS 'As route_events.attrs: where action is D, NULL for a withdrawal by the router, else the reason.';
COMMENT ON COLUMN nlri_events.bmp_raw IS 'As route_events.bmp_raw.';
COMMENT ON COLUMN nlri_events.received_at IS 'As route_events.received_at.';
COMMENT ON COLUMN nlri_events.router_time IS 'As route_events.router_time.';

COMMENT ON VIEW nlri_routes IS 'The NLRI of families that are not prefixes, as they are now: EVPN (RFC 7432), FlowSpec (RFC 8955, 8956), BGP-LS (RFC 9552), SR policies (RFC 9830), route target constraints (RFC 4684), multicast VPN (RFC 6514). One row per NLRI and path, of the families in RIB_INGESTER_STORED_FAMILIES and the RIBs in RIB_INGESTER_STORED_RIBS; written, stale and deleted like the rows of current_routes and adj_rib_in. Their changes are in nlri_events.';
