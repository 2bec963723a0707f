//! `sql/compat/openbmp.sql`: queries that were written for OpenBMP's database find their columns, rows and indexes here.
#![allow(missing_docs, clippy::unwrap_used)]

use std::path::Path;

use crate::common::bmp::{self, Attributes, Open, Peer, attribute};
use crate::common::ingester::{Ingester, eventually_equal};
use crate::common::pg::TestDb;
use postgres::Client;

const VIEWS: &str = include_str!("../../sql/compat/openbmp.sql");

/// The columns that are asked for there, view by view, in the order that `SELECT *` has.
const COLUMNS: [(&str, &str); 13] = [
    (
        "base_attrs",
        "hash_id peer_hash_id origin as_path as_path_count origin_as next_hop med local_pref aggregator community_list \
         ext_community_list large_community_list cluster_list isatomicagg nexthop_isipv4 timestamp originator_id",
    ),
    (
        "bgp_peers",
        "hash_id router_hash_id peer_rd isipv4 peer_addr name peer_bgp_id peer_as state isl3vpnpeer timestamp isprepolicy \
         geo_ip_start local_ip local_bgp_id local_port local_hold_time local_asn remote_port remote_hold_time \
         sent_capabilities recv_capabilities bmp_reason bgp_err_code bgp_err_subcode error_text islocrib islocribfiltered \
         table_name",
    ),
    ("collectors", "hash_id state admin_id routers router_count timestamp name ip_address"),
    (
        "global_ip_rib",
        "prefix iswithdrawn prefix_len recv_origin_as rpki_origin_as irr_origin_as irr_source irr_descr num_peers \
         advertising_peers withdrawn_peers timestamp first_added_timestamp",
    ),
    (
        "ip_rib",
        "hash_id base_attr_hash_id peer_hash_id isipv4 origin_as prefix prefix_len timestamp first_added_timestamp \
         iswithdrawn path_id labels isprepolicy isadjribin",
    ),
    ("ip_rib_log", "id base_attr_hash_id timestamp peer_hash_id prefix prefix_len origin_as iswithdrawn"),
    (
        "peer_event_log",
        "id state peer_hash_id local_ip local_bgp_id local_port local_hold_time geo_ip_start local_asn remote_port \
         remote_hold_time sent_capabilities recv_capabilities bmp_reason bgp_err_code bgp_err_subcode error_text timestamp",
    ),
    (
        "routers",
        "hash_id name ip_address router_as timestamp description state ispassive term_reason_code term_reason_text \
         term_data init_data geo_ip_start collector_hash_id bgp_id",
    ),
    ("rpki_validator", "prefix prefix_len prefix_len_max origin_as timestamp"),
    ("stats_peer_rib", "interval_time peer_hash_id v4_prefixes v6_prefixes"),
    (
        "v_ip_routes",
        "routername peername prefix prefixlen origin origin_as med localpref nh as_path aspath_count communities \
         extcommunities largecommunities clusterlist aggregator peeraddress peerasn isipv4 ispeeripv4 ispeervpn \
         lastmodified firstaddedtimestamp path_id labels rib_hash_id base_hash_id peer_hash_id router_hash_id iswithdrawn \
         prefix_bits isprepolicy isadjribin",
    ),
    (
        "v_ip_routes_history",
        "routername routeraddress peername prefix prefixlen origin origin_as med localpref nh as_path aspath_count \
         communities extcommunities largecommunities clusterlist aggregator peerip peerasn ispeeripv4 ispeervpn id \
         lastmodified event base_attr_hash_id peer_hash_id router_hash_id",
    ),
    (
        "v_peers",
        "routername routerip localip localport localasn localbgpid peername peerip peerport peerasn peerbgpid \
         localholdtime peerholdtime peer_state router_state ispeeripv4 ispeervpn isprepolicy lastmodified \
         lastbmpreasoncode lastdowncode lastdownsubcode lastdownmessage lastdowntimestamp sentcapabilities \
         recvcapabilities as_name islocrib islocribfiltered table_name peer_hash_id router_hash_id geo_ip_start",
    ),
];

/// A database with the schema and the views, which are loaded as often as an operator may.
fn database() -> TestDb {
    let db = TestDb::migrated();
    db.client().batch_execute(VIEWS).unwrap();
    let again = format!("SET search_path = openbmp, public; {VIEWS}");
    db.client().batch_execute(&again).unwrap();
    db
}

/// The rows for somebody whose search path is OpenBMP's.
fn ask(db: &TestDb, sql: &str) -> Vec<String> {
    db.rows(&format!("SET search_path = openbmp, public; SET timezone = 'UTC'; {sql}"))
}

