//! Sessions through the socket into SQL: the binary, a fake router, a real PostgreSQL.

#![allow(missing_docs, clippy::unwrap_used)]

use crate::common::bmp::{self, Attributes, Open, Peer};
use crate::common::ingester::{FakeRouter, Ingester, eventually, eventually_equal};
use crate::common::pg::TestDb;

const ROUTER: &str = "10.255.0.1";

/// The rows of `current_routes` as `table afi prefix path_id nexthop as_path`, sorted.
fn routes(db: &TestDb) -> Vec<String> {
    rows(
        db,
        "SELECT concat_ws(' ', table_name, afi, prefix, path_id, host(nexthop), '[' || as_path || ']')
           FROM current_routes ORDER BY 1",
    )
}

/// The rows of `route_events` in order, as `action prefix path_id`.
fn events(db: &TestDb) -> Vec<String> {
    rows(
        db,
        "SELECT concat_ws(' ', action, prefix, coalesce(path_id::text, '-')) FROM route_events ORDER BY ingest_time",
    )
}

/// The rows of `rib_sync_status` as `table afi eor_seen`.
fn sync(db: &TestDb) -> Vec<String> {
    rows(db, "SELECT concat_ws(' ', table_name, afi, eor_seen) FROM rib_sync_status ORDER BY 1")
}

fn rows(db: &TestDb, query: &str) -> Vec<String> {
    db.client().query(query, &[]).unwrap().iter().map(|row| row.get(0)).collect()
}

fn one(db: &TestDb, query: &str) -> String {
    rows(db, query).into_iter().next().unwrap_or_default()
}

fn loc_rib() -> Peer {
    Peer::loc_rib(ROUTER)
}

fn open() -> Open {
    Open::of(64_500, ROUTER)
}

/// A router that has sent Initiation and the Peer Up of its global Loc-RIB.
fn greet(router: &mut FakeRouter) {
    router.send(&bmp::initiation(b"edge1", b"made by a test")).send(&bmp::peer_up(loc_rib(), &open(), Some("global")));
}

fn announce(prefixes: &[&str]) -> Vec<u8> {
    let next_hop = if prefixes[0].contains(':') { "2001:db8::1" } else { "192.0.2.1" };
    bmp::route_monitoring(loc_rib(), &bmp::announce(&Attributes::path(&[64_500, 64_501]), next_hop, prefixes))
}

fn withdraw(prefixes: &[&str]) -> Vec<u8> {
    bmp::route_monitoring(loc_rib(), &bmp::withdraw(prefixes))
}

fn end_of_rib() -> Vec<u8> {
    bmp::route_monitoring(loc_rib(), &bmp::end_of_rib_ipv4())
}

fn v4(prefix: &str) -> String {
    format!("global 4 {prefix} 0 192.0.2.1 [64500 64501]")
}

