//! One router with two stations: two collectors on one database, of which one has the router and the other stands by.
#![allow(missing_docs, clippy::unwrap_used)]

use std::process::{Command, Output};

use crate::common::bmp::{self, Open, Peer};
use crate::common::ingester::{Ingester, eventually, eventually_equal};
use crate::common::pg::TestDb;
use crate::station_router::ROUTER;
use crate::station_scene::{NAMES, Scene};

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
    assert!(status.contains("standby") && status.contains("two"), "{status}");
    // It has followed the router to this moment.
    let progress = "SELECT heard_until > now() - interval '15 s', lag_secs < 1, waiting_octets
                    FROM bmp_sessions WHERE state = 'standby'";
    scene.live_until("its progress is stored", None, |scene| scene.db.rows(progress) == ["t|t|0"]);
    let detail = String::from_utf8(scene.run(&["status", ROUTER]).stdout).unwrap();
    assert!(detail.lines().any(|line| line.contains("standby") && line.contains(" 0 s ")), "{detail}");
    eventually("a lag is shown", || {
        scene.db.client().batch_execute("UPDATE bmp_sessions SET lag_secs = 5 WHERE state = 'standby'").unwrap();
        String::from_utf8(scene.run(&["status"]).stdout).unwrap().contains("two (5 s behind)").then_some(())
    });
    for (station, count) in [(0, 0), (1, 1)] {
        let collector = scene.collectors[station].as_mut().unwrap();
        let metrics = collector.get("/metrics").2;
        assert!(metrics.contains(&format!("\nrib_ingester_standby_sessions {count}\n")), "{metrics}");
        assert!(metrics.contains("\nrib_ingester_standby_lag_seconds 0\n"), "{metrics}");
        let holds = !metrics.contains("\nrib_ingester_standby_window_bytes 0\n");
        assert_eq!(holds, count > 0, "{metrics}");
        assert!(collector.browse("/").2.contains("standby two"));
    }
    // What the standby reads is nowhere.
    let folder = scene.journal(1);
    let is_dir = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().path().is_dir();
    eventually_equal(0, || std::fs::read_dir(&folder).unwrap().filter_map(|entry| is_dir(entry).then_some(())).count());
    // It ends with its connection, and nobody takes anything.
    scene.router.cut(1);
    eventually_equal(vec!["ended".to_owned()], || {
        scene.db.rows("SELECT state FROM bmp_sessions WHERE collector_id = 'two'")
    });
    assert_eq!(scene.story(), [UP]);
    scene.stop();
}

/// A router that nobody has yet reaches both at once: the one that claims it second finds it claimed.
#[test]
fn of_two_first_claims_one_is_denied() {
    let db = TestDb::migrated();
    let second = Ingester::start(&db.url(), &[("COLLECTOR_ID", "two")]);
    let mut first = db.client();
    first
        .batch_execute(
            "INSERT INTO collectors (collector_id, instance, alive_until, started_at, version)
             VALUES ('one', gen_random_uuid(), now() + interval '1 hour', now(), '-');
             BEGIN;
             INSERT INTO router_owner (router_id, collector_id, epoch) VALUES ('10.255.0.1', 'one', 1);
             INSERT INTO bmp_sessions (router_id, collector_id, state) VALUES ('10.255.0.1', 'one', 'dumping')",
        )
        .unwrap();
    let mut router = second.connect();
    let peer = Peer::loc_rib("10.255.0.1");
    router.send(&bmp::initiation(b"edge1", b""));
    router.send(&bmp::peer_up(peer, &Open::of(64_500, "10.255.0.1"), Some("global")));
    let waits = "SELECT count(*) FROM pg_stat_activity
                 WHERE datname = current_database() AND wait_event_type = 'Lock' AND starts_with(query, '-- Claims a router')";
    eventually_equal(vec!["1".to_owned()], || db.rows(waits));
    first.batch_execute("COMMIT").unwrap();
    let states = "SELECT collector_id, state FROM bmp_sessions ORDER BY 1";
    eventually_equal(vec!["one|dumping".to_owned(), "two|standby".to_owned()], || db.rows(states));
    assert_eq!(db.rows("SELECT collector_id, epoch FROM router_owner"), ["one|1"]);
    assert!(second.stop().success());
}

