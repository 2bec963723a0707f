//! `kill -9`, aimed: a lock is held until the collector is known to be in the middle of an operation, then released,
//! and a random moment later the collector is killed. After the router's next session its table is in the database, no
//! event is there twice, and routes that were never withdrawn keep their age.
//!
//! `RIB_INGESTER_TEST_KILLS` sets the number of kills, `RIB_INGESTER_TEST_KILLS_SEED` the seed: a hundred of them with
//! `RIB_INGESTER_TEST_KILLS=100 cargo test --test session kills:: -- --nocapture`.
#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::common::bmp::{self, Attributes, Open, Peer};
use crate::common::dice::Dice;
use crate::common::ingester::{FakeRouter, Ingester, eventually, eventually_equal};
use crate::common::pg::TestDb;
use crate::common::proxy::Proxy;
use crate::common::server::Folder;
use jiff::civil::{Date, date};
use rib_ingester::store::partitions;

/// Prefixes that the router may have; the first [`FAITHFUL`] are never withdrawn.
const PREFIXES: u32 = 1000;
const FAITHFUL: u32 = 50;

/// A day whose retention is over.
const OLD: Date = date(2020, 1, 1);

/// The longest time between the release of the lock and a kill.
const DELAY_MAX: Duration = Duration::from_millis(60);

/// The target of a kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Aim {
    Migration,
    Dump,
    Churn,
    Purge,
    Rotation,
    Summary,
    Replay,
}

const AIMS: [Aim; 7] = [Aim::Migration, Aim::Dump, Aim::Churn, Aim::Purge, Aim::Rotation, Aim::Summary, Aim::Replay];

/// A database, and the router whose table it has.
struct Scene {
    db: TestDb,
    proxy: Proxy,
    state_dir: Folder,
    peer: Peer,
    /// The router's table: prefix to MED.
    table: BTreeMap<u32, u32>,
    generation: u32,
    dice: Dice,
}

fn prefix(number: u32) -> String {
    format!("10.{}.{}.0/24", number >> 8, number & 0xff)
}

/// Bytes of all segments.
fn journaled(state_dir: &Path) -> u64 {
    let streams = std::fs::read_dir(state_dir.join("journal")).into_iter().flatten().flatten();
    let files = streams.flat_map(|stream| std::fs::read_dir(stream.path()).into_iter().flatten().flatten());
    let segments = files.filter(|file| file.path().extension().is_some_and(|extension| extension == "segment"));
    segments.filter_map(|segment| Some(segment.metadata().ok()?.len())).sum()
}

/// Whether nothing is left of sessions of earlier processes: the router's own is there.
fn is_replayed(state_dir: &Path) -> bool {
    let streams = std::fs::read_dir(state_dir.join("journal")).into_iter().flatten().flatten();
    streams.filter(|entry| entry.path().is_dir()).count() <= 1
}

impl Scene {
    fn new(seed: u64) -> Scene {
        let db = TestDb::migrated();
        let (host, port) = db.server();
        let (proxy, state_dir, peer) = (Proxy::start(&host, port), Folder::new(), Peer::loc_rib("10.255.0.1"));
        let table = (0..PREFIXES / 2).map(|number| (number, 0)).collect();
        Scene { db, proxy, state_dir, peer, table, generation: 0, dice: Dice(seed) }
    }

    fn spawn(&self) -> Ingester {
        let settings = [
            ("STATE_DIR", self.state_dir.path().to_str().unwrap()),
            ("BATCH_ROUTES", "100"),
            ("MAINTENANCE_INTERVAL_SECS", "5"),
            ("MAX_SESSIONS_PER_ADDRESS", "1000"),
        ];
        Ingester::spawn(&self.db.url_at("127.0.0.1", self.proxy.port), &settings)
    }

    fn start(&self) -> (Ingester, FakeRouter) {
        let mut ingester = self.spawn();
        let address = ingester.address_logged("waiting for routers on ");
        (ingester, FakeRouter::connect(address))
    }

    fn greet(&mut self, router: &mut FakeRouter) {
        self.generation += 1;
        self.peer = self.peer.at(1_700_000_000 + self.generation);
        let open = Open::of(64_500, &self.peer.bgp_id.to_string());
        router.send_or_be_cut(&bmp::initiation(b"edge1", b""));
        router.send_or_be_cut(&bmp::peer_up(self.peer, &open, Some("global")));
    }