#[test]
fn openbmp_views_have_the_columns_and_no_more_rights() {
    let db = database();
    for (view, columns) in COLUMNS {
        let sql = format!(
            "SELECT attname FROM pg_attribute WHERE attrelid = 'openbmp.{view}'::regclass AND attnum > 0 ORDER BY attnum"
        );
        assert_eq!(db.rows(&sql), columns.split(' ').collect::<Vec<_>>(), "{view}");
    }
    let wrong = db.rows(
        "SELECT c.relname FROM pg_class c
         WHERE c.relnamespace = 'openbmp'::regnamespace
           AND (c.relkind <> 'v' OR c.relacl IS NOT NULL OR NOT c.reloptions @> '{security_invoker=true}'
                OR obj_description(c.oid) IS NULL)",
    );
    assert!(wrong.is_empty(), "{wrong:?}");
    the_page_names_views_and_missing_columns(&db);
}

/// What a view cannot have is said in the database and on the page, and nothing else is said to be missing.
fn the_page_names_views_and_missing_columns(db: &TestDb) {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openbmp.md")).unwrap();
    let (_, list) = page.split_once("## Columns without content").unwrap();
    let cells = list.lines().filter_map(|line| line.strip_prefix("| `")?.split_once(" | "));
    let names =
        cells.flat_map(|(cell, _)| cell.split(", ").map(|name| name.trim_matches('`').to_owned()).collect::<Vec<_>>());
    let mut told: Vec<String> = names.map(|name| name.rsplit('.').next().unwrap().to_owned()).collect();
    told.sort();
    told.dedup();
    let stored = db.rows(
        "SELECT DISTINCT a.attname::text COLLATE \"C\" FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
         WHERE c.relnamespace = 'openbmp'::regnamespace AND col_description(a.attrelid, a.attnum) LIKE 'Always NULL: %'
         ORDER BY 1",
    );
    assert_eq!(told, stored);
    let views =
        "SELECT relname FROM pg_class WHERE relnamespace = 'openbmp'::regnamespace AND relname NOT LIKE 'all\\_%'";
    for view in db.rows(views) {
        assert!(page.contains(&format!("`{view}`")), "the page does not name {view}");
    }
}

/// One router with a Loc-RIB and a peer with a route that changes and one that goes.
fn live(db: &TestDb) {
    let collector = Ingester::start(&db.url(), &[]);
    let sent = Open::of(64_496, "10.0.0.4").bytes();
    let peer = Peer::global_instance("192.0.2.1", 64_501);
    let loc_rib = Peer::loc_rib("10.0.0.4");
    let aggregator = [&64_510u32.to_be_bytes()[..], &[192, 0, 2, 8]].concat();
    let route = Attributes {
        med: Some(5),
        communities: vec![(64_501 << 16) + 100],
        raw: [attribute(0xc0, 7, &aggregator), attribute(0x80, 10, &[192, 0, 2, 9])].concat(),
        ..Attributes::path(&[64_501, 64_510])
    };
    let say = |peer, update: &[u8]| bmp::route_monitoring(peer, update);
    let short = Attributes::path(&[64_501]);
    let mut router = collector.connect();
    router
        .send(&bmp::initiation(b"edge3", b"a router"))
        .send(&bmp::peer_up_of(peer, &sent, &Open::of(64_501, "192.0.2.1").bytes(), &[]))
        .send(&bmp::peer_up_of(loc_rib, &sent, &sent, &[]))
        .send(&say(peer, &bmp::announce(&route, "192.0.2.1", &["203.0.113.0/24"])))
        .send(&say(peer, &bmp::announce(&short, "192.0.2.1", &["198.51.100.0/24"])))
        .send(&say(loc_rib, &bmp::announce(&short, "192.0.2.1", &["203.0.113.0/25"])))
        .send(&bmp::statistics(peer, 7));
    eventually_equal(vec!["3".to_owned()], || db.rows("SELECT count(*) FROM route_events"));
    router.send(&say(peer, &bmp::withdraw(&["198.51.100.0/24"])));
    eventually_equal(vec!["4|2".to_owned()], || {
        ask(db, "SELECT (SELECT count(*) FROM ip_rib_log), (SELECT count(*) FROM ip_rib)")
    });
    eventually_equal(vec!["7".to_owned()], || ask(db, "SELECT num_routes_adj_rib_in FROM stat_reports"));
    let state = |name: &str| ask(db, &format!("SELECT {name}_state FROM v_peers ORDER BY islocrib"));
    assert_eq!((state("router"), state("peer")), (vec!["up".to_owned(); 2], vec!["up".to_owned(); 2]));
    router.send(&bmp::peer_down(peer, 1));
    eventually_equal(vec!["down".to_owned(), "up".to_owned()], || state("peer"));
    eventually_equal(vec!["up".to_owned(), "down".to_owned()], || {
        ask(db, "SELECT l.state FROM peer_event_log l JOIN bgp_peers p ON p.hash_id = l.peer_hash_id ORDER BY l.id")
    });
    drop(router);
    assert!(collector.stop().success());
}

