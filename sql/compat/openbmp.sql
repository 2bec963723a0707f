-- Views under the names of OpenBMP's database (obmp-psql), for queries and dashboards that were written for it.
-- docs/openbmp.md says what maps to what.
--
-- Optional: load it with psql as the owner of the tables, behind `rib-ingester migrate`, as often as you like. Nothing but
-- the schema openbmp is written. Take it away with DROP SCHEMA openbmp CASCADE: do so before an upgrade, and load the new
-- version's file behind it.
--
-- The views are in a schema of their own, since four of their names are names of tables here. Readers need USAGE on the
-- schema and SELECT on its views beside their rights on the tables: the views read with the rights of whoever asks
-- (security_invoker), and give nobody more than the tables do.
BEGIN;
-- The schema of the tables, also for those whose search_path begins with openbmp.
SELECT set_config('search_path', quote_ident(n.nspname), true)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = to_regclass('schema_migrations');

CREATE SCHEMA IF NOT EXISTS openbmp;
COMMENT ON SCHEMA openbmp IS 'Views under the names of obmp-psql, the database of OpenBMP: see docs/openbmp.md.';

-- Identity ------------------------------------------------------------------------------------------------------

-- What identifies a router or peer there is a UUID. Both functions are written so that the planner replaces a call by the
-- expression: a condition on the UUID is then one on a few peers, and their routes come through an index.
CREATE OR REPLACE FUNCTION openbmp.router_hash(router_id TEXT) RETURNS UUID
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN md5(router_id)::uuid;

COMMENT ON FUNCTION openbmp.router_hash IS 'The hash_id of a router, from routers.router_id of the tables.';

CREATE OR REPLACE FUNCTION openbmp.peer_hash(router_id TEXT, peer_type TEXT, distinguisher TEXT, peer_address INET, peer_asn BIGINT) RETURNS UUID
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN md5(router_id || '|' || peer_type || '|' || distinguisher || '|' || host(peer_address) || '|' || peer_asn::text)::uuid;

COMMENT ON FUNCTION openbmp.peer_hash IS 'The hash_id of a peer, from the key of peers. A Loc-RIB is a peer of type loc_rib, with its table for a distinguisher.';

CREATE OR REPLACE FUNCTION openbmp.route_hash(peer_hash UUID, rib TEXT, is_post_policy BOOLEAN, table_name TEXT, prefix CIDR, path_id BIGINT) RETURNS UUID
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN md5(peer_hash::text || rib || is_post_policy::text || table_name || '|' || prefix::text || '|' || path_id::text)::uuid;

COMMENT ON FUNCTION openbmp.route_hash IS 'The hash_id of a route.';

