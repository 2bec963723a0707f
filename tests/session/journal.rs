//! The database away for long: the routers' messages meanwhile go to the disk, and are applied complete and in order.
#![allow(missing_docs, clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use crate::common::bmp::{self, Attributes, Open, Peer};
use crate::common::ingester::{FakeRouter, Ingester, eventually, eventually_equal, serve};
use crate::common::pg::TestDb;
use crate::common::proxy::Proxy;
use crate::common::server::Folder;

/// Prefixes of one UPDATE.
const PER_UPDATE: u32 = 10;

/// Prefixes of the router's table.
const TABLE: u32 = 100;

fn count(db: &TestDb, of: &str) -> i64 {
    db.rows(&format!("SELECT count(*) FROM {of}"))[0].parse().unwrap()
}

/// Route Monitoring messages that announce the whole table once more, identified by `generation`.
fn generation(peer: Peer, generation: u32) -> Vec<u8> {
    let mut out = Vec::new();
    for first in (0..TABLE).step_by(usize::try_from(PER_UPDATE).unwrap()) {
        let prefixes: Vec<String> =
            (first..first + PER_UPDATE).map(|i| format!("10.{}.{}.0/24", i >> 8, i & 0xff)).collect();
        let prefixes: Vec<&str> = prefixes.iter().map(String::as_str).collect();
        let attributes = Attributes { med: Some(generation), ..Attributes::path(&[64_500, 64_501]) };
        out.extend(bmp::route_monitoring(peer, &bmp::announce(&attributes, "192.0.2.1", &prefixes)));
    }
    out
}

/// A router with its table in the database, over a connection that can be cut.
struct Scene {
    db: TestDb,
    proxy: Proxy,
    peer: Peer,
    state_dir: PathBuf,
}

impl Scene {
    fn new() -> Scene {
        let db = TestDb::migrated();
        let (host, port) = db.server();
        let state_dir = std::env::temp_dir().join(format!("rib-ingester-{}", db.name()));
        Scene { proxy: Proxy::start(&host, port), db, peer: Peer::loc_rib("10.255.0.1"), state_dir }
    }

    fn start(&self, settings: &[(&str, &str)]) -> Ingester {
        let mut all = vec![("STATE_DIR", self.state_dir.to_str().unwrap())];
        all.extend(settings);
        Ingester::start(&self.db.url_at("127.0.0.1", self.proxy.port), &all)
    }

    fn connect(&self, ingester: &Ingester) -> FakeRouter {
        let mut router = ingester.connect();
        let open = Open::of(64_500, &self.peer.bgp_id.to_string());
        router.send(&bmp::initiation(b"edge1", b"")).send(&bmp::peer_up(self.peer, &open, Some("global")));
        router
    }

    /// The first dump, up to its End-of-RIB in the database.
    fn dump(&self, router: &mut FakeRouter) {
        router.send(&generation(self.peer, 0)).send(&bmp::route_monitoring(self.peer, &bmp::end_of_rib_ipv4()));
        eventually_equal(1, || count(&self.db, "rib_sync_status WHERE eor_seen"));
        eventually_equal(i64::from(TABLE), || count(&self.db, "route_events"));
    }

    fn cut(&self, is_down: bool) {
        self.proxy.is_down.store(is_down, Ordering::SeqCst);
    }

    /// Sends `bytes` of generations, until all of it is in the journal; returns how many it sent.
    fn send_while_away(&self, router: &mut FakeRouter, bytes: u64) -> u32 {
        let before = journaled(&self.state_dir);
        let (mut sent, mut length) = (0, 0);
        while length < bytes {
            sent += 1;
            let messages = generation(self.peer, sent);
            length += u64::try_from(messages.len()).unwrap();
            router.send(&messages);
        }
        let is_there = || (journaled(&self.state_dir) >= before + length).then_some(());
        eventually("all of it is in the journal", is_there);
        sent
    }

    /// Waits until all of them are in the database, each once and in order.
    fn is_complete(&self, generations: u32) {
        let all = i64::from(TABLE) * i64::from(generations + 1);
        eventually_equal(all, || count(&self.db, "route_events"));
        let last = format!("current_routes WHERE med = {generations}");
        eventually_equal(i64::from(TABLE), || count(&self.db, &last));
        assert_eq!(count(&self.db, "(SELECT DISTINCT event_id FROM route_events) e"), all);
        let swapped = "(SELECT med < lag(med) OVER (PARTITION BY prefix ORDER BY ingest_time) AS swapped
                        FROM route_events) e WHERE swapped";
        assert_eq!(count(&self.db, swapped), 0);
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.state_dir);
    }
}

/// Bytes of all segments.
fn journaled(state_dir: &Path) -> u64 {
    segments(state_dir).iter().filter_map(|path| path.metadata().ok()).map(|metadata| metadata.len()).sum()
}

