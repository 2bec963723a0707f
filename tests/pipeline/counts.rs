//! The kept numbers of routes are those of the routes: as of every moment, whatever writes or deletes routes.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use rib_ingester::model::RouterId;
use rib_ingester::store::{counts, forget, stale};

use crate::common::bmp::{self, Attributes, Open, Peer};
use crate::common::dice::Dice;
use crate::common::ingester::{FakeRouter, Ingester, eventually};
use crate::common::pg::TestDb;

const PEERS: [&str; 3] = ["198.51.100.1", "198.51.100.2", "198.51.100.3"];

fn start(db: &TestDb) -> Ingester {
    let ribs = ("STORED_RIBS", "loc-rib,adj-rib-in-pre,adj-rib-in-post");
    Ingester::start(&db.url(), &[ribs, ("BATCH_ROUTES", "40")])
}

/// A router's session: its Loc-RIB, and each peer before and after policy.
struct Session<'a> {
    db: &'a TestDb,
    router: FakeRouter,
    dice: &'a mut Dice,
    tables: Vec<Peer>,
}

impl Session<'_> {
    fn begin<'a>(db: &'a TestDb, ingester: &Ingester, dice: &'a mut Dice) -> Session<'a> {
        let mut router = ingester.connect();
        router.send(&bmp::initiation(b"edge1", b""));
        let loc_rib = Peer::loc_rib("10.255.0.1");
        router.send(&bmp::peer_up(loc_rib, &Open::of(64_500, "10.255.0.1"), Some("global")));
        let mut tables = vec![loc_rib];
        for (address, asn) in PEERS.into_iter().zip(64_501..) {
            let peer = Peer::global_instance(address, asn);
            router.send(&bmp::peer_up(peer, &Open::of(asn, address), None));
            tables.extend([peer, Peer { flags: 0x40, ..peer }]);
        }
        Session { db, router, dice, tables }
    }

    /// Announces and withdraws at random; some routes twice, some that are not there.
    fn churn(&mut self, messages: u32) {
        for number in 0..messages {
            let table = self.tables[usize::try_from(self.dice.roll(7)).unwrap() % self.tables.len()];
            let prefixes: Vec<String> = (0..=self.dice.roll(8))
                .map(|_| format!("10.{}.{}.0/24", self.dice.roll(3), self.dice.roll(60)))
                .collect();
            let mut prefixes: Vec<&str> = prefixes.iter().map(String::as_str).collect();
            prefixes.sort_unstable();
            prefixes.dedup();
            let attributes = Attributes { med: Some(number), ..Attributes::path(&[64_500, 64_501]) };
            let update = match self.dice.roll(5) {
                0 | 1 => bmp::withdraw(&prefixes),
                _ => bmp::announce(&attributes, "192.0.2.1", &prefixes),
            };
            self.router.send(&bmp::route_monitoring(table, &update));
        }
    }

    fn end_of_rib(&mut self) {
        for table in self.tables.clone() {
            self.router.send(&bmp::route_monitoring(table, &bmp::end_of_rib_ipv4()));
        }
    }

    fn peer_down(&mut self) {
        let peer = Peer::global_instance(PEERS[0], 64_501);
        self.router.send(&bmp::peer_down(peer, 2));
        self.tables.retain(|table| table.address != peer.address);
    }

    /// Waits until everything that was sent is written, and compares all the while.
    fn settle(&mut self, mark: u32) {
        let prefix = format!("192.0.{mark}.0/24");
        let last = bmp::announce(&Attributes::path(&[64_500]), "192.0.2.1", &[&prefix]);
        self.router.send(&bmp::route_monitoring(self.tables[0], &last));
        let sql = format!("SELECT count(*) FROM current_routes WHERE prefix = '{prefix}'");
        eventually("everything to be written", || {
            assert_eq!(self.db.wrong_counts(), [""; 0]);
            (self.db.rows(&sql) == ["1"]).then_some(())
        });
    }
}

fn sum(db: &TestDb) -> i64 {
    db.rows("SELECT COALESCE(sum(routes), 0) FROM route_counts")[0].parse().unwrap()
}

#[test]
fn numbers_are_those_of_the_routes() {
    let seed = u64::from(std::process::id());
    println!("seed {seed}");
    let (db, mut dice) = (TestDb::migrated(), Dice(seed));
    let mut ingester = start(&db);
    for round in 0..3 {
        let mut session = Session::begin(&db, &ingester, &mut dice);
        session.churn(80);
        session.end_of_rib();
        session.churn(40);
        session.settle(10 + round);
        session.peer_down();
        session.churn(50);
        match round {
            // Half of a dump, and the next session purges what it does not name.
            0 => session.settle(20),
            // Killed in the middle of it.
            1 => {
                ingester.kill();
                assert_eq!(db.wrong_counts(), [""; 0]);
                ingester = start(&db);
                continue;
            }
            _ => {
                session.settle(22);
                session.router.send(&bmp::termination(0));
                eventually("nothing to be left", || {
                    assert_eq!(db.wrong_counts(), [""; 0]);
                    (db.rows("SELECT count(*) FROM rib_sync_status") == ["0"]).then_some(())
                });
            }
        }
    }
    assert_eq!((sum(&db), db.wrong_counts()), (0, vec![]));
    leave(&db, &ingester, &mut dice);
}

