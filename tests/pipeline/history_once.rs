//! A collector that is killed, and a router that dumps again: routers stamp a route with the time they learned it, so
//! the dump repeats what is stored, and each event is in the history once.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use crate::common::bmp::{self, Attributes, Open, Peer};
use crate::common::ingester::{FakeRouter, Ingester, eventually, eventually_equal};
use crate::common::pg::TestDb;
use postgres::Client;

const ROUTER: &str = "10.255.0.1";
/// The time when the router learned its routes.
const LEARNED: u32 = 1_700_000_000;

fn peer() -> Peer {
    Peer::loc_rib(ROUTER).at(LEARNED)
}

fn connect(ingester: &Ingester) -> FakeRouter {
    let mut router = ingester.connect();
    router.send(&bmp::initiation(b"edge1", b"")).send(&bmp::peer_up(peer(), &Open::of(64_500, ROUTER), Some("global")));
    router
}

fn announce(prefix: &str) -> Vec<u8> {
    bmp::route_monitoring(peer(), &bmp::announce(&Attributes::path(&[64_500]), "192.0.2.1", &[prefix]))
}

fn withdraw(prefix: &str) -> Vec<u8> {
    bmp::route_monitoring(peer(), &bmp::withdraw(&[prefix]))
}

fn dump(routes: std::ops::Range<u32>) -> Vec<u8> {
    routes.flat_map(|i| announce(&format!("10.{i}.0.0/16"))).collect()
}

fn end_of_rib() -> Vec<u8> {
    bmp::route_monitoring(peer(), &bmp::end_of_rib_ipv4())
}

fn count(db: &TestDb, of: &str) -> i64 {
    db.rows(&format!("SELECT count(*) FROM {of}"))[0].parse().unwrap()
}

/// Blocks writes to the table until the client is dropped.
fn hold(db: &TestDb, table: &str) -> Client {
    let mut client = db.client();
    client.batch_execute(&format!("BEGIN; LOCK TABLE {table} IN EXCLUSIVE MODE")).unwrap();
    client
}

/// Waits until a writer waits for a lock.
fn stands(db: &TestDb, writer: &str) {
    let waits = format!(
        "pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
         AND application_name LIKE 'rib-ingester/{writer}-%'"
    );
    eventually("a writer to meet the lock", || (count(db, &waits) > 0).then_some(()));
}

fn in_sync(db: &TestDb) {
    eventually_equal(1, || count(db, "rib_sync_status WHERE eor_seen"));
}

/// The collector starts again and the router dumps all of its routes: each is there once, and so is each event.
fn dumps_again(db: &TestDb) {
    let ingester = Ingester::start(&db.url(), &[]);
    let mut router = connect(&ingester);
    router.send(&dump(0..150)).send(&end_of_rib());
    in_sync(db);
    assert_eq!((count(db, "current_routes"), count(db, "route_events")), (150, 150));
    assert_eq!(count(db, "(SELECT DISTINCT event_id FROM route_events) e"), 150);
    assert!(ingester.stop().success());
}

/// All events of a prefix in their order.
fn story(db: &TestDb, prefix: &str) -> String {
    db.rows(&format!("SELECT action FROM route_events WHERE prefix = '{prefix}' ORDER BY ingest_time")).concat()
}

#[test]
fn a_dump_that_is_killed_with_state_behind() {
    let db = TestDb::migrated();
    let ingester = Ingester::start(&db.url(), &[]);
    let mut router = connect(&ingester);
    router.send(&dump(0..20));
    eventually_equal(20, || count(&db, "current_routes"));
    let lock = hold(&db, "current_routes");
    router.send(&dump(20..100));
    eventually_equal(100, || count(&db, "route_events"));
    stands(&db, "state");
    ingester.kill();
    drop(lock);
    assert_eq!(count(&db, "current_routes"), 20);
    dumps_again(&db);
}

