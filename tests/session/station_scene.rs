//! A router with two stations: two collectors on one database, each behind a proxy that can be cut.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::common::bmp::{self, Attributes, Open, Peer};
use crate::common::ingester::{FakeRouter, Ingester, eventually, eventually_equal};
use crate::common::pg::TestDb;
use crate::common::proxy::Proxy;

pub const ROUTER: &str = "10.255.0.1";
pub const NAMES: [&str; 2] = ["one", "two"];

/// The longest time that a take-over may take, seconds.
const TAKE_OVER_MAX: f64 = 10.0;

fn prefix(number: u32) -> String {
    format!("10.{}.{}.0/24", number >> 8, number & 0xff)
}

/// A router that reports its Loc-RIB to two stations, and connects again where it was cut off.
pub struct Router {
    /// The MED of each route, and the second in which it was learned.
    pub routes: BTreeMap<u32, (u32, u32)>,
    /// A different MED for each change: an event that is stored twice shows.
    med: u32,
    /// The second of its time stamps; 0: it sends none.
    clock: u32,
    /// True if no route changes.
    pub quiet: bool,
    pub links: [Option<FakeRouter>; 2],
    /// The number of sessions with each station.
    pub sessions: [u32; 2],
}

impl Router {
    pub fn new(has_clock: bool) -> Router {
        let clock = if has_clock { 1_790_000_000 } else { 0 };
        let routes = (0..50).map(|number| (number, (0, clock))).collect();
        Router { routes, med: 0, clock, quiet: false, links: [None, None], sessions: [0, 0] }
    }

    pub fn peer(&self) -> Peer {
        Peer::loc_rib(ROUTER).at(self.clock)
    }

    pub fn announcement(&self, number: u32) -> Vec<u8> {
        let (med, second) = self.routes[&number];
        let attributes = Attributes { med: Some(med), ..Attributes::path(&[64_500, 64_501]) };
        bmp::route_monitoring(self.peer().at(second), &bmp::announce(&attributes, "192.0.2.1", &[&prefix(number)]))
    }

    /// Connects to a station and sends it the dump.
    pub fn connect(&mut self, station: usize, collector: &Ingester) {
        let mut link = collector.connect();
        link.send_or_be_cut(&bmp::initiation(b"edge1", b""));
        link.send_or_be_cut(&bmp::peer_up(self.peer(), &Open::of(64_500, ROUTER), Some("global")));
        self.routes.keys().for_each(|number| link.send_or_be_cut(&self.announcement(*number)));
        for update in [bmp::end_of_rib_ipv4(), bmp::end_of_rib(2, 1)] {
            link.send_or_be_cut(&bmp::route_monitoring(self.peer(), &update));
        }
        self.links[station] = Some(link);
        self.sessions[station] += 1;
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.links.iter_mut().flatten().for_each(|link| link.send_or_be_cut(bytes));
    }

    /// Changes a route, and tells both stations.
    pub fn change(&mut self) {
        if self.quiet {
            return;
        }
        self.med += 1;
        self.clock += u32::from(self.clock > 0);
        let (number, med) = (self.med * 7 % 60, self.med);
        if self.med.is_multiple_of(5) && self.routes.remove(&number).is_some() {
            let withdrawal = bmp::route_monitoring(self.peer(), &bmp::withdraw(&[&prefix(number)]));
            return self.send(&withdrawal);
        }
        self.routes.insert(number, (med, self.clock));
        let announcement = self.announcement(number);
        self.send(&announcement);
    }

    pub fn table(&self) -> Vec<String> {
        let mut rows: Vec<String> =
            self.routes.iter().map(|(number, (med, _))| format!("{}|{med}", prefix(*number))).collect();
        rows.sort();
        rows
    }
}

/// The database, its two collectors, and the router.
pub struct Scene {
    pub db: TestDb,
    pub collectors: [Option<Ingester>; 2],
    pub router: Router,
    /// The way of each collector to the database.
    proxies: [Proxy; 2],
    folder: PathBuf,
    window: &'static str,
}

impl Scene {
    /// Both collectors run, and the router is connected to the first one, then to both.
    pub fn new(has_clock: bool) -> Scene {
        Scene::with_window(has_clock, "120")
    }

    /// The same with so many seconds of `STANDBY_WINDOW_SECS`.
    pub fn with_window(has_clock: bool, window: &'static str) -> Scene {
        let db = TestDb::migrated();
        let (host, port) = db.server();
        let proxies = [0, 1].map(|_| Proxy::start(&host, port));
        let folder = std::env::temp_dir().join(format!("rib-ingester-stations-{}", db.name()));
        let mut scene = Scene { db, collectors: [None, None], router: Router::new(has_clock), proxies, folder, window };
        [0, 1].into_iter().for_each(|station| scene.start(station));
        scene.connect(0);
        scene.settle();
        scene.connect(1);
        scene.standby_at(1);
        scene
    }

