-- Comments for those who write readers: docs/schema.md is made of them (tests/store/schema_page.rs). A table that readers do not
-- need is called internal in its comment. Where a column may be NULL, its comment says when.

-- Columns that several tables share.
DO $comment$
DECLARE
    of RECORD;
BEGIN
FOR of IN
    SELECT t.name AS relation, c.name AS attribute, c.words
    FROM (VALUES
        ('{current_routes,adj_rib_in,adj_rib_out,route_events,route_snapshots}'::text[], 'router_id',
         'The router: routers.router_id. No foreign key.'),
        ('{current_routes,route_events,route_snapshots}', 'table_name',
         'The name of the Loc-RIB table: what the router calls it (RFC 9069 section 5.2.1), else UNKNOWN, or rd:<distinguisher> where it has one. See table_names.'),
        ('{adj_rib_in,adj_rib_out}', 'table_name',
         'UNKNOWN, or the VRF: its name, or rd:<distinguisher>. |rd:<distinguisher> holds VPN routes, |labelled labelled unicast, |as:<number> a second peer at one address. See table_names.'),
        ('{current_routes,adj_rib_in,adj_rib_out,route_events,route_snapshots}', 'afi',
         'Address family: 4 for IPv4, 6 for IPv6. Not the IANA number.'),
        ('{current_routes,adj_rib_in,adj_rib_out,route_events,route_snapshots}', 'prefix',
         'Destination, without host bits.'),
        ('{current_routes,adj_rib_in,adj_rib_out,route_snapshots}', 'path_id',
         'Add-Path identifier (RFC 7911); 0 where Add-Path is not in use. route_events has NULL there.'),
        ('{current_routes,adj_rib_in,adj_rib_out,route_snapshots}', 'nexthop',
         'BGP next hop, the global one of two. NULL where the router sends none.'),
        ('{current_routes,adj_rib_in,adj_rib_out,route_snapshots}', 'as_path',
         'AS_PATH: AS numbers in decimal, separated by spaces; AS_SET {1,2}, AS_CONFED_SEQUENCE (1 2), AS_CONFED_SET [1,2]. The empty string is an empty path, NULL no path attribute.'),
        ('{current_routes,adj_rib_in,adj_rib_out,route_snapshots}', 'origin',
         'IGP, EGP or INCOMPLETE; NULL where the router sends none.'),
        ('{current_routes,adj_rib_in,adj_rib_out,route_snapshots}', 'localpref',
         'LOCAL_PREF, unsigned 32 bits; NULL where the router sends none.'),
        ('{current_routes,adj_rib_in,adj_rib_out,route_snapshots}', 'med',
         'MULTI_EXIT_DISC, unsigned 32 bits; NULL where the router sends none.'),
        ('{current_routes,adj_rib_in,adj_rib_out,route_snapshots}', 'origin_asn',
         'The last AS number of as_path, unsigned 32 bits; NULL where the path is empty, absent, or does not end in an AS_SEQUENCE.'),
        ('{current_routes,adj_rib_in,adj_rib_out,route_snapshots}', 'communities_std',
         'Communities (RFC 1997) as ASN:value in decimal, in the router''s order; NULL where the router sends none.'),
        ('{current_routes,adj_rib_in,adj_rib_out,route_snapshots}', 'communities_ext',
         'Extended communities (RFC 4360): RT:ASN:value, SOO:ASN:value, the administrator an AS number or an IPv4 address; any other as 16 lower-case hex digits. NULL where the router sends none.'),
        ('{current_routes,adj_rib_in,adj_rib_out,route_snapshots}', 'communities_large',
         'Large communities (RFC 8092) as GA:LD1:LD2 in decimal; NULL where the router sends none.'),
        ('{current_routes,adj_rib_in,adj_rib_out,route_snapshots}', 'attrs',
         'All other path attributes, each under its name in the IANA registry in snake case, an unregistered one under its type code; and labels, rd, link_local_next_hop and path_status. NULL where there is none.'),
        ('{current_routes,adj_rib_in,adj_rib_out}', 'first_seen',
         'When this key was inserted; updates keep it. A route that is withdrawn and returns is a new row.'),
        ('{current_routes,adj_rib_in,adj_rib_out,route_snapshots}', 'updated_at',
         'When the row was last written. Moves exactly when it is: a dump that repeats a route unchanged does not write it.'),
        ('{adj_rib_in,adj_rib_out,adj_rib_in_summary,adj_rib_out_summary,adj_rib_in_sync_status,adj_rib_out_sync_status,peers_overview}', 'peer_address',
         'The peer''s address.'),
        ('{adj_rib_in,adj_rib_out,adj_rib_in_summary,adj_rib_out_summary,peers_overview}', 'peer_asn',
         'The peer''s AS number.'),
        ('{adj_rib_in,adj_rib_out,peers_overview}', 'peer_bgp_id',
         'The peer''s BGP Identifier; empty where none is known.'),
        ('{adj_rib_in,adj_rib_out,adj_rib_in_summary,adj_rib_out_summary,adj_rib_in_sync_status,adj_rib_out_sync_status}', 'is_post_policy',
         'True for the RIB after policy, false for the one before (L flag).'),
        ('{adj_rib_in_summary,adj_rib_out_summary,route_summary}', 'route_count',
         'Routes, each path counted.'),
        ('{adj_rib_in_summary,adj_rib_out_summary,route_summary}', 'unique_prefixes',
         'Distinct prefixes.'),
        ('{adj_rib_in_summary,adj_rib_out_summary,route_summary}', 'unique_nexthops',
         'Distinct next hops.'),
        ('{rib_sync_status,adj_rib_in_sync_status,adj_rib_out_sync_status}', 'session_start_time',
         'When the latest dump of the table began; NULL where none has.'),
        ('{rib_sync_status,adj_rib_in_sync_status,adj_rib_out_sync_status}', 'eor_seen',
         'True once this session has sent the End-of-RIB of the table; false again when the session is lost. Routers that send none never set it: see synced_at.'),
        ('{rib_sync_status,adj_rib_in_sync_status,adj_rib_out_sync_status}', 'eor_time',
         'When the End-of-RIB came; NULL until the first one of the dump.'),
        ('{rib_sync_status,adj_rib_in_sync_status,adj_rib_out_sync_status}', 'last_parsed_msg_time',
         'When a message of the table last reached the current state; NULL where none has.'),
        ('{rib_sync_status,adj_rib_in_sync_status,adj_rib_out_sync_status}', 'last_raw_msg_time',
         'When a message of the table last reached route_events; NULL where none has.'),
        ('{rib_sync_status,adj_rib_in_sync_status,adj_rib_out_sync_status}', 'synced_at',
         'When the dump counted as complete: by End-of-RIB, or because it fell quiet. NULL until then and while the table is stale.'),
        ('{rib_sync_status,adj_rib_in_sync_status,adj_rib_out_sync_status}', 'stale_since',
         'Since when no session reports the table; NULL while one does. A later loss does not move it.')
    ) AS c (tables, name, words)
    CROSS JOIN unnest(c.tables) AS t (name)
