//! Adj-RIBs through the socket into SQL: the binary, a fake router, a real PostgreSQL.

#![allow(missing_docs, clippy::unwrap_used)]

use crate::common::bmp::{self, Attributes, Open, Peer};
use crate::common::ingester::{FakeRouter, Ingester, eventually, eventually_equal};
use crate::common::pg::TestDb;

const ROUTER: &str = "10.255.0.1";
/// The L flag: post-policy.
const POST: u8 = 0x40;
/// The O flag: Adj-RIB-Out.
const OUT: u8 = 0x10;

fn rows(db: &TestDb, query: &str) -> Vec<String> {
    db.client().query(query, &[]).unwrap().iter().map(|row| row.get(0)).collect()
}

/// The rows of an Adj-RIB as `peer policy table prefix path_id`.
fn routes(db: &TestDb, table: &str) -> Vec<String> {
    let policy = "CASE WHEN is_post_policy THEN 'post' ELSE 'pre' END";
    rows(
        db,
        &format!(
            "SELECT concat_ws(' ', host(peer_address), {policy}, table_name, prefix, path_id) FROM {table} ORDER BY 1"
        ),
    )
}

/// The IPv4 rows of its synchronization as `peer policy table afi eor_seen`.
fn sync(db: &TestDb, table: &str) -> Vec<String> {
    let policy = "CASE WHEN is_post_policy THEN 'post' ELSE 'pre' END";
    rows(
        db,
        &format!(
            "SELECT concat_ws(' ', host(peer_address), {policy}, table_name, afi, eor_seen) FROM {table}_sync_status WHERE afi = 4 ORDER BY 1"
        ),
    )
}

fn open() -> Open {
    Open::of(64_500, ROUTER)
}

fn one() -> Peer {
    Peer::global_instance("192.0.2.1", 64_501)
}

fn two() -> Peer {
    Peer::global_instance("192.0.2.2", 64_502)
}

fn with(peer: Peer, flags: u8) -> Peer {
    Peer { flags, ..peer }
}

fn announce(peer: Peer, prefixes: &[&str]) -> Vec<u8> {
    bmp::route_monitoring(peer, &bmp::announce(&Attributes::path(&[peer.asn]), "192.0.2.9", prefixes))
}

fn begin(ingester: &Ingester, peers: &[Peer]) -> FakeRouter {
    let mut router = ingester.connect();
    router.send(&bmp::initiation(b"edge1", b""));
    for peer in peers {
        router.send(&bmp::peer_up(*peer, &open(), None));
    }
    router
}

