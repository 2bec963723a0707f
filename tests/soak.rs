//! The most comprehensive test: routers that dump, churn, flap, deviate and vanish, while faults are injected into the
//! database and the collector at random, from a printed seed. At the end every table equals the router's, and history
//! has every event.
//!
//! `RIB_INGESTER_TEST_SOAK_SECS` sets the duration (per test), `RIB_INGESTER_TEST_SOAK_SEED` the seed; `scripts/soak`
//! sets both.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use common::bmp::{self, Attributes, Open, Peer};
use common::dice::Dice;
use common::ingester::{FakeRouter, Ingester};
use common::pg::TestDb;
use common::proxy::Proxy;
use rib_ingester::watch::Evaluator;

/// Prefixes that a router may have.
const PREFIXES: u32 = 400;

/// The number of prefixes that are never withdrawn, the first ones: their `first_seen` stays.
const FAITHFUL: u32 = 20;

/// The number of changes, of all routers, that the collector may lag before the routers wait for it: its backlog shall
/// not grow with the duration of the soak, on a machine of any speed.
const BEHIND_MAX: u32 = 20_000;

/// The number of watches.
const WATCHES: u32 = 100;

/// The number of routers.
const ROUTERS: u32 = 4;

/// A router's table, the collector's copy of it, and the events that history must hold.
struct Model {
    peer: Peer,
    /// The router's table: prefix to generation.
    table: BTreeMap<u32, u32>,
    /// The collector's table.
    stored: BTreeMap<u32, u32>,
    /// The routes that the collector has received in this dump; `None`: the dump is over.
    heard: Option<BTreeSet<u32>>,
    events: i64,
    connection: Option<FakeRouter>,
}

/// The longest time without progress while replayed input is applied, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for replayed input to be applied; shows the difference when nothing changes any more.
fn eventually_equal<T: PartialEq + std::fmt::Debug>(expected: T, mut actual: impl FnMut() -> T) {
    let (mut last, mut moved) = (actual(), Instant::now());
    while last != expected {
        assert!(moved.elapsed() < PATIENCE, "nothing moves any more: {last:?} instead of {expected:?}");
        std::thread::sleep(Duration::from_millis(100));
        let now = actual();
        if now != last {
            (last, moved) = (now, Instant::now());
        }
    }
}

fn prefix(number: u32) -> String {
    format!("10.{}.{}.0/24", number >> 8, number & 0xff)
}

impl Model {
    fn new(number: u32) -> Model {
        let peer = Peer::loc_rib(&format!("10.255.0.{number}"));
        let (table, stored, heard) = (BTreeMap::new(), BTreeMap::new(), None);
        Model { peer, table, stored, heard, events: 0, connection: None }
    }

    fn send(&mut self, bytes: &[u8]) {
        self.connection.as_mut().unwrap().send_or_be_cut(bytes);
    }

    fn connect(&mut self, ingester: &Ingester) {
        let source = format!("127.0.0.{}", self.peer.bgp_id.octets()[3]);
        self.connection = Some(ingester.connect_from(&source));
        self.send(&bmp::initiation(b"soak", b""));
        self.peer_up();
    }

    fn peer_up(&mut self) {
        let open = Open::of(64_500, &self.peer.bgp_id.to_string());
        self.send(&bmp::peer_up(self.peer, &open, Some("global")));
        self.heard = Some(BTreeSet::new());
    }

    fn announce(&mut self, number: u32, generation: u32) {
        let attributes = Attributes { med: Some(generation), ..Attributes::path(&[64_500, 64_501]) };
        let update = bmp::announce(&attributes, "192.0.2.1", &[&prefix(number)]);
        self.send(&bmp::route_monitoring(self.peer, &update));
        let before = self.stored.insert(number, generation);
        let is_repeated = self.heard.as_mut().is_some_and(|heard| {
            heard.insert(number);
            before == Some(generation)
        });
        self.events += i64::from(!is_repeated);
    }

    fn withdraw(&mut self, number: u32) {
        self.send(&bmp::route_monitoring(self.peer, &bmp::withdraw(&[&prefix(number)])));
        self.stored.remove(&number);
        self.events += 1;
    }