LOOP
    EXECUTE format('COMMENT ON COLUMN %I.%I IS %L', of.relation, of.attribute, of.words);
END LOOP;
END $comment$;

-- Routers and sessions ------------------------------------------------------------------------------------------

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

COMMENT ON TABLE bmp_sessions IS 'One row per BMP session of an identified router, deleted a day after the session ended. A session is live while its state is dumping or up and alive_until of its collector is in the future.';
COMMENT ON TABLE collectors IS 'The heartbeat of each collector that writes to this database.';

COMMENT ON TABLE session_events IS 'One row per change of a session, peer or table, kept for 400 days, or as long as route_events if that is longer. Routes that go with their table are one row here and no rows of route_events. Each row is also sent as JSON to LISTEN rib_session.';
COMMENT ON COLUMN session_events.id IS 'Increases in the order of writing.';
COMMENT ON COLUMN session_events.event_time IS 'When it was written, by the database''s clock.';
COMMENT ON COLUMN session_events.router_id IS 'The router; NULL where the row is about none, or one that is not identified.';
COMMENT ON COLUMN session_events.table_name IS 'The table; NULL where the row is not about a single one.';
COMMENT ON COLUMN session_events.peer_address IS 'The peer, or the source address of a refused connection; NULL where the row is about neither.';
COMMENT ON COLUMN session_events.afi IS '4 or 6; NULL where the row is not about a single family.';
COMMENT ON COLUMN session_events.reason IS 'Why, in words for people, up to 1,000 octets; NULL where there is nothing to say.';
COMMENT ON COLUMN session_events.routes IS 'How many routes went or came with it; NULL where none are counted.';

-- Routes --------------------------------------------------------------------------------------------------------