#[test]
fn a_dump_that_is_killed_with_history_behind() {
    let db = TestDb::migrated();
    let mut ingester = Ingester::start(&db.url(), &[]);
    let mut router = connect(&ingester);
    router.send(&dump(0..20));
    eventually_equal(20, || count(&db, "current_routes"));
    let lock = hold(&db, "route_events");
    router.send(&dump(20..100));
    stands(&db, "events");
    // The state writer has the routes, and logs after a while what it waits for.
    ingester.logged("waits for history");
    assert_eq!(count(&db, "current_routes"), 20, "state leads");
    ingester.kill();
    drop(lock);
    dumps_again(&db);
}

#[test]
fn a_flap_within_one_second_before_the_crash() {
    let db = TestDb::migrated();
    let ingester = Ingester::start(&db.url(), &[]);
    let mut router = connect(&ingester);
    router.send(&announce("10.0.0.0/16")).send(&end_of_rib());
    in_sync(&db);
    let lock = hold(&db, "current_routes");
    let [back, gone, twice] = ["10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16"];
    router.send(&[announce(back), withdraw(back), announce(back)].concat());
    router.send(&[announce(gone), withdraw(gone)].concat());
    router.send(&[announce(twice), announce(twice)].concat());
    eventually_equal(8, || count(&db, "route_events"));
    stands(&db, "state");
    ingester.kill();
    drop(lock);
    assert_eq!(count(&db, "current_routes"), 1);
    let ingester = Ingester::start(&db.url(), &[]);
    let mut router = connect(&ingester);
    router.send(&[announce("10.0.0.0/16"), announce(back), announce(gone), announce(twice), end_of_rib()].concat());
    eventually_equal(4, || count(&db, "current_routes"));
    // Its newest event equals the dump, if under another occurrence number.
    assert_eq!(story(&db, back), "ADA");
    assert_eq!(story(&db, twice), "AA");
    // Its newest event is a withdrawal: the same announcement is another event.
    assert_eq!(story(&db, gone), "ADA");
    assert_eq!(story(&db, "10.0.0.0/16"), "A");
    assert!(ingester.stop().success());
}

#[test]
fn a_dump_behind_a_removal_is_in_the_history_again() {
    let db = TestDb::migrated();
    let ingester = Ingester::start(&db.url(), &[("STALE_ROUTES_SECS", "1")]);
    let mut events = 0;
    let mut expect = |router: &mut FakeRouter| {
        router.send(&dump(0..30)).send(&end_of_rib());
        in_sync(&db);
        events += 30;
        assert_eq!((count(&db, "current_routes"), count(&db, "route_events")), (30, events));
    };
    let gone = || eventually_equal(0, || count(&db, "current_routes"));
    let mut router = connect(&ingester);
    expect(&mut router);
    router.send(&bmp::termination(0));
    gone();
    let mut router = connect(&ingester);
    expect(&mut router);
    router.send(&bmp::peer_down(peer(), 6));
    gone();
    router.send(&bmp::peer_up(peer(), &Open::of(64_500, ROUTER), Some("global")));
    expect(&mut router);
    drop(router);
    gone();
    let mut router = connect(&ingester);
    expect(&mut router);
    let unknown = "SELECT count(*) FROM routes_as_of('10.255.0.1', 'global', now()) WHERE complete";
    assert_eq!(db.rows(unknown), ["30"]);
    assert!(ingester.stop().success());
}

#[test]
fn dumps_without_stamps_or_recorded_are_not_compared() {
    let db = TestDb::migrated();
    let ingester = Ingester::start(&db.url(), &[("HISTORY_REDUMP", "record")]);
    for dumps in 1..=3 {
        let mut router = connect(&ingester);
        router.send(&dump(0..10)).send(&end_of_rib());
        eventually_equal(10 * dumps, || count(&db, "route_events"));
        in_sync(&db);
    }
    assert!(ingester.stop().success());
}