/// A router that does not come back, and one that an operator forgets.
fn leave(db: &TestDb, ingester: &Ingester, dice: &mut Dice) {
    let mut client = db.client();
    let router = RouterId::new("10.255.0.1");
    for is_forgotten in [false, true] {
        let mut session = Session::begin(db, ingester, dice);
        session.churn(30);
        session.settle(30);
        drop(session);
        let stale = "SELECT count(*) FROM bmp_sessions WHERE state IN ('dumping', 'up')";
        eventually("the session to be lost", || (db.rows(stale) == ["0"]).then_some(()));
        assert!(sum(db) > 0);
        if is_forgotten {
            let whole = forget::forget(&mut client, &router, forget::Past::Stays, |_, _| {
                assert_eq!(db.wrong_counts(), [""; 0]);
            });
            assert!(matches!(whole.unwrap(), forget::Forgotten::Whole(_)));
        } else {
            client.batch_execute("UPDATE adj_rib_in_sync_status SET stale_since = now() - interval '1 hour'").unwrap();
            let some = stale::expire(&mut client, "test", &router, Duration::from_secs(1_800)).unwrap();
            assert!(some.routes > 0 && !some.is_whole, "{some:?}");
            assert!(sum(db) > 0 && db.wrong_counts().is_empty());
            let all = stale::expire(&mut client, "test", &router, Duration::ZERO).unwrap();
            assert!(all.routes > 0 && all.is_whole, "{all:?}");
        }
        assert_eq!((sum(db), db.wrong_counts()), (0, vec![]));
    }
}

#[test]
fn what_is_done_by_hand_is_counted_by_maintenance() {
    let db = TestDb::migrated();
    let mut client = db.client();
    let row = |router: &str, number: u32| format!("('{router}', 'global', 4, '10.{number}.0.0/16')");
    let rows = [row("r1", 1), row("r1", 2), row("r1", 3), row("r2", 1)].join(", ");
    client
        .batch_execute(&format!("INSERT INTO current_routes (router_id, table_name, afi, prefix) VALUES {rows}"))
        .unwrap();
    let kept = "SELECT router_id, rib, table_name, afi, routes FROM route_counts ORDER BY 1";
    let mut corrected = || -> Vec<(String, i64)> {
        let report = rib_ingester::maintenance::run_once(&mut client, 0).unwrap();
        assert!(report.failures.is_empty(), "{:?}", report.failures);
        report.corrected.into_iter().map(|one| (one.table, one.difference)).collect()
    };
    let one = counts::correct(&mut db.client(), Some(&[RouterId::new("r2")])).unwrap();
    assert_eq!(one.iter().map(|one| &*one.table).collect::<Vec<_>>(), ["r2 loc-rib global IPv4"], "no other router");
    assert_eq!(db.rows(kept), ["r2|loc-rib|global|4|1"]);
    assert_eq!(corrected(), [("r1 loc-rib global IPv4".to_owned(), 3)]);
    assert_eq!(db.rows(kept), ["r1|loc-rib|global|4|3", "r2|loc-rib|global|4|1"]);
    assert_eq!(corrected(), []);
    db.client().batch_execute("DELETE FROM current_routes WHERE prefix = '10.1.0.0/16'").unwrap();
    assert_eq!(corrected(), [("r1 loc-rib global IPv4".to_owned(), -1), ("r2 loc-rib global IPv4".to_owned(), -1)]);
    assert_eq!(db.rows(kept), ["r1|loc-rib|global|4|2"], "a table without routes has no row");
    // Those of other families, beside them.
    let table = "UNKNOWN|nlri:25/70";
    let insert = format!(
        "INSERT INTO nlri_adj_rib_in (router_id, peer_address, peer_asn, is_post_policy, table_name, afi, prefix)
         SELECT 'r1', '192.0.2.1', 64501, true, '{table}', 6, '2001:db8::'::inet + i FROM generate_series(1, 3) i"
    );
    db.client().batch_execute(&insert).unwrap();
    assert_eq!(corrected(), [(format!("r1 nlri-adj-rib-in peer 192.0.2.1 {table}"), 3)]);
    assert_eq!((corrected(), db.wrong_counts()), (vec![], vec![]));
    assert_eq!(db.rows(kept), ["r1|loc-rib|global|4|2"]);
    db.client().batch_execute("DELETE FROM nlri_adj_rib_in").unwrap();
    assert_eq!(corrected(), [(format!("r1 nlri-adj-rib-in peer 192.0.2.1 {table}"), -3)]);
    assert_eq!(db.rows("SELECT count(*) FROM nlri_route_counts"), ["0"], "a table without routes has no row");
}