#[test]
fn a_peers_views_have_rows_and_lives_of_their_own() {
    let db = TestDb::migrated();
    let all = "loc-rib,adj-rib-in-pre,adj-rib-in-post,adj-rib-out-pre,adj-rib-out-post";
    let ingester = Ingester::start(&db.url(), &[("STORED_RIBS", all)]);
    let mut router = begin(&ingester, &[one(), two()]);
    eventually_equal(vec!["192.0.2.1 pre UNKNOWN 4 f".to_owned(), "192.0.2.2 pre UNKNOWN 4 f".to_owned()], || {
        sync(&db, "adj_rib_in")
    });
    for flags in [0, POST, OUT, OUT | POST] {
        router.send(&announce(with(one(), flags), &["10.1.0.0/16", "10.2.0.0/16"]));
    }
    router.send(&announce(two(), &["10.1.0.0/16"]));
    router.send(&bmp::route_monitoring(with(one(), POST), &bmp::end_of_rib_ipv4()));
    router.send(&bmp::route_monitoring(with(one(), POST), &bmp::withdraw(&["10.2.0.0/16"])));
    let text = |lines: &[&str]| lines.iter().map(ToString::to_string).collect::<Vec<_>>();
    let in_rows = [
        "192.0.2.1 post UNKNOWN 10.1.0.0/16 0",
        "192.0.2.1 pre UNKNOWN 10.1.0.0/16 0",
        "192.0.2.1 pre UNKNOWN 10.2.0.0/16 0",
        "192.0.2.2 pre UNKNOWN 10.1.0.0/16 0",
    ];
    eventually_equal(text(&in_rows), || routes(&db, "adj_rib_in"));
    eventually_equal(4, || routes(&db, "adj_rib_out").len());
    let statuses = ["192.0.2.1 post UNKNOWN 4 t", "192.0.2.1 pre UNKNOWN 4 f", "192.0.2.2 pre UNKNOWN 4 f"];
    assert_eq!(sync(&db, "adj_rib_in"), text(&statuses));
    assert_eq!(
        rows(&db, "SELECT concat_ws(' ', peer_asn, peer_bgp_id) FROM adj_rib_in WHERE is_post_policy"),
        ["64501 192.0.2.1"]
    );
    let events = "SELECT concat_ws(' ', rib, host(peer_address), peer_asn, peer_bgp_id, is_post_policy, action, prefix)
        FROM route_events WHERE prefix = '10.2.0.0/16' ORDER BY ingest_time";
    eventually_equal(5, || rows(&db, events).len());
    let told = rows(&db, events);
    assert_eq!(
        (told[0].as_str(), told[4].as_str()),
        (
            "adj-rib-in 192.0.2.1 64501 192.0.2.1 f A 10.2.0.0/16",
            "adj-rib-in 192.0.2.1 64501 192.0.2.1 t D 10.2.0.0/16"
        )
    );
    assert_eq!(rows(&db, "SELECT DISTINCT event_id::text FROM route_events").len(), 10);
    // Peer Down: all of that peer's routes and no others, as one row.
    router.send(&bmp::peer_down(one(), 4));
    eventually_equal(text(&in_rows[3..]), || routes(&db, "adj_rib_in"));
    assert_eq!((routes(&db, "adj_rib_out").len(), sync(&db, "adj_rib_out").len()), (0, 0));
    assert_eq!(sync(&db, "adj_rib_in"), text(&statuses[2..]));
    let down = "SELECT concat_ws(' ', host(peer_address), routes) FROM session_events WHERE kind = 'peer_down'";
    assert_eq!(rows(&db, down), ["192.0.2.1 7"]);
    router.send(&bmp::termination(0));
    eventually("all is gone", || {
        (routes(&db, "adj_rib_in").is_empty() && sync(&db, "adj_rib_in").is_empty()).then_some(())
    });
    assert!(ingester.stop().success());
}

#[test]
fn pre_policy_routes_fill_in_until_post_policy_ones() {
    let db = TestDb::migrated();
    let mut ingester = Ingester::start(&db.url(), &[]);
    let mut router = begin(&ingester, &[one(), two()]);
    router.send(&announce(one(), &["10.1.0.0/16"])).send(&announce(two(), &["10.2.0.0/16"]));
    eventually_equal(2, || routes(&db, "adj_rib_in").len());
    router.send(&announce(with(one(), POST), &["10.3.0.0/16"]));
    router.send(&announce(one(), &["10.4.0.0/16"]));
    router.send(&announce(with(one(), OUT | POST), &["10.5.0.0/16"]));
    let want = ["192.0.2.1 post UNKNOWN 10.3.0.0/16 0", "192.0.2.2 pre UNKNOWN 10.2.0.0/16 0"];
    eventually_equal(want.map(str::to_owned).to_vec(), || routes(&db, "adj_rib_in"));
    eventually_equal(vec!["192.0.2.1 post UNKNOWN 4 f".to_owned(), "192.0.2.2 pre UNKNOWN 4 f".to_owned()], || {
        sync(&db, "adj_rib_in")
    });
    ingester.logged("peer type not stored: Adj-RIB-In routes before policy");
    ingester.logged("peer type not stored: Adj-RIB-Out routes after policy");
    assert_eq!(rows(&db, "SELECT kind FROM session_events WHERE kind = 'view_dropped'").len(), 1);
    assert!(routes(&db, "adj_rib_out").is_empty());
    assert!(ingester.stop().success());
}