#[test]
fn a_session_from_initiation_to_termination() {
    let db = TestDb::migrated();
    let ingester = Ingester::start(&db.url(), &[]);
    let mut router = ingester.connect();
    greet(&mut router);
    router.send(&announce(&["10.1.0.0/16", "10.2.0.0/16"])).send(&announce(&["2001:db8:1::/48"])).send(&end_of_rib());
    router.send(&bmp::route_monitoring(loc_rib(), &bmp::end_of_rib(2, 1)));
    eventually_equal(vec!["global 4 t".to_owned(), "global 6 t".to_owned()], || sync(&db));
    let v6 = "global 6 2001:db8:1::/48 0 2001:db8::1 [64500 64501]".to_owned();
    assert_eq!(routes(&db), vec![v4("10.1.0.0/16"), v4("10.2.0.0/16"), v6]);
    assert_eq!(
        one(&db, "SELECT concat_ws(' ', router_id, host(router_ip), hostname, as_number, description) FROM routers"),
        format!("{ROUTER} 127.0.0.1 edge1 64500 made by a test"),
    );

    router.send(&withdraw(&["10.1.0.0/16"])).send(&announce(&["10.3.0.0/16"]));
    eventually_equal(2, || routes(&db).iter().filter(|row| row.contains(" 4 ")).count());
    eventually_equal(5, || events(&db).len());
    assert_eq!(events(&db)[3..], ["D 10.1.0.0/16 -", "A 10.3.0.0/16 -"]);
    let withdrawn = "SELECT count(*)::text FROM route_events WHERE action = 'D'
        AND num_nulls(nexthop, as_path, origin, localpref, med, origin_asn, communities_std, attrs) = 8";
    assert_eq!(one(&db, withdrawn), "1");
    assert_eq!(one(&db, "SELECT count(*)::text FROM rib_sync_status WHERE last_parsed_msg_time IS NOT NULL"), "2");
    eventually_equal("2".to_owned(), || {
        one(&db, "SELECT count(*)::text FROM rib_sync_status WHERE last_raw_msg_time IS NOT NULL")
    });

    router.send(&bmp::termination(0));
    eventually_equal((vec![], vec![]), || (routes(&db), sync(&db)));
    assert_eq!(one(&db, "SELECT count(*)::text FROM session_events WHERE kind = 'terminated'"), "1");
    assert!(ingester.stop().success());
}