    /// The router's table and its End-of-RIB.
    fn dump(&mut self, router: &mut FakeRouter) {
        self.greet(router);
        let mut bytes = Vec::new();
        for (number, med) in &self.table {
            bytes.extend(self.announce(*number, *med));
        }
        bytes.extend(bmp::route_monitoring(self.peer, &bmp::end_of_rib_ipv4()));
        router.send_or_be_cut(&bytes);
    }

    fn announce(&self, number: u32, med: u32) -> Vec<u8> {
        let attributes = Attributes { med: Some(med), ..Attributes::path(&[64_500, 64_501]) };
        bmp::route_monitoring(self.peer, &bmp::announce(&attributes, "192.0.2.1", &[&prefix(number)]))
    }

    /// Changes some of the router's table; returns the messages that announce the changes.
    fn churn(&mut self) -> Vec<u8> {
        self.generation += 1;
        self.peer = self.peer.at(1_700_000_000 + self.generation);
        let mut bytes = Vec::new();
        for _ in 0..PREFIXES / 4 {
            let number = self.dice.roll(PREFIXES);
            if number >= FAITHFUL && self.dice.roll(3) == 0 {
                self.table.remove(&number);
                bytes.extend(bmp::route_monitoring(self.peer, &bmp::withdraw(&[&prefix(number)])));
            } else {
                self.table.insert(number, self.generation);
                bytes.extend(self.announce(number, self.generation));
            }
        }
        bytes
    }

    /// A session that sends the whole table, and the resulting rows of the database.
    fn is_whole(&mut self) {
        let (ingester, mut router) = self.start();
        let dumps = self.dumps();
        self.dump(&mut router);
        let routes: Vec<String> = self.table.iter().map(|(number, med)| format!("{}|{med}", prefix(*number))).collect();
        eventually("the dump to be over", || (self.dumps() > dumps).then_some(()));
        eventually_equal(routes, || self.db.rows("SELECT prefix, med FROM current_routes ORDER BY prefix"));
        eventually_equal(vec!["t".to_owned()], || self.db.rows("SELECT eor_seen FROM rib_sync_status WHERE afi = 4"));
        let old = format!("SELECT to_regclass('{}') IS NULL", partitions::name_of(OLD));
        eventually_equal(vec!["t".to_owned()], || self.db.rows(&old));
        eventually("earlier input to be stored", || is_replayed(self.state_dir.path()).then_some(()));
        assert_eq!(self.db.rows("SELECT count(*) - count(DISTINCT event_id) FROM route_events"), ["0"]);
        assert_eq!(self.db.wrong_counts(), [""; 0]);
        assert_eq!(ingester.count_logged("route_counts differed"), 0, "maintenance had something to correct");
        assert!(ingester.stop().success());
    }

    /// The number of dumps that are over.
    fn dumps(&self) -> i64 {
        self.db.rows("SELECT count(*) FROM session_events WHERE kind = 'end_of_rib'")[0].parse().unwrap()
    }

    fn first_seen(&self) -> Vec<String> {
        let faithful: Vec<String> = (0..FAITHFUL).map(|number| format!("'{}'", prefix(number))).collect();
        let faithful = faithful.join(", ");
        self.db.rows(&format!("SELECT prefix, first_seen FROM current_routes WHERE prefix IN ({faithful}) ORDER BY 1"))
    }