    /// The table up to `share` of it in hundredths, and its End-of-RIB when that is all.
    fn dump(&mut self, share: u32) {
        let count = self.table.len() * usize::try_from(share).unwrap() / 100;
        let routes: Vec<(u32, u32)> = self.table.iter().map(|(number, generation)| (*number, *generation)).collect();
        for (number, generation) in routes.into_iter().take(count) {
            self.announce(number, generation);
        }
        if share == 100 {
            self.end_of_rib();
        }
    }

    fn end_of_rib(&mut self) {
        self.send(&bmp::route_monitoring(self.peer, &bmp::end_of_rib_ipv4()));
        let Some(heard) = self.heard.take() else { return };
        let before = self.stored.len();
        self.stored.retain(|number, _| heard.contains(number));
        self.events += i64::try_from(before - self.stored.len()).unwrap();
    }

    fn churn(&mut self, dice: &mut Dice, generation: &mut u32) {
        for _ in 0..=dice.roll(60) {
            let number = dice.roll(PREFIXES);
            if number >= FAITHFUL && dice.roll(3) == 0 {
                self.table.remove(&number);
                self.withdraw(number);
            } else {
                *generation += 1;
                self.table.insert(number, *generation);
                self.announce(number, *generation);
            }
        }
    }

    /// The table changes while no session is open.
    fn change_unheard(&mut self, dice: &mut Dice, generation: &mut u32) {
        for _ in 0..dice.roll(40) {
            let number = FAITHFUL + dice.roll(PREFIXES - FAITHFUL);
            *generation += 1;
            if dice.roll(2) == 0 {
                self.table.remove(&number);
            } else {
                self.table.insert(number, *generation);
            }
        }
    }

    /// All of the collector's routes are removed together, which is no event.
    fn all_gone(&mut self) {
        self.stored.clear();
        self.heard = None;
    }
}

/// The faults that are injected into the collector itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Blows {
    /// Only the database and the routers: history must be complete.
    None,
    /// It is stopped and killed too: history in the memory of a killed one is lost, the tables are not.
    Mortal,
}

struct Soak {
    db: TestDb,
    proxy: Proxy,
    state_dir: PathBuf,
    ingester: Option<Ingester>,
    routers: Vec<Model>,
    dice: Dice,
    generation: u32,
    blows: Blows,
    counts: BTreeMap<&'static str, u32>,
    /// The end of the database's fault, and the statement that repairs it.
    fault: Option<(Instant, &'static str)>,
}

impl Soak {
    fn new(blows: Blows, seed: u64) -> Soak {
        let db = TestDb::migrated();
        let (host, port) = db.server();
        let state_dir = std::env::temp_dir().join(format!("rib-ingester-soak-{}", db.name()));
        let mut soak = Soak {
            proxy: Proxy::start(&host, port),
            db,
            state_dir,
            ingester: None,
            routers: (1..=ROUTERS).map(Model::new).collect(),
            dice: Dice(seed),
            generation: 0,
            blows,
            counts: BTreeMap::new(),
            fault: None,
        };
        for router in &mut soak.routers {
            for number in 0..PREFIXES / 2 {
                router.table.insert(number, 0);
            }
        }
        soak.start();
        soak.watch();
        soak
    }

    /// Watches of prefixes and addresses at random: what wrong they find in the end depends on what the routers do.
    fn watch(&mut self) {
        let mut watches = Vec::new();
        for number in 0..WATCHES {
            let which = self.dice.roll(PREFIXES);
            let prefix = prefix(which);
            let address = prefix.replace("0/24", "1");
            let router = format!("10.255.0.{}", 1 + self.dice.roll(ROUTERS));
            // Every route of the routers is of AS 64501.
            let origin = 64_501 + u32::from(self.dice.roll(4) == 0);
            watches.push(match self.dice.roll(4) {
                0 => format!("('w{number}', 'address', NULL, '{address}', '{{{origin}}}', NULL, 0, 0)"),
                1 => format!("('w{number}', 'prefix', '{prefix}', NULL, '{{{origin}}}', '{router}', 0, 0)"),
                2 => format!(
                    "('w{number}', 'prefix', '10.{}.{}.0/22', NULL, '{{{origin}}}', NULL, 0, 0)",
                    which >> 8,
                    which & 0xfc
                ),
                _ => format!("('w{number}', 'prefix', '{prefix}', NULL, '{{{origin}}}', NULL, 0, 0)"),
            });
        }
        let columns = "name, kind, prefix, address, expected_origins, router_id, open_after_secs, settle_secs";
        let values = watches.join(", ");
        self.db.client().batch_execute(&format!("INSERT INTO watch.watches ({columns}) VALUES {values}")).unwrap();
    }