#[test]
fn openbmp_queries_find_what_a_router_sent() {
    let db = database();
    live(&db);
    let peer = ask(&db, "SELECT peer_hash_id FROM v_peers WHERE NOT islocrib").remove(0);
    let of_peer = format!("peer_hash_id IN ('{peer}')");
    let equal = |sql: &str, want: &[&str]| assert_eq!(ask(&db, sql), want, "{sql}");
    equal("SELECT name, description, state FROM routers", &["edge3|a router|down"]);
    equal(
        "SELECT r.name, count(p.hash_id) FROM routers r JOIN bgp_peers p ON p.router_hash_id = r.hash_id GROUP BY r.name",
        &["edge3|2"],
    );
    equal(
        "SELECT routername, peername, peerasn, peerbgpid, ispeeripv4, isprepolicy, islocrib FROM v_peers ORDER BY islocrib",
        &["edge3|192.0.2.1|64501|192.0.2.1|t|t|f", "edge3|UNKNOWN|64496|10.0.0.4|t|f|t"],
    );
    // The routes of the peer went with it; its history stays.
    equal(
        "SELECT routername, peername, prefix, prefixlen, origin, origin_as, nh, as_path, isprepolicy, isadjribin
         FROM v_ip_routes WHERE prefix >>= '203.0.113.5' AND iswithdrawn = false ORDER BY prefix DESC",
        &["edge3|UNKNOWN|203.0.113.0/25|25|igp|64501|192.0.2.1|{64501}|f|f"],
    );
    equal(
        &format!(
            "SELECT event, routername, peername, prefix, nh, origin_as, as_path, aspath_count, communities, localpref, med,
                    clusterlist, aggregator
             FROM v_ip_routes_history
             WHERE lastmodified BETWEEN now() - interval '1 hour' AND now() AND {of_peer} AND prefix = '203.0.113.0/24'
             ORDER BY lastmodified DESC, id DESC LIMIT 1000"
        ),
        &["Advertised|edge3|192.0.2.1|203.0.113.0/24|192.0.2.1|64510|{64501,64510}|2|{64501:100}|100|5|{192.0.2.9}|64510 192.0.2.8"],
    );
    equal(
        &format!(
            "SELECT iswithdrawn, origin_as FROM ip_rib_log WHERE {of_peer} AND prefix << '198.51.0.0/16' ORDER BY id"
        ),
        &["f|64501", "t|-"],
    );
    equal(
        "SELECT b.as_path, b.isatomicagg FROM ip_rib r JOIN base_attrs b
         ON b.hash_id = r.base_attr_hash_id AND b.peer_hash_id = r.peer_hash_id",
        &["{64501}|f"],
    );
    equal("SELECT prefix, num_peers FROM global_ip_rib WHERE recv_origin_as = 64501", &["203.0.113.0/25|1"]);
    equal("SELECT count(*) FROM v_ip_routes_geo WHERE country IS NULL", &["1"]);
    db.client()
        .batch_execute(
            "INSERT INTO rpki.vrps (prefix, max_length, asn) VALUES ('203.0.113.0/24', 25, 64501);
             INSERT INTO peer_route_counts (router_id, peer_address, table_name, afi, at, pre, is_hourly)
             VALUES ('10.0.0.4', '192.0.2.1', 'UNKNOWN', 4, now(), 2, false)",
        )
        .unwrap();
    equal("SELECT prefix, prefix_len_max, origin_as FROM rpki_validator", &["203.0.113.0/24|25|64501"]);
    equal("SELECT rpki_origin_as FROM global_ip_rib", &["64501"]);
    equal(
        &format!(
            "SELECT v4_prefixes, v6_prefixes FROM stats_peer_rib WHERE {of_peer} AND interval_time > now() - interval '40 minutes'"
        ),
        &["2|0"],
    );
    equal("SELECT state, router_count FROM collectors", &["down|1"]);
}

