//! Two collectors write into one database, the routers shared out between them.
#![allow(missing_docs, clippy::unwrap_used)]

use std::fmt::Write;

use crate::common::bmp::{self, Attributes, Open, Peer};
use crate::common::ingester::{FakeRouter, Ingester, eventually, eventually_equal};
use crate::common::pg::TestDb;

/// The number of routers; the collectors alternate.
const ROUTERS: u8 = 6;

/// Routes of each in its dump.
const ROUTES: u32 = 1500;

/// The number of times that each router changes some of them.
const ROUNDS: u32 = 20;

fn router_id(number: u8) -> String {
    format!("10.255.0.{number}")
}

fn prefix(i: u32) -> String {
    format!("10.{}.{}.0/24", i >> 8, i & 0xff)
}

/// UPDATEs of up to 50 destinations each, with a MED.
fn announce(peer: Peer, routes: impl Iterator<Item = u32>, med: u32) -> Vec<u8> {
    let prefixes: Vec<String> = routes.map(prefix).collect();
    let attributes = Attributes { med: Some(med), ..Attributes::path(&[64_500, 64_501]) };
    let one = |prefixes: &[String]| {
        let prefixes: Vec<&str> = prefixes.iter().map(String::as_str).collect();
        bmp::route_monitoring(peer, &bmp::announce(&attributes, "192.0.2.1", &prefixes))
    };
    prefixes.chunks(50).flat_map(one).collect()
}

/// A router's life as bytes: the dump, changes in opposite orders in odd rounds, and one withdraw per round.
fn life(number: u8) -> Vec<u8> {
    let peer = Peer::loc_rib(&router_id(number));
    let mut bytes = [
        bmp::initiation(format!("edge{number}").as_bytes(), b""),
        bmp::peer_up(peer, &Open::of(64_500, &router_id(number)), Some("global")),
        announce(peer, 0..ROUTES, 0),
        bmp::route_monitoring(peer, &bmp::end_of_rib_ipv4()),
    ]
    .concat();
    for round in 1..=ROUNDS {
        let changed = (0..ROUTES).filter(|i| i % ROUNDS == round - 1 && *i >= ROUNDS);
        match round % 2 {
            0 => bytes.extend(announce(peer, changed, round)),
            _ => bytes.extend(announce(peer, changed.collect::<Vec<_>>().into_iter().rev(), round)),
        }
        bytes.extend(bmp::route_monitoring(peer, &bmp::withdraw(&[&prefix(round - 1)])));
    }
    bytes
}

/// The final `current_routes`, a line per router: the number of routes, the smallest and largest MED, their sum.
fn expected() -> Vec<String> {
    let meds = (ROUNDS..ROUTES).map(|i| i % ROUNDS + 1);
    let sum: u32 = meds.clone().sum();
    (1..=ROUTERS).map(|number| format!("{}|{}|1|{ROUNDS}|{sum}", router_id(number), meds.clone().count())).collect()
}

#[test]
fn two_collectors_share_the_routers_of_one_database() {
    let db = TestDb::create();
    let settings = |id| [("COLLECTOR_ID", id), ("BATCH_ROUTES", "700"), ("MAINTENANCE_INTERVAL_SECS", "1")];
    let collectors = [Ingester::start(&db.url(), &settings("one")), Ingester::start(&db.url(), &settings("two"))];
    let sessions: Vec<FakeRouter> = std::thread::scope(|scope| {
        let collectors = &collectors;
        let send = |number: u8| {
            let mut router = collectors[usize::from(number % 2)].connect();
            router.send(&life(number));
            router
        };
        let threads: Vec<_> = (1..=ROUTERS).map(|number| scope.spawn(move || send(number))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });

    let state = "SELECT router_id, count(*), min(med), max(med), sum(med) FROM current_routes GROUP BY 1 ORDER BY 1";
    eventually_equal(expected(), || db.rows(state));
    // History is complete too: each announcement and each withdraw once.
    let events = format!("A|{}|D|{ROUNDS}", ROUTES + ROUTES - ROUNDS);
    let events: Vec<String> = (1..=ROUTERS).map(|number| format!("{}|{events}", router_id(number))).collect();
    eventually_equal(events, || {
        db.rows(
            "SELECT router_id, 'A', count(*) FILTER (WHERE action = 'A'), 'D', count(*) FILTER (WHERE action = 'D')
             FROM route_events GROUP BY 1 ORDER BY 1",
        )
    });
    let mut owners = String::new();
    for number in 1..=ROUTERS {
        let owner = if number % 2 == 0 { "one" } else { "two" };
        writeln!(owners, "{}|{owner}", router_id(number)).unwrap();
    }
    let owned = db.rows("SELECT router_id, collector_id FROM router_owner ORDER BY 1");
    assert_eq!(owned, owners.lines().collect::<Vec<_>>());
    assert_eq!(db.rows("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"), ["0"]);

    // Maintenance is done by one of them at a time, and the summary that readers see has all routers.
    eventually("the summary to show every router as it is", || {
        let summary = "SELECT count(DISTINCT router_id), sum(route_count) FROM route_summary";
        (db.rows(summary) == [format!("{ROUTERS}|{}", u32::from(ROUTERS) * (ROUTES - ROUNDS))]).then_some(())
    });
    drop(sessions);
    for collector in collectors {
        assert_eq!(collector.count_logged(" error "), 0);
        assert!(collector.stop().success());
    }
}