#[test]
fn a_reconnect_confirms_routes_and_purges_a_lost_peer() {
    let db = TestDb::migrated();
    let ingester = Ingester::start(&db.url(), &[]);
    let mut router = begin(&ingester, &[one(), two()]);
    router.send(&announce(one(), &["10.1.0.0/16", "10.2.0.0/16"])).send(&announce(two(), &["10.3.0.0/16"]));
    eventually_equal(3, || routes(&db, "adj_rib_in").len());
    let written = || rows(&db, "SELECT concat_ws(' ', prefix, xmin) FROM adj_rib_in WHERE prefix = '10.1.0.0/16'");
    let before = written();
    drop(router);
    eventually_equal(1, || rows(&db, "SELECT kind FROM session_events WHERE kind = 'session_lost'").len());
    let mut router = begin(&ingester, &[one()]);
    router.send(&bmp::peer_down(two(), 2));
    router.send(&announce(one(), &["10.1.0.0/16"])).send(&bmp::route_monitoring(one(), &bmp::end_of_rib_ipv4()));
    eventually_equal(vec!["192.0.2.1 pre UNKNOWN 10.1.0.0/16 0".to_owned()], || routes(&db, "adj_rib_in"));
    // Unchanged routes were neither written nor recorded again.
    assert_eq!(written(), before);
    eventually_equal(4, || rows(&db, "SELECT action::text FROM route_events").len());
    assert_eq!(rows(&db, "SELECT attrs::text FROM route_events WHERE action = 'D'"), [r#"{"reason": "stale"}"#]);
    // Another peer at the address: the row has the peer that announces it now.
    router.send(&bmp::peer_down(one(), 1));
    eventually("its routes go", || routes(&db, "adj_rib_in").is_empty().then_some(()));
    assert!(ingester.stop().success());
}

#[test]
fn two_peers_with_one_address_and_vrfs_do_not_collide() {
    let db = TestDb::migrated();
    let ingester = Ingester::start(&db.url(), &[]);
    let other = Peer { asn: 64_999, ..one() };
    let vrf = Peer { kind: 1, rd: 0x0000_fde8_0000_0007, ..one() };
    let mut router = begin(&ingester, &[one(), other, vrf]);
    for peer in [one(), other, vrf] {
        router.send(&announce(peer, &["10.1.0.0/16"]));
    }
    let want =
        ["UNKNOWN", "UNKNOWN|as:64999", "rd:0:65000:7"].map(|name| format!("192.0.2.1 pre {name} 10.1.0.0/16 0"));
    eventually_equal(want.to_vec(), || routes(&db, "adj_rib_in"));
    router.send(&bmp::peer_down(other, 4));
    eventually_equal(vec![want[0].clone(), want[2].clone()], || routes(&db, "adj_rib_in"));
    router.send(&bmp::peer_down(one(), 4));
    eventually_equal(vec![want[2].clone()], || routes(&db, "adj_rib_in"));
    assert!(ingester.stop().success());
}

#[test]
fn routes_that_come_before_any_name_wait_for_it() {
    let db = TestDb::migrated();
    let ingester = Ingester::start(&db.url(), &[]);
    let mut router = ingester.connect();
    let own = Peer { address: None, asn: 0, flags: POST, bgp_id: [0; 4].into(), ..one() };
    router.send(&bmp::initiation(b"edge1", b"")).send(&announce(own, &["10.9.0.0/16"]));
    router.send(&bmp::peer_up(one(), &open(), None));
    let found = "SELECT concat_ws(' ', router_id, host(peer_address), prefix) FROM adj_rib_in";
    eventually_equal(vec![format!("{ROUTER} 0.0.0.0 10.9.0.0/16")], || rows(&db, found));
    assert_eq!(rows(&db, "SELECT router_id FROM routers"), [ROUTER]);
    assert!(ingester.stop().success());
}

#[test]
fn vpn_and_labeled_routes_have_tables_of_their_own() {
    let db = TestDb::migrated();
    let ingester = Ingester::start(&db.url(), &[]);
    let mut router = begin(&ingester, &[one()]);
    // MP_REACH_NLRI (RFC 4760 section 3): family, next hop, reserved octet, NLRI.
    let reach = |safi: u8, next_hop: &[u8], nlri: &[u8]| {
        let length = u8::try_from(next_hop.len()).unwrap();
        let value = [&[0, 1, safi, length][..], next_hop, &[0], nlri].concat();
        let attributes = Attributes { raw: bmp::attribute(0x80, 14, &value), ..Attributes::path(&[64_501]) };
        bmp::route_monitoring(one(), &bmp::update(&[], &attributes.bytes(), &[]))
    };
    let label = [0, 0x01, 0x01];
    let rd = [0, 0, 0xfd, 0xe8, 0, 0, 0, 7];
    let vpn_nlri = [&[24 + 64 + 16][..], &label, &rd, &[10, 7]].concat();
    let vpn_next_hop = [&[0; 8][..], &[192, 0, 2, 9]].concat();
    router.send(&reach(128, &vpn_next_hop, &vpn_nlri));
    router.send(&reach(4, &[192, 0, 2, 9], &[&[24 + 16][..], &label, &[10, 8]].concat()));
    router.send(&announce(one(), &["10.9.0.0/16"]));
    let want = ["UNKNOWN", "UNKNOWN|labelled", "UNKNOWN|rd:0:65000:7"];
    let found = "SELECT table_name || coalesce(' ' || attrs::text, '') FROM adj_rib_in ORDER BY 1";
    let attrs = ["", r#" {"labels": [16]}"#, r#" {"rd": "0:65000:7", "labels": [16]}"#];
    eventually_equal((0..3).map(|i| format!("{}{}", want[i], attrs[i])).collect(), || rows(&db, found));
    // An End-of-RIB is of its own family alone.
    router.send(&bmp::route_monitoring(one(), &bmp::end_of_rib(1, 128)));
    let seen = "SELECT concat_ws(' ', table_name, eor_seen) FROM adj_rib_in_sync_status WHERE afi = 4 ORDER BY 1";
    let status = ["UNKNOWN f", "UNKNOWN|labelled f", "UNKNOWN|rd:0:65000:7 t"];
    eventually_equal(status.map(str::to_owned).to_vec(), || rows(&db, seen));
    router.send(&bmp::peer_down(one(), 4));
    eventually("all of it goes", || (rows(&db, found).is_empty() && rows(&db, seen).is_empty()).then_some(()));
    assert!(ingester.stop().success());
}

#[test]
fn peers_and_statistics_are_rows_changes_are_events() {
    let db = TestDb::migrated();
    let mut listener = db.client();
    listener.batch_execute("LISTEN rib_session").unwrap();
    let ingester = Ingester::start(&db.url(), &[]);
    let mut router = begin(&ingester, &[one()]);
    let never_up = Peer { bgp_id: [0; 4].into(), ..two() };
    router.send(&bmp::peer_down(never_up, 2)).send(&bmp::peer_down(never_up, 2));
    router.send(&bmp::statistics(one(), 3)).send(&bmp::statistics(one(), u64::MAX));
    let peers =
        "SELECT concat_ws(' ', peer_type, host(peer_address), peer_asn, '[' || peer_bgp_id || ']', state, flap_count,
            local_port, hold_time, jsonb_array_length(capabilities -> 'sent') > 0) FROM peers ORDER BY 1";
    let up = "global 192.0.2.1 64501 [192.0.2.1] up 0 179 180 t";
    let down = "global 192.0.2.2 64502 [] down 0";
    eventually_equal(vec![up.to_owned(), down.to_owned()], || rows(&db, peers));
    let values = "SELECT concat_ws(' ', name, stat_type, afi, safi, value) FROM peer_statistics ORDER BY 1";
    let latest = ["adj_rib_in_routes 7 0 0", "adj_rib_in_routes_per_family 9 1 1"];
    eventually_equal(latest.map(|text| format!("{text} {}", u64::MAX)).to_vec(), || rows(&db, values));
    for _ in 0..2 {
        router.send(&bmp::peer_down(one(), 4)).send(&bmp::peer_up(one(), &open(), None));
    }
    router.send(&announce(one(), &["10.1.0.0/16"]));
    let up = up.replace("up 0", "up 2");
    eventually_equal(vec![up.clone(), down.to_owned()], || rows(&db, peers));
    let reason = "SELECT last_reason FROM peers WHERE host(peer_address) = '192.0.2.1'";
    assert_eq!(rows(&db, reason), ["remote system closed the session without a NOTIFICATION"]);
    eventually_equal(1, || routes(&db, "adj_rib_in").len());
    db.client().batch_execute("REFRESH MATERIALIZED VIEW adj_rib_in_summary").unwrap();
    let overview = "SELECT concat_ws(' ', router_id, router_hostname, host(peer_address), peer_asn, peer_bgp_id,
            pre_policy_routes, post_policy_routes, total_routes, unique_prefixes) FROM peers_overview";
    assert_eq!(rows(&db, overview), ["10.255.0.1 edge1 192.0.2.1 64501 192.0.2.1 1 0 1 1"]);
    let routers =
        "SELECT concat_ws(' ', router_id, hostname, route_count, adj_rib_in_route_count, adj_rib_in_peer_count,
            all_afis_synced) FROM routers_overview";
    assert_eq!(rows(&db, routers), ["10.255.0.1 edge1 0 1 1"]);
    router.send(&bmp::termination(0));
    eventually("nobody tells of them any more", || {
        rows(&db, "SELECT DISTINCT state FROM peers").eq(&["unknown"]).then_some(())
    });
    assert!(ingester.stop().success());
    listener.batch_execute("SELECT").unwrap();
    let mut told = listener.notifications();
    let mut heard: Vec<i64> = Vec::new();
    while let Ok(Some(notification)) = postgres::fallible_iterator::FallibleIterator::next(&mut told.iter()) {
        heard.push(notification.payload().parse().unwrap());
    }
    heard.sort_unstable();
    let heard: Vec<String> = heard.iter().map(i64::to_string).collect();
    assert_eq!(heard, rows(&db, "SELECT id::text FROM session_events ORDER BY id"));
    assert_ne!(rows(&db, "SELECT kind FROM session_events WHERE kind = 'peer_down'"), Vec::<String>::new());
}

