//! One router with two stations: two collectors on one database, of which one has the router and the other stands by.
#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::process::{Command, Output};
use std::time::Instant;

use crate::common::bmp::{self, Attributes, Open, Peer};
use crate::common::ingester::{FakeRouter, Ingester, eventually, eventually_equal};
use crate::common::pg::TestDb;

const ROUTER: &str = "10.255.0.1";
const NAMES: [&str; 2] = ["one", "two"];

/// The longest time that a take-over may take, seconds.
const TAKE_OVER_MAX: u64 = 10;

fn prefix(number: u32) -> String {
    format!("10.{}.{}.0/24", number >> 8, number & 0xff)
}

/// A router that reports its Loc-RIB to two stations, and connects again where it was cut off.
struct Router {
    /// The MED of each route, and the second in which it was learned.
    routes: BTreeMap<u32, (u32, u32)>,
    /// A different MED for each change: an event that is stored twice shows.
    med: u32,
    /// The second of its time stamps; 0: it sends none.
    clock: u32,
    links: [Option<FakeRouter>; 2],
    /// The number of sessions with each station.
    sessions: [u32; 2],
}

impl Router {
    fn new(has_clock: bool) -> Router {
        let clock = if has_clock { 1_790_000_000 } else { 0 };
        let routes = (0..50).map(|number| (number, (0, clock))).collect();
        Router { routes, med: 0, clock, links: [None, None], sessions: [0, 0] }
    }

    fn peer(&self) -> Peer {
        Peer::loc_rib(ROUTER).at(self.clock)
    }

    fn announcement(&self, number: u32) -> Vec<u8> {
        let (med, second) = self.routes[&number];
        let attributes = Attributes { med: Some(med), ..Attributes::path(&[64_500, 64_501]) };
        bmp::route_monitoring(self.peer().at(second), &bmp::announce(&attributes, "192.0.2.1", &[&prefix(number)]))
    }

