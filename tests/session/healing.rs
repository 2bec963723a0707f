//! The database loses rows without the collector, and gets them again.

#![allow(missing_docs, clippy::unwrap_used)]

use std::time::{Duration, Instant};

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

/// The routes of history as of a moment, if all of them are known.
fn history_at(db: &TestDb, moment: &str) -> Vec<String> {
    db.rows(&format!(
        "SELECT string_agg(prefix::text, ' ' ORDER BY prefix) FILTER (WHERE prefix IS NOT NULL)
         FROM routes_as_of('{ROUTER}', 'global', {moment}) WHERE history_is_complete('{ROUTER}', 'global', {moment})"
    ))
}

#[test]
fn history_in_trouble_never_stops_current_routes() {
    let db = TestDb::migrated();
    let mut collector = Ingester::start(&db.url(), &[]);
    let mut router = collector.connect();
    dump(&mut router, &PREFIXES);
    eventually_equal(vec!["4".to_owned()], || db.rows("SELECT count(*) FROM route_events"));
    let before = db.rows("SELECT now()").remove(0);
    let mut holder = db.client();
    holder.batch_execute("BEGIN; LOCK TABLE route_events IN EXCLUSIVE MODE").unwrap();
    withdraw(&mut router, "10.1.0.0/16");
    // A minute is what is promised.
    let deadline = Instant::now() + Duration::from_secs(180);
    while collector.count_logged("history: suspended after 6") == 0 {
        assert!(Instant::now() < deadline, "{:?}", collector.log());
        std::thread::sleep(Duration::from_millis(100));
    }
    eventually_equal(PREFIXES[1..].iter().map(|one| (*one).to_owned()).collect(), || db.rows(STORED));
    let suspended = "history is suspended: events-";
    eventually("readyz to say so", || collector.get("/readyz").2.contains(suspended).then_some(()));
    // Nothing waits any more, not even what waits for all events before it.
    withdraw(&mut router, "10.2.0.0/16");
    eventually_equal(PREFIXES[2..].iter().map(|one| (*one).to_owned()).collect(), || db.rows(STORED));
    router.send(&bmp::peer_down(Peer::loc_rib(ROUTER), 6));
    eventually_equal(Vec::new(), || db.rows(STORED));
    router.send(&bmp::peer_up(Peer::loc_rib(ROUTER), &Open::of(64_500, ROUTER), Some("global")));
    assert!(!router.is_closed());
    holder.batch_execute("COMMIT").unwrap();
    collector.logged("history: works again, suspended for ");
    eventually("the session to be closed", || router.is_closed().then_some(()));
    collector.logged("session ended: history was suspended; a new dump is needed");
    // The dump is the history's new beginning.
    let mut router = collector.connect();
    dump(&mut router, &PREFIXES[2..]);
    eventually("readyz to be well", || (collector.get("/readyz").0 == 200).then_some(()));
    eventually_equal(vec!["6".to_owned()], || db.rows("SELECT count(*) FROM route_events WHERE action = 'A'"));
    eventually_equal(vec!["10.3.0.0/16 10.4.0.0/16".to_owned()], || history_at(&db, "now()"));
    assert_eq!(
        history_at(&db, &format!("timestamptz '{before}'")),
        ["10.1.0.0/16 10.2.0.0/16 10.3.0.0/16 10.4.0.0/16"]
    );
    let hidden = "(SELECT event_time + interval '1 second' FROM session_events WHERE kind = 'history_off')";
    assert_eq!(history_at(&db, hidden), ["-"]);
    assert!(collector.stop().success());
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
