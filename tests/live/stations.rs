//! Real routers with two stations: FRR 10.3 and GoBGP 3.10, each reporting to two collectors of one database.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::common::ingester::{Ingester, eventually_equal};
use crate::common::lab::{Lab, Views, free_address};
use crate::common::pg::TestDb;
use crate::common::proxy::Proxy;
use crate::routers::{agree, history_ends_in_the_present};

const NAMES: [&str; 2] = ["one", "two"];

fn start(db: &TestDb, station: usize, address: SocketAddr) -> Ingester {
    start_at(&db.url(), station, address)
}

fn start_at(url: &str, station: usize, address: SocketAddr) -> Ingester {
    let listen = address.to_string();
    let settings = [("BMP_LISTEN", listen.as_str()), ("EOR_TIMEOUT_SECS", "2"), ("COLLECTOR_ID", NAMES[station])];
    Ingester::start(url, &settings)
}

/// A feeder announces and withdraws routes while `strike` happens; then the routes are compared.
fn churn(lab: &Lab, db: &TestDb, what: &str, strike: impl FnOnce()) {
    let is_over = AtomicBool::new(false);
    /// Ends the feeder, whatever happens to the test.
    struct Over<'a>(&'a AtomicBool);
    impl Drop for Over<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    thread::scope(|scope| {
        let feeder = scope.spawn(|| {
            for number in (0..).take_while(|number| *number < 8 || !is_over.load(Ordering::SeqCst)) {
                let prefix = format!("10.6.{}.0/24", number % 4);
                match number / 4 % 2 {
                    0 => lab.run(&["feed"], &["1", "add", &prefix, "nexthop", "192.0.2.21"]),
                    _ => lab.run(&["feed"], &["1", "del", &prefix]),
                }
            }
        });
        let over = Over(&is_over);
        strike();
        drop(over);
        feeder.join().unwrap();
    });
    agree(lab, db, what);
}

/// A collector becomes the owner of both routers.
fn are_taken_by(db: &TestDb, station: usize) {
    eventually_equal(vec![NAMES[station].to_owned(); 2], || db.rows("SELECT collector_id FROM router_owner"));
}

/// Both routers are with this collector, and the other one stands by.
fn are_with(db: &TestDb, station: usize) {
    let states = "SELECT o.collector_id, s.collector_id FROM router_owner o
                  JOIN bmp_sessions s ON s.router_id = o.router_id AND s.state = 'standby' ORDER BY 1, 2";
    let want = format!("{}|{}", NAMES[station], NAMES[1 - station]);
    eventually_equal(vec![want.clone(), want], || db.rows(states));
}

/// No event says the same as the one before it.
fn nothing_is_said_twice(db: &TestDb) {
    let twice = "SELECT router_id, prefix, action, med FROM (
                     SELECT *, lag((action, nexthop, as_path, origin, localpref, med, communities_std, attrs)::text)
                                   OVER (PARTITION BY router_id, table_name, afi, prefix, path_id ORDER BY ingest_time) AS before
                     FROM route_events) e
                 WHERE before = (action, nexthop, as_path, origin, localpref, med, communities_std, attrs)::text";
    assert_eq!(db.rows(twice), [""; 0]);
}

#[test]
fn live_routers_with_two_stations_are_taken_over() {
    if !Lab::is_possible() {
        return;
    }
    let db = TestDb::migrated();
    let addresses = [free_address(), free_address()];
    let first = start(&db, 0, addresses[0]);
    let lab = Lab::start_at(&addresses, &["gobgp", "frr10"], Views::Chosen);
    lab.run(&["base"], &[]);
    agree(&lab, &db, "the routes are announced");
    let second = start(&db, 1, addresses[1]);
    are_with(&db, 0);
    lab.run(&["change"], &[]);
    agree(&lab, &db, "attributes have changed");

    first.kill();
    lab.run(&["feed"], &["1", "add", "10.4.1.0/24", "nexthop", "192.0.2.21"]);
    eventually_equal(vec!["two".to_owned(); 2], || db.rows("SELECT collector_id FROM router_owner"));
    agree(&lab, &db, "the owner was killed");
    let first = start(&db, 0, addresses[0]);
    are_with(&db, 1);
    lab.run(&["feed"], &["1", "del", "10.4.1.0/24"]);
    agree(&lab, &db, "the other one has the routers");

    let mut command = Command::new(env!("CARGO_BIN_EXE_rib-ingester"));
    command.args(["hand-over", "all", "--to", "one"]).env_clear().env("RIB_INGESTER_DATABASE_URL", db.url());
    assert!(command.status().unwrap().success());
    lab.run(&["feed"], &["2", "add", "10.4.2.0/24", "nexthop", "192.0.2.22"]);
    agree(&lab, &db, "the routers are handed over");
    are_with(&db, 0);
    history_ends_in_the_present(&db);
    nothing_is_said_twice(&db);
    for collector in [first, second] {
        assert!(collector.stop().success());
    }
}

#[test]
fn live_routers_with_two_stations_survive_faults() {
    if !Lab::is_possible() {
        return;
    }
    let db = TestDb::migrated();
    let addresses = [free_address(), free_address()];
    let (host, port) = db.server();
    let proxies = [0, 1].map(|_| Proxy::start(&host, port));
    let urls = [0, 1].map(|station: usize| db.url_at("127.0.0.1", proxies[station].port));
    let cut = |station: usize, is_down| proxies[station].is_down.store(is_down, Ordering::SeqCst);
    let first = start_at(&urls[0], 0, addresses[0]);
    let lab = Lab::start_at(&addresses, &["gobgp", "frr10"], Views::Chosen);
    lab.run(&["base"], &[]);
    agree(&lab, &db, "the routes are announced");
    let second = start_at(&urls[1], 1, addresses[1]);
    are_with(&db, 0);

    churn(&lab, &db, "the owner was frozen", || {
        first.signal("STOP");
        are_taken_by(&db, 1);
        first.signal("CONT");
    });
    are_with(&db, 1);
    churn(&lab, &db, "the owner was cut off from the database", || {
        cut(1, true);
        are_taken_by(&db, 0);
        cut(1, false);
    });
    are_with(&db, 0);
    churn(&lab, &db, "the database was away for both", || {
        [0, 1].into_iter().for_each(|station| cut(station, true));
        let over = "SELECT bool_and(alive_until < now()) FROM collectors";
        eventually_equal(vec!["t".to_owned()], || db.rows(over));
        [0, 1].into_iter().for_each(|station| cut(station, false));
    });
    are_with(&db, 0);
    let mut stopped = Some(first);
    churn(&lab, &db, "the owner was stopped", || {
        assert!(stopped.take().unwrap().stop().success());
        are_taken_by(&db, 1);
    });
    let first = start_at(&urls[0], 0, addresses[0]);
    are_with(&db, 1);
    history_ends_in_the_present(&db);
    nothing_is_said_twice(&db);
    for collector in [first, second] {
        assert!(collector.stop().success());
    }
}
