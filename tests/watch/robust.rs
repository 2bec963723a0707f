//! Watches when things fail: routes never wait for them, and nothing is missed in the end.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::collections::BTreeSet;

use crate::common::bmp::{self, Attributes, Open, Peer};
use crate::common::ingester::{FakeRouter, Ingester, eventually, eventually_equal};
use crate::common::pg::TestDb;
use crate::common::receiver::{Receiver, Reply};
use crate::scene::{callback, told};

const WATCHED: &str = "192.0.2.0/24";

fn announce(prefixes: &[&str], origin: u32) -> Vec<u8> {
    let update = bmp::announce(&Attributes::path(&[64_500, origin]), "192.0.2.1", prefixes);
    bmp::route_monitoring(Peer::loc_rib("10.255.0.1"), &update)
}

/// A database with a watch of one prefix, and a receiver.
fn watched(receiver: &Receiver) -> TestDb {
    let db = TestDb::migrated();
    let mut client = db.client();
    callback(&mut client, "noc", "generic", &receiver.url("/"), &[]);
    let watch =
        "INSERT INTO watch.watches (name, kind, prefix, expected_origins, settle_secs, close_after_secs, accepted_at)
                 VALUES ('web', 'prefix', '192.0.2.0/24', '{64496}', 0, 0, now() - interval '1 day')";
    client.batch_execute(watch).unwrap();
    db
}

/// A router whose route is watched and as it should be.
fn connect(ingester: &Ingester, db: &TestDb) -> FakeRouter {
    let peer = Peer::loc_rib("10.255.0.1");
    let mut router = ingester.connect();
    router
        .send(&bmp::initiation(b"edge1", b""))
        .send(&bmp::peer_up(peer, &Open::of(64_500, "10.255.0.1"), Some("global")))
        .send(&announce(&[WATCHED], 64_496))
        .send(&bmp::route_monitoring(peer, &bmp::end_of_rib_ipv4()));
    eventually_equal(vec!["1".to_owned()], || db.rows("SELECT count(*) FROM watch.seen"));
    router
}

fn events(receiver: &Receiver, count: usize) -> Vec<String> {
    receiver.wait_for(count).iter().map(|one| told(one).1).collect()
}

#[test]
fn routes_go_on_while_watches_hang() {
    let receiver = Receiver::start();
    let db = watched(&receiver);
    let mut ingester = Ingester::start(&db.url(), &[]);
    let mut router = connect(&ingester, &db);
    let stored = |count: usize| {
        let tables = "SELECT (SELECT count(*) FROM current_routes), (SELECT count(DISTINCT prefix) FROM route_events)";
        eventually_equal(vec![format!("{count}|{count}")], || db.rows(tables));
    };
    let mut reader = db.client();
    let mut lock = reader.transaction().unwrap();
    let tables = "DO $$ DECLARE t text; BEGIN
                      FOR t IN SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname = 'watch' LOOP
                          EXECUTE 'LOCK TABLE ' || t || ' IN ACCESS EXCLUSIVE MODE';
                      END LOOP;
                  END $$";
    lock.batch_execute(tables).unwrap();
    // Of a prefix that is watched: what is noted of it waits for the lock, and the routes do not.
    router.send(&announce(&[WATCHED], 64_511));
    for number in 0..100 {
        router.send(&announce(&[&format!("10.{number}.0.0/16")], 64_496));
    }
    stored(101);
    // The evaluator dies, and the next one hangs.
    let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'rib-ingester/watch'
                AND datname = current_database()";
    assert_eq!(db.rows(kill), ["t"]);
    eventually("degraded", || ingester.get("/readyz").2.contains("watches are not evaluated").then_some(()));
    assert_eq!(ingester.get("/readyz").0, 200);
    router.send(&announce(&["10.200.0.0/16"], 64_496));
    stored(102);
    assert!(receiver.received().is_empty());
    lock.rollback().unwrap();
    assert_eq!(events(&receiver, 1), ["opened"]);
    eventually("it is well again", || (!ingester.get("/readyz").2.contains("degraded")).then_some(()));
    router.send(&announce(&[WATCHED], 64_496));
    assert_eq!(events(&receiver, 2), ["opened", "closed"]);
    assert!(ingester.stop().success());
}

