//! Sessions that end, or say much, before their router is identified.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::bmp::{self, Attributes, Open, Peer};
use common::ingester::{FakeRouter, Ingester, eventually, eventually_equal};
use common::pg::TestDb;

const PEER: &str = "198.51.100.1";

/// A peer in a VRF: its Peer Up names an identifier that may be the VRF's own.
fn vrf_peer() -> Peer {
    Peer { kind: 1, ..Peer::neighbour(PEER, 64_501) }.with_rd(7)
}

fn announce(peer: Peer, prefix: &str) -> Vec<u8> {
    bmp::route_monitoring(peer, &bmp::announce(&Attributes::path(&[64_501]), "192.0.2.1", &[prefix]))
}

fn is_read(router: &FakeRouter) {
    eventually("the collector has read it", || (router.unread() == 0).then_some(()));
}

/// What is stored of peers' routes, as `router prefix`.
fn adj_rib_in(db: &TestDb) -> Vec<String> {
    db.rows("SELECT router_id || ' ' || prefix FROM adj_rib_in ORDER BY 1")
}

fn events(db: &TestDb) -> Vec<String> {
    db.rows("SELECT router_id || ' ' || action || ' ' || prefix FROM route_events ORDER BY ingest_time")
}

#[test]
fn vrf_peers_said_in_one_piece_are_stored() {
    let db = TestDb::create();
    let ingester = Ingester::start(&db.url(), &[]);
    let peer = vrf_peer();
    let (sent, received) = (Open::of(64_500, "192.0.2.2").bytes(), Open::of(64_501, PEER).bytes());
    let piece = [
        bmp::initiation(b"edge1", b""),
        bmp::peer_up_of(peer, &sent, &received, &[]),
        announce(peer, "203.0.113.0/24"),
        bmp::route_monitoring(peer, &bmp::end_of_rib_ipv4()),
    ];
    ingester.connect().send(&piece.concat());
    eventually_equal(vec!["192.0.2.2 203.0.113.0/24".to_owned()], || adj_rib_in(&db));
    eventually_equal(vec!["192.0.2.2 A 203.0.113.0/24".to_owned()], || events(&db));
    // Held like the routes of any other session that is lost.
    let lost = "SELECT router_id FROM session_events WHERE kind = 'session_lost'";
    eventually_equal(vec!["192.0.2.2".to_owned()], || db.rows(lost));
    assert_eq!(db.rows("SELECT hostname FROM routers"), ["edge1"]);
}

#[test]
fn a_termination_before_the_name_leaves_the_history() {
    let db = TestDb::create();
    let ingester = Ingester::start(&db.url(), &[]);
    let peer = vrf_peer();
    let open = Open::of(64_500, "192.0.2.2").bytes();
    let piece = [
        bmp::initiation(b"edge1", b""),
        bmp::peer_up_of(peer, &open, &open, &[]),
        announce(peer, "203.0.113.0/24"),
        bmp::termination(0),
    ];
    ingester.connect().send(&piece.concat());
    let terminated = "SELECT router_id FROM session_events WHERE kind = 'terminated'";
    eventually_equal(vec!["192.0.2.2".to_owned()], || db.rows(terminated));
    assert_eq!(adj_rib_in(&db), [""; 0]);
    assert_eq!(events(&db), ["192.0.2.2 A 203.0.113.0/24"]);
}

#[test]
fn routes_of_a_session_cut_off_before_any_name() {
    let db = TestDb::create();
    let ingester = Ingester::start(&db.url(), &[]);
    let peer = Peer::neighbour(PEER, 64_501);
    // Nothing is stored of this address: it is the router's identifier.
    ingester.connect_from("127.0.0.2").send(&announce(peer, "203.0.113.0/24"));
    eventually_equal(vec!["127.0.0.2 203.0.113.0/24".to_owned()], || adj_rib_in(&db));
    // Of this one a router is known.
    let mut named = ingester.connect_from("127.0.0.3");
    named.send(&bmp::peer_up(peer, &Open::of(64_500, "192.0.2.3"), None)).send(&announce(peer, "203.0.113.0/24"));
    eventually_equal(2, || adj_rib_in(&db).len());
    drop(named);
    eventually_equal(2, || db.rows("SELECT FROM session_events WHERE kind = 'session_lost'").len());
    ingester.connect_from("127.0.0.3").send(&announce(peer, "198.51.100.0/24"));
    let all = ["127.0.0.2 203.0.113.0/24", "192.0.2.3 198.51.100.0/24", "192.0.2.3 203.0.113.0/24"];
    eventually_equal(all.map(str::to_owned).to_vec(), || adj_rib_in(&db));
}

#[test]
fn a_stop_applies_what_a_router_without_a_name_said() {
    let db = TestDb::create();
    let ingester = Ingester::start(&db.url(), &[]);
    let mut router = ingester.connect();
    router.send(&announce(Peer::neighbour(PEER, 64_501), "203.0.113.0/24"));
    is_read(&router);
    assert!(ingester.stop().success());
    assert_eq!(adj_rib_in(&db), ["127.0.0.1 203.0.113.0/24"]);
    assert_eq!(events(&db), ["127.0.0.1 A 203.0.113.0/24"]);
}