    /// Connects to a station and sends it the dump.
    fn connect(&mut self, station: usize, collector: &Ingester) {
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

    fn send(&mut self, bytes: &[u8]) {
        self.links.iter_mut().flatten().for_each(|link| link.send_or_be_cut(bytes));
    }

    /// Changes a route, and tells both stations.
    fn change(&mut self) {
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

    fn table(&self) -> Vec<String> {
        let mut rows: Vec<String> =
            self.routes.iter().map(|(number, (med, _))| format!("{}|{med}", prefix(*number))).collect();
        rows.sort();
        rows
    }
}

/// The database, its two collectors, and the router.
struct Scene {
    db: TestDb,
    collectors: [Option<Ingester>; 2],
    router: Router,
}

impl Scene {
    /// Both collectors run, and the router is connected to the first one, then to both.
    fn new(has_clock: bool) -> Scene {
        let db = TestDb::migrated();
        let collectors = NAMES.map(|name| Some(start(&db, name)));
        let mut scene = Scene { db, collectors, router: Router::new(has_clock) };
        scene.connect(0);
        scene.settle();
        scene.connect(1);
        scene.standby_at(1);
        scene
    }

    fn collector(&self, station: usize) -> &Ingester {
        self.collectors[station].as_ref().unwrap()
    }

    fn connect(&mut self, station: usize) {
        self.router.connect(station, self.collectors[station].as_ref().unwrap());
    }

    /// The router reconnects where it was cut off and a collector runs that is not frozen, and changes a route.
    fn live(&mut self, frozen: Option<usize>) {
        for station in [0, 1] {
            let is_gone = self.router.links[station].as_mut().is_none_or(FakeRouter::is_gone);
            if self.collectors[station].is_some() && frozen != Some(station) && is_gone {
                self.connect(station);
            }
        }
        self.router.change();
    }

    fn owner(&self) -> String {
        self.db.rows("SELECT collector_id FROM router_owner").concat()
    }

    /// Lets the router change routes until `check`.
    fn live_until(&mut self, what: &str, frozen: Option<usize>, mut check: impl FnMut(&mut Scene) -> bool) {
        eventually(what, || {
            self.live(frozen);
            check(self).then_some(())
        });
    }

    /// Lets the router change routes until a collector has it, which must not take long.
    fn taken_by(&mut self, station: usize, frozen: Option<usize>) {
        let begun = Instant::now();
        self.live_until("the other collector takes the router", frozen, |scene| scene.owner() == NAMES[station]);
        let took = begun.elapsed().as_secs();
        assert!(took <= TAKE_OVER_MAX, "{took} s");
    }

    fn standby_at(&self, station: usize) {
        let sql = format!(
            "SELECT count(*) FROM bmp_sessions WHERE state = 'standby' AND collector_id = '{}'",
            NAMES[station]
        );
        eventually_equal(vec!["1".to_owned()], || self.db.rows(&sql));
    }

    /// The stored table becomes the router's, its dump is complete, and no event is stored twice.
    fn settle(&mut self) {
        let want = self.router.table();
        let table = "SELECT prefix, med FROM current_routes ORDER BY prefix::text COLLATE \"C\"";
        eventually_equal(want, || {
            let mut rows = self.db.rows(table);
            rows.sort();
            rows
        });
        let dumping = "SELECT count(*) FROM rib_sync_status WHERE synced_at IS NULL OR stale_since IS NOT NULL";
        eventually_equal(vec!["0".to_owned()], || self.db.rows(dumping));
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
    fn story(&self) -> Vec<String> {
        self.db.rows(
            "SELECT kind, reason FROM session_events
             WHERE kind IN ('session_up', 'session_lost', 'session_closed', 'collector_stopped', 'terminated') ORDER BY id",
        )
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rib-ingester"));
        command.args(arguments).env_clear().env("RIB_INGESTER_DATABASE_URL", self.db.url()).output().unwrap()
    }

    fn stop(self) {
        for collector in self.collectors.into_iter().flatten() {
            assert!(collector.stop().success());
        }
        assert_eq!(self.db.wrong_counts(), [""; 0]);
    }
}

fn start(db: &TestDb, name: &str) -> Ingester {
    Ingester::start(&db.url(), &[("COLLECTOR_ID", name)])
}

const UP: &str = "session_up|-";

#[test]
fn two_live_sessions_leave_the_router_where_it_is() {
    let mut scene = Scene::new(true);
    let beats = |db: &TestDb| db.rows("SELECT alive_until FROM collectors ORDER BY collector_id");
    // For some heartbeats of both.
    for _ in 0..4 {
        let before = beats(&scene.db);
        scene.live_until("both are alive", None, |scene| {
            beats(&scene.db).iter().zip(&before).all(|(now, before)| now != before)
        });
    }
    scene.settle();
    assert_eq!((scene.owner(), scene.router.sessions), ("one".to_owned(), [1, 1]));
    assert_eq!(scene.story(), [UP]);
    let sessions = "SELECT collector_id, state, reason FROM bmp_sessions ORDER BY collector_id";
    assert_eq!(scene.db.rows(sessions), ["one|up|-", "two|standby|collector one has the router"]);
    // Both say so.
    assert_eq!(scene.collector(1).count_logged("stands by: collector one has the router"), 1);
    let status = String::from_utf8(scene.run(&["status"]).stdout).unwrap();
    assert!(status.contains("stand-by") && status.contains("two"), "{status}");
    for (station, count) in [(0, 0), (1, 1)] {
        let collector = scene.collectors[station].as_mut().unwrap();
        let metrics = collector.get("/metrics").2;
        assert!(metrics.contains(&format!("\nrib_ingester_standby_sessions {count}\n")), "{metrics}");
        assert!(collector.browse("/").2.contains("stand-by two"));
    }
    // What the stand-by reads is nowhere.
    let journal = std::fs::read_dir(scene.collector(1).state_dir().join("journal")).unwrap();
    assert_eq!(journal.filter(|entry| entry.as_ref().unwrap().path().is_dir()).count(), 0);
    // It ends with its connection, and nobody takes anything.
    scene.router.links[1] = None;
    eventually_equal(vec!["ended".to_owned()], || {
        scene.db.rows("SELECT state FROM bmp_sessions WHERE collector_id = 'two'")
    });
    assert_eq!(scene.story(), [UP]);
    scene.stop();
}

/// The owner is killed, and comes back as the stand-by.
fn owner_is_killed(has_clock: bool) {
    let mut scene = Scene::new(has_clock);
    (0..20).for_each(|_| scene.live(None));
    scene.collectors[0].take().unwrap().kill();
    scene.router.links[0] = None;
    scene.taken_by(1, None);
    scene.settle();
    assert_eq!(scene.story(), [UP, "session_up|taken over from collector one, which is not alive"]);
    scene.collectors[0] = Some(start(&scene.db, "one"));
    scene.live(None);
    scene.standby_at(0);
    (0..20).for_each(|_| scene.live(None));
    scene.settle();
    assert_eq!((scene.owner(), scene.router.sessions[1]), ("two".to_owned(), 2));
    scene.stop();
}

#[test]
fn a_killed_owner_is_followed_by_the_stand_by() {
    owner_is_killed(true);
}

#[test]
fn a_killed_owner_is_followed_without_time_stamps() {
    owner_is_killed(false);
}

#[test]
fn a_frozen_owner_writes_nothing_when_it_thaws() {
    let mut scene = Scene::new(true);
    (0..20).for_each(|_| scene.live(None));
    scene.collector(0).signal("STOP");
    scene.taken_by(1, Some(0));
    scene.settle();
    let events = scene.db.rows("SELECT event_id, ingest_time FROM route_events ORDER BY 1, 2");
    let routes = scene.db.rows("SELECT prefix, updated_at FROM current_routes ORDER BY 1");
    let session = scene.router.sessions[0];
    scene.collector(0).signal("CONT");
    // It learns that it has lost the router, closes the session, and the router's next one stands by.
    eventually("the old session is closed", || scene.router.links[0].as_mut().unwrap().is_gone().then_some(()));
    assert_eq!(scene.db.rows("SELECT event_id, ingest_time FROM route_events ORDER BY 1, 2"), events);
    assert_eq!(scene.db.rows("SELECT prefix, updated_at FROM current_routes ORDER BY 1"), routes);
    scene.live(None);
    scene.standby_at(0);
    assert_eq!((scene.owner(), scene.router.sessions[0]), ("two".to_owned(), session + 1));
    (0..20).for_each(|_| scene.live(None));
    scene.settle();
    assert_eq!(scene.story(), [UP, "session_up|taken over from collector one, which is not alive"]);
    scene.stop();
}

#[test]
fn a_frozen_transaction_does_not_keep_the_router() {
    let mut scene = Scene::new(true);
    // The owner is frozen in the middle of a transaction.
    let url = scene.db.url();
    let mut frozen = rib_ingester::store::connect(&url, "state-99").unwrap();
    frozen.batch_execute("BEGIN; SELECT FROM router_owner FOR SHARE").unwrap();
    scene.collector(0).signal("STOP");
    scene.live_until("the transaction is ended", Some(0), |_| frozen.is_closed() || frozen.simple_query("").is_err());
    scene.live_until("the router is taken", Some(0), |scene| scene.owner() == "two");
    scene.settle();
    assert_eq!(scene.collector(1).count_logged("ended rib-ingester/state-99"), 1);
    scene.collector(0).signal("CONT");
    scene.live_until("the old session is closed", None, |scene| scene.router.sessions[0] == 2);
    scene.standby_at(0);
    scene.settle();
    scene.stop();
}

#[test]
fn a_stopped_owner_leaves_the_router_at_once() {
    let mut scene = Scene::new(true);
    (0..20).for_each(|_| scene.live(None));
    assert!(scene.collectors[0].take().unwrap().stop().success());
    scene.router.links[0] = None;
    scene.taken_by(1, None);
    scene.settle();
    let story = [
        UP,
        "collector_stopped|collector stops",
        "session_up|taken over from collector one, which has no session of it",
    ];
    assert_eq!(scene.story(), story);
    assert_eq!(scene.db.rows("SELECT count(*) FROM session_events WHERE kind = 'gap'"), ["0"]);
    // The other way round: a rolling upgrade.
    scene.collectors[0] = Some(start(&scene.db, "one"));
    scene.live(None);
    scene.standby_at(0);
    assert!(scene.collectors[1].take().unwrap().stop().success());
    scene.router.links[1] = None;
    scene.taken_by(0, None);
    scene.settle();
    scene.stop();
}

#[test]
fn a_session_lost_at_the_owner_alone_is_taken_over() {
    let mut scene = Scene::new(false);
    (0..20).for_each(|_| scene.live(None));
    scene.router.links[0] = None;
    // The way to the owner is cut, for as long as the take-over lasts.
    scene.taken_by(1, Some(0));
    scene.settle();
    let story = [
        UP,
        "session_lost|closed by the router without Termination",
        "session_up|taken over from collector one, which has no session of it",
    ];
    assert_eq!(scene.story(), story);
    scene.live(None);
    scene.standby_at(0);
    assert_eq!(scene.owner(), "two");
    scene.stop();
}

#[test]
fn a_router_is_handed_over_and_back() {
    let mut scene = Scene::new(true);
    let said = |output: &Output| {
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    };
    for (target, from, to) in [(ROUTER, 0, 1), ("all", 1, 0)] {
        (0..20).for_each(|_| scene.live(None));
        let mut command = Command::new(env!("CARGO_BIN_EXE_rib-ingester"));
        command.args(["hand-over", target, "--to", NAMES[to]]).env_clear();
        let mut command = command.env("RIB_INGESTER_DATABASE_URL", scene.db.url()).spawn().unwrap();
        scene.live_until("the command ends", None, |_| command.try_wait().unwrap().is_some());
        assert!(command.wait().unwrap().success());
        assert_eq!(scene.owner(), NAMES[to]);
        scene.live_until("the other one stands by", None, |scene| {
            let sql = "SELECT collector_id FROM bmp_sessions WHERE state = 'standby'";
            scene.db.rows(sql) == [NAMES[from]]
        });
        scene.settle();
    }
    let story = [
        UP,
        "session_closed|handed over to collector two",
        "session_up|taken over from collector one, which handed it over",
        "session_closed|handed over to collector one",
        "session_up|taken over from collector two, which handed it over",
    ];
    assert_eq!(scene.story(), story);
    assert_eq!(scene.db.rows("SELECT count(*) FROM session_events WHERE kind = 'gap'"), ["0"]);
    let refused = |arguments: &[&str], why: &str| {
        let output = scene.run(&[&["hand-over"], arguments].concat());
        assert_eq!((output.status.code(), said(&output).contains(why)), (Some(1), true), "{}", said(&output));
    };
    refused(&[ROUTER, "--to", "three"], "there is no collector three");
    refused(&["edge9", "--to", "two"], "no router is called edge9");
    refused(&["all", "--to", "one"], "collector one stands by for no router");
    scene.stop();
}

#[test]
fn a_hand_over_that_nobody_takes_is_undone() {
    let mut scene = Scene::new(true);
    // The stand-by has a session until it is frozen.
    scene.collector(1).signal("STOP");
    let output = scene.run(&["hand-over", ROUTER, "--to", "two", "--wait", "1"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("not taken by collector two within 1 s"));
    assert_eq!(scene.db.rows("SELECT handed_to, handed_until FROM router_owner"), ["-|-"]);
    scene.live_until("the owner has the router again", Some(1), |scene| {
        let up = "SELECT count(*) FROM bmp_sessions WHERE collector_id = 'one' AND state = 'up'";
        scene.owner() == "one" && scene.db.rows(up) == ["1"]
    });
    scene.settle();
    scene.collector(1).signal("CONT");
    scene.stop();
}