#[test]
fn another_collector_evaluates_after_a_kill() {
    let receiver = Receiver::start();
    let db = watched(&receiver);
    let mut first = Ingester::start(&db.url(), &[("COLLECTOR_ID", "one")]);
    let evaluates = "watch: working for all collectors of this database";
    first.logged(evaluates);
    let mut second = Ingester::start(&db.url(), &[("COLLECTOR_ID", "two")]);
    let mut router = connect(&second, &db);
    router.send(&announce(&[WATCHED], 64_511));
    assert_eq!(events(&receiver, 1), ["opened"]);
    assert_eq!(second.count_logged(evaluates), 0);
    eventually_equal(vec!["delivered".to_owned()], || db.rows("SELECT state FROM watch.deliveries"));
    first.kill();
    // In the meantime.
    router.send(&announce(&[WATCHED], 64_496));
    second.logged(evaluates);
    assert_eq!(events(&receiver, 2), ["opened", "closed"]);
    router.send(&announce(&["192.0.2.0/25"], 64_511));
    assert_eq!(events(&receiver, 3), ["opened", "closed", "opened"]);
    let all = vec!["delivered".to_owned(); 3];
    eventually_equal(all, || db.rows("SELECT state FROM watch.deliveries ORDER BY id"));
    assert_eq!(receiver.received().len(), 3);
    assert!(second.stop().success());
}

/// The collector that evaluates and delivers is struck when an incident is opened and its callback has failed once.
fn struck_before_the_delivery(strike: impl FnOnce(Ingester, &Receiver, &mut Ingester) -> Option<Ingester>) {
    let receiver = Receiver::start();
    receiver.answer(Reply::Status(503));
    let db = watched(&receiver);
    let mut first = Ingester::start(&db.url(), &[("COLLECTOR_ID", "one")]);
    first.logged("watch: working for all collectors of this database");
    first.logged("deliveries: this collector delivers");
    let mut second = Ingester::start(&db.url(), &[("COLLECTOR_ID", "two")]);
    let mut router = connect(&second, &db);
    router.send(&announce(&[WATCHED], 64_511));
    assert_eq!(events(&receiver, 1), ["opened"]);
    let first = strike(first, &receiver, &mut second);
    eventually_equal(vec!["delivered".to_owned()], || db.rows("SELECT state FROM watch.deliveries"));
    // One incident, one delivery that was tried until it was taken, always with the same key.
    assert_eq!(db.rows("SELECT count(*) FROM watch.incidents"), ["1"]);
    let received = receiver.received();
    let keys: BTreeSet<_> = received.iter().map(|one| one.header("idempotency-key").unwrap().to_owned()).collect();
    assert_eq!((received.last().map(|one| told(one).1), keys.len()), (Some("opened".to_owned()), 1));
    router.send(&announce(&[WATCHED], 64_496));
    eventually_equal(vec!["delivered".to_owned(); 2], || db.rows("SELECT state FROM watch.deliveries ORDER BY id"));
    let received = receiver.received();
    let taken: Vec<String> = received.iter().filter(|one| one.status == 204).map(|one| told(one).1).collect();
    assert_eq!(taken, ["opened", "closed"]);
    for collector in first.into_iter().chain([second]) {
        assert!(collector.stop().success());
    }
}

#[test]
fn an_incident_is_delivered_once_after_a_kill() {
    struck_before_the_delivery(|first, receiver, second| {
        first.kill();
        receiver.answer(Reply::Status(204));
        second.logged("deliveries: this collector delivers");
        None
    });
}

/// A frozen collector keeps its connections, and with them the locks of its work, until its lease is over.
#[test]
fn another_collector_works_while_one_is_frozen() {
    let receiver = Receiver::start();
    let db = watched(&receiver);
    let of_all = |thread: &str| format!("{thread}: working for all collectors of this database");
    let works = [of_all("watch"), of_all("dependents"), "deliveries: this collector delivers".to_owned()];
    let mut first = Ingester::start(&db.url(), &[("COLLECTOR_ID", "one")]);
    works.iter().for_each(|line| drop(first.logged(line)));
    let mut second = Ingester::start(&db.url(), &[("COLLECTOR_ID", "two"), ("MAINTENANCE_INTERVAL_SECS", "1")]);
    let mut router = connect(&second, &db);
    first.signal("STOP");
    works.iter().for_each(|line| drop(second.logged(line)));
    second.logged("database: ended rib-ingester/watch of a collector that is not alive");
    router.send(&announce(&[WATCHED], 64_511));
    assert_eq!(events(&receiver, 1), ["opened"]);
    // What it has lost it does not take back.
    let said = first.count_logged(&works[0]);
    first.signal("CONT");
    first.logged("database: works again");
    router.send(&announce(&[WATCHED], 64_496));
    assert_eq!(events(&receiver, 2), ["opened", "closed"]);
    assert_eq!(first.count_logged(&works[0]), said);
    eventually_equal(vec!["delivered".to_owned(); 2], || db.rows("SELECT state FROM watch.deliveries ORDER BY id"));
    assert_eq!(receiver.received().len(), 2);
    assert!(first.stop().success());
    assert!(second.stop().success());
}

#[test]
fn an_incident_is_delivered_once_after_a_freeze() {
    struck_before_the_delivery(|first, receiver, second| {
        first.signal("STOP");
        receiver.answer(Reply::Status(204));
        second.logged("deliveries: this collector delivers");
        first.signal("CONT");
        Some(first)
    });
}
