//! NLRI that can be read with and without path identifiers, through the socket into SQL: the binary, a fake router, a
//! real PostgreSQL.

#![allow(missing_docs, clippy::unwrap_used)]

use crate::common::bmp::{self, Attributes, Open, Peer};
use crate::common::ingester::{FakeRouter, Ingester, eventually_equal};
use crate::common::pg::TestDb;

const ROUTER: &str = "10.255.0.1";
const ALL_RIBS: (&str, &str) =
    ("STORED_RIBS", "loc-rib,adj-rib-in-pre,adj-rib-in-post,adj-rib-out-pre,adj-rib-out-post");

/// The Loc-RIB and each view of a peer's Adj-RIBs, by their flags: L 0x40, O 0x10.
fn ribs() -> [Peer; 5] {
    let peer = |flags| Peer { flags, ..Peer::global_instance("192.0.2.1", 64_501) };
    [Peer::loc_rib(ROUTER), peer(0), peer(0x40), peer(0x10), peer(0x50)]
}

fn rows(db: &TestDb, query: &str) -> Vec<String> {
    db.client().query(query, &[]).unwrap().iter().map(|row| row.get(0)).collect()
}

/// The rows in all RIBs, as `prefix path_id number_of_RIBs`.
fn routes(db: &TestDb) -> Vec<String> {
    rows(
        db,
        "SELECT concat_ws(' ', prefix, path_id, count(*)) FROM (
             SELECT prefix, path_id FROM current_routes
             UNION ALL SELECT prefix, path_id FROM adj_rib_in UNION ALL SELECT prefix, path_id FROM adj_rib_out) r
         GROUP BY prefix, path_id ORDER BY prefix, path_id",
    )
}

/// The history of the Loc-RIB.
fn events(db: &TestDb) -> Vec<String> {
    rows(
        db,
        "SELECT concat_ws(' ', action, prefix, coalesce(path_id::text, '-'), CASE WHEN action = 'D' THEN attrs ->> 'reason' END)
         FROM route_events WHERE rib = 'loc-rib' ORDER BY ingest_time",
    )
}

/// The IPv4 NLRI field of an UPDATE that announces.
fn announce(router: &mut FakeRouter, peer: Peer, nlri: &[u8]) {
    let attributes = Attributes { raw: bmp::attribute(0x40, 3, &[192, 0, 2, 9]), ..Attributes::path(&[64_501]) };
    router.send(&bmp::route_monitoring(peer, &bmp::update(&[], &attributes.bytes(), nlri)));
}

fn greet(router: &mut FakeRouter, add_path: Vec<(u16, u8)>) {
    let open = Open { add_path, families: vec![(1, 1)], ..Open::of(64_500, ROUTER) };
    router.send(&bmp::initiation(b"edge1", b""));
    router.send(&bmp::peer_up(Peer::loc_rib(ROUTER), &open, Some("global")));
    router.send(&bmp::peer_up(Peer::global_instance("192.0.2.1", 64_501), &open, None));
}

/// FRR negotiates Add-Path and sends no identifiers.
#[test]
fn routes_read_with_ids_by_mistake_are_read_again() {
    let db = TestDb::migrated();
    let mut ingester = Ingester::start(&db.url(), &[ALL_RIBS]);
    let mut router = ingester.connect();
    greet(&mut router, vec![(1, 1)]);
    for peer in ribs() {
        announce(&mut router, peer, &[25, 198, 51, 100, 0]);
        announce(&mut router, peer, &[24, 198, 18, 1, 24, 198, 18, 2]);
        announce(&mut router, peer, &[25, 203, 0, 113, 0]);
        router.send(&bmp::route_monitoring(peer, &bmp::update(&[25, 203, 0, 113, 0], &[], &[])));
    }
    eventually_equal(vec!["0.0.0.0/0 432419684 5".to_owned(), "198.18.2.0/24 415633921 5".to_owned()], || routes(&db));
    for peer in ribs() {
        announce(&mut router, peer, &[16, 10, 1]);
        // From now on the messages are unambiguous.
        announce(&mut router, peer, &[25, 192, 0, 2, 0]);
    }
    let all = ["10.1.0.0/16 0 5", "192.0.2.0/25 0 5", "198.18.1.0/24 0 5", "198.18.2.0/24 0 5", "198.51.100.0/25 0 5"];
    eventually_equal(all.map(str::to_owned).to_vec(), || routes(&db));
    let told = [
        "A 0.0.0.0/0 432419684",
        "A 198.18.2.0/24 415633921",
        "A 0.0.0.0/0 432734321",
        "D 0.0.0.0/0 432734321",
        "D 0.0.0.0/0 432419684 reread",
        "D 198.18.2.0/24 415633921 reread",
        "A 198.51.100.0/25 -",
        "A 198.18.1.0/24 -",
        "A 198.18.2.0/24 -",
        "A 203.0.113.0/25 -",
        "D 203.0.113.0/25 -",
        "A 10.1.0.0/16 -",
        "A 192.0.2.0/25 -",
    ];
    eventually_equal(told.map(str::to_owned).to_vec(), || events(&db));
    let evidence = "SELECT concat_ws(' ', rib, is_post_policy, afi, safi, is_sent, is_announced) FROM add_path_evidence ORDER BY 1";
    let remembered = [
        "adj-rib-in f 1 1 f t",
        "adj-rib-in t 1 1 f t",
        "adj-rib-out f 1 1 f t",
        "adj-rib-out t 1 1 f t",
        "loc-rib f 1 1 f t",
    ];
    assert_eq!(rows(&db, evidence), remembered);
    let doctor = std::process::Command::new(env!("CARGO_BIN_EXE_rib-ingester"))
        .env_clear()
        .args(["doctor", "--json"])
        .env("RIB_INGESTER_DATABASE_URL", db.url())
        .output()
        .unwrap();
    let doctor = String::from_utf8(doctor.stdout).unwrap();
    let found = "router 10.255.0.1 announces Add-Path and sends no path identifiers: adj-rib-in before policy of 192.0.2.1 AFI 1 SAFI 1, ";
    assert!(doctor.contains(found), "{doctor}");
    ingester.logged("announced Add-Path, sends no path identifiers");
    ingester.logged("messages read again");
    let read_again = ingester.count_logged("messages read again");
    drop(router);

    // The next session begins with the evidence of this one.
    let mut router = ingester.connect();
    greet(&mut router, vec![(1, 1)]);
    for peer in ribs() {
        announce(&mut router, peer, &[25, 198, 51, 100, 0]);
        announce(&mut router, peer, &[25, 198, 51, 100, 128]);
        router.send(&bmp::route_monitoring(peer, &bmp::end_of_rib_ipv4()));
    }
    let all = ["198.51.100.0/25 0 5", "198.51.100.128/25 0 5"].map(str::to_owned);
    eventually_equal(all.to_vec(), || routes(&db));
    assert_eq!(ingester.count_logged("messages read again"), read_again);
    assert!(ingester.stop().success());
}