/// The offsets of a segment's records: each has its length in front; 28 octets are not messages.
fn records(segment: &[u8]) -> Vec<usize> {
    let mut places = vec![8];
    while let Some(length) = segment[places[places.len() - 1]..].first_chunk::<4>() {
        places.push(places[places.len() - 1] + usize::try_from(u32::from_be_bytes(*length)).unwrap() + 28);
    }
    places.pop();
    places
}

fn segments(state_dir: &Path) -> Vec<PathBuf> {
    let entries = |path: &Path| -> Vec<PathBuf> {
        std::fs::read_dir(path).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect()
    };
    let mut found: Vec<PathBuf> =
        entries(&state_dir.join("journal")).iter().flat_map(|stream| entries(stream)).collect();
    found.retain(|path| path.extension().is_some_and(|extension| extension == "segment"));
    found.sort();
    found
}

#[test]
fn a_router_does_not_notice_that_the_database_is_away() {
    let scene = Scene::new();
    let ingester = scene.start(&[]);
    let mut router = scene.connect(&ingester);
    scene.dump(&mut router);
    scene.cut(true);
    let generations = scene.send_while_away(&mut router, 400 << 10);
    assert!(!router.is_closed());
    scene.cut(false);
    scene.is_complete(generations);
    assert_eq!(count(&scene.db, "session_events WHERE kind IN ('session_lost', 'session_closed', 'gap')"), 0);
    assert_eq!(count(&scene.db, "rib_sync_status WHERE eor_seen"), 1);
    assert!(ingester.stop().success());
}

#[test]
fn input_survives_the_death_of_the_collector() {
    let scene = Scene::new();
    let ingester = scene.start(&[]);
    let mut router = scene.connect(&ingester);
    scene.dump(&mut router);
    scene.cut(true);
    let generations = scene.send_while_away(&mut router, 100 << 10);
    ingester.kill();
    scene.cut(false);
    let ingester = scene.start(&[]);
    scene.is_complete(generations);
    eventually_equal(1, || count(&scene.db, "session_events WHERE kind = 'session_lost'"));
    assert!(ingester.stop().success());
}

#[test]
fn a_full_journal_closes_the_session_a_redump_heals() {
    let scene = Scene::new();
    let ingester = scene.start(&[("JOURNAL_MAX_BYTES", "100000")]);
    let mut router = scene.connect(&ingester);
    scene.dump(&mut router);
    scene.cut(true);
    let mut sent = 0;
    eventually("the session is closed", || {
        sent += 1;
        router.send_or_be_cut(&generation(scene.peer, sent));
        router.is_gone().then_some(())
    });
    assert!(journaled(&scene.state_dir) <= 100_000);
    scene.cut(false);
    eventually_equal(1, || {
        count(&scene.db, "session_events WHERE kind = 'gap' AND reason LIKE '%the journal is full%'")
    });
    eventually_equal(0, || journaled(&scene.state_dir));
    // The tables were final before the gap was reported; events in memory when the journal was full may still be on their
    // way to the history.
    let untold = "current_routes c
                  WHERE NOT EXISTS (SELECT FROM route_events e WHERE e.prefix = c.prefix AND e.med = c.med)";
    eventually_equal(0, || count(&scene.db, untold));
    let before = count(&scene.db, "route_events");
    assert!(before > i64::from(TABLE) && before <= i64::from(TABLE * sent), "{before} of {sent} times {TABLE}");
    let mut router = scene.connect(&ingester);
    router.send(&generation(scene.peer, sent)).send(&bmp::route_monitoring(scene.peer, &bmp::end_of_rib_ipv4()));
    eventually_equal(i64::from(TABLE), || count(&scene.db, &format!("current_routes WHERE med = {sent}")));
    eventually_equal(before + i64::from(TABLE), || count(&scene.db, "route_events"));
    assert_eq!(count(&scene.db, "(SELECT DISTINCT event_id FROM route_events) e"), before + i64::from(TABLE));
    assert!(ingester.stop().success());
}

