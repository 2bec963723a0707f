//! The database loses rows without the collector, and gets them again.

#![allow(missing_docs, clippy::unwrap_used)]

use crate::common::bmp::{self, Attributes, Open, Peer};
use crate::common::ingester::{FakeRouter, Ingester, eventually, eventually_equal};
use crate::common::pg::TestDb;

const ROUTER: &str = "10.255.0.1";
const PREFIXES: [&str; 4] = ["10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16", "10.4.0.0/16"];
const STORED: &str = "SELECT prefix FROM current_routes ORDER BY 1";

/// A whole session up to its End-of-RIB.
fn dump(router: &mut FakeRouter, prefixes: &[&str]) {
    let update = bmp::announce(&Attributes::path(&[64_500, 64_501]), "192.0.2.1", prefixes);
    router
        .send(&bmp::initiation(b"edge1", b"made by a test"))
        .send(&bmp::peer_up(Peer::loc_rib(ROUTER), &Open::of(64_500, ROUTER), Some("global")))
        .send(&bmp::route_monitoring(Peer::loc_rib(ROUTER), &update))
        .send(&bmp::route_monitoring(Peer::loc_rib(ROUTER), &bmp::end_of_rib_ipv4()));
}

fn withdraw(router: &mut FakeRouter, prefix: &str) {
    router.send(&bmp::route_monitoring(Peer::loc_rib(ROUTER), &bmp::withdraw(&[prefix])));
}

fn delete(db: &TestDb, prefixes: &str) {
    db.client().execute(&format!("DELETE FROM current_routes WHERE prefix IN ({prefixes})"), &[]).unwrap();
}

#[test]
fn lost_rows_return_with_a_redump_or_are_reported() {
    let db = TestDb::migrated();
    // Tables are counted every six seconds.
    let mut collector = Ingester::start(&db.url(), &[("MAINTENANCE_INTERVAL_SECS", "1")]);
    let mut router = collector.connect();
    dump(&mut router, &PREFIXES);
    eventually_equal(PREFIXES.map(str::to_owned).to_vec(), || db.rows(STORED));
    let first_seen = db.rows("SELECT first_seen FROM current_routes WHERE prefix = '10.1.0.0/16'");
    eventually_equal(vec!["t".to_owned()], || db.rows("SELECT eor_seen FROM rib_sync_status WHERE afi = 4"));

    // The router withdraws a route that is not stored any more: the others are counted, and one of them is missing too.
    delete(&db, "'10.2.0.0/16', '10.3.0.0/16'");
    withdraw(&mut router, "10.2.0.0/16");
    eventually("the session to be closed", || router.is_closed().then_some(()));
    collector.logged("route count mismatch: 2 in database, 3 expected; closing the session to force a resync");

    let mut router = collector.connect();
    let left = ["10.1.0.0/16", "10.3.0.0/16", "10.4.0.0/16"];
    dump(&mut router, &left);
    eventually_equal(left.map(str::to_owned).to_vec(), || db.rows(STORED));
    // Only the difference was written.
    assert_eq!(db.rows("SELECT first_seen FROM current_routes WHERE prefix = '10.1.0.0/16'"), first_seen);
    // The newest event of the lost row equals the dump: it is stored already.
    let events = || db.rows("SELECT action, count(*) FROM route_events GROUP BY action ORDER BY 1");
    eventually_equal(vec!["A|4".to_owned(), "D|1".to_owned()], events);

    // No message arrives, and the count finds it anyway; the router has just been asked for a dump.
    delete(&db, "'10.4.0.0/16'");
    collector.logged("route count mismatch: 2 in database, 3 expected; a new dump did not repair it");
    assert!(!router.is_closed());
}
