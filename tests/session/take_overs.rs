//! The take-over of a router by a session that has stood by: from what it has heard, without a new dump.
#![allow(missing_docs, clippy::unwrap_used)]

use std::time::Instant;

use crate::common::bmp::{self, Attributes, Open, Peer};
use crate::common::ingester::eventually_equal;
use crate::station_scene::{Scene, Setup};

const TAKEN: &str = "session_up|taken over from collector one, which has no session of it";

/// Lets the router change routes for longer than this window lasts.
fn outlive(scene: &mut Scene, seconds: u64) {
    let begun = Instant::now();
    scene.live_until("the window is full", None, |_| begun.elapsed().as_secs() > seconds);
}

/// The owner stops when the session of the other one is older than its window, after `change` of the database.
fn stop(has_clock: bool, change: &str) -> Scene {
    let mut scene = Scene::of(Setup::loc_rib(has_clock).with("STANDBY_WINDOW_SECS", "5"));
    outlive(&mut scene, 6);
    scene.settle();
    if !change.is_empty() {
        // No change of the router repairs it meanwhile.
        scene.router.quiet = true;
        outlive(&mut scene, 6);
        scene.db.client().batch_execute(change).unwrap();
    }
    assert!(scene.collectors[0].take().unwrap().stop().success());
    scene.router.cut(0);
    scene.taken_by(1, None);
    scene
}

fn stays_open(has_clock: bool) {
    let mut scene = stop(has_clock, "");
    outlive(&mut scene, 1);
    scene.settle();
    assert_eq!((scene.router.sessions[1], scene.story().last().unwrap().as_str()), (1, TAKEN));
    scene.stop();
}

#[test]
fn routes_older_than_the_window_stay_as_they_are() {
    stays_open(true);
}

#[test]
fn so_they_do_without_time_stamps() {
    stays_open(false);
}

#[test]
fn a_route_that_changed_long_ago_needs_a_dump() {
    let mut scene = stop(true, "UPDATE current_routes SET med = 4000000 WHERE prefix = '10.0.1.0/24'");
    scene.live_until("the session is closed", Some(0), |scene| scene.router.sessions[1] == 2);
    scene.settle_routes();
    assert!(scene.collector(1).count_logged("changed long ago") == 1);
    scene.stop();
}

#[test]
fn a_route_that_went_long_ago_is_withdrawn() {
    let mut scene = stop(
        true,
        "INSERT INTO current_routes SELECT (jsonb_populate_record(c, '{\"prefix\": \"10.99.0.0/24\"}')).*
         FROM current_routes c WHERE prefix = '10.0.1.0/24'",
    );
    scene.settle_routes();
    assert_eq!(scene.router.sessions[1], 1);
    let gone = "SELECT action, attrs->>'reason' FROM route_events WHERE prefix = '10.99.0.0/24'";
    assert_eq!(scene.db.rows(gone), ["D|stale"]);
    for collector in scene.collectors.iter_mut().filter_map(Option::take) {
        assert!(collector.stop().success());
    }
}

#[test]
fn without_a_window_the_session_is_closed() {
    let mut scene = Scene::of(Setup::loc_rib(true).with("STANDBY_WINDOW_SECS", "0"));
    scene.kill(0);
    scene.taken_by(1, None);
    scene.settle();
    assert_eq!(scene.router.sessions[1], 2);
    scene.stop();
}

/// The messages of a peer that comes up with routes to these prefixes.
fn peer_with(peer: Peer, prefixes: &[&str]) -> Vec<u8> {
    let routes = bmp::announce(&Attributes::path(&[peer.asn]), "192.0.2.1", prefixes);
    let up = bmp::peer_up(peer, &Open::of(peer.asn, &peer.bgp_id.to_string()), None);
    [up, bmp::route_monitoring(peer, &routes), bmp::route_monitoring(peer, &bmp::end_of_rib_ipv4())].concat()
}

#[test]
fn peers_that_changed_without_an_owner_are_told() {
    let mut scene = Scene::new(true);
    let [flaps, goes, stays] = [7, 8, 9].map(|id| Peer::global_instance(&format!("192.0.2.{id}"), 65_000 + id));
    for peer in [flaps, goes, stays] {
        scene.router.send(0, &peer_with(peer, &["198.51.100.0/24", "203.0.113.0/24"]));
    }
    let routes = |scene: &Scene| scene.db.rows("SELECT peer_address, count(*) FROM adj_rib_in GROUP BY 1 ORDER BY 1");
    eventually_equal(["192.0.2.7|2", "192.0.2.8|2", "192.0.2.9|2"].map(str::to_owned).to_vec(), || routes(&scene));
    // They are stored after the routes.
    let told = "SELECT FROM session_events WHERE peer_address <> '127.0.0.1' AND kind = 'peer_up'";
    eventually_equal(3, || scene.db.rows(told).len());
    scene.collector(0).signal("STOP");
    [flaps, goes].iter().for_each(|peer| scene.router.send(0, &bmp::peer_down(*peer, 3)));
    scene.router.send(0, &peer_with(flaps, &["198.51.100.0/24"]));
    scene.taken_by(1, Some(0));
    eventually_equal(["192.0.2.7|1", "192.0.2.9|2"].map(str::to_owned).to_vec(), || routes(&scene));
    let states = "SELECT peer_address, state, flap_count FROM peers ORDER BY 1";
    eventually_equal(["192.0.2.7|up|1", "192.0.2.8|down|1", "192.0.2.9|up|0"].map(str::to_owned).to_vec(), || {
        scene.db.rows(states)
    });
    let told = "SELECT peer_address, string_agg(kind, ' ' ORDER BY id) FROM session_events
                WHERE peer_address <> '127.0.0.1' AND kind LIKE 'peer%' GROUP BY 1 ORDER BY 1";
    let want = ["192.0.2.7|peer_up peer_down peer_up", "192.0.2.8|peer_up peer_down", "192.0.2.9|peer_up"];
    assert_eq!(scene.db.rows(told), want);
    let events = "SELECT peer_address, prefix, count(*) FROM route_events WHERE peer_address IS NOT NULL
                  GROUP BY 1, 2 HAVING count(*) > 1";
    assert_eq!(scene.db.rows(events), ["192.0.2.7|198.51.100.0/24|2"], "announced anew after the peer was down");
    assert_eq!(scene.router.sessions[1], 1);
    let of_loc_rib = |row: &String| row.starts_with("loc-rib|");
    eventually_equal(scene.router.table(), || scene.routes().into_iter().filter(of_loc_rib).collect());
    eventually_equal(vec!["0".to_owned()], || {
        scene.db.rows("SELECT count(*) FROM rib_sync_status WHERE synced_at IS NULL OR stale_since IS NOT NULL")
    });
    scene.collector(0).signal("CONT");
    scene.stop();
}