#[test]
fn a_damaged_record_costs_itself_and_leaves_a_gap_row() {
    let scene = Scene::new();
    let ingester = scene.start(&[]);
    let mut router = scene.connect(&ingester);
    scene.dump(&mut router);
    scene.cut(true);
    let mut generations = scene.send_while_away(&mut router, 100 << 10);
    // Each of these is read by itself.
    for _ in 0..3 {
        let before = journaled(&scene.state_dir);
        generations += 1;
        let messages = generation(scene.peer, generations);
        router.send(&messages);
        let after = before + u64::try_from(messages.len()).unwrap();
        eventually("it is in the journal", || (journaled(&scene.state_dir) >= after).then_some(()));
    }
    ingester.kill();
    let segment = segments(&scene.state_dir).remove(0);
    let mut bytes = std::fs::read(&segment).unwrap();
    let records = records(&bytes);
    // In the messages of the last but one.
    bytes[records[records.len() - 2] + 40] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    scene.cut(false);
    let ingester = scene.start(&[]);
    let gap = "session_events WHERE kind = 'gap' AND reason LIKE '%of input cannot be read'";
    eventually_equal(1, || count(&scene.db, gap));
    eventually_equal(1, || count(&scene.db, "session_events WHERE kind = 'session_lost'"));
    eventually_equal(0, || journaled(&scene.state_dir));
    let (some, all) = (count(&scene.db, "route_events"), i64::from(TABLE * (generations + 1)));
    assert!(some < all && some > i64::from(TABLE), "{some} of {all}");
    assert_eq!(count(&scene.db, "(SELECT DISTINCT event_id FROM route_events) e"), some);
    // The messages after the damage were applied.
    assert_eq!(count(&scene.db, &format!("current_routes WHERE med = {generations}")), i64::from(TABLE));
    assert!(ingester.stop().success());
}

#[test]
fn routes_without_their_lost_peer_up_are_left_out() {
    let scene = Scene::new();
    let ingester = scene.start(&[]);
    let mut router = scene.connect(&ingester);
    scene.dump(&mut router);
    scene.cut(true);
    let generations = scene.send_while_away(&mut router, 10 << 10) + 1;
    let red = scene.peer.with_rd(7);
    let route = bmp::announce(&Attributes::path(&[64_500]), "192.0.2.1", &["198.51.100.0/24"]);
    let peer_up = bmp::peer_up(red, &Open::of(64_500, &red.bgp_id.to_string()), Some("red"));
    let rest = [bmp::route_monitoring(red, &route), generation(scene.peer, generations)].concat();
    // Each of these is read by itself.
    for messages in [peer_up, rest] {
        let after = journaled(&scene.state_dir) + u64::try_from(messages.len()).unwrap();
        router.send(&messages);
        eventually("it is in the journal", || (journaled(&scene.state_dir) >= after).then_some(()));
    }
    ingester.kill();
    let segment = segments(&scene.state_dir).remove(0);
    let mut bytes = std::fs::read(&segment).unwrap();
    let records = records(&bytes);
    bytes[records[records.len() - 2] + 40] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    scene.cut(false);
    let mut ingester = scene.start(&[]);
    eventually_equal(1, || count(&scene.db, "session_events WHERE kind = 'session_lost'"));
    eventually_equal(0, || journaled(&scene.state_dir));
    assert_eq!(count(&scene.db, &format!("current_routes WHERE med = {generations}")), i64::from(TABLE));
    assert_eq!(count(&scene.db, "route_events WHERE prefix = '198.51.100.0/24'"), 0);
    ingester.logged("routes of peers whose Peer Up may be among lost messages are counted only");
    assert!(ingester.stop().success());
}

#[test]
fn a_replay_killed_often_stores_no_event_twice() {
    let scene = Scene::new();
    let ingester = scene.start(&[]);
    let mut router = scene.connect(&ingester);
    scene.dump(&mut router);
    scene.cut(true);
    let generations = scene.send_while_away(&mut router, 200 << 10);
    ingester.kill();
    scene.cut(false);
    for share in 1..=2 {
        // Small batches, so that a kill finds some of them stored and the next ones not.
        let ingester = scene.start(&[("BATCH_ROUTES", "100")]);
        let enough = i64::from(TABLE) * i64::from(generations) * share / 3;
        eventually("a share of it is stored", || (count(&scene.db, "route_events") >= enough).then_some(()));
        ingester.kill();
    }
    let ingester = scene.start(&[]);
    scene.is_complete(generations);
    assert!(ingester.stop().success());
}