/// `decode` reads as for a router without history, by the evidence of the file so far.
#[test]
fn decode_marks_what_fits_both_readings() {
    let peer = Peer::loc_rib(ROUTER);
    let open = Open { add_path: vec![(1, 1)], ..Open::of(64_500, ROUTER) };
    let update = |nlri: &[u8]| {
        let attributes = Attributes { raw: bmp::attribute(0x40, 3, &[192, 0, 2, 9]), ..Attributes::path(&[64_501]) };
        bmp::route_monitoring(peer, &bmp::update(&[], &attributes.bytes(), nlri))
    };
    let tie = update(&[25, 198, 51, 100, 0]);
    let stream = [bmp::peer_up(peer, &open, Some("global")), tie.clone(), update(&[16, 10, 1]), tie].concat();
    let mut out = Vec::new();
    assert!(rib_ingester::cli::decode::run(&stream[..], &mut out, 1 << 16).unwrap());
    let lines: Vec<serde_json::Value> =
        out.split(|octet| *octet == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
    let told: Vec<_> = lines[1..]
        .iter()
        .map(|line| format!("{} {} {}", line["announced"][0]["prefix"], line["add_path_ambiguous"], line["deviations"]))
        .collect();
    let want = [
        r#""0.0.0.0/0" [{"afi":1,"safi":1}] null"#,
        r#""10.1.0.0/16" null ["add_path_missing"]"#,
        r#""198.51.100.0/25" null ["add_path_missing"]"#,
    ];
    assert_eq!(told, want);
}

/// Huawei and GoBGP send identifiers that they did not announce.
#[test]
fn routes_read_without_ids_by_mistake_are_read_again() {
    let db = TestDb::migrated();
    let ingester = Ingester::start(&db.url(), &[ALL_RIBS]);
    let mut router = ingester.connect();
    greet(&mut router, vec![]);
    for peer in ribs() {
        // 10.0.1.0/24 under the identifier 24.198.51.100.
        announce(&mut router, peer, &[24, 198, 51, 100, 24, 10, 0, 1]);
    }
    eventually_equal(vec!["10.0.1.0/24 0 5".to_owned(), "198.51.100.0/24 0 5".to_owned()], || routes(&db));
    for peer in ribs() {
        announce(&mut router, peer, &[0, 0, 0, 1, 0]);
    }
    eventually_equal(vec!["0.0.0.0/0 1 5".to_owned(), "10.0.1.0/24 415642468 5".to_owned()], || routes(&db));
    // A message that fits one reading only is read that way whatever was seen; the newest evidence decides the others.
    for peer in ribs() {
        announce(&mut router, peer, &[16, 10, 9]);
        announce(&mut router, peer, &[24, 192, 0, 2, 24, 10, 0, 2]);
    }
    let all = ["0.0.0.0/0 1 5", "10.0.1.0/24 415642468 5", "10.0.2.0/24 0 5", "10.9.0.0/16 0 5", "192.0.2.0/24 0 5"];
    eventually_equal(all.map(str::to_owned).to_vec(), || routes(&db));
    assert!(ingester.stop().success());
}

/// Where identifiers are no part of the key, a route that both readings name stays; other families are read again in
/// the same way.
#[test]
fn other_families_and_ignored_path_ids_are_read_again() {
    let db = TestDb::migrated();
    let ingester = Ingester::start(&db.url(), &[("IGNORE_PATH_ID", "127.0.0.1/32")]);
    let mut router = ingester.connect();
    let peer = Peer::loc_rib(ROUTER);
    let families = vec![(1, 1), (2, 1), (1, 4)];
    let open = Open { add_path: families.clone(), families, ..Open::of(64_500, ROUTER) };
    router.send(&bmp::initiation(b"edge1", b"")).send(&bmp::peer_up(peer, &open, Some("global")));
    // AFI, SAFI, a next hop, the reserved octet, NLRI (RFC 4760 section 3).
    let reach = |router: &mut FakeRouter, afi: u8, safi: u8, nlri: &[u8]| {
        let value = [&[0, afi, safi, 4, 192, 0, 2, 9, 0][..], nlri].concat();
        let attributes = Attributes { raw: bmp::attribute(0x80, 14, &value), ..Attributes::path(&[64_501]) };
        router.send(&bmp::route_monitoring(peer, &bmp::update(&[], &attributes.bytes(), &[])));
    };
    announce(&mut router, peer, &[24, 198, 18, 1, 24, 198, 18, 2]);
    reach(&mut router, 2, 1, &[32, 0x3f, 0xff, 1, 0]);
    // 24.0.6.65/32 with label 100; with an identifier the default route with label 100.
    reach(&mut router, 1, 4, &[56, 0, 6, 0x41, 24, 0, 6, 0x41]);
    router.send(&bmp::route_monitoring(peer, &bmp::end_of_rib(2, 1)));
    let stored =
        "SELECT concat_ws(' ', table_name, prefix, path_id, attrs ->> 'labels') FROM current_routes ORDER BY 1";
    let wrong = ["global 198.18.2.0/24 0", "global ::/0 0", "global|labelled 0.0.0.0/0 0 [100]"];
    eventually_equal(wrong.map(str::to_owned).to_vec(), || rows(&db, stored));
    announce(&mut router, peer, &[16, 10, 1]);
    reach(&mut router, 2, 1, &[32, 0x20, 1, 0xd, 0xb8]);
    reach(&mut router, 1, 4, &[32, 0, 6, 0x41, 10]);
    let right = [
        "global 10.1.0.0/16 0",
        "global 198.18.1.0/24 0",
        "global 198.18.2.0/24 0",
        "global 2001:db8::/32 0",
        "global 3fff:100::/32 0",
        "global|labelled 10.0.0.0/8 0 [100]",
        "global|labelled 24.0.6.65/32 0 [100]",
    ];
    eventually_equal(right.map(str::to_owned).to_vec(), || rows(&db, stored));
    let reread = "SELECT prefix::text FROM route_events WHERE attrs @> '{\"reason\": \"reread\"}' ORDER BY 1";
    eventually_equal(vec!["0.0.0.0/0".to_owned(), "::/0".to_owned()], || rows(&db, reread));
    assert!(ingester.stop().success());
}

#[test]
fn more_than_is_kept_closes_the_session_once() {
    let db = TestDb::migrated();
    let mut ingester = Ingester::start(&db.url(), &[]);
    let peer = Peer::loc_rib(ROUTER);
    // 21,000 routes, or 10,500 with identifiers.
    let dump = |router: &mut FakeRouter| {
        greet(router, vec![(1, 1)]);
        for third in 0..42 {
            let nlri: Vec<u8> = (0..250).flat_map(|fourth| [24, 10, third, fourth, 24, 11, third, fourth]).collect();
            announce(router, peer, &nlri);
        }
    };
    let mut router = ingester.connect();
    dump(&mut router);
    announce(&mut router, peer, &[16, 172, 16]);
    ingester.logged("routes decoded the wrong way, a new dump is needed");
    let stored = "SELECT concat_ws(' ', count(*), count(*) FILTER (WHERE path_id <> 0)) FROM current_routes";
    let mut router = ingester.connect();
    dump(&mut router);
    router.send(&bmp::route_monitoring(peer, &bmp::end_of_rib_ipv4()));
    eventually_equal(vec!["21000 0".to_owned()], || rows(&db, stored));
    let closed = "SELECT (closed_at IS NOT NULL)::text FROM add_path_evidence";
    assert_eq!(rows(&db, closed), ["true"]);
    // The evidence of an earlier session decided. Now the reverse is seen, and the session stays up.
    announce(&mut router, peer, &[0, 0, 0, 1, 0]);
    let default = "SELECT prefix::text FROM current_routes WHERE prefix = '0.0.0.0/0' AND path_id = 1";
    eventually_equal(vec!["0.0.0.0/0".to_owned()], || rows(&db, default));
    assert_eq!(ingester.count_logged("a new dump is needed"), 1);
    ingester.logged("too many routes were decoded the wrong way to correct all");
    assert!(ingester.stop().success());
}