/// The processor time that a process has used, seconds.
fn cpu_of(process: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: f64 = fields[11..13].iter().map(|ticks| ticks.parse::<f64>().unwrap()).sum();
    ticks / 100.0
}

/// Set `RIB_INGESTER_TEST_ROUTES` for a measurement.
#[test]
fn a_standby_takes_a_few_octets_a_route() {
    let routes = std::env::var("RIB_INGESTER_TEST_ROUTES").map_or(50_000, |text| text.parse().expect("a number"));
    let mut scene = Scene::of(Setup::loc_rib(true).with("STANDBY_WINDOW_SECS", "5"));
    scene.router.quiet = true;
    let (process, before) = (scene.collector(1).id(), scene.collector(1).proc_status("VmRSS"));
    let cpu = cpu_of(process);
    let peer = scene.router.peer();
    let prefixes: Vec<String> =
        (0..routes).map(|n: u32| format!("{}.{}.{}.0/24", 20 + (n >> 16), (n >> 8) & 0xff, n & 0xff)).collect();
    for (number, prefixes) in (0..).zip(prefixes.chunks(10)) {
        let attributes = Attributes { med: Some(number), ..Attributes::path(&[64_500, 64_501]) };
        let prefixes: Vec<&str> = prefixes.iter().map(String::as_str).collect();
        let update = bmp::route_monitoring(peer, &bmp::announce(&attributes, "192.0.2.1", &prefixes));
        scene.router.go_on(1, 0, &[update]);
    }
    let metrics = |scene: &mut Scene, line: &str| {
        scene.collectors[1].as_mut().unwrap().get("/metrics").2.contains(&format!("\n{line}\n"))
    };
    scene.live_until("it has applied everything", None, |scene| {
        scene.db.rows("SELECT waiting_octets FROM bmp_sessions WHERE state = 'standby'") == ["0"]
            && metrics(scene, "rib_ingester_standby_lag_seconds 0")
    });
    scene.live_until("the window is over", None, |scene| metrics(scene, "rib_ingester_standby_window_bytes 0"));
    let octets = 1024 * (scene.collector(1).proc_status("VmRSS") - before);
    eprintln!(
        "{routes} routes: {octets} octets more, {} a route, {:.2} s of processor time",
        octets / u64::from(routes),
        cpu_of(process) - cpu
    );
    assert!(octets < (32 << 20) + 100 * u64::from(routes), "{octets}");
    assert_eq!(scene.db.rows("SELECT count(*) < 100 FROM current_routes"), ["t"], "it stores nothing");
    scene.stop();
}

#[test]
fn what_came_after_a_take_over_is_in_the_journal() {
    for has_clock in [true, false] {
        let mut scene = Scene::new(has_clock);
        (0..20).for_each(|_| scene.live(None));
        assert!(scene.collectors[0].take().unwrap().stop().success());
        scene.router.cut(0);
        scene.taken_by(1, None);
        (0..50).for_each(|_| scene.live(None));
        scene.settle();
        let folder = scene.journal(1);
        let size = || -> u64 {
            let streams = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
            let files = streams.filter(|path| path.is_dir()).flat_map(|path| std::fs::read_dir(path).unwrap());
            files.map(|file| file.unwrap().metadata().unwrap().len()).sum()
        };
        let before = size();
        // It has no writers for what comes now, and dies with it.
        let url = scene.db.url();
        let mut lock = rib_ingester::store::connect(&url, "lock").unwrap();
        lock.batch_execute("BEGIN; LOCK TABLE route_events IN SHARE MODE").unwrap();
        (0..50).for_each(|_| scene.live(None));
        let want = scene.router.table();
        eventually_equal((0, true), || (scene.router.link(1).unread(), size() > before + 50 * 90));
        scene.kill(1);
        lock.batch_execute("COMMIT").unwrap();
        scene.router.quiet = true;
        scene.start(1);
        // Without a connection of the router, what is read comes from the journal alone.
        eventually_equal(want, || scene.routes());
        scene.live(None);
        scene.settle();
        assert_eq!(scene.db.rows("SELECT reason FROM session_events WHERE kind = 'gap'"), [""; 0]);
        scene.stop();
    }
}
