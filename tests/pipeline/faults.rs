//! Faults injected into the running binary: nothing is lost, nothing is stored twice.
#![allow(missing_docs, clippy::unwrap_used)]

use crate::common::bmp::{self, Attributes, Open, Peer};
use crate::common::ingester::{FakeRouter, Ingester, eventually, eventually_equal};
use crate::common::pg::TestDb;

/// Prefixes of one dump: enough for several batches of the writers.
const ROUTES: u32 = 20_000;

/// Prefixes of one UPDATE.
const PER_UPDATE: u32 = 10;

fn prefix(i: u32) -> String {
    format!("10.{}.{}.0/24", i >> 8, i & 0xff)
}

/// Route Monitoring messages that announce the prefixes `range` with an attribute set that identifies `generation`.
fn dump(peer: Peer, range: std::ops::Range<u32>, generation: u32) -> Vec<u8> {
    let mut out = Vec::new();
    let mut next = range.start;
    while next < range.end {
        let end = (next + PER_UPDATE).min(range.end);
        let prefixes: Vec<String> = (next..end).map(prefix).collect();
        let prefixes: Vec<&str> = prefixes.iter().map(String::as_str).collect();
        let attributes = Attributes { med: Some(generation), ..Attributes::path(&[64_500, 64_501 + next % 500]) };
        out.extend(bmp::route_monitoring(peer, &bmp::announce(&attributes, "192.0.2.1", &prefixes)));
        next = end;
    }
    out
}

fn greet(router: &mut FakeRouter, peer: Peer) {
    let open = Open::of(64_500, &peer.bgp_id.to_string());
    router.send(&bmp::initiation(b"edge1", b"")).send(&bmp::peer_up(peer, &open, Some("global")));
}

fn end_of_rib(peer: Peer) -> Vec<u8> {
    bmp::route_monitoring(peer, &bmp::end_of_rib_ipv4())
}

fn count(db: &TestDb, of: &str) -> i64 {
    db.rows(&format!("SELECT count(*) FROM {of}"))[0].parse().unwrap()
}

#[test]
fn killed_database_connections_cost_nothing() {
    let db = TestDb::migrated();
    let ingester = Ingester::start(&db.url(), &[("BATCH_ROUTES", "1000")]);
    let peer = Peer::loc_rib("10.255.0.1");
    let mut router = ingester.connect();
    greet(&mut router, peer);
    let kill = |which: &str| {
        let those = format!("datname = current_database() AND application_name ~ '^rib-ingester/{which}");
        // The list is made first: no process is killed because another condition is checked later.
        count(
            &db,
            &format!("(SELECT pid FROM pg_stat_activity WHERE {those} OFFSET 0) s WHERE pg_terminate_backend(pid)"),
        )
    };
    // The first of each kind is killed while it waits for a lock, so that it is certainly at work.
    eventually("the partitions are there", || {
        (count(&db, "pg_class WHERE relname ~ '^route_events_[0-9]*$'") == 2).then_some(())
    });
    let mut locks = ["route_events", "current_routes"].map(|table| {
        let mut client = db.client();
        client.batch_execute(&format!("BEGIN; LOCK TABLE {table} IN SHARE MODE")).unwrap();
        client
    });
    let sender = std::thread::spawn(move || {
        router.send(&dump(peer, 0..ROUTES, 1));
        router
    });
    for (writer, lock) in ["events", "state"].into_iter().zip(&mut locks) {
        let at_the_lock = format!("{writer}' AND wait_event_type = 'Lock'");
        eventually("a writer is killed at work", || (kill(&at_the_lock) > 0).then_some(()));
        lock.batch_execute("COMMIT").unwrap();
    }
    // A writer that is killed ten times in a row waits for 20 s before it tries again.
    let mut killed = [("events", 0), ("state", 0)];
    eventually("all routes are there, whatever happens to the connections", || {
        for (writer, count) in killed.iter_mut().filter(|(_, count)| *count < 9) {
            *count += kill(&format!("{writer}' AND state <> 'idle'"));
        }
        (count(&db, "current_routes") == i64::from(ROUTES)).then_some(())
    });
    let mut router = sender.join().unwrap();
    eventually_equal(i64::from(ROUTES), || count(&db, "route_events"));
    assert_eq!(count(&db, "(SELECT DISTINCT event_id FROM route_events) e"), i64::from(ROUTES));
    // Events are in the order in which the router sent them.
    let swapped =
        "(SELECT prefix > lead(prefix) OVER (ORDER BY ingest_time) AS swapped FROM route_events) e WHERE swapped";
    assert_eq!(count(&db, swapped), 0);
    router.send(&end_of_rib(peer));
    eventually_equal(1, || count(&db, "rib_sync_status WHERE eor_seen"));
    assert!(ingester.stop().success());
}