#[test]
fn other_families_of_peers_are_noted_over_time() {
    let db = TestDb::migrated();
    let run = || {
        let report = rib_ingester::maintenance::run_once(&mut db.client(), 0).unwrap();
        assert_eq!((report.failures, report.corrected), (vec![], vec![]));
    };
    db.client()
        .batch_execute(
            "INSERT INTO collectors (collector_id, instance, alive_until, started_at, version)
             VALUES ('test', gen_random_uuid(), now() + interval '1 hour', now(), '1');
             INSERT INTO bmp_sessions (router_id, collector_id, source, state) VALUES ('r1', 'test', '192.0.2.9', 'up');
             INSERT INTO nlri_adj_rib_in_sync_status (router_id, peer_address, is_post_policy, table_name, afi, synced_at, stale_since)
             SELECT 'r1', ('192.0.2.' || i)::inet, is_post, 'UNKNOWN|nlri:25/70', 6, CASE WHEN i <> 2 THEN now() END, CASE WHEN i = 3 THEN now() END
             FROM generate_series(1, 3) i, (VALUES (false), (true)) AS v (is_post) WHERE i <> 1 OR is_post;
             INSERT INTO nlri_adj_rib_in (router_id, peer_address, peer_asn, is_post_policy, table_name, afi, prefix)
             SELECT 'r1', '192.0.2.1', 64501, true, 'UNKNOWN|nlri:25/70', 6, '2001:db8::'::inet + i FROM generate_series(1, 4) i;
             INSERT INTO nlri_route_counts VALUES ('r1', 'nlri-adj-rib-in', '192.0.2.1', true, 'UNKNOWN|nlri:25/70', 6, 4)",
        )
        .unwrap();
    run();
    // Neither a dump that is not over nor a table that is stale says anything.
    let noted = "SELECT peer_address, table_name, afi, safi, pre, post, is_hourly FROM peer_nlri_counts ORDER BY at";
    let one = |is_hourly: &str| format!("192.0.2.1|UNKNOWN|nlri:25/70|25|70|-|4|{is_hourly}");
    assert_eq!(db.rows(noted), [one("t")]);
    run();
    assert_eq!(db.rows(noted), [one("t")], "once in 5 minutes");
    // Those of each hour but the first go after 2 days, all after 400.
    db.client()
        .batch_execute(
            "INSERT INTO peer_nlri_counts
             SELECT n.router_id, n.peer_address, n.table_name, n.afi, n.safi, n.at - v.days * interval '1 day', n.pre, v.days, v.is_first
             FROM peer_nlri_counts n, (VALUES (1, false), (3, false), (4, true), (500, true)) AS v (days, is_first)",
        )
        .unwrap();
    run();
    assert_eq!(db.rows("SELECT post FROM peer_nlri_counts ORDER BY at DESC"), ["4", "1", "4"]);
    assert_eq!(db.rows("SELECT count(*) FROM peer_route_counts"), ["0"]);
}

#[test]
fn other_families_expire_one_table_at_a_time() {
    let db = TestDb::migrated();
    let mut client = db.client();
    client
        .batch_execute(
            "INSERT INTO router_owner (router_id, collector_id, epoch) VALUES ('r1', 'test', 1);
             INSERT INTO nlri_loc_rib_sync_status (router_id, table_name, afi, stale_since)
             SELECT 'r1', t, 6, now() - interval '1 hour' FROM (VALUES ('a|nlri:25/70'), ('b|nlri:25/70')) AS v (t);
             INSERT INTO nlri_loc_rib (router_id, table_name, afi, prefix)
             SELECT router_id, table_name, 6, '2001:db8::1' FROM nlri_loc_rib_sync_status;
             INSERT INTO nlri_route_counts
             SELECT router_id, 'nlri-loc-rib', '0.0.0.0', false, table_name, 6, 2000000 FROM nlri_loc_rib_sync_status",
        )
        .unwrap();
    let router = RouterId::new("r1");
    // With very many routes by their kept number, each table goes in a transaction of its own.
    let some = stale::expire(&mut client, "test", &router, Duration::from_secs(60)).unwrap();
    assert_eq!((some.tables, some.routes, some.is_whole), (1, 1, false));
    assert_eq!(db.rows("SELECT table_name FROM nlri_routes"), ["b|nlri:25/70"]);
    client.batch_execute("UPDATE nlri_route_counts SET routes = 1").unwrap();
    let rest = stale::expire(&mut client, "test", &router, Duration::from_secs(60)).unwrap();
    assert_eq!((rest.tables, rest.routes, rest.is_whole), (1, 1, true));
    assert_eq!(db.rows("SELECT count(*) FROM nlri_route_counts"), ["0"]);
}