#[test]
fn a_peer_missing_from_a_new_session_does_not_stay_up() {
    let db = TestDb::migrated();
    let ingester = Ingester::start(&db.url(), &[("STALE_ROUTES_SECS", "2")]);
    let states = || rows(&db, "SELECT concat_ws(' ', host(peer_address), state) FROM peers ORDER BY 1");
    let first = begin(&ingester, &[one(), two()]);
    eventually_equal(vec!["192.0.2.1 up".to_owned(), "192.0.2.2 up".to_owned()], states);
    let since = rows(&db, "SELECT since::text FROM peers WHERE host(peer_address) = '192.0.2.1'");
    // While it is open, both sessions are: each reports its own peers.
    drop(first);
    let mut second = begin(&ingester, &[one()]);
    second.send(&announce(one(), &["10.1.0.0/16"]));
    eventually_equal(vec!["192.0.2.1 up".to_owned(), "192.0.2.2 unknown".to_owned()], states);
    assert_eq!(rows(&db, "SELECT since::text FROM peers WHERE host(peer_address) = '192.0.2.1'"), since);
    second.send(&bmp::peer_up(two(), &open(), None));
    eventually_equal(vec!["192.0.2.1 up".to_owned(), "192.0.2.2 up".to_owned()], states);
    assert!(ingester.stop().success());
}