    /// What the evaluator has found change by change is what one finds that looks at everything.
    fn check_watches(&self) {
        let evaluated = "SELECT (SELECT count(*) FROM watch.outbox), (SELECT count(*) FROM watch.judged),
                                count(DISTINCT v.router_id) FILTER (WHERE v.known AND v.since >= s.synced_at AND v.since >= b.began_at)
                         FROM watch.vantages v
                         JOIN rib_sync_status s ON (s.router_id, s.table_name) = (v.router_id, v.table_name)
                         JOIN bmp_sessions b ON b.router_id = v.router_id AND b.state = 'up'";
        eventually_equal(vec![format!("0|{WATCHES}|{ROUTERS}")], || self.db.rows(evaluated));
        let held = self.db.rows("SELECT condition, count(*) FROM watch.conditions GROUP BY 1 ORDER BY 1");
        let report = Evaluator::new("rib-ingester").round(&mut self.db.client()).unwrap();
        println!("conditions: {held:?}, missed: {}", report.missed);
        assert!(report.is_full && held.len() > 1, "{held:?}");
        assert_eq!(report.missed, 0, "{:?}", report.lines);
    }

    fn start(&mut self) {
        let url = self.db.url_at("127.0.0.1", self.proxy.port);
        let settings = [
            ("STATE_DIR", self.state_dir.to_str().unwrap()),
            ("BATCH_ROUTES", "500"),
            ("MAX_SESSIONS_PER_ADDRESS", "1000"),
            ("SHUTDOWN_TIMEOUT_SECS", "2"),
            ("LOG", "warn,rib_ingester::session::listener=info"),
        ];
        self.ingester = Some(Ingester::start(&url, &settings));
        for i in 0..self.routers.len() {
            self.reconnect(i);
            self.routers[i].dump(100);
        }
    }

    /// A new connection of one router, whose peers are up.
    fn reconnect(&mut self, router: usize) {
        let ingester = self.ingester.as_ref().unwrap();
        self.routers[router].connection = None;
        self.routers[router].connect(ingester);
    }

    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    fn step(&mut self, number: u32) {
        // Seconds of the per-peer header: no two events of different steps are the same.
        self.routers.iter_mut().for_each(|router| router.peer = router.peer.at(1_700_000_000 + number));
        self.end_fault(false);
        let router = usize::try_from(self.dice.roll(ROUTERS)).unwrap();
        match self.dice.roll(100) {
            0..=84 => {
                let Soak { routers, dice, generation, .. } = self;
                routers[router].churn(dice, generation);
            }
            85..=89 => self.flap(router),
            90..=91 if self.blows == Blows::None => self.go_down(router),
            92..=95 => self.deviate(router),
            96..=97 => self.hit_database(),
            _ if self.blows == Blows::Mortal => self.hit_collector(),
            _ => self.hit_database(),
        }
    }

    fn flap(&mut self, router: usize) {
        self.count("flaps");
        let Soak { routers, dice, generation, .. } = self;
        routers[router].change_unheard(dice, generation);
        self.reconnect(router);
        if self.dice.roll(3) == 0 {
            // It vanishes in the middle of its dump.
            let share = self.dice.roll(100);
            self.routers[router].dump(share);
            self.reconnect(router);
        }
        self.routers[router].dump(100);
    }

    fn go_down(&mut self, router: usize) {
        self.count("downs");
        let is_termination = self.dice.roll(2) == 0;
        let model = &mut self.routers[router];
        if is_termination {
            model.send(&bmp::termination(0));
            model.all_gone();
            self.reconnect(router);
        } else {
            model.send(&bmp::peer_down(model.peer, 1));
            model.all_gone();
            model.peer_up();
        }
        self.routers[router].dump(100);
    }

