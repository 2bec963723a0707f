//! A registry with one router, and the messages of a router about its peers.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use crate::common::bmp::{self, Open, Peer};
use crate::common::ingester::{FakeRouter, Ingester, eventually_equal};
use crate::common::pg::TestDb;

/// The peer with this number: 198.51.100.N of AS 65536 + N.
pub(super) fn peer(number: u8) -> Peer {
    Peer::global_instance(&format!("198.51.100.{number}"), 65_536 + u32::from(number))
}

pub(super) fn connect(ingester: &Ingester, name: &str, bgp_id: &str, peers: &[u8]) -> FakeRouter {
    let mut router = ingester.connect();
    router.send(&bmp::initiation(name.as_bytes(), b"made by a test"));
    for number in peers {
        up(&mut router, bgp_id, peer(*number));
    }
    router
}

/// A Peer Up with an empty dump.
pub(super) fn up(router: &mut FakeRouter, bgp_id: &str, peer: Peer) {
    router
        .send(&bmp::peer_up(peer, &Open::of(64_496, bgp_id), None))
        .send(&bmp::route_monitoring(peer, &bmp::end_of_rib_ipv4()))
        .send(&bmp::route_monitoring(peer, &bmp::end_of_rib(2, 1)));
}

/// A Peer Down by a NOTIFICATION of the peer with a text (RFC 9003).
pub(super) fn down(router: &mut FakeRouter, peer: Peer, text: &str) {
    let data = [&[6, 2, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    router.send(&bmp::message(2, &[peer.bytes(), vec![3], bmp::bgp(3, &data)].concat()));
}

/// A registry with the router edge1 and quick settings; nothing may be written yet.
pub(super) fn registry() -> TestDb {
    let db = TestDb::migrated();
    sql(
        &db,
        "INSERT INTO registry.routers (uuid, name) VALUES ('00000000-0000-0000-0000-000000000001', 'edge1');
         INSERT INTO registry.settings VALUES ('down_after_secs', '0'), ('settle_secs', '0'), ('overdue_after_secs', '0')",
    );
    db
}

pub(super) fn sql(db: &TestDb, text: &str) {
    db.client().batch_execute(text).unwrap_or_else(|error| panic!("{text}: {error:?}"));
}

/// A session of edge1 with the AS of the peer with this number, and its address where it has one.
pub(super) fn session(db: &TestDb, number: u8, status: i16, more: &str) {
    sql(
        db,
        &format!(
            "INSERT INTO registry.bgp_sessions (router, asn, status, ipv4, ipv6)
             VALUES ('00000000-0000-0000-0000-000000000001', 65536 + {number}, {status}, {more})"
        ),
    );
}

pub(super) fn addressed(db: &TestDb, number: u8, status: i16) {
    session(db, number, status, &format!("'198.51.100.{number}', NULL"));
}

/// Waits until sessions, named by the number of their peer, have this status, verdict and error.
pub(super) fn wait_for(db: &TestDb, wanted: &[&str]) {
    let numbers: Vec<&str> = wanted.iter().map(|row| row.split(' ').next().unwrap()).collect();
    let text = format!(
        "SELECT (s.asn - 65536) || ' ' || s.status || ' ' || COALESCE(o.verdict, '-') || ' ' || COALESCE(s.last_error, '-')
         FROM registry.bgp_sessions s LEFT JOIN registry.session_observations o ON o.session_uuid = s.uuid
         WHERE s.asn - 65536 IN ({}) ORDER BY s.asn",
        numbers.join(", ")
    );
    eventually_equal(wanted.iter().map(|row| (*row).to_owned()).collect::<Vec<_>>(), || db.rows(&text));
}

pub(super) const TOLD: &str = "NOTIFICATION received: Cease, Administrative Shutdown: \"bye\"";