#[test]
fn a_collector_killed_often_has_the_routers_table() {
    let db = TestDb::migrated();
    let peer = Peer::loc_rib("10.255.0.1");
    for generation in 1..=5 {
        let ingester = Ingester::start(&db.url(), &[("BATCH_ROUTES", "500")]);
        let mut router = ingester.connect();
        greet(&mut router, peer);
        let sender = std::thread::spawn(move || {
            router.send_or_be_cut(&dump(peer, 0..ROUTES, generation));
        });
        let some = i64::from(generation) * 500;
        eventually("some routes of this dump are there", || {
            (count(&db, &format!("current_routes WHERE med = {generation}")) >= some).then_some(())
        });
        ingester.kill();
        sender.join().unwrap();
    }
    let first_seen = "SELECT min(first_seen)::text FROM current_routes WHERE prefix = '10.0.0.0/24'";
    let born = db.rows(first_seen);
    let ingester = Ingester::start(&db.url(), &[]);
    let mut router = ingester.connect();
    greet(&mut router, peer);
    // The second half of the table is withdrawn in the meantime.
    router.send(&dump(peer, 0..ROUTES / 2, 9)).send(&end_of_rib(peer));
    eventually_equal(1, || count(&db, "rib_sync_status WHERE eor_seen"));
    eventually_equal(i64::from(ROUTES / 2), || count(&db, "current_routes"));
    assert_eq!(count(&db, "current_routes WHERE med = 9"), i64::from(ROUTES / 2));
    assert_eq!(db.rows(first_seen), born);
    assert!(ingester.stop().success());
}

#[test]
fn a_stop_during_a_dump_writes_what_was_read() {
    let db = TestDb::migrated();
    let ingester = Ingester::start(&db.url(), &[]);
    let peer = Peer::loc_rib("10.255.0.1");
    let mut router = ingester.connect();
    greet(&mut router, peer);
    let sender = std::thread::spawn(move || {
        router.send_or_be_cut(&dump(peer, 0..ROUTES, 1));
        router
    });
    eventually("the dump has begun", || (count(&db, "current_routes") > 0).then_some(()));
    assert!(ingester.stop().success());
    drop(sender.join().unwrap());
    let routes = count(&db, "current_routes");
    assert!(routes > 0);
    assert_eq!(count(&db, "route_events"), routes);
    assert_eq!(count(&db, "session_events WHERE kind = 'collector_stopped'"), 1);
}

#[test]
fn routers_with_the_same_prefixes_do_not_block_others() {
    let db = TestDb::migrated();
    let ingester = Ingester::start(&db.url(), &[("BATCH_ROUTES", "500"), ("STATE_WRITERS", "2")]);
    let routers: Vec<_> = (1..=4)
        .map(|i| {
            let mut router = ingester.connect();
            std::thread::spawn(move || {
                let peer = Peer::loc_rib(&format!("10.255.0.{i}"));
                greet(&mut router, peer);
                for generation in 1..=3 {
                    router.send(&dump(peer, 0..ROUTES / 10, generation));
                }
                router.send(&end_of_rib(peer));
                router
            })
        })
        .collect();
    let routers: Vec<FakeRouter> = routers.into_iter().map(|router| router.join().unwrap()).collect();
    eventually_equal(i64::from(ROUTES / 10) * 4, || count(&db, "current_routes WHERE med = 3"));
    eventually_equal(4, || count(&db, "rib_sync_status WHERE eor_seen"));
    drop(routers);
    assert!(ingester.stop().success());
}