COMMENT ON TABLE current_routes IS 'The Loc-RIB of each router as it is now (RFC 9069): one row per route and path. An announcement writes the row, a withdrawal deletes it, a Peer Down or Termination deletes the table. A lost session deletes nothing at first: the table is stale (rib_sync_status).';
COMMENT ON TABLE adj_rib_in IS 'Adj-RIB-In (RFC 7854): one row per route that a router received from a BGP peer, before or after policy. Lives as current_routes does, peer by peer.';
COMMENT ON TABLE adj_rib_out IS 'Adj-RIB-Out (RFC 8671): one row per route that a router sent to a BGP peer, before or after policy. Lives as current_routes does, peer by peer.';

COMMENT ON TABLE rib_sync_status IS 'How complete each Loc-RIB table is, by family. The row is made with the table and deleted with it. A table that has been stale for RIB_INGESTER_SESSION_HOLD_SECS is deleted.';
COMMENT ON COLUMN rib_sync_status.router_id IS 'The router: routers.router_id. No foreign key.';
COMMENT ON COLUMN rib_sync_status.table_name IS 'As current_routes.table_name.';
COMMENT ON COLUMN rib_sync_status.afi IS '4 for IPv4, 6 for IPv6.';
COMMENT ON TABLE adj_rib_in_sync_status IS 'How complete each Adj-RIB-In table of each peer is, by family. As rib_sync_status.';
COMMENT ON TABLE adj_rib_out_sync_status IS 'How complete each Adj-RIB-Out table of each peer is, by family. As rib_sync_status.';

-- History -------------------------------------------------------------------------------------------------------

COMMENT ON TABLE route_events IS 'One row per announcement and withdrawal, in partitions of one UTC day (route_events_YYYYMMDD) that are dropped after RIB_INGESTER_RETENTION_DAYS. Nothing updates or deletes a row. Without a condition on ingest_time a query reads every day. Not here: routes that a dump repeats unchanged, and the routes of a table that goes as a whole (session_events).';
COMMENT ON COLUMN route_events.event_id IS 'SHA-256 over router, table, peer, prefix, path, action, attributes, router_time (else received_at) and how often the same came before. 32 octets; one per route, not per message.';
COMMENT ON COLUMN route_events.ingest_time IS 'When the event was written, by the database''s clock. Strictly increases per router, so it orders a router''s events. Partition key.';
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

COMMENT ON TABLE snapshots IS 'The tables whose routes of a day are in route_snapshots; empty unless RIB_INGESTER_DAILY_SNAPSHOTS is on.';
COMMENT ON TABLE route_snapshots IS 'The Loc-RIB routes of the tables in snapshots, once a day, in partitions of one UTC day (route_snapshots_YYYYMMDD) that are dropped after RIB_INGESTER_RETENTION_DAYS. routes_as_of reads them.';

-- Peers ---------------------------------------------------------------------------------------------------------

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

COMMENT ON TABLE peer_statistics IS 'The latest value of each statistic that a router reports about a peer or a Loc-RIB (RFC 7854 section 4.8).';
COMMENT ON COLUMN peer_statistics.peer_address IS 'The peer''s address; 0.0.0.0 for a Loc-RIB.';
COMMENT ON COLUMN peer_statistics.peer_asn IS 'The peer''s AS number.';
COMMENT ON COLUMN peer_statistics.stat_type IS 'Number of the statistic in the IANA registry of BMP statistics types.';
COMMENT ON COLUMN peer_statistics.afi IS 'Address family by its IANA number (1 is IPv4, 2 is IPv6); 0: all families together.';
COMMENT ON COLUMN peer_statistics.safi IS 'Subsequent address family by its IANA number; 0: all together.';
COMMENT ON COLUMN peer_statistics.name IS 'Name of the statistic, or its number.';
COMMENT ON COLUMN peer_statistics.value IS 'The value, unsigned 64 bits: a counter or a gauge, as the registry says.';
COMMENT ON COLUMN peer_statistics.updated_at IS 'When it was reported.';

COMMENT ON TABLE table_names IS 'Which peer or instance each table_name stands for. A name is the same in every session, whatever the order of Peer Ups. Read the structure here, not out of the name. Deleted with the last route and sync row of the table.';
COMMENT ON COLUMN table_names.table_name IS 'The table_name of the other tables: name, what tells it apart, and its part.';

-- Counts --------------------------------------------------------------------------------------------------------

