//! A router with two stations: two collectors on one database, each behind a proxy that can be cut.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::common::ingester::{Ingester, eventually, eventually_equal};
use crate::common::pg::TestDb;
use crate::common::proxy::Proxy;
use crate::station_router::{self, Feed, Router};

pub const NAMES: [&str; 2] = ["one", "two"];

/// The longest time that a take-over may take, seconds.
const TAKE_OVER_MAX: f64 = 10.0;

/// All routes, with the columns of [`Router::table`] and their tables.
const ROUTES: &str = "SELECT 'loc-rib' AS rib, NULL::inet AS peer, NULL::boolean AS post, table_name,
            prefix::text AS key, path_id, med FROM current_routes
     UNION ALL SELECT 'adj-rib-in', peer_address, is_post_policy, table_name, prefix::text, path_id, med FROM adj_rib_in
     UNION ALL SELECT 'adj-rib-out', peer_address, is_post_policy, table_name, prefix::text, path_id, med FROM adj_rib_out
     UNION ALL SELECT rib, peer_address, is_post_policy, table_name, nlri_key, path_id, med FROM nlri_routes";

/// All events, likewise.
const EVENTS: &str = "SELECT COALESCE(rib, 'loc-rib') AS rib, peer_address AS peer, is_post_policy AS post, table_name,
            prefix::text AS key, COALESCE(path_id, 0) AS path_id, med, action, ingest_time FROM route_events
     UNION ALL SELECT rib, peer_address, is_post_policy, table_name, nlri_key, COALESCE(path_id, 0), med, action,
            ingest_time FROM nlri_events";

/// The key of a route.
const KEY: &str = "rib, peer, post, table_name, key, path_id";

/// The tables whose dumps are not over, or that are stale.
const OPEN: &str = "SELECT count(*) FROM
     (SELECT synced_at, stale_since FROM rib_sync_status
      UNION ALL SELECT synced_at, stale_since FROM adj_rib_in_sync_status
      UNION ALL SELECT synced_at, stale_since FROM adj_rib_out_sync_status
      UNION ALL SELECT synced_at, stale_since FROM nlri_loc_rib_sync_status
      UNION ALL SELECT synced_at, stale_since FROM nlri_adj_rib_in_sync_status
      UNION ALL SELECT synced_at, stale_since FROM nlri_adj_rib_out_sync_status) s
     WHERE synced_at IS NULL OR stale_since IS NOT NULL";

/// A scene's router and collectors.
pub struct Setup {
    pub has_clock: bool,
    pub feeds: Vec<Feed>,
    /// Settings of both collectors.
    pub settings: Vec<(&'static str, &'static str)>,
}

impl Setup {
    /// The Loc-RIB alone.
    pub fn loc_rib(has_clock: bool) -> Setup {
        Setup { has_clock, feeds: station_router::loc_rib(), settings: vec![] }
    }

    /// Every RIB, in so many sessions.
    pub fn all_ribs(has_clock: bool, sessions: usize) -> Setup {
        let all = "loc-rib,adj-rib-in-pre,adj-rib-in-post,adj-rib-out-pre,adj-rib-out-post";
        let settings = vec![("STORED_RIBS", all), ("STORED_FAMILIES", "evpn")];
        Setup { has_clock, feeds: station_router::all_ribs(sessions), settings }
    }

    pub fn with(mut self, setting: &'static str, value: &'static str) -> Setup {
        self.settings.push((setting, value));
        self
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
    settings: Vec<(&'static str, &'static str)>,
    keeps_history: bool,
}

impl Scene {
    /// Both collectors run, and the router is connected to the first one, then to both.
    pub fn new(has_clock: bool) -> Scene {
        Scene::of(Setup::loc_rib(has_clock))
    }

    /// The same of this setup.
    pub fn of(setup: Setup) -> Scene {
        let mut scene = Scene::before(setup);
        scene.connect(0);
        scene.settle();
        scene.connect(1);
        scene.standby_at(1);
        scene
    }