/// Four routers with ten peers each, and 100,000 events.
fn fill(client: &mut Client) {
    rib_ingester::maintenance::run_once(client, 30).unwrap();
    let peers = "generate_series(1, 4) r, generate_series(1, 10) p";
    let peer = "'10.0.0.' || r, '198.51.100.0'::inet + p, 64500 + p";
    let prefix = "network(set_masklen('10.0.0.0'::inet + i * 64, 16 + i % 11))";
    client
        .batch_execute(&format!(
            "SET statement_timeout = 0;
             INSERT INTO routers (router_id, hostname) SELECT '10.0.0.' || r, 'edge' || r FROM generate_series(1, 4) r;
             INSERT INTO peers (router_id, peer_address, peer_asn, peer_type, state) SELECT {peer}, 'global', 'up' FROM {peers};
             INSERT INTO table_names (router_id, peer_address, peer_asn, rib, peer_type, name, table_name, unicast_table_name)
             SELECT {peer}, 'adj-rib-in', 'global', 'UNKNOWN', 'UNKNOWN', 'UNKNOWN' FROM {peers};
             INSERT INTO adj_rib_in (router_id, peer_address, peer_asn, is_post_policy, table_name, afi, prefix, origin_asn, communities_std)
             SELECT {peer}, false, 'UNKNOWN', 4, {prefix}, 65536 + i % 200, ARRAY['64500:' || i % 500]
             FROM {peers}, generate_series(1, 1000) i ON CONFLICT DO NOTHING;
             INSERT INTO route_events (event_id, ingest_time, router_id, peer_address, peer_asn, rib, is_post_policy, table_name, afi, prefix, action)
             SELECT decode(md5(r || ' ' || p || ' ' || i), 'hex'), now() - interval '1 ms' * (i % 900), {peer}, 'adj-rib-in', false,
                    'UNKNOWN', 4, network(set_masklen('10.0.0.0'::inet + i * 64, 26)), 'A'
             FROM {peers}, generate_series(1, 2500) i;
             ANALYZE adj_rib_in, route_events, peers, table_names, routers"
        ))
        .unwrap();
}

/// The usual questions, and the index that has to serve each.
#[test]
fn openbmp_queries_use_the_indexes() {
    let db = database();
    let mut client = db.client();
    fill(&mut client);
    client.batch_execute("SET search_path = openbmp, public").unwrap();
    let one = "SELECT peer_hash_id::text FROM v_peers WHERE routername = 'edge2' AND peerip = '198.51.100.3'";
    let of_peer = format!("peer_hash_id IN ('{}')", client.query_one(one, &[]).unwrap().get::<_, String>(0));
    let recent = "BETWEEN now() - interval '3 hours' AND now()";
    let questions = [
        ("v_ip_routes WHERE prefix = '10.0.1.0/26'".to_owned(), "_prefix_"),
        ("ip_rib WHERE prefix >>= '10.0.1.7' ORDER BY prefix DESC LIMIT 1".to_owned(), "_prefix_"),
        ("v_ip_routes WHERE prefix <<= '10.0.1.0/24'".to_owned(), "_prefix_"),
        (format!("v_ip_routes WHERE {of_peer}"), "_router_peer"),
        (format!("ip_rib WHERE {of_peer} AND prefix = '10.0.1.0/26'"), "adj_rib_in"),
        ("v_ip_routes WHERE routername = 'edge2' AND peername = '198.51.100.3'".to_owned(), "_router_peer"),
        ("v_ip_routes WHERE origin_as = 65540".to_owned(), "_origin_asn"),
        ("global_ip_rib WHERE recv_origin_as = 65540".to_owned(), "_origin_asn"),
        ("global_ip_rib WHERE prefix = '10.0.1.0/26'".to_owned(), "_prefix_"),
        ("v_ip_routes WHERE communities @> '{64500:4}'".to_owned(), "_comm_std_gin"),
        (
            format!("v_ip_routes_history WHERE lastmodified {recent} AND {of_peer} AND prefix = '10.0.1.0/26'"),
            "_prefix_history",
        ),
        ("ip_rib_log WHERE prefix = '10.0.1.0/26'".to_owned(), "_prefix_history"),
        ("ip_rib_log WHERE timestamp > now() - interval '1 ms'".to_owned(), "_router_churn"),
    ];
    for (question, index) in &questions {
        let rows = client.query_typed(&format!("EXPLAIN SELECT * FROM {question}"), &[]).unwrap();
        let plan: String = rows.iter().map(|row| row.get::<_, String>(0) + "\n").collect();
        let is_whole =
            |line: &&str| line.contains("Seq Scan on adj_rib_in") || line.contains("Seq Scan on route_events");
        let whole: Vec<&str> =
            plan.lines().filter(is_whole).filter(|line| !line.contains("(cost=0.00..0.00 ")).collect();
        assert!(whole.is_empty() && plan.contains(index), "{question}\n{plan}");
        // The index of the history begins with the router: without one it would be read from one end to the other.
        let is_by_router = plan.contains("(router_id = f.router_id) AND (table_name = f.table_name) AND (afi = f.afi)");
        assert!(is_by_router || *index != "_prefix_history", "{question}\n{plan}");
    }
}