#[test]
fn a_reconnect_purges_lost_routes_and_only_those() {
    let db = TestDb::migrated();
    let ingester = Ingester::start(&db.url(), &[]);
    let mut router = ingester.connect();
    greet(&mut router);
    router.send(&announce(&["10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16"])).send(&end_of_rib());
    eventually_equal("t".to_owned(), || {
        one(&db, "SELECT eor_seen::text FROM rib_sync_status WHERE afi = 4 AND eor_seen").replace("true", "t")
    });
    let written = "SELECT string_agg(prefix || ' ' || xmin || ' ' || first_seen, ',' ORDER BY prefix)
        FROM current_routes WHERE prefix IN ('10.1.0.0/16', '10.2.0.0/16')";
    let before = one(&db, written);
    drop(router);

    // The loss alone removes nothing.
    eventually_equal("false".to_owned(), || one(&db, "SELECT bool_or(eor_seen)::text FROM rib_sync_status"));
    assert_eq!(routes(&db).len(), 3);

    let mut router = ingester.connect();
    greet(&mut router);
    router.send(&announce(&["10.1.0.0/16", "10.2.0.0/16", "10.4.0.0/16"]));
    eventually_equal(4, || routes(&db).len());
    router.send(&end_of_rib());
    eventually_equal(vec![v4("10.1.0.0/16"), v4("10.2.0.0/16"), v4("10.4.0.0/16")], || routes(&db));
    assert_eq!(one(&db, written), before);
    eventually_equal(5, || events(&db).len());
    assert_eq!(events(&db)[3..], ["A 10.4.0.0/16 -", "D 10.3.0.0/16 -"]);
    assert_eq!(one(&db, "SELECT attrs::text FROM route_events WHERE action = 'D'"), r#"{"reason": "stale"}"#);
    assert!(ingester.stop().success());
}

#[test]
fn a_restart_in_the_middle_of_a_dump_ends_complete() {
    let db = TestDb::migrated();
    let ingester = Ingester::start(&db.url(), &[]);
    let mut router = ingester.connect();
    greet(&mut router);
    router.send(&announce(&["10.1.0.0/16", "10.2.0.0/16"]));
    eventually_equal(2, || routes(&db).len());
    assert!(ingester.stop().success());
    drop(router);
    assert_eq!(routes(&db).len(), 2);

    let ingester = Ingester::start(&db.url(), &[]);
    let mut router = ingester.connect();
    greet(&mut router);
    router.send(&announce(&["10.2.0.0/16", "10.3.0.0/16"])).send(&end_of_rib());
    eventually_equal(vec![v4("10.2.0.0/16"), v4("10.3.0.0/16")], || routes(&db));
    assert!(ingester.stop().success());
}

#[test]
fn after_a_restart_an_absent_routers_routes_expire() {
    let db = TestDb::migrated();
    let ingester = Ingester::start(&db.url(), &[]);
    let mut router = ingester.connect();
    greet(&mut router);
    router.send(&announce(&["10.1.0.0/16"]));
    eventually_equal(1, || routes(&db).len());
    ingester.kill();
    drop(router);
    let ingester = Ingester::start(&db.url(), &[("STALE_ROUTES_SECS", "1")]);
    eventually_equal((vec![], vec![]), || (routes(&db), sync(&db)));
    eventually_equal("1".to_owned(), || {
        one(&db, "SELECT count(*)::text FROM session_events WHERE kind = 'stale_expired'")
    });
    assert!(ingester.stop().success());
}

#[test]
fn a_lost_sessions_routes_are_stale_and_then_purged() {
    let db = TestDb::migrated();
    let ingester = Ingester::start(&db.url(), &[("STALE_ROUTES_SECS", "3")]);
    let mut router = ingester.connect();
    greet(&mut router);
    router.send(&announce(&["10.1.0.0/16"])).send(&end_of_rib());
    eventually_equal(1, || routes(&db).len());
    drop(router);
    eventually_equal("1".to_owned(), || {
        one(&db, "SELECT count(*)::text FROM session_events WHERE kind = 'session_lost'")
    });
    assert_eq!(routes(&db).len(), 1);
    eventually_equal((vec![], vec![]), || (routes(&db), sync(&db)));
    assert!(ingester.stop().success());
}

#[test]
fn a_loc_rib_peer_down_removes_its_table_and_no_other() {
    let db = TestDb::migrated();
    let ingester = Ingester::start(&db.url(), &[]);
    let mut router = ingester.connect();
    greet(&mut router);
    let vrf = loc_rib().with_rd(0x0000_fde8_0000_0007);
    router.send(&bmp::peer_up(vrf, &open(), Some("blue"))).send(&announce(&["10.1.0.0/16"]));
    let route = bmp::announce(&Attributes::path(&[64_502]), "192.0.2.2", &["10.1.0.0/16"]);
    router.send(&bmp::route_monitoring(vrf, &route));
    eventually_equal(2, || routes(&db).len());
    assert_eq!(sync(&db).len(), 4);
    router.send(&bmp::peer_down(vrf, 6));
    eventually_equal(vec![v4("10.1.0.0/16")], || routes(&db));
    eventually_equal(vec!["global 4 f".to_owned(), "global 6 f".to_owned()], || sync(&db));
    let down = "SELECT concat_ws(' ', table_name, routes) FROM session_events WHERE kind = 'peer_down'";
    assert_eq!(one(&db, down), "blue 1");

    // The instance may be back: its dump begins anew.
    router.send(&bmp::peer_up(vrf, &open(), Some("blue"))).send(&bmp::route_monitoring(vrf, &route));
    eventually_equal(2, || routes(&db).len());
    assert!(ingester.stop().success());
}

#[test]
fn a_router_without_end_of_rib_is_purged_when_idle() {
    let db = TestDb::migrated();
    let ingester = Ingester::start(&db.url(), &[("EOR_TIMEOUT_SECS", "3")]);
    for prefixes in [["10.1.0.0/16", "10.2.0.0/16"], ["10.2.0.0/16", "10.3.0.0/16"]] {
        let mut router = ingester.connect();
        router.send(&bmp::initiation(b"gobgp", b"")).send(&announce(&prefixes));
        let expected: Vec<String> = prefixes.iter().map(|prefix| v4(prefix).replace("global", "UNKNOWN")).collect();
        eventually_equal(expected, || routes(&db));
    }
    assert_eq!(sync(&db), ["UNKNOWN 4 f"]);
    eventually_equal("D 10.1.0.0/16 -".to_owned(), || events(&db).last().cloned().unwrap_or_default());
    assert!(ingester.stop().success());
}

#[test]
fn end_of_rib_three_times_is_one_end_of_rib() {
    let db = TestDb::migrated();
    let ingester = Ingester::start(&db.url(), &[]);
    let mut router = ingester.connect();
    greet(&mut router);
    router.send(&announce(&["10.1.0.0/16"])).send(&end_of_rib()).send(&end_of_rib());
    router.send(&announce(&["10.2.0.0/16"])).send(&end_of_rib()).send(&announce(&["10.3.0.0/16"]));
    eventually_equal(3, || routes(&db).len());
    // The End-of-RIBs of a batch are stored after its routes.
    eventually_equal(vec!["global 4 t".to_owned(), "global 6 f".to_owned()], || sync(&db));
    assert_eq!(one(&db, "SELECT count(*)::text FROM session_events WHERE kind = 'end_of_rib'"), "1");
    assert!(ingester.stop().success());
}

#[test]
fn two_paths_of_a_prefix_are_two_rows_and_two_events() {
    let db = TestDb::migrated();
    let ingester = Ingester::start(&db.url(), &[]);
    let mut router = ingester.connect();
    let open = Open { add_path: vec![(1, 1)], ..open() };
    router.send(&bmp::initiation(b"edge1", b"")).send(&bmp::peer_up(loc_rib(), &open, Some("global")));
    let paths = [("10.1.0.0/16", Some(7)), ("10.1.0.0/16", Some(0)), ("10.1.0.0/16", Some(4_294_967_295))];
    let update = bmp::announce_paths(&Attributes::path(&[64_500]), "192.0.2.1", &paths);
    router.send(&bmp::route_monitoring(loc_rib(), &update));
    eventually_equal(3, || routes(&db).len());
    assert_eq!(rows(&db, "SELECT path_id::text FROM current_routes r ORDER BY r.path_id"), ["0", "7", "4294967295"]);
    eventually_equal(3, || events(&db).len());
    assert_eq!(events(&db), ["A 10.1.0.0/16 7", "A 10.1.0.0/16 0", "A 10.1.0.0/16 4294967295"]);
    assert!(ingester.stop().success());
}

#[test]
fn large_numbers_and_all_communities_are_stored() {
    let db = TestDb::migrated();
    let ingester = Ingester::start(&db.url(), &[]);
    let mut router = ingester.connect();
    greet(&mut router);
    let attributes = Attributes {
        med: Some(4_294_967_295),
        local_pref: Some(4_294_967_295),
        communities: vec![0xfde9_0064],
        extended: vec![0x0002_fde8_0000_0064, 0x0003_fde8_0000_0007, 0x030b_0000_0000_0064],
        large: vec![[4_200_000_000, 1, 2]],
        raw: bmp::attribute(0xc0, 99, &[1, 2, 3]),
        ..Attributes::path(&[64_500, 4_200_000_000])
    };
    router.send(&bmp::route_monitoring(loc_rib(), &bmp::announce(&attributes, "192.0.2.1", &["10.1.0.0/16"])));
    let columns =
        "as_path, origin, localpref, med, origin_asn, communities_std, communities_ext, communities_large, attrs";
    for table in ["current_routes", "route_events"] {
        eventually_equal(
            "64500 4200000000 IGP 4294967295 4294967295 4200000000 {65001:100} \
             {RT:65000:100,SOO:65000:7,030b000000000064} {4200000000:1:2} {\"99\": \"010203\"}"
                .to_owned(),
            || one(&db, &format!("SELECT concat_ws(' ', {columns}) FROM {table}")),
        );
    }
    assert!(ingester.stop().success());
}

#[test]
fn bad_input_costs_at_most_one_message_or_session() {
    let db = TestDb::migrated();
    let mut ingester = Ingester::start(&db.url(), &[]);
    let mut good = ingester.connect();
    greet(&mut good);
    good.send(&announce(&["10.1.0.0/16"]));

    // An UPDATE whose NLRI do not tile: rejected, kept, and the next one is applied.
    let broken = bmp::update(&[], &[], &[33, 10, 1, 1, 1, 1]);
    good.send(&bmp::route_monitoring(loc_rib(), &broken)).send(&announce(&["10.2.0.0/16"]));
    eventually_equal(2, || routes(&db).len());
    ingester.logged("rejected");
    let kept = ingester.state_dir().join("rejected").join(format!("{ROUTER}.bmp"));
    assert_eq!(std::fs::read(kept).unwrap(), bmp::route_monitoring(loc_rib(), &broken));

    // A name with NUL and bytes that are not UTF-8 is stored with both replaced.
    good.send(&bmp::initiation(b"a\0b\xff", b"x"));
    eventually_equal("a\u{fffd}b\u{fffd}".to_owned(), || one(&db, "SELECT hostname FROM routers"));

    // Input that is not BMP closes its own connection.
    let bad_streams: [&[u8]; 4] = [
        b"GET / HTTP/1.1\r\nHost: collector\r\n\r\n",
        &[2, 0, 0, 0, 6, 4],
        &[3, 0xff, 0xff, 0xff, 0xff, 0],
        &[3, 0, 0, 0, 0, 0],
    ];
    for bytes in bad_streams {
        let mut bad = ingester.connect();
        bad.send_or_be_cut(bytes);
        eventually("the collector closes a stream that is not BMP", || bad.is_closed().then_some(()));
    }
    eventually("one log line for each", || (ingester.count_logged("not BMP") == 4).then_some(()));

    // A frame cut short by the end of the connection: the messages before it count.
    let other = Peer::loc_rib("10.255.0.2");
    let mut cut = ingester.connect();
    cut.send(&bmp::peer_up(other, &Open::of(64_502, "10.255.0.2"), Some("global")));
    let route = bmp::route_monitoring(other, &bmp::announce(&Attributes::path(&[1]), "192.0.2.9", &["10.9.0.0/16"]));
    cut.send(&route).send(&route[..route.len() - 3]);
    drop(cut);
    eventually_equal(3, || routes(&db).len());

    good.send(&announce(&["10.3.0.0/16"]));
    eventually_equal(4, || routes(&db).len());
    assert!(!good.is_closed());
    assert!(ingester.stop().success());
}

#[test]
fn a_second_connection_replaces_the_first_unpurged() {
    let db = TestDb::migrated();
    let mut ingester = Ingester::start(&db.url(), &[]);
    let mut first = ingester.connect();
    greet(&mut first);
    first.send(&announce(&["10.1.0.0/16"]));
    eventually_equal(1, || routes(&db).len());
    let mut second = ingester.connect();
    greet(&mut second);
    second.send(&announce(&["10.2.0.0/16"]));
    eventually("the older connection is closed", || first.is_closed().then_some(()));
    ingester.logged("superseded");
    eventually_equal(2, || routes(&db).len());
    second.send(&end_of_rib());
    eventually_equal(vec![v4("10.2.0.0/16")], || routes(&db));
    assert!(ingester.stop().success());
}

#[test]
fn who_is_connected_and_in_sync_can_be_read() {
    let db = TestDb::migrated();
    let settings = [("STALE_ROUTES_SECS", "900"), ("EOR_TIMEOUT_SECS", "3")];
    let mut ingester = Ingester::start(&db.url(), &settings);
    let live = "SELECT s.state, s.router_id, s.collector_id, host(s.source) FROM bmp_sessions s
                JOIN collectors c USING (collector_id) WHERE s.state IN ('up', 'dumping') AND c.alive_until > now()";
    let alive =
        "SELECT count(*)::text FROM collectors WHERE alive_until > now() AND version <> '' AND collector_id = 'test'";
    assert_eq!(one(&db, alive), "1");
    let mut router = ingester.connect();
    greet(&mut router);
    router.send(&announce(&["10.1.0.0/16"]));
    let expected = |state: &str| vec![format!("{state}|{ROUTER}|test|127.0.0.1")];
    eventually_equal(expected("dumping"), || db.rows(live));
    // No End-of-RIB arrives: the dump is complete when it is quiet, and eor_seen stays false.
    eventually_equal(expected("up"), || db.rows(live));
    let sync = "SELECT DISTINCT eor_seen, synced_at IS NOT NULL, stale_since IS NOT NULL FROM rib_sync_status";
    assert_eq!(db.rows(sync), ["f|t|f"]);
    // The heartbeat continues.
    let until = "SELECT alive_until FROM collectors";
    let before = db.rows(until);
    eventually("the next beat", || (db.rows(until) != before).then_some(()));
    drop(router);
    eventually_equal(vec!["f|f|t".to_owned()], || db.rows(sync));
    let states = "SELECT state, reason IS NOT NULL FROM bmp_sessions ORDER BY since";
    eventually_equal(vec!["stale|t".to_owned()], || db.rows(states));
    let mut router = ingester.connect();
    greet(&mut router);
    eventually_equal(vec!["ended|t".to_owned(), "dumping|f".to_owned()], || db.rows(states));
    eventually_equal(vec!["f|f|f".to_owned()], || db.rows(sync));
    router.send(&bmp::termination(0));
    eventually_equal(vec!["ended|t".to_owned(), "ended|t".to_owned()], || db.rows(states));
    assert!(ingester.get("/healthz").0 == 200);
    assert!(ingester.stop().success());
    assert_eq!(one(&db, alive), "0");
}

#[test]
fn refused_connections_are_logged_with_the_remedy() {
    let db = TestDb::migrated();
    let mut closed = Ingester::start(&db.url(), &[("ALLOW", "192.0.2.0/24")]);
    let mut stranger = closed.connect();
    eventually("the stranger is refused", || stranger.is_closed().then_some(()));
    closed.logged("add 127.0.0.1/32 to RIB_INGESTER_ALLOW");
    let refused = "SELECT concat_ws(' ', host(peer_address), reason) FROM session_events WHERE kind = 'refused'";
    eventually("a row that says so", || one(&db, refused).starts_with("127.0.0.1 not in the allow-list").then_some(()));
    assert!(closed.stop().success());

    let mut small = Ingester::start(&db.url(), &[("MAX_SESSIONS", "1")]);
    let mut first = small.connect();
    greet(&mut first);
    first.send(&announce(&["10.1.0.0/16"]));
    eventually_equal(1, || routes(&db).len());
    let mut second = small.connect();
    eventually("the second is refused", || second.is_closed().then_some(()));
    small.logged("RIB_INGESTER_MAX_SESSIONS");
    assert!(!first.is_closed());
    assert!(small.stop().success());
}

#[test]
fn what_is_not_stored_is_counted_and_named() {
    let db = TestDb::migrated();
    let mut ingester = Ingester::start(&db.url(), &[("STORED_RIBS", "loc-rib,10.0.0.0/8=adj-rib-in-pre")]);
    let mut router = ingester.connect();
    let peer = Peer::global_instance("192.0.2.7", 64_507);
    router.send(&bmp::initiation(b"edge1", b"")).send(&bmp::peer_up(peer, &open(), None));
    let update = bmp::announce(&Attributes::path(&[64_507]), "192.0.2.7", &["10.1.0.0/16"]);
    for _ in 0..3 {
        router.send(&bmp::route_monitoring(peer, &update));
    }
    ingester.logged("peer type not stored");
    router.send(&bmp::termination(0));
    ingester.logged("3 times peer type not stored");
    assert_eq!((routes(&db), sync(&db)), (vec![], vec![]));
    assert_eq!(one(&db, "SELECT router_id FROM routers"), ROUTER);
    assert_eq!(one(&db, "SELECT host(peer_address) FROM session_events WHERE kind = 'peer_up'"), "192.0.2.7");
    assert!(ingester.stop().success());
}

#[test]
fn raw_bytes_stand_on_the_first_event_of_a_message() {
    let db = TestDb::migrated();
    let ingester = Ingester::start(&db.url(), &[("STORE_RAW_BYTES", "true"), ("STORE_RAW_BYTES_COMPRESS", "false")]);
    let mut router = ingester.connect();
    greet(&mut router);
    let message = announce(&["10.1.0.0/16", "10.2.0.0/16"]);
    router.send(&message);
    eventually_equal(2, || events(&db).len());
    let raw: Vec<Option<Vec<u8>>> = db
        .client()
        .query("SELECT bmp_raw FROM route_events ORDER BY ingest_time", &[])
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert_eq!(raw, [Some(message), None]);
    assert!(ingester.stop().success());
}

#[test]
fn changes_after_the_dump_are_events_even_if_repeated() {
    let db = TestDb::migrated();
    let ingester = Ingester::start(&db.url(), &[]);
    let mut router = ingester.connect();
    greet(&mut router);
    // Within the dump a repetition is no event; after it each is, also within one second of the router's clock.
    router.send(&announce(&["10.1.0.0/16"])).send(&announce(&["10.1.0.0/16"])).send(&end_of_rib());
    for _ in 0..2 {
        router.send(&withdraw(&["10.1.0.0/16"])).send(&announce(&["10.1.0.0/16"]));
    }
    router.send(&announce(&["10.1.0.0/16"]));
    let a = "A 10.1.0.0/16 -".to_owned();
    let d = "D 10.1.0.0/16 -".to_owned();
    eventually_equal(vec![a.clone(), d.clone(), a.clone(), d, a.clone(), a], || events(&db));
    assert_eq!(one(&db, "SELECT (count(*) = count(DISTINCT event_id))::text FROM route_events"), "true");
    assert_eq!(routes(&db), [v4("10.1.0.0/16")]);
    assert!(ingester.stop().success());
}

#[test]
fn a_router_whose_path_ids_are_ignored_has_one_row() {
    let db = TestDb::migrated();
    let ingester = Ingester::start(&db.url(), &[("IGNORE_PATH_ID", "127.0.0.1/32")]);
    let mut router = ingester.connect();
    let open = Open { add_path: vec![(1, 1)], ..open() };
    router.send(&bmp::initiation(b"edge1", b"")).send(&bmp::peer_up(loc_rib(), &open, Some("global")));
    for id in 1..=3 {
        let attributes = Attributes::path(&[64_500 + id]);
        let update = bmp::announce_paths(&attributes, "192.0.2.1", &[("10.1.0.0/16", Some(id))]);
        router.send(&bmp::route_monitoring(loc_rib(), &update));
    }
    eventually_equal(vec!["global 4 10.1.0.0/16 0 192.0.2.1 [64503]".to_owned()], || routes(&db));
    assert!(ingester.stop().success());
}

#[test]
fn routes_before_any_peer_up_get_the_later_name() {
    let db = TestDb::migrated();
    let ingester = Ingester::start(&db.url(), &[]);
    let mut named = ingester.connect();
    // FRR 8: its own routes have the peer 0.0.0.0, which never gets a Peer Up.
    let own = Peer::global_instance("0.0.0.0", 0);
    let update = bmp::announce(&Attributes::path(&[]), "192.0.2.7", &["10.1.0.0/16"]);
    named.send(&bmp::initiation(b"frr8", b"")).send(&bmp::route_monitoring(own, &update));
    named.send(&bmp::peer_up(Peer::global_instance("192.0.2.7", 64_507), &open(), None));
    eventually_equal(ROUTER.to_owned(), || one(&db, "SELECT router_id FROM routers"));
    // A router that names nothing is known by its address.
    let mut nameless = ingester.connect();
    nameless.send(&bmp::initiation(b"nameless", b"")).send(&bmp::route_monitoring(own, &update));
    eventually_equal(vec![ROUTER.to_owned(), "127.0.0.1".to_owned()], || {
        rows(&db, "SELECT router_id FROM routers ORDER BY first_seen")
    });
    assert!(ingester.stop().success());
}