COMMENT ON MATERIALIZED VIEW route_summary IS 'Routes per router, table and family, as of the last maintenance run (RIB_INGESTER_MAINTENANCE_INTERVAL_SECS). Count current_routes for the present.';
COMMENT ON MATERIALIZED VIEW adj_rib_in_summary IS 'Adj-RIB-In routes per peer, RIB, table and family, as of the last maintenance run.';
COMMENT ON MATERIALIZED VIEW adj_rib_out_summary IS 'Adj-RIB-Out routes per peer, RIB, table and family, as of the last maintenance run.';
COMMENT ON VIEW peers_overview IS 'The routes of each peer, as of the last maintenance run. For the state of peers see peers.';
COMMENT ON COLUMN peers_overview.router_hostname IS 'routers.hostname.';
COMMENT ON COLUMN peers_overview.post_policy_routes IS 'Routes after policy.';
COMMENT ON COLUMN peers_overview.total_routes IS 'The sum of both.';
COMMENT ON COLUMN peers_overview.unique_prefixes IS 'Distinct prefixes after policy, or before policy where none are stored after it.';
COMMENT ON VIEW routers_overview IS 'One row per router that any table knows. Loc-RIB routes are counted when the view is read, Adj-RIB-In routes by the last maintenance run.';
COMMENT ON COLUMN routers_overview.adj_rib_in_route_count IS 'Routes of all peers, as of the last maintenance run.';
COMMENT ON COLUMN routers_overview.adj_rib_in_peer_count IS 'Peers with routes, as of the last maintenance run.';
COMMENT ON COLUMN routers_overview.all_afis_synced IS 'True where the dump of every Loc-RIB table and family is complete (synced_at); NULL where the router has no Loc-RIB.';
COMMENT ON COLUMN routers_overview.reported_loc_rib_routes IS 'Loc-RIB routes by the router''s own count (statistic 8); where it does not count its Loc-RIB, the routes of its peers that are up (the larger of 7 and 8 of each, added up). At most 9223372036854775807; NULL where the router reports neither.';
COMMENT ON COLUMN routers_overview.reported_adj_rib_in_routes IS 'Adj-RIB-In routes by the router''s own count (statistic 7), over all peers that are not down. At most 9223372036854775807; NULL where the router does not report them.';
COMMENT ON COLUMN routers_overview.loc_rib_drift IS 'Stored minus reported Loc-RIB routes. Where the router does not count its Loc-RIB: how many more are stored than its peers have, never below 0. NULL where either is unknown.';
COMMENT ON COLUMN routers_overview.adj_rib_in_drift IS 'Stored minus reported routes before policy; NULL where either is unknown.';

-- Internal ------------------------------------------------------------------------------------------------------

COMMENT ON TABLE router_owner IS 'Internal: which collector writes a router. Every write transaction checks the epoch.';
COMMENT ON TABLE add_path_evidence IS 'Internal: peers and RIBs whose messages did not carry path identifiers as their capabilities announced.';
COMMENT ON TABLE detached_partitions IS 'Internal: partitions that maintenance detaches because their retention is over, until they are dropped.';
COMMENT ON COLUMN schema_migrations.name IS 'Name of the migration, they are applied in this order.';
COMMENT ON COLUMN schema_migrations.checksum IS 'SHA-256 of its text, in hex.';
COMMENT ON COLUMN schema_migrations.applied_at IS 'When it was applied.';

COMMENT ON FUNCTION lookup(inet) IS 'The longest match for an address, or for a prefix that it has to cover, in each table of each router, with all its paths.';
COMMENT ON FUNCTION routes_as_of(text, text, timestamptz, cidr[]) IS 'The Loc-RIB of a table as it was at a moment; prefixes limits it to these. since is when the route was first written so; complete is false where the retained history does not tell all.';
COMMENT ON FUNCTION routes_between(timestamptz, timestamptz, text, text) IS 'The difference between two moments: change is added, removed or changed, before and after are the attributes as JSON. Of one table, of a router, or of all.';
COMMENT ON FUNCTION flap_report(interval) IS 'Loc-RIB routes that flapped or changed within a span up to now, the worst first. A flap is a withdrawal and the route''s return.';
COMMENT ON FUNCTION history_is_complete(text, text, timestamptz, cidr[]) IS 'True where the retained history tells all of a table as it was at a moment: then routes_as_of misses nothing.';
COMMENT ON FUNCTION history_begin() IS 'The time from which on route_events are kept.';
COMMENT ON FUNCTION covering_prefixes(inet) IS 'Internal: all prefixes that cover an address or prefix. lookup asks for each of them.';
COMMENT ON FUNCTION history_base(text, text, timestamptz) IS 'Internal: the state from which routes_as_of reads history.';
COMMENT ON FUNCTION history_tables(timestamptz) IS 'Internal: the tables that have events since a moment.';
COMMENT ON FUNCTION table_removals(text, text, timestamptz, timestamptz) IS 'Internal: when a table lost all its routes at once.';