    /// Messages that no router should send, and that change nothing.
    fn deviate(&mut self, router: usize) {
        self.count("deviations");
        let kind = self.dice.roll(5);
        let model = &mut self.routers[router];
        let open = Open::of(64_500, &model.peer.bgp_id.to_string());
        let bytes = match kind {
            0 => bmp::route_monitoring(model.peer, &[0xff; 40]),
            1 => bmp::route_monitoring(model.peer, &bmp::end_of_rib_ipv4()),
            2 => bmp::message(200, b"from the future"),
            3 => bmp::peer_up(model.peer, &open, Some("global")),
            _ => bmp::peer_down(Peer::global_instance("192.0.2.77", 64_999), 1),
        };
        model.send(&bytes);
    }

    fn hit_database(&mut self) {
        // Available most of the time: a writer's pauses grow with every attempt that fails.
        if self.fault.is_some() || self.dice.roll(8) != 0 {
            return;
        }
        let name = self.db.name().to_owned();
        let repair = match self.dice.roll(5) {
            0 => {
                self.proxy.is_down.store(true, Ordering::SeqCst);
                self.count("outages");
                ""
            }
            1 => {
                self.terminate_backends();
                self.count("killed connections");
                ""
            }
            2 => {
                self.admin(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on"));
                self.terminate_backends();
                self.count("read-only times");
                "RESET default_transaction_read_only"
            }
            3 => {
                self.admin(&format!("ALTER DATABASE {name} CONNECTION LIMIT 0"));
                self.terminate_backends();
                self.count("times without a free connection");
                "CONNECTION LIMIT -1"
            }
            _ => {
                let swallow = 1 + self.dice.roll(3);
                self.proxy.swallow.fetch_add(usize::try_from(swallow).unwrap(), Ordering::SeqCst);
                self.count("times with unheard commits");
                ""
            }
        };
        let duration = Duration::from_millis(u64::from(100 + self.dice.roll(3_000)));
        self.fault = Some((Instant::now() + duration, repair));
    }

    fn end_fault(&mut self, now: bool) {
        let Some((until, repair)) = self.fault else { return };
        if now || Instant::now() >= until {
            self.proxy.is_down.store(false, Ordering::SeqCst);
            if !repair.is_empty() {
                let name = self.db.name().to_owned();
                self.admin(&format!("ALTER DATABASE {name} {repair}"));
            }
            self.fault = None;
        }
    }

    /// The number of changes of all routers that were sent after the newest one in the database, of the router that is
    /// furthest behind.
    fn behind(&self) -> u32 {
        let stored: BTreeMap<String, u32> = self
            .db
            .rows("SELECT router_id, max(med) FROM current_routes GROUP BY 1")
            .iter()
            .filter_map(|row| row.split_once('|').map(|(id, med)| (id.to_owned(), med.parse().unwrap())))
            .collect();
        let behind = |router: &Model| {
            let said = router.stored.values().max().copied().unwrap_or(0);
            said.saturating_sub(stored.get(&router.peer.bgp_id.to_string()).copied().unwrap_or(0))
        };
        self.routers.iter().map(behind).max().unwrap()
    }

    fn wait_for_collector(&mut self) {
        let (mut least, mut moved) = (u32::MAX, Instant::now());
        loop {
            self.end_fault(false);
            // A faulty database cannot be asked.
            let behind = if self.fault.is_some() { u32::MAX } else { self.behind() };
            if behind <= BEHIND_MAX {
                return;
            }
            if behind < least {
                (least, moved) = (behind, Instant::now());
            }
            assert!(moved.elapsed() < PATIENCE, "the collector does not catch up: {least} changes behind");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// As the database's owner, over a connection that is not faulty.
    fn admin(&self, sql: &str) {
        let url = std::env::var("RIB_INGESTER_TEST_DATABASE_URL").unwrap();
        postgres::Client::connect(&url, postgres::NoTls).unwrap().batch_execute(sql).unwrap();
    }

    fn terminate_backends(&self) {
        let name = self.db.name();
        self.admin(&format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}' AND usename = current_user"
        ));
    }

    fn hit_collector(&mut self) {
        let ingester = self.ingester.take().unwrap();
        if self.dice.roll(4) == 0 {
            self.count("stops");
            assert!(ingester.stop().success(), "something was given up at a stop");
        } else {
            self.count("kills");
            ingester.kill();
        }
        // The port opens when the database has been reached.
        self.end_fault(true);
        let Soak { routers, dice, generation, .. } = self;
        routers.iter_mut().for_each(|router| router.change_unheard(dice, generation));
        self.start();
    }

    fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.ingester.as_ref().unwrap().id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// The `first_seen` of the routes that are never withdrawn.
    fn first_seen(&self) -> Vec<String> {
        let faithful: Vec<String> = (0..FAITHFUL).map(|number| format!("'{}'", prefix(number))).collect();
        self.db.rows(&format!(
            "SELECT router_id, prefix, first_seen FROM current_routes WHERE prefix IN ({}) ORDER BY 1, 2",
            faithful.join(", ")
        ))
    }

    fn check(&mut self) {
        self.end_fault(true);
        self.proxy.swallow.store(0, Ordering::SeqCst);
        for router in &self.routers {
            let id = router.peer.bgp_id;
            let routes: Vec<String> =
                router.table.iter().map(|(number, generation)| format!("{}|{generation}", prefix(*number))).collect();
            let stored = || {
                self.db
                    .rows(&format!("SELECT prefix, med FROM current_routes WHERE router_id = '{id}' ORDER BY prefix"))
            };
            eventually_equal(routes, stored);
        }
        eventually_equal(vec!["4".to_owned()], || self.db.rows("SELECT count(*) FROM rib_sync_status WHERE eor_seen"));
        let total: i64 = self.routers.iter().map(|router| router.events).sum();
        if self.blows == Blows::None {
            let said = self.routers.iter().map(|router| format!("{}|{}", router.peer.bgp_id, router.events)).collect();
            let stored = "SELECT router_id, count(*) FROM route_events GROUP BY 1 ORDER BY 1";
            eventually_equal(said, || self.db.rows(stored));
        }
        let twice = "SELECT count(*) - count(DISTINCT event_id) FROM route_events";
        assert_eq!(self.db.rows(twice), ["0"], "events stored twice");
        let gaps = "SELECT reason FROM session_events WHERE kind = 'gap'";
        assert_eq!(self.db.rows(gaps), [""; 0]);
        println!("events: {}, said: {total}", self.db.rows("SELECT count(*) FROM route_events")[0]);
    }
}

impl Drop for Soak {
    fn drop(&mut self) {
        self.end_fault(true);
        let _ = std::fs::remove_dir_all(&self.state_dir);
    }
}

fn from_environment(name: &str) -> Option<u64> {
    let value = std::env::var(format!("RIB_INGESTER_TEST_SOAK_{name}")).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("RIB_INGESTER_TEST_SOAK_{name}={value}: no whole number")))
}