    /// Holds what `lock` locks while `work` makes the collector's `thread` want it, releases it, and kills soon after.
    fn kill_behind(
        &mut self,
        lock: &str,
        thread: &str,
        work: impl FnOnce(&mut Scene) -> (Ingester, Option<FakeRouter>),
    ) {
        let mut holder = self.db.client();
        let mut transaction = holder.transaction().unwrap();
        transaction.batch_execute(lock).unwrap();
        let (ingester, router) = work(self);
        // The migration's lock is requested repeatedly, so that its holder is known.
        let waiting = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
             AND (wait_event_type = 'Lock' OR query LIKE '%pg_try_advisory_lock%' OR query LIKE '%pg_locks%')
             AND application_name ~ '^rib-ingester/{thread}'"
        );
        eventually("the collector to stand there", || (self.db.rows(&waiting) != ["0"]).then_some(()));
        transaction.commit().unwrap();
        std::thread::sleep(DELAY_MAX * self.dice.roll(100) / 100);
        ingester.kill();
        drop(router);
    }

    fn kill(&mut self, aim: Aim) {
        match aim {
            // "ribmigr" in ASCII: the migration's own lock.
            Aim::Migration => {
                self.kill_behind("SELECT pg_advisory_xact_lock(x'7269626d696772'::bigint)", "start", |scene| {
                    (scene.spawn(), None)
                })
            }
            Aim::Dump => self.kill_behind("LOCK TABLE current_routes IN SHARE MODE", "state", |scene| {
                let (ingester, mut router) = scene.start();
                drop(scene.churn());
                scene.dump(&mut router);
                (ingester, Some(router))
            }),
            Aim::Churn => self.kill_behind("LOCK TABLE route_events IN SHARE MODE", "events", |scene| {
                let (ingester, mut router) = scene.start();
                scene.dump(&mut router);
                for _ in 0..3 {
                    let changes = scene.churn();
                    router.send_or_be_cut(&changes);
                }
                (ingester, Some(router))
            }),
            Aim::Purge => {
                // The last of the routes that the dump will not repeat.
                let stale = *self.table.keys().last().unwrap();
                self.table.retain(|number, _| *number < FAITHFUL || number % 3 == 1 && *number != stale);
                let lock = format!("SELECT * FROM current_routes WHERE prefix = '{}' FOR UPDATE", prefix(stale));
                self.kill_behind(&lock, "state", |scene| {
                    let (ingester, mut router) = scene.start();
                    scene.dump(&mut router);
                    (ingester, Some(router))
                });
            }
            Aim::Rotation => {
                partitions::ensure(&mut self.db.client(), OLD).unwrap();
                let reader = format!("SELECT count(*) FROM {}", partitions::name_of(OLD));
                self.kill_behind(&reader, "maintenance", |scene| (scene.spawn(), None));
            }
            Aim::Summary => {
                let lock = "LOCK TABLE current_routes IN ACCESS EXCLUSIVE MODE";
                self.kill_behind(lock, "maintenance", |scene| (scene.spawn(), None));
            }
            Aim::Replay => {
                let (ingester, mut router) = self.start();
                let dumps = self.dumps();
                self.dump(&mut router);
                eventually("the dump to be over", || (self.dumps() > dumps).then_some(()));
                self.proxy.is_down.store(true, Ordering::SeqCst);
                // The database may have some of the dump already.
                let before = journaled(self.state_dir.path());
                while journaled(self.state_dir.path()) < before + 10_000 {
                    let changes = self.churn();
                    router.send(&changes);
                }
                ingester.kill();
                self.proxy.is_down.store(false, Ordering::SeqCst);
                self.kill_behind("LOCK TABLE route_events IN SHARE MODE", "events", |scene| (scene.spawn(), None));
            }
        }
    }
}

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(format!("RIB_INGESTER_TEST_{name}")).ok()?.parse().ok()
}

#[test]
fn a_collector_killed_at_work_leaves_nothing_partial() {
    let kills = from_environment("KILLS").unwrap_or(7);
    let seed = from_environment("KILLS_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    println!("{kills} kills, seed {seed}");
    let mut counts = BTreeMap::<Aim, u32>::new();
    let mut scene = Scene::new(seed);
    scene.is_whole();
    let mut born = scene.first_seen();
    for number in 0..kills {
        let aim = AIMS[usize::try_from(number).unwrap() % AIMS.len()];
        println!("kill {number}: {aim:?}");
        if aim == Aim::Migration {
            // A database that is still empty.
            scene = Scene::new(seed + number);
        }
        scene.kill(aim);
        scene.is_whole();
        *counts.entry(aim).or_default() += 1;
        match aim {
            Aim::Migration => born = scene.first_seen(),
            _ => assert_eq!(scene.first_seen(), born, "the age of routes that never went"),
        }
    }
    println!("{kills} kills: {counts:?}");
}