    /// The same before the router connects.
    pub fn before(setup: Setup) -> Scene {
        let db = TestDb::migrated();
        let (host, port) = db.server();
        let proxies = [0, 1].map(|_| Proxy::start(&host, port));
        let folder = std::env::temp_dir().join(format!("rib-ingester-stations-{}", db.name()));
        let Setup { has_clock, feeds, settings } = setup;
        let keeps_history = !settings.contains(&("HISTORY", "off"));
        let router = Router::new(has_clock, feeds);
        let mut scene = Scene { db, collectors: [None, None], router, proxies, folder, settings, keeps_history };
        [0, 1].into_iter().for_each(|station| scene.start(station));
        scene
    }

    pub fn start(&mut self, station: usize) {
        let folder = self.folder.join(NAMES[station]);
        let mut settings = vec![("COLLECTOR_ID", NAMES[station]), ("STATE_DIR", folder.to_str().unwrap())];
        settings.extend(&self.settings);
        let url = self.db.url_at("127.0.0.1", self.proxies[station].port);
        self.collectors[station] = Some(Ingester::start(&url, &settings));
    }

    pub fn keeps_history(&self) -> bool {
        self.keeps_history
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
        self.router.cut(station);
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
            if self.collectors[station].is_some() && frozen != Some(station) {
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
        eventually_equal(vec![self.router.session_count().to_string()], || self.db.rows(&sql));
    }

    /// The stored table becomes the router's, and its dump is complete.
    pub fn settle_routes(&mut self) {
        let want = self.router.table();
        eventually_equal(want, || self.routes());
        self.dumps_end();
    }

    /// The stored routes, as [`Router::table`] has them.
    pub fn routes(&self) -> Vec<String> {
        let mut rows = self.db.rows(&format!("SELECT rib, host(peer), post, key, path_id, med FROM ({ROUTES}) r"));
        rows.sort();
        rows
    }

    /// All dumps are complete, and nothing is stale.
    pub fn dumps_end(&self) {
        eventually_equal(vec!["0".to_owned()], || self.db.rows(OPEN));
    }

    /// The same, and no event is stored twice.
    pub fn settle(&mut self) {
        self.settle_routes();
        let downs = "SELECT count(*) FROM session_events WHERE kind = 'peer_down'";
        assert_eq!(self.db.rows(downs), [self.router.downs.to_string()], "{:?}", self.peer_rows());
        if !self.keeps_history {
            assert_eq!(self.db.rows(&format!("SELECT count(*) FROM ({EVENTS}) e")), ["0"]);
            return;
        }
        let twice = format!(
            "SELECT {KEY}, med, count(*) FROM ({EVENTS}) e WHERE action = 'A' GROUP BY {KEY}, med HAVING count(*) > 1"
        );
        assert_eq!(self.db.rows(&twice), [""; 0]);
        let gone_twice = format!(
            "SELECT key FROM
                 (SELECT *, lag(action) OVER (PARTITION BY {KEY} ORDER BY ingest_time) AS before FROM ({EVENTS}) e) e
             WHERE action = 'D' AND before = 'D'"
        );
        assert_eq!(self.db.rows(&gone_twice), [""; 0]);
        // Every route is what its last event says. Those of a peer that is down went without events.
        let down = self.router.down_peers().join(",");
        let differs = format!(
            "SELECT rib, peer, table_name, key, e.med, c.med, action FROM
                 (SELECT DISTINCT ON ({KEY}) rib, COALESCE(host(peer), '') AS peer, COALESCE(post, false) AS post,
                         table_name, key, path_id, action, med, ingest_time
                  FROM ({EVENTS}) e ORDER BY {KEY}, ingest_time DESC) e
             FULL JOIN (SELECT rib, COALESCE(host(peer), '') AS peer, COALESCE(post, false) AS post, table_name, key,
                               path_id, med, true AS is_stored FROM ({ROUTES}) r) c USING ({KEY})
             WHERE (CASE WHEN e.action = 'A' THEN e.med END) IS DISTINCT FROM c.med
               AND NOT (c.is_stored IS NULL
                        AND peer || ' ' || split_part(table_name, '|', 1) = ANY (string_to_array('{down}', ',')))"
        );
        assert_eq!(self.db.rows(&differs), [""; 0]);
    }

    /// The rows about peers.
    fn peer_rows(&self) -> Vec<String> {
        self.db.rows(
            "SELECT id, kind, peer_address, table_name, reason, routes FROM session_events
             WHERE kind IN ('peer_up', 'peer_down', 'session_up') ORDER BY id",
        )
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