/// The same message about a peer with the address fe80::1.
fn link_local(mut message: Vec<u8>) -> Vec<u8> {
    message[7] |= 0x80;
    message[16..32].copy_from_slice(&[0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    message
}

#[test]
fn peers_that_share_an_address_and_as_have_no_routes() {
    let db = TestDb::migrated();
    let ingester = Ingester::start(&db.url(), &[("STORED_RIBS", "adj-rib-in-pre")]);
    let mut router = begin(&ingester, &[]);
    let other = Peer { bgp_id: "192.0.2.2".parse().unwrap(), ..one() };
    let prefixes = ["10.1.0.0/16", "10.2.0.0/16"];
    for (peer, prefix) in [(one(), prefixes[0]), (other, prefixes[1])] {
        router.send(&link_local(bmp::peer_up(peer, &open(), None)));
        router.send(&link_local(announce(peer, &[prefix])));
    }
    let first = "fe80::1 pre UNKNOWN 10.1.0.0/16 0".to_owned();
    let second = "fe80::1 pre UNKNOWN|as:64501 10.2.0.0/16 0".to_owned();
    eventually_equal(vec![second.clone(), first], || {
        let mut all = routes(&db, "adj_rib_in");
        all.sort_by_key(|row| !row.contains('|'));
        all
    });
    let peers = || rows(&db, "SELECT concat_ws(' ', host(peer_address), peer_asn, peer_bgp_id, state) FROM peers");
    assert_eq!(peers(), ["fe80::1 64501 192.0.2.2 up"]);
    router.send(&link_local(bmp::peer_down(one(), 4)));
    eventually_equal(vec!["fe80::1 64501 192.0.2.1 down".to_owned()], peers);
    eventually_equal(vec![second], || routes(&db, "adj_rib_in"));
    assert!(ingester.stop().success());
}

#[test]
fn table_names_do_not_depend_on_the_order_of_peer_ups() {
    let db = TestDb::migrated();
    let ingester = Ingester::start(&db.url(), &[("STORED_RIBS", "adj-rib-in-pre")]);
    let other = Peer { bgp_id: "192.0.2.2".parse().unwrap(), ..one() };
    let vrf = Peer { kind: 1, ..one() }.with_rd(7);
    let say = |router: &mut FakeRouter, peer, prefix| {
        router.send(&link_local(bmp::peer_up(peer, &open(), None)));
        router.send(&link_local(announce(peer, &[prefix])));
        router.send(&link_local(bmp::route_monitoring(peer, &bmp::end_of_rib_ipv4())));
    };
    let (first, second) = ("10.1.0.0/16", "10.2.0.0/16");
    let want = ["fe80::1 pre UNKNOWN 10.1.0.0/16 0", "fe80::1 pre UNKNOWN|as:64501 10.2.0.0/16 0"].map(str::to_owned);
    let all = || {
        let mut all = routes(&db, "adj_rib_in");
        all.sort_by_key(|row| row.contains('|'));
        all
    };
    let mut router = begin(&ingester, &[]);
    say(&mut router, one(), first);
    say(&mut router, other, second);
    // A bar in a name is no suffix of ours.
    router.send(&bmp::peer_up(vrf, &open(), Some("a|b")));
    router.send(&announce(vrf, &["10.3.0.0/16"]));
    let of_vrf = "192.0.2.1 pre a%7Cb 10.3.0.0/16 0".to_owned();
    eventually_equal([&[of_vrf][..], &want].concat(), all);
    let names = || {
        rows(
            &db,
            "SELECT concat_ws(' ', rib, peer_type, distinguisher, bgp_id, host(peer_address), peer_asn, name, table_name,
                              safi, route_distinguisher, unicast_table_name)
             FROM table_names ORDER BY peer_address, length(table_name)",
        )
    };
    let of_one = "adj-rib-in global  192.0.2.1 fe80::1 64501 UNKNOWN UNKNOWN 1  UNKNOWN";
    let of_other = "adj-rib-in global  192.0.2.2 fe80::1 64501 UNKNOWN UNKNOWN|as:64501 1  UNKNOWN|as:64501";
    let of_vrf = "adj-rib-in rd 0:0:7  192.0.2.1 64501 a%7Cb a%7Cb 1  a%7Cb";
    assert_eq!(names(), [of_vrf, of_one, of_other]);
    drop(router);
    let mut router = begin(&ingester, &[]);
    // It is not up in this session: its stored routes are deleted, with its name.
    router.send(&bmp::peer_down(vrf, 4));
    say(&mut router, other, second);
    say(&mut router, one(), first);
    eventually_equal(vec![of_one.to_owned(), of_other.to_owned()], names);
    eventually_equal(want.to_vec(), all);
    // A name that two tables have stays when one of them is deleted.
    router.send(&link_local(bmp::peer_down(one(), 4)));
    eventually_equal(want[1..].to_vec(), all);
    assert_eq!(names(), [of_one, of_other]);
    assert!(ingester.stop().success());
}

/// The series of a RIB's drift.
fn drift(ingester: &mut Ingester, rib: &str) -> Option<String> {
    let (_, _, text) = ingester.get("/metrics");
    let series = format!("rib_ingester_drift_routes{{router=\"{ROUTER}\",rib=\"{rib}\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&series)).map(str::to_owned)
}

#[test]
fn a_lasting_difference_in_table_size_causes_a_redump() {
    let db = TestDb::migrated();
    let mut ingester =
        Ingester::start(&db.url(), &[("STORED_RIBS", "adj-rib-in-pre,adj-rib-in-post"), ("RESYNC_ON_DRIFT", "10%,1s")]);
    let mut router = begin(&ingester, &[one()]);
    let all = ["10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16", "10.4.0.0/16", "10.5.0.0/16"];
    router.send(&announce(one(), &all[..2]));
    // A dump that is not over proves nothing; neither does a view that is not sent.
    router.send(&bmp::statistics(one(), 5));
    router.send(&bmp::route_monitoring(one(), &bmp::end_of_rib_ipv4()));
    eventually_equal(vec!["192.0.2.1 pre UNKNOWN 4 t".to_owned()], || sync(&db, "adj_rib_in"));
    assert_eq!(drift(&mut ingester, "adj-rib-in-pre"), None);
    router.send(&bmp::statistics(one(), 5));
    eventually_equal(Some("3".to_owned()), || drift(&mut ingester, "adj-rib-in-pre"));
    assert_eq!(drift(&mut ingester, "adj-rib-in-post"), None);
    eventually("the session is closed", || {
        router.send_or_be_cut(&bmp::statistics(one(), 5));
        router.is_closed().then_some(())
    });
    let ends = "SELECT concat_ws(' ', kind, routes, regexp_replace(reason, '[0-9]+ s$', 'N s'))
        FROM session_events WHERE kind NOT IN ('session_up', 'peer_up', 'end_of_rib')";
    let end = "drift 2 drift: adj-rib-in-pre of peer 192.0.2.1 AS 64501, AFI 1 SAFI 1: \
               2 routes stored, 5 reported, different for N s";
    eventually_equal(vec![end.to_owned()], || rows(&db, ends));
    // The stored routes are stale meanwhile.
    assert_eq!(routes(&db, "adj_rib_in").len(), 2);
    assert_eq!(drift(&mut ingester, "adj-rib-in-pre"), None);

    let mut router = begin(&ingester, &[one()]);
    router.send(&announce(one(), &all)).send(&bmp::route_monitoring(one(), &bmp::end_of_rib_ipv4()));
    router.send(&bmp::statistics(one(), 5));
    eventually_equal(Some("0".to_owned()), || drift(&mut ingester, "adj-rib-in-pre"));
    eventually_equal(5, || routes(&db, "adj_rib_in").len());
    let (_, _, text) = ingester.get("/metrics");
    assert!(
        text.contains(&format!("rib_ingester_session_ends_total{{router=\"{ROUTER}\",how=\"drift\"}} 1")),
        "{text}"
    );
    // The peer is down, and the record of its drift is gone with it.
    router.send(&bmp::peer_down(one(), 4)).send(&bmp::statistics(one(), 5));
    eventually_equal(0, || routes(&db, "adj_rib_in").len());
    eventually_equal(None, || drift(&mut ingester, "adj-rib-in-pre"));
    assert!(ingester.stop().success());
}
