//! Log lines of the running collector: their formats and their number.

#![allow(missing_docs, clippy::unwrap_used)]

use std::time::Instant;

use crate::common::bmp::{self, Attributes, Open, Peer};
use crate::common::ingester::{FakeRouter, Ingester, eventually};
use crate::common::pg::TestDb;

const ROUTER: &str = "10.255.0.1";

fn greet(router: &mut FakeRouter) {
    router.send(&bmp::initiation(b"edge1\n<3>forged", b"made by a test"));
    router.send(&bmp::peer_up(Peer::loc_rib(ROUTER), &Open::of(64_500, ROUTER), Some("global")));
}

fn end_of_rib() -> Vec<u8> {
    bmp::route_monitoring(Peer::loc_rib(ROUTER), &bmp::end_of_rib_ipv4())
}

#[test]
fn json_is_one_object_per_line_for_any_router_name() {
    let db = TestDb::migrated();
    let mut ingester = Ingester::start(&db.url(), &[("LOG_FORMAT", "json")]);
    let mut router = ingester.connect();
    greet(&mut router);
    let line = ingester.logged("(edge1");
    let object: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(object["level"], "info");
    assert_eq!(object["target"], "rib_ingester::session::identify");
    assert!(object["time"].as_str().unwrap().ends_with('Z'), "{line}");
    let message = object["message"].as_str().unwrap();
    assert!(message.starts_with("router 10.255.0.1 (edge1\\n<3>forged): session from 127.0.0.1"), "{message}");
    for line in ingester.log() {
        serde_json::from_str::<serde_json::Value>(&line).unwrap();
    }
}

#[test]
fn journald_lines_begin_with_their_priority() {
    let db = TestDb::migrated();
    let mut ingester = Ingester::start(&db.url(), &[("LOG_FORMAT", "journald"), ("ALLOW", "192.0.2.0/24")]);
    let mut router = ingester.connect();
    eventually("the connection is closed", || router.is_closed().then_some(()));
    let line = ingester.logged("refused");
    assert!(line.starts_with("<4>router at 127.0.0.1: refused: "), "{line}");
    assert!(ingester.logged("listener: waiting").starts_with("<6>listener: "));
}

#[test]
fn routes_are_not_logged_and_a_flood_is_one_line() {
    let db = TestDb::migrated();
    let mut ingester = Ingester::start(&db.url(), &[]);
    let mut router = ingester.connect();
    greet(&mut router);
    ingester.logged("IPv6: dump begins");
    let before = ingester.log().len();
    for third in 0..200 {
        let prefixes: Vec<String> = (0..10).map(|last| format!("10.{last}.{third}.0/24")).collect();
        let prefixes: Vec<&str> = prefixes.iter().map(String::as_str).collect();
        let update = bmp::announce(&Attributes::path(&[64_500]), "192.0.2.1", &prefixes);
        router.send(&bmp::route_monitoring(Peer::loc_rib(ROUTER), &update));
    }
    // Each of another length, so that no two of them cause the same line.
    for length in 19..2_000 {
        router.send(&bmp::route_monitoring(Peer::loc_rib(ROUTER), &vec![0xff; length]));
    }
    router.send(&end_of_rib());
    ingester.logged("EoR, 2000 routes");
    let log = ingester.log();
    let said: Vec<&String> =
        log[before..].iter().filter(|line| line.contains(" router ") && !line.contains("EoR")).collect();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("message type 0 of ") && said[0].contains(" rejected: "), "{}", said[0]);
}

#[test]
fn a_router_that_reconnects_with_nonsense_logs_little() {
    let db = TestDb::migrated();
    let mut ingester = Ingester::start(&db.url(), &[]);
    let before = ingester.log().len();
    let began = Instant::now();
    for number in 0..240u8 {
        let mut router = ingester.connect();
        // Neither 3 nor 4: no version of BMP.
        router.send_or_be_cut(&[number.wrapping_add(5).max(5), 0, 0, 0, 48, 4]);
        eventually("the collector hangs up", || router.is_closed().then_some(()));
    }
    ingester.signal("TERM");
    ingester.logged("more lines like this)");
    let about = ingester.log()[before..].iter().filter(|line| line.contains("router at 127.0.0.1: ")).count();
    // The bound is one of lines a minute.
    let minutes = usize::try_from(began.elapsed().as_secs() / 60).unwrap() + 1;
    assert!(about <= 40 * minutes, "{about} lines for 240 sessions in {minutes} minutes");
}