/// The table is removed; the router dumps it again with its original timestamps while the database is away, and the
/// collector is killed.
fn replay_behind(removal: &str) {
    let scene = Scene::new();
    let ingester = scene.start(&[("STALE_ROUTES_SECS", "1")]);
    let mut router = scene.connect(&ingester);
    scene.dump(&mut router);
    match removal {
        "terminated" => drop(router.send(&bmp::termination(0))),
        "peer_down" => drop(router.send(&bmp::peer_down(scene.peer, 6))),
        _ => {}
    }
    if removal == "peer_down" {
        eventually_equal(0, || count(&scene.db, "current_routes"));
    }
    drop(router);
    eventually_equal(0, || count(&scene.db, "current_routes"));
    eventually_equal(0, || count(&scene.db, "bmp_sessions WHERE state IN ('up', 'dumping')"));
    eventually_equal(0, || journaled(&scene.state_dir));
    scene.cut(true);
    let mut router = scene.connect(&ingester);
    // The session waits for its claim now.
    eventually("the Peer Up is read", || (router.unread() == 0).then_some(()));
    let messages = [generation(scene.peer, 0), bmp::route_monitoring(scene.peer, &bmp::end_of_rib_ipv4())].concat();
    router.send(&messages);
    let length = u64::try_from(messages.len()).unwrap();
    eventually("all of it is in the journal", || (journaled(&scene.state_dir) >= length).then_some(()));
    ingester.kill();
    scene.cut(false);
    let ingester = scene.start(&[]);
    eventually_equal(2 * i64::from(TABLE), || count(&scene.db, "route_events"));
    let known = format!("routes_as_of('{}', 'global', now()) WHERE complete", scene.peer.bgp_id);
    eventually_equal(i64::from(TABLE), || count(&scene.db, &known));
    // And once more, without a removal.
    let mut router = scene.connect(&ingester);
    router.send(&messages);
    eventually_equal(1, || count(&scene.db, "rib_sync_status WHERE eor_seen"));
    assert_eq!(count(&scene.db, "route_events"), 2 * i64::from(TABLE));
    assert!(ingester.stop().success());
}

#[test]
fn a_replayed_dump_behind_a_termination_is_stored() {
    replay_behind("terminated");
}

#[test]
fn a_replayed_dump_behind_a_peer_down_is_stored() {
    replay_behind("peer_down");
}

#[test]
fn a_replayed_dump_behind_an_expired_hold_is_stored() {
    replay_behind("stale_expired");
}

#[test]
fn a_stop_without_a_database_keeps_everything() {
    let scene = Scene::new();
    let settings = [("SHUTDOWN_TIMEOUT_SECS", "1")];
    let ingester = scene.start(&settings);
    let mut router = scene.connect(&ingester);
    scene.dump(&mut router);
    scene.cut(true);
    for number in 1..=20 {
        router.send(&generation(scene.peer, number));
    }
    // The router would repeat what the collector has not read; here it must have read all.
    eventually("the collector has read it", || (router.unread() == 0).then_some(()));
    assert!(ingester.stop().success());
    assert!(journaled(&scene.state_dir) > 0);
    scene.cut(false);
    let ingester = scene.start(&[]);
    scene.is_complete(20);
    assert!(ingester.stop().success());
}

/// The value of a series without labels.
fn metric(ingester: &mut Ingester, name: &str) -> f64 {
    let text = ingester.get("/metrics").2;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).map(str::to_owned);
    value.unwrap_or_else(|| panic!("{name} in {text}")).parse().unwrap()
}

#[test]
fn an_operator_sees_the_journal_and_when_it_is_full() {
    let scene = Scene::new();
    let mut ingester = scene.start(&[("JOURNAL_MAX_BYTES", "400000")]);
    let mut router = scene.connect(&ingester);
    scene.dump(&mut router);
    assert_eq!(metric(&mut ingester, "rib_ingester_journal_limit_bytes"), 400_000.0);
    scene.cut(true);
    let mut sent = 0;
    eventually("input is not stored", || {
        sent += 1;
        router.send_or_be_cut(&generation(scene.peer, sent));
        (metric(&mut ingester, "rib_ingester_journal_unstored_bytes") > 0.0).then_some(())
    });
    assert_eq!(metric(&mut ingester, "rib_ingester_journal_streams"), 1.0);
    assert!(metric(&mut ingester, "rib_ingester_journal_segments") >= 1.0);
    eventually("its age", || (metric(&mut ingester, "rib_ingester_journal_oldest_age_seconds") > 0.0).then_some(()));
    eventually("the status page says how old it is", || ingester.get("/").2.contains("oldest ").then_some(()));
    let text = eventually("no room", || {
        sent += 1;
        router.send_or_be_cut(&generation(scene.peer, sent));
        Some(ingester.get("/readyz").2).filter(|text| text.contains("journal: no room, "))
    });
    assert!(text.contains(" of 400000 bytes taken"), "{text}");
    scene.cut(false);
    eventually("it is applied", || (metric(&mut ingester, "rib_ingester_journal_unstored_bytes") == 0.0).then_some(()));
    eventually("ready again", || (ingester.get("/readyz").0 == 200).then_some(()));
    assert_eq!(metric(&mut ingester, "rib_ingester_journal_oldest_age_seconds"), 0.0);
}

#[test]
fn input_of_a_version_with_a_spool_is_refused() {
    let folder = Folder::new();
    std::fs::create_dir_all(folder.path().join("spool").join(format!("{:020}", 1))).unwrap();
    let mut command = serve("postgresql://rib@127.0.0.1:1/rib");
    let output = command.env("RIB_INGESTER_STATE_DIR", folder.path()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("has input of an earlier version, which only that version can store"), "{text}");
}
