-- Further families whose NLRI are not prefixes.

COMMENT ON VIEW nlri_routes IS 'The NLRI of families that are not prefixes, as they are now: EVPN (RFC 7432), FlowSpec (RFC 8955, 8956), BGP-LS (RFC 9552), SR policies (RFC 9830), route target constraints (RFC 4684), multicast VPN (RFC 6514), BGP-LS SPF (RFC 9815), VPLS (RFC 4761, 6074). One row per NLRI and path, of the families in RIB_INGESTER_STORED_FAMILIES and the RIBs in RIB_INGESTER_STORED_RIBS; written, stale and deleted like the rows of current_routes and adj_rib_in. Their changes are in nlri_events.';