    pub fn start(&mut self, station: usize) {
        let folder = self.folder.join(NAMES[station]);
        let settings = [
            ("COLLECTOR_ID", NAMES[station]),
            ("STATE_DIR", folder.to_str().unwrap()),
            ("STANDBY_WINDOW_SECS", self.window),
        ];
        let url = self.db.url_at("127.0.0.1", self.proxies[station].port);
        self.collectors[station] = Some(Ingester::start(&url, &settings));
    }

    /// The folder of a collector's journal.
    pub fn journal(&self, station: usize) -> PathBuf {
        self.folder.join(NAMES[station]).join("journal")
    }

    /// Cuts a collector off from the database, or joins it again.
    pub fn cut(&self, station: usize, is_down: bool) {
        self.proxies[station].is_down.store(is_down, Ordering::SeqCst);
    }

    /// Kills a collector, which keeps its journal.
    pub fn kill(&mut self, station: usize) {
        self.collectors[station].take().unwrap().kill();
        self.router.links[station] = None;
    }

    pub fn collector(&self, station: usize) -> &Ingester {
        self.collectors[station].as_ref().unwrap()
    }

    pub fn connect(&mut self, station: usize) {
        self.router.connect(station, self.collectors[station].as_ref().unwrap());
    }

    /// The router reconnects where it was cut off and a collector runs that is not frozen, and changes a route.
    pub fn live(&mut self, frozen: Option<usize>) {
        for station in [0, 1] {
            let is_gone = self.router.links[station].as_mut().is_none_or(FakeRouter::is_gone);
            if self.collectors[station].is_some() && frozen != Some(station) && is_gone {
                self.connect(station);
            }
        }
        self.router.change();
    }

    pub fn owner(&self) -> String {
        self.db.rows("SELECT collector_id FROM router_owner").concat()
    }

    /// Lets the router change routes until `check`.
    pub fn live_until(&mut self, what: &str, frozen: Option<usize>, mut check: impl FnMut(&mut Scene) -> bool) {
        eventually(what, || {
            self.live(frozen);
            check(self).then_some(())
        });
    }

    /// Lets the router change routes until a collector has it, which must not take long.
    pub fn taken_by(&mut self, station: usize, frozen: Option<usize>) -> f64 {
        let begun = Instant::now();
        self.live_until("the other collector takes the router", frozen, |scene| scene.owner() == NAMES[station]);
        let took = begun.elapsed().as_secs_f64();
        assert!(took <= TAKE_OVER_MAX, "{took} s");
        took
    }

    pub fn standby_at(&self, station: usize) {
        let sql = format!(
            "SELECT count(*) FROM bmp_sessions WHERE state = 'standby' AND collector_id = '{}'",
            NAMES[station]
        );
        eventually_equal(vec!["1".to_owned()], || self.db.rows(&sql));
    }

    /// The stored table becomes the router's, and its dump is complete.
    pub fn settle_routes(&mut self) {
        let want = self.router.table();
        let table = "SELECT prefix, med FROM current_routes ORDER BY prefix::text COLLATE \"C\"";
        eventually_equal(want, || {
            let mut rows = self.db.rows(table);
            rows.sort();
            rows
        });
        let dumping = "SELECT count(*) FROM rib_sync_status WHERE synced_at IS NULL OR stale_since IS NOT NULL";
        eventually_equal(vec!["0".to_owned()], || self.db.rows(dumping));
    }

    /// The same, and no event is stored twice.
    pub fn settle(&mut self) {
        self.settle_routes();
        let twice =
            "SELECT prefix, med, count(*) FROM route_events WHERE action = 'A' GROUP BY 1, 2 HAVING count(*) > 1";
        assert_eq!(self.db.rows(twice), [""; 0]);
        let gone_twice = "SELECT prefix FROM
                 (SELECT prefix, action, lag(action) OVER (PARTITION BY prefix ORDER BY ingest_time) AS before
                  FROM route_events) e
             WHERE action = 'D' AND before = 'D'";
        assert_eq!(self.db.rows(gone_twice), [""; 0]);
        // Every route is what its last event says.
        let differs = "SELECT prefix FROM
                 (SELECT DISTINCT ON (prefix) prefix, action, med FROM route_events ORDER BY prefix, ingest_time DESC) e
             FULL JOIN current_routes c USING (prefix)
             WHERE (CASE WHEN e.action = 'A' THEN e.med END) IS DISTINCT FROM c.med";
        assert_eq!(self.db.rows(differs), [""; 0]);
    }

    /// The kinds of rows about sessions, each with its reason.
    pub fn story(&self) -> Vec<String> {
        self.db.rows(
            "SELECT kind, reason FROM session_events
             WHERE kind IN ('session_up', 'session_lost', 'session_closed', 'collector_stopped', 'terminated') ORDER BY id",
        )
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rib-ingester"));
        command.args(arguments).env_clear().env("RIB_INGESTER_DATABASE_URL", self.db.url()).output().unwrap()
    }

    pub fn stop(mut self) {
        for collector in self.collectors.iter_mut().filter_map(Option::take) {
            assert!(collector.stop().success());
        }
        assert_eq!(self.db.wrong_counts(), [""; 0]);
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