/// The owner is killed, and comes back as the standby.
fn owner_is_killed(has_clock: bool) {
    let mut scene = Scene::new(has_clock);
    (0..20).for_each(|_| scene.live(None));
    scene.kill(0);
    scene.taken_by(1, None);
    scene.settle();
    assert_eq!(scene.story(), [UP, "session_up|taken over from collector one, which is not alive"]);
    scene.start(0);
    scene.live(None);
    scene.standby_at(0);
    (0..20).for_each(|_| scene.live(None));
    scene.settle();
    assert_eq!((scene.owner(), scene.router.sessions[1]), ("two".to_owned(), 1));
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
fn a_killed_owner_that_is_back_keeps_its_router() {
    let mut scene = Scene::new(true);
    (0..20).for_each(|_| scene.live(None));
    scene.kill(0);
    scene.start(0);
    // Until the standby has looked some times.
    let up = "SELECT count(*) FROM bmp_sessions WHERE collector_id = 'one' AND state = 'up'
              AND began_at < now() - interval '4 s'";
    scene.live_until("the new session has lasted", None, |scene| scene.db.rows(up) == ["1"]);
    scene.settle();
    scene.standby_at(1);
    assert_eq!((scene.owner(), scene.router.sessions), ("one".to_owned(), [2, 1]));
    assert!(!scene.story().iter().any(|row| row.contains("taken over")), "{:?}", scene.story());
    scene.stop();
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
    eventually("the old session is closed", || scene.router.is_gone_at(0).then_some(()));
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
fn an_owner_without_the_database_loses_its_router() {
    let mut scene = Scene::new(false);
    (0..20).for_each(|_| scene.live(None));
    scene.cut(0, true);
    scene.taken_by(1, None);
    (0..20).for_each(|_| scene.live(None));
    scene.settle();
    scene.cut(0, false);
    // Events that it has read since then are the other one's.
    scene.live_until("its next session stands by", None, |scene| {
        scene.db.rows("SELECT collector_id FROM bmp_sessions WHERE state = 'standby'") == ["one"]
    });
    scene.settle();
    let gap = "SELECT count(*) > 0, bool_and(event_time < (SELECT since FROM router_owner))
               FROM session_events WHERE kind = 'gap'";
    assert_eq!(scene.db.rows(gap), ["t|t"]);
    assert_eq!(scene.db.rows("SELECT history_is_complete(router_id, 'global', now()) FROM routers"), ["t"]);
    scene.stop();
}

#[test]
fn a_database_away_for_both_takes_no_router() {
    let mut scene = Scene::new(true);
    (0..20).for_each(|_| scene.live(None));
    [0, 1].into_iter().for_each(|station| scene.cut(station, true));
    scene.live_until("every lease is over", None, |scene| {
        scene.db.rows("SELECT bool_and(alive_until < now()) FROM collectors") == ["t"]
    });
    // The standby is back first.
    scene.cut(1, false);
    scene.live_until("it is alive", None, |scene| {
        scene.db.rows("SELECT alive_until > now() FROM collectors WHERE collector_id = 'two'") == ["t"]
    });
    scene.cut(0, false);
    scene.settle();
    scene.standby_at(1);
    assert_eq!((scene.owner(), scene.router.sessions), ("one".to_owned(), [1, 1]));
    assert_eq!(scene.story(), [UP]);
    scene.stop();
}

#[test]
fn a_session_whose_end_is_not_stored_keeps_no_router() {
    let mut scene = Scene::new(true);
    let left = "INSERT INTO bmp_sessions (router_id, collector_id, state, began_at)
                SELECT router_id, collector_id, 'up', now() - interval '1 hour' FROM router_owner";
    scene.db.client().batch_execute(left).unwrap();
    scene.router.cut(0);
    scene.live_until("the other one has the router", Some(0), |scene| scene.owner() == "two");
    scene.settle();
    scene.stop();
}

#[test]
fn a_session_elsewhere_lets_the_owner_probe_its_own() {
    let mut scene = Scene::new(true);
    let timer = |scene: &Scene| scene.router.link(0).keepalive();
    eventually("the usual time", || timer(&scene).filter(|seconds| *seconds > 20.0));
    // The router appears at the other station again: its session here may be dead.
    scene.router.cut(1);
    scene.connect(1);
    eventually("a probe", || timer(&scene).filter(|seconds| *seconds <= 1.0));
    scene.standby_at(1);
    assert_eq!(scene.story(), [UP]);
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
    scene.router.cut(0);
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
    scene.start(0);
    scene.live(None);
    scene.standby_at(0);
    assert!(scene.collectors[1].take().unwrap().stop().success());
    scene.router.cut(1);
    scene.taken_by(0, None);
    scene.settle();
    scene.stop();
}

#[test]
fn a_session_lost_at_the_owner_alone_is_taken_over() {
    let mut scene = Scene::new(false);
    (0..20).for_each(|_| scene.live(None));
    scene.router.cut(0);
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
    // The standby has a session until it is frozen.
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