fn soak(blows: Blows) {
    let seconds = from_environment("SECS").unwrap_or(20);
    let seed = from_environment("SEED").unwrap_or_else(|| u64::from(std::process::id()));
    println!("soak: {seconds} s, seed {seed}");
    let mut soak = Soak::new(blows, seed);
    let (begin, mut number) = (Instant::now(), 0);
    let (mut early, mut born) = (None, None);
    if blows == Blows::Mortal {
        soak.check();
        born = Some(soak.first_seen());
    }
    while begin.elapsed() < Duration::from_secs(seconds) {
        number += 1;
        soak.step(number);
        if number.is_multiple_of(100) {
            soak.wait_for_collector();
        }
        if early.is_none() && begin.elapsed() > Duration::from_secs(seconds / 3) {
            early = Some(soak.resident_kib());
        }
        // Routers are not that fast, and the test must see the collector in all states, not only behind.
        std::thread::sleep(Duration::from_millis(10));
    }
    soak.check();
    soak.check_watches();
    if blows == Blows::Mortal {
        assert_eq!(soak.first_seen(), born.unwrap(), "first_seen of routes that never went");
    }
    let (early, late) = (early.unwrap(), soak.resident_kib());
    println!("steps: {number}, {:?}, memory {early} KiB after a third, {late} KiB at the end", soak.counts);
    if blows == Blows::None {
        assert!(late < early + early / 2 + 65_536, "memory grew from {early} to {late} KiB");
    }
    assert!(soak.ingester.take().unwrap().stop().success());
}

#[test]
fn routers_and_database_at_their_worst_cost_no_event() {
    soak(Blows::None);
}

#[test]
fn a_collector_killed_at_any_moment_ends_complete() {
    soak(Blows::Mortal);
}