CREATE OR REPLACE FUNCTION openbmp.as_numbers(as_path TEXT) RETURNS BIGINT[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN COALESCE(string_to_array(NULLIF(btrim(regexp_replace(as_path, '[^0-9]+', ' ', 'g')), ''), ' ')::bigint[], '{}');

COMMENT ON FUNCTION openbmp.as_numbers IS 'The AS numbers of a path, those of sets and confederations included, without what groups them.';

CREATE OR REPLACE FUNCTION openbmp.text_array(list JSONB) RETURNS TEXT[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (SELECT array_agg(e.item) FROM jsonb_array_elements_text(list) AS e (item));

COMMENT ON FUNCTION openbmp.text_array IS 'A list of JSON as an array; NULL where there is none.';

-- Routers and peers ---------------------------------------------------------------------------------------------

CREATE OR REPLACE VIEW openbmp.collectors WITH (security_invoker = true) AS
SELECT openbmp.router_hash(c.collector_id) AS hash_id,
       CASE WHEN c.alive_until > now() THEN 'up' ELSE 'down' END AS state,
       c.collector_id AS admin_id,
       (SELECT string_agg(o.router_id, ', ' ORDER BY o.router_id) FROM router_owner o WHERE o.collector_id = c.collector_id) AS routers,
       (SELECT count(*)::smallint FROM router_owner o WHERE o.collector_id = c.collector_id) AS router_count,
       c.alive_until AS "timestamp", c.host AS name, NULL::text AS ip_address
FROM collectors c;

COMMENT ON VIEW openbmp.collectors IS 'The collectors that write to this database.';
COMMENT ON COLUMN openbmp.collectors.ip_address IS 'Always NULL: not stored.';

CREATE OR REPLACE VIEW openbmp.routers WITH (security_invoker = true) AS
SELECT openbmp.router_hash(r.router_id) AS hash_id, COALESCE(NULLIF(r.hostname, ''), host(r.router_ip), r.router_id) AS name,
       r.router_ip AS ip_address, r.as_number AS router_as, s.since AS "timestamp", r.description,
       CASE WHEN s.state IN ('dumping', 'up') THEN 'up' ELSE 'down' END AS state, NULL::boolean AS ispassive,
       NULL::integer AS term_reason_code, CASE WHEN s.state NOT IN ('dumping', 'up') THEN s.reason END AS term_reason_text,
       NULL::text AS term_data, NULL::text AS init_data, NULL::inet AS geo_ip_start,
       openbmp.router_hash(s.collector_id) AS collector_hash_id, NULL::inet AS bgp_id
FROM routers r JOIN router_states s ON s.router_id = r.router_id;

COMMENT ON VIEW openbmp.routers IS 'Routers and whether they are connected. timestamp: since when they are in this state.';
COMMENT ON COLUMN openbmp.routers.ispassive IS 'Always NULL: routers connect to the collector, never the other way round.';
COMMENT ON COLUMN openbmp.routers.term_reason_code IS 'Always NULL: see term_reason_text.';
COMMENT ON COLUMN openbmp.routers.term_data IS 'Always NULL: see term_reason_text.';
COMMENT ON COLUMN openbmp.routers.init_data IS 'Always NULL: see name and description.';
COMMENT ON COLUMN openbmp.routers.geo_ip_start IS 'Always NULL: there are no places of addresses.';
COMMENT ON COLUMN openbmp.routers.bgp_id IS 'Always NULL: by default it is routers.router_id of the tables.';

CREATE OR REPLACE VIEW openbmp.bgp_peers WITH (security_invoker = true) AS
SELECT openbmp.peer_hash(p.router_id, p.peer_type, p.distinguisher, p.peer_address, p.peer_asn) AS hash_id,
       openbmp.router_hash(p.router_id) AS router_hash_id, COALESCE(NULLIF(p.distinguisher, ''), '0:0') AS peer_rd,
       family(p.peer_address) = 4 AS isipv4, p.peer_address AS peer_addr, p.description AS name,
       NULLIF(p.peer_bgp_id, '')::inet AS peer_bgp_id, p.peer_asn AS peer_as,
       CASE p.state WHEN 'up' THEN 'up' ELSE 'down' END AS state, p.peer_type = 'rd' AS isl3vpnpeer, p.since AS "timestamp",
       NOT EXISTS (SELECT FROM adj_rib_in_sync_status s
                   WHERE s.router_id = p.router_id AND s.peer_address = p.peer_address AND s.is_post_policy) AS isprepolicy,
       NULL::inet AS geo_ip_start, p.local_address AS local_ip, NULL::inet AS local_bgp_id, p.local_port,
       p.hold_time::smallint AS local_hold_time, NULL::bigint AS local_asn, p.remote_port, NULL::smallint AS remote_hold_time,
       (p.capabilities -> 'sent')::text AS sent_capabilities, (p.capabilities -> 'received')::text AS recv_capabilities,
       NULL::smallint AS bmp_reason, NULL::smallint AS bgp_err_code, NULL::smallint AS bgp_err_subcode,
       p.last_reason AS error_text, false AS islocrib, false AS islocribfiltered, NULL::text AS table_name
FROM peers p
UNION ALL
SELECT openbmp.peer_hash(t.router_id, 'loc_rib', t.table_name, t.peer_address, t.peer_asn), openbmp.router_hash(t.router_id),
       COALESCE(NULLIF(t.distinguisher, ''), '0:0'), true, t.peer_address, t.table_name, NULLIF(t.bgp_id, '')::inet,
       COALESCE(r.as_number, 0),
       CASE WHEN s.updated_at IS NOT NULL AND s.stale_since IS NULL THEN 'up' ELSE 'down' END, false,
       COALESCE(s.stale_since, s.session_start_time), false, NULL, r.router_ip, NULL, NULL, NULL, r.as_number, NULL, NULL, NULL, NULL,
       NULL, NULL, NULL, NULL, true, false, t.table_name
FROM table_names t
JOIN routers r ON r.router_id = t.router_id
LEFT JOIN LATERAL (SELECT max(y.updated_at) AS updated_at, min(y.stale_since) AS stale_since, min(y.session_start_time) AS session_start_time
                   FROM rib_sync_status y WHERE y.router_id = t.router_id AND y.table_name = t.table_name) AS s ON true
WHERE t.rib = 'loc-rib' AND t.table_name = t.unicast_table_name;

COMMENT ON VIEW openbmp.bgp_peers IS 'BGP peers, and a peer with islocrib for each Loc-RIB. timestamp: since when they are in this state.';
COMMENT ON COLUMN openbmp.bgp_peers.isprepolicy IS 'False for a peer with routes after policy, whether or not there are others; see ip_rib.isprepolicy for a route.';
COMMENT ON COLUMN openbmp.bgp_peers.local_hold_time IS 'The negotiated hold time.';
COMMENT ON COLUMN openbmp.bgp_peers.sent_capabilities IS 'JSON, as peers.capabilities of the tables.';
COMMENT ON COLUMN openbmp.bgp_peers.recv_capabilities IS 'JSON, as peers.capabilities of the tables.';
COMMENT ON COLUMN openbmp.bgp_peers.local_asn IS 'The AS of a router with a Loc-RIB; NULL for BGP peers.';
COMMENT ON COLUMN openbmp.bgp_peers.geo_ip_start IS 'Always NULL: there are no places of addresses.';
COMMENT ON COLUMN openbmp.bgp_peers.local_bgp_id IS 'Always NULL: not stored.';
COMMENT ON COLUMN openbmp.bgp_peers.remote_hold_time IS 'Always NULL: see local_hold_time.';
COMMENT ON COLUMN openbmp.bgp_peers.bmp_reason IS 'Always NULL: error_text says it in words.';
COMMENT ON COLUMN openbmp.bgp_peers.bgp_err_code IS 'Always NULL: error_text says it in words.';
COMMENT ON COLUMN openbmp.bgp_peers.bgp_err_subcode IS 'Always NULL: error_text says it in words.';

CREATE OR REPLACE VIEW openbmp.v_peers WITH (security_invoker = true) AS
SELECT r.name AS routername, r.ip_address AS routerip, p.local_ip AS localip, p.local_port AS localport, p.local_asn AS localasn,
       p.local_bgp_id AS localbgpid, COALESCE(NULLIF(p.name, ''), host(p.peer_addr)) AS peername, p.peer_addr AS peerip,
       p.remote_port AS peerport, p.peer_as AS peerasn, p.peer_bgp_id AS peerbgpid, p.local_hold_time AS localholdtime,
       p.remote_hold_time AS peerholdtime, p.state AS peer_state, r.state AS router_state, p.isipv4 AS ispeeripv4,
       p.isl3vpnpeer AS ispeervpn, p.isprepolicy, p."timestamp" AS lastmodified, p.bmp_reason AS lastbmpreasoncode,
       p.bgp_err_code AS lastdowncode, p.bgp_err_subcode AS lastdownsubcode, p.error_text AS lastdownmessage,
       p."timestamp" AS lastdowntimestamp, p.sent_capabilities AS sentcapabilities, p.recv_capabilities AS recvcapabilities,
       NULL::text AS as_name, p.islocrib, p.islocribfiltered, p.table_name, p.hash_id AS peer_hash_id,
       r.hash_id AS router_hash_id, p.geo_ip_start
FROM openbmp.bgp_peers p JOIN openbmp.routers r ON r.hash_id = p.router_hash_id;

COMMENT ON VIEW openbmp.v_peers IS 'bgp_peers with their routers.';
COMMENT ON COLUMN openbmp.v_peers.localbgpid IS 'Always NULL: not stored.';
COMMENT ON COLUMN openbmp.v_peers.peerholdtime IS 'Always NULL: localholdtime is the negotiated one.';
COMMENT ON COLUMN openbmp.v_peers.lastbmpreasoncode IS 'Always NULL: lastdownmessage says it in words.';
COMMENT ON COLUMN openbmp.v_peers.lastdowncode IS 'Always NULL: lastdownmessage says it in words.';
COMMENT ON COLUMN openbmp.v_peers.lastdownsubcode IS 'Always NULL: lastdownmessage says it in words.';
COMMENT ON COLUMN openbmp.v_peers.as_name IS 'Always NULL: there is no whois.';
COMMENT ON COLUMN openbmp.v_peers.geo_ip_start IS 'Always NULL: there are no places of addresses.';

CREATE OR REPLACE VIEW openbmp.peer_event_log WITH (security_invoker = true) AS
SELECT s.id, CASE s.kind WHEN 'peer_up' THEN 'up' ELSE 'down' END AS state,
       openbmp.peer_hash(p.router_id, p.peer_type, p.distinguisher, p.peer_address, p.peer_asn) AS peer_hash_id,
       p.local_address AS local_ip, NULL::inet AS local_bgp_id, p.local_port, p.hold_time AS local_hold_time,
       NULL::inet AS geo_ip_start, NULL::bigint AS local_asn, p.remote_port, NULL::integer AS remote_hold_time,
       (p.capabilities -> 'sent')::text AS sent_capabilities, (p.capabilities -> 'received')::text AS recv_capabilities,
       NULL::smallint AS bmp_reason, NULL::smallint AS bgp_err_code, NULL::smallint AS bgp_err_subcode,
       CASE s.kind WHEN 'peer_down' THEN s.reason END AS error_text, s.event_time AS "timestamp"
FROM session_events s
CROSS JOIN LATERAL (SELECT q.* FROM peers q WHERE q.router_id = s.router_id AND q.peer_address = s.peer_address
                    ORDER BY q.updated_at DESC LIMIT 1) AS p
WHERE s.kind IN ('peer_up', 'peer_down') AND s.peer_address IS NOT NULL;

COMMENT ON VIEW openbmp.peer_event_log IS 'When BGP peers went up and down, 400 days back. Ports, hold time and capabilities are those of the latest session.';
COMMENT ON COLUMN openbmp.peer_event_log.peer_hash_id IS 'The peer; where several have one address at a router, the one that was reported last.';
COMMENT ON COLUMN openbmp.peer_event_log.local_bgp_id IS 'Always NULL: not stored.';
COMMENT ON COLUMN openbmp.peer_event_log.geo_ip_start IS 'Always NULL: there are no places of addresses.';
COMMENT ON COLUMN openbmp.peer_event_log.local_asn IS 'Always NULL: not stored.';
COMMENT ON COLUMN openbmp.peer_event_log.remote_hold_time IS 'Always NULL: local_hold_time is the negotiated one.';
COMMENT ON COLUMN openbmp.peer_event_log.bmp_reason IS 'Always NULL: error_text says it in words.';
COMMENT ON COLUMN openbmp.peer_event_log.bgp_err_code IS 'Always NULL: error_text says it in words.';
COMMENT ON COLUMN openbmp.peer_event_log.bgp_err_subcode IS 'Always NULL: error_text says it in words.';

CREATE OR REPLACE VIEW openbmp.stat_reports WITH (security_invoker = true) AS
SELECT NULL::bigint AS id,
       openbmp.peer_hash(s.router_id, s.peer_type, s.distinguisher, s.peer_address, s.peer_asn) AS peer_hash_id,
       max(s.value) FILTER (WHERE s.stat_type = 0) AS prefixes_rejected,
       max(s.value) FILTER (WHERE s.stat_type = 1) AS known_dup_prefixes,
       max(s.value) FILTER (WHERE s.stat_type = 2) AS known_dup_withdraws,
       max(s.value) FILTER (WHERE s.stat_type = 3) AS updates_invalid_by_cluster_list,
       max(s.value) FILTER (WHERE s.stat_type = 4) AS updates_invalid_by_as_path_loop,
       -- Spelled as there.
       max(s.value) FILTER (WHERE s.stat_type = 5) AS updates_invalid_by_originagtor_id,
       max(s.value) FILTER (WHERE s.stat_type = 6) AS updates_invalid_by_as_confed_loop,
       max(s.value) FILTER (WHERE s.stat_type = 7) AS num_routes_adj_rib_in,
       max(s.value) FILTER (WHERE s.stat_type = 8) AS num_routes_local_rib,
       max(s.updated_at) AS "timestamp"
FROM peer_statistics s
WHERE s.peer_type <> 'loc_rib'
GROUP BY s.router_id, s.peer_type, s.distinguisher, s.peer_address, s.peer_asn;

COMMENT ON VIEW openbmp.stat_reports IS 'The latest statistics of each peer, one row each: earlier reports are not kept. Counts over time: stats_peer_rib.';
COMMENT ON COLUMN openbmp.stat_reports.id IS 'Always NULL: the latest report of a peer is the only one.';

CREATE OR REPLACE VIEW openbmp.stats_peer_rib WITH (security_invoker = true) AS
SELECT c.at AS interval_time,
       openbmp.peer_hash(p.router_id, p.peer_type, p.distinguisher, p.peer_address, p.peer_asn) AS peer_hash_id,
       COALESCE(c.v4_prefixes, 0)::integer AS v4_prefixes, COALESCE(c.v6_prefixes, 0)::integer AS v6_prefixes
FROM (SELECT router_id, peer_address, at, sum(GREATEST(pre, post)) FILTER (WHERE afi = 4) AS v4_prefixes,
             sum(GREATEST(pre, post)) FILTER (WHERE afi = 6) AS v6_prefixes
      FROM peer_route_counts
      WHERE table_name NOT LIKE '%|rd:%'
      GROUP BY router_id, peer_address, at) AS c
CROSS JOIN LATERAL (SELECT q.* FROM peers q WHERE q.router_id = c.router_id AND q.peer_address = c.peer_address
                    ORDER BY q.updated_at DESC LIMIT 1) AS p;

COMMENT ON VIEW openbmp.stats_peer_rib IS 'Routes of each peer over time: each 5 minutes for 2 days, then hourly. Before or after policy, whichever are more.';
COMMENT ON COLUMN openbmp.stats_peer_rib.peer_hash_id IS 'The peer; where several have one address at a router, the one that was reported last.';

-- Routes --------------------------------------------------------------------------------------------------------

-- Columns stand here as they are in the tables and nothing is computed from them: only so does a condition on a column
-- reach the indexes of each of the three.
CREATE OR REPLACE VIEW openbmp.all_routes WITH (security_invoker = true) AS
SELECT 'adj-rib-in'::text AS rib, router_id, peer_address, is_post_policy, table_name, afi, prefix, path_id, nexthop, as_path, origin,
       localpref, med, origin_asn, communities_std, communities_ext, communities_large, attrs, first_seen, updated_at
FROM adj_rib_in
UNION ALL
SELECT 'adj-rib-out'::text, router_id, peer_address, is_post_policy, table_name, afi, prefix, path_id, nexthop, as_path, origin,
       localpref, med, origin_asn, communities_std, communities_ext, communities_large, attrs, first_seen, updated_at
FROM adj_rib_out
UNION ALL
SELECT 'loc-rib'::text, router_id, '0.0.0.0'::inet, false, table_name, afi, prefix, path_id, nexthop, as_path, origin,
       localpref, med, origin_asn, communities_std, communities_ext, communities_large, attrs, first_seen, updated_at
FROM current_routes;

COMMENT ON VIEW openbmp.all_routes IS 'Internal: the routes of all three kinds of RIB.';

-- Names are looked up for the rows of an answer: with joins in their place the planner sometimes takes the way through all
-- routes of a router.
CREATE OR REPLACE VIEW openbmp.all_tables WITH (security_invoker = true) AS
SELECT t.router_id, t.rib, t.peer_address, t.table_name, openbmp.router_hash(t.router_id) AS router_hash_id,
       CASE WHEN t.rib = 'loc-rib' THEN openbmp.peer_hash(t.router_id, 'loc_rib', t.unicast_table_name, t.peer_address, t.peer_asn)
            ELSE openbmp.peer_hash(t.router_id, t.peer_type, t.distinguisher, t.peer_address, t.peer_asn) END AS peer_hash_id,
       COALESCE((SELECT COALESCE(NULLIF(r.hostname, ''), host(r.router_ip)) FROM routers r WHERE r.router_id = t.router_id), t.router_id) AS routername,
       CASE WHEN t.rib = 'loc-rib' THEN t.unicast_table_name
            ELSE COALESCE((SELECT NULLIF(p.description, '') FROM peers p
                           WHERE p.router_id = t.router_id AND p.peer_type = t.peer_type AND p.distinguisher = t.distinguisher
                             AND p.peer_address = t.peer_address AND p.peer_asn = t.peer_asn), host(t.peer_address)) END AS peername,
       CASE WHEN t.rib = 'loc-rib' THEN COALESCE((SELECT r.as_number FROM routers r WHERE r.router_id = t.router_id), 0)
            ELSE t.peer_asn END AS peer_as,
       t.peer_type = 'rd' AS is_vpn_peer
FROM table_names t
WHERE t.safi <> 128;

COMMENT ON VIEW openbmp.all_tables IS 'Internal: the tables of IP routes, each with its router and peer.';

CREATE OR REPLACE VIEW openbmp.v_ip_routes WITH (security_invoker = true) AS
SELECT t.routername, t.peername, r.prefix::inet AS prefix, masklen(r.prefix)::smallint AS prefixlen, lower(r.origin) AS origin,
       r.origin_asn AS origin_as, r.med, r.localpref, r.nexthop AS nh, openbmp.as_numbers(r.as_path) AS as_path,
       cardinality(openbmp.as_numbers(r.as_path))::smallint AS aspath_count, r.communities_std AS communities,
       r.communities_ext AS extcommunities, r.communities_large AS largecommunities,
       openbmp.text_array(r.attrs -> 'cluster_list') AS clusterlist,
       (r.attrs -> 'aggregator' ->> 'asn') || ' ' || (r.attrs -> 'aggregator' ->> 'address') AS aggregator,
       t.peer_address AS peeraddress, t.peer_as AS peerasn, r.afi = 4 AS isipv4, family(t.peer_address) = 4 AS ispeeripv4,
       t.is_vpn_peer AS ispeervpn, r.updated_at AS lastmodified, r.first_seen AS firstaddedtimestamp, r.path_id,
       (r.attrs -> 'labels')::text AS labels,
       openbmp.route_hash(t.peer_hash_id, r.rib, r.is_post_policy, r.table_name, r.prefix, r.path_id) AS rib_hash_id,
       openbmp.route_hash(t.peer_hash_id, r.rib, r.is_post_policy, r.table_name, r.prefix, r.path_id) AS base_hash_id,
       t.peer_hash_id, t.router_hash_id, false AS iswithdrawn, NULL::text AS prefix_bits,
       NOT r.is_post_policy AND r.rib = 'adj-rib-in' AS isprepolicy, r.rib = 'adj-rib-in' AS isadjribin
FROM openbmp.all_routes r
JOIN openbmp.all_tables t ON t.router_id = r.router_id AND t.rib = r.rib AND t.peer_address = r.peer_address AND t.table_name = r.table_name;

COMMENT ON VIEW openbmp.v_ip_routes IS 'Routes of all RIBs with their peers and routers. A withdrawn route is no row.';
COMMENT ON COLUMN openbmp.v_ip_routes.origin_as IS 'NULL, not 0, where the path does not end in one AS.';
COMMENT ON COLUMN openbmp.v_ip_routes.labels IS 'JSON, as attrs of the tables has it.';
COMMENT ON COLUMN openbmp.v_ip_routes.base_hash_id IS 'The same as rib_hash_id: attributes are stored with each route.';
COMMENT ON COLUMN openbmp.v_ip_routes.iswithdrawn IS 'Always false: a withdrawal deletes the row.';
COMMENT ON COLUMN openbmp.v_ip_routes.prefix_bits IS 'Always NULL: an index of PostgreSQL finds the longest match.';

CREATE OR REPLACE VIEW openbmp.v_ip_routes_geo WITH (security_invoker = true) AS
SELECT r.*, NULL::inet AS geo_ip, NULL::text AS city, NULL::text AS stateprov, NULL::text AS country,
       NULL::double precision AS latitude, NULL::double precision AS longitude
FROM openbmp.v_ip_routes r;

COMMENT ON VIEW openbmp.v_ip_routes_geo IS 'v_ip_routes with the columns for a place, which nothing fills.';
COMMENT ON COLUMN openbmp.v_ip_routes_geo.prefix_bits IS 'Always NULL: an index of PostgreSQL finds the longest match.';
COMMENT ON COLUMN openbmp.v_ip_routes_geo.geo_ip IS 'Always NULL: there are no places of addresses.';
COMMENT ON COLUMN openbmp.v_ip_routes_geo.city IS 'Always NULL: there are no places of addresses.';
COMMENT ON COLUMN openbmp.v_ip_routes_geo.stateprov IS 'Always NULL: there are no places of addresses.';
COMMENT ON COLUMN openbmp.v_ip_routes_geo.country IS 'Always NULL: there are no places of addresses.';
COMMENT ON COLUMN openbmp.v_ip_routes_geo.latitude IS 'Always NULL: there are no places of addresses.';
COMMENT ON COLUMN openbmp.v_ip_routes_geo.longitude IS 'Always NULL: there are no places of addresses.';

CREATE OR REPLACE VIEW openbmp.ip_rib WITH (security_invoker = true) AS
SELECT r.rib_hash_id AS hash_id, r.base_hash_id AS base_attr_hash_id, r.peer_hash_id, r.isipv4, r.origin_as, r.prefix,
       r.prefixlen AS prefix_len, r.lastmodified AS "timestamp", r.firstaddedtimestamp AS first_added_timestamp, r.iswithdrawn,
       r.path_id, r.labels, r.isprepolicy, r.isadjribin
FROM openbmp.v_ip_routes r;

COMMENT ON VIEW openbmp.ip_rib IS 'Routes of all RIBs, Loc-RIBs included. A withdrawn route is no row.';

CREATE OR REPLACE VIEW openbmp.base_attrs WITH (security_invoker = true) AS
SELECT openbmp.route_hash(t.peer_hash_id, r.rib, r.is_post_policy, r.table_name, r.prefix, r.path_id) AS hash_id, t.peer_hash_id,
       lower(r.origin) AS origin, openbmp.as_numbers(r.as_path) AS as_path,
       cardinality(openbmp.as_numbers(r.as_path))::smallint AS as_path_count, r.origin_asn AS origin_as, r.nexthop AS next_hop,
       r.med, r.localpref AS local_pref,
       (r.attrs -> 'aggregator' ->> 'asn') || ' ' || (r.attrs -> 'aggregator' ->> 'address') AS aggregator,
       r.communities_std AS community_list, r.communities_ext AS ext_community_list, r.communities_large AS large_community_list,
       openbmp.text_array(r.attrs -> 'cluster_list') AS cluster_list,
       COALESCE((r.attrs -> 'atomic_aggregate')::boolean, false) AS isatomicagg, family(r.nexthop) = 4 AS nexthop_isipv4,
       r.updated_at AS "timestamp", (r.attrs ->> 'originator_id')::inet AS originator_id
FROM openbmp.all_routes r
JOIN openbmp.all_tables t ON t.router_id = r.router_id AND t.rib = r.rib AND t.peer_address = r.peer_address AND t.table_name = r.table_name;

COMMENT ON VIEW openbmp.base_attrs IS 'The attributes of each route, a row for each. No index leads from ip_rib to here: ask v_ip_routes, which has both.';

CREATE OR REPLACE VIEW openbmp.global_ip_rib WITH (security_invoker = true) AS
SELECT g.prefix::inet AS prefix, false AS iswithdrawn, masklen(g.prefix)::smallint AS prefix_len, g.origin_asn AS recv_origin_as,
       (SELECT v.asn FROM rpki.vrps v
        WHERE v.prefix = ANY (covering_prefixes(g.prefix)) AND v.max_length >= masklen(g.prefix)
        ORDER BY v.asn = g.origin_asn DESC, masklen(v.prefix) DESC LIMIT 1) AS rpki_origin_as,
       NULL::bigint AS irr_origin_as, NULL::text AS irr_source, NULL::text AS irr_descr, g.peers AS num_peers,
       g.peers AS advertising_peers, 0 AS withdrawn_peers, g.updated_at AS "timestamp", g.first_seen AS first_added_timestamp
FROM (SELECT r.prefix, r.origin_asn, count(DISTINCT (r.router_id, r.peer_address, r.table_name))::integer AS peers,
             max(r.updated_at) AS updated_at, min(r.first_seen) AS first_seen
      FROM openbmp.all_routes r
      WHERE r.origin_asn IS NOT NULL AND r.rib <> 'adj-rib-out'
      GROUP BY r.prefix, r.origin_asn) AS g;

COMMENT ON VIEW openbmp.global_ip_rib IS 'Prefixes and their origins in all Adj-RIBs-In and Loc-RIBs, counted when asked: by prefix or origin through indexes, all of them in seconds.';
COMMENT ON COLUMN openbmp.global_ip_rib.rpki_origin_as IS 'The AS of a VRP that covers the prefix, the route''s own before others; NULL where there is none.';
COMMENT ON COLUMN openbmp.global_ip_rib.irr_origin_as IS 'Always NULL: there is no IRR.';
COMMENT ON COLUMN openbmp.global_ip_rib.irr_source IS 'Always NULL: there is no IRR.';
COMMENT ON COLUMN openbmp.global_ip_rib.irr_descr IS 'Always NULL: there is no IRR.';

CREATE OR REPLACE VIEW openbmp.rpki_validator WITH (security_invoker = true) AS
SELECT v.prefix::inet AS prefix, masklen(v.prefix)::smallint AS prefix_len, v.max_length AS prefix_len_max, v.asn AS origin_as,
       NULL::timestamptz AS "timestamp"
FROM rpki.vrps v;

COMMENT ON VIEW openbmp.rpki_validator IS 'The VRPs in force.';
COMMENT ON COLUMN openbmp.rpki_validator."timestamp" IS 'Always NULL: the set as a whole has a time, see rpki.vrp_set.';

-- History -------------------------------------------------------------------------------------------------------

-- The indexes of the history begin with router, table and family. history_tables finds the few that there are, and each is
-- then one step into the index, be it for a prefix or for a span of time. `afi IN (4, 6)` holds for
-- all of them, and tells the planner that they are few.
CREATE OR REPLACE VIEW openbmp.v_ip_routes_history WITH (security_invoker = true) AS
SELECT COALESCE((SELECT COALESCE(NULLIF(r.hostname, ''), host(r.router_ip)) FROM routers r WHERE r.router_id = e.router_id), e.router_id) AS routername,
       (SELECT r.router_ip FROM routers r WHERE r.router_id = e.router_id) AS routeraddress,
       CASE WHEN e.peer_address IS NULL THEN COALESCE(t.unicast_table_name, e.table_name)
            ELSE COALESCE((SELECT NULLIF(p.description, '') FROM peers p
                           WHERE p.router_id = e.router_id AND p.peer_type = t.peer_type AND p.distinguisher = t.distinguisher
                             AND p.peer_address = e.peer_address AND p.peer_asn = e.peer_asn), host(e.peer_address)) END AS peername,
       e.prefix::inet AS prefix, masklen(e.prefix)::smallint AS prefixlen, lower(e.origin) AS origin, e.origin_asn AS origin_as,
       e.med, e.localpref, e.nexthop AS nh, openbmp.as_numbers(e.as_path) AS as_path,
       cardinality(openbmp.as_numbers(e.as_path))::smallint AS aspath_count, e.communities_std AS communities,
       e.communities_ext AS extcommunities, e.communities_large AS largecommunities,
       openbmp.text_array(e.attrs -> 'cluster_list') AS clusterlist,
       (e.attrs -> 'aggregator' ->> 'asn') || ' ' || (e.attrs -> 'aggregator' ->> 'address') AS aggregator,
       COALESCE(e.peer_address, '0.0.0.0') AS peerip, COALESCE(e.peer_asn, (SELECT r.as_number FROM routers r WHERE r.router_id = e.router_id), 0) AS peerasn,
       COALESCE(family(e.peer_address), 4) = 4 AS ispeeripv4, COALESCE(t.peer_type = 'rd', false) AS ispeervpn,
       (extract(epoch FROM e.ingest_time) * 1000000)::bigint AS id, e.ingest_time AS lastmodified,
       CASE e.action WHEN 'D' THEN 'Withdrawn' ELSE 'Advertised' END AS event, NULL::uuid AS base_attr_hash_id,
       CASE WHEN e.peer_address IS NULL
            THEN openbmp.peer_hash(e.router_id, 'loc_rib', COALESCE(t.unicast_table_name, e.table_name), '0.0.0.0', 0)
            ELSE openbmp.peer_hash(e.router_id, COALESCE(t.peer_type, 'global'), COALESCE(t.distinguisher, ''), e.peer_address, e.peer_asn)
            END AS peer_hash_id,
       openbmp.router_hash(e.router_id) AS router_hash_id
FROM history_tables('-infinity') h
JOIN route_events e ON e.router_id = h.router_id AND e.table_name = h.table_name AND e.afi = h.afi
LEFT JOIN table_names t ON t.router_id = e.router_id AND t.table_name = e.table_name
    AND t.rib = CASE WHEN e.peer_address IS NULL THEN 'loc-rib' ELSE e.rib END
    AND t.peer_address = COALESCE(e.peer_address, '0.0.0.0')
WHERE h.afi IN (4, 6) AND t.safi IS DISTINCT FROM 128;

COMMENT ON VIEW openbmp.v_ip_routes_history IS 'Announcements and withdrawals, as long as route_events are kept. Give it a span of lastmodified: without one it reads every day.';
COMMENT ON COLUMN openbmp.v_ip_routes_history.id IS 'The time in microseconds: it orders the events of a router.';
COMMENT ON COLUMN openbmp.v_ip_routes_history.origin_as IS 'NULL where the event is a withdrawal, as all attributes.';
COMMENT ON COLUMN openbmp.v_ip_routes_history.peer_hash_id IS 'The peer. One in a VRF has another hash here than in bgp_peers while it is down and none of its routes are stored.';
COMMENT ON COLUMN openbmp.v_ip_routes_history.base_attr_hash_id IS 'Always NULL: the attributes are here.';

CREATE OR REPLACE VIEW openbmp.ip_rib_log WITH (security_invoker = true) AS
SELECT h.id, h.base_attr_hash_id, h.lastmodified AS "timestamp", h.peer_hash_id, h.prefix, h.prefixlen AS prefix_len,
       h.origin_as, h.event = 'Withdrawn' AS iswithdrawn
FROM openbmp.v_ip_routes_history h;

COMMENT ON VIEW openbmp.ip_rib_log IS 'v_ip_routes_history without attributes. Give it a span of timestamp: without one it reads every day.';
COMMENT ON COLUMN openbmp.ip_rib_log.base_attr_hash_id IS 'Always NULL: v_ip_routes_history has the attributes.';
COMMIT;
