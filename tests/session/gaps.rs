//! Input that cannot be kept: it is reported when it happens, in a row for each session that lost some, and at a stop.
#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::Ordering;

use crate::common::bmp::{self, Attributes, Open, Peer};
use crate::common::ingester::{FakeRouter, Ingester, eventually, eventually_equal};
use crate::common::pg::TestDb;
use crate::common::proxy::Proxy;

/// A database over a connection that can be cut, and a collector's folder.
struct Scene {
    db: TestDb,
    proxy: Proxy,
    state_dir: PathBuf,
}

impl Scene {
    fn new() -> Scene {
        let db = TestDb::migrated();
        let (host, port) = db.server();
        let state_dir = std::env::temp_dir().join(format!("rib-ingester-gaps-{}", db.name()));
        Scene { proxy: Proxy::start(&host, port), db, state_dir }
    }

    fn start(&self, settings: &[(&str, &str)]) -> Ingester {
        let mut all = vec![("STATE_DIR", self.state_dir.to_str().unwrap()), ("ALLOW", "127.0.0.0/8")];
        all.extend(settings);
        Ingester::start(&self.db.url_at("127.0.0.1", self.proxy.port), &all)
    }

    fn cut(&self, is_down: bool) {
        self.proxy.is_down.store(is_down, Ordering::SeqCst);
    }

    /// The gaps that are reported, as `router reason`.
    fn gaps(&self) -> Vec<String> {
        self.db.rows("SELECT router_id, reason FROM session_events WHERE kind = 'gap' ORDER BY 1, 2")
    }

    fn routes(&self) -> Vec<String> {
        self.db.rows("SELECT router_id, count(*) FROM current_routes GROUP BY 1 ORDER BY 1")
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.state_dir);
    }
}

/// The router with this last octet connects and identifies itself.
fn connect(ingester: &Ingester, octet: u8) -> (FakeRouter, Peer) {
    let peer = Peer::loc_rib(&format!("10.255.0.{octet}"));
    let mut router = ingester.connect_from(&format!("127.0.0.{octet}"));
    let open = Open::of(64_500, &peer.bgp_id.to_string());
    router.send_or_be_cut(&bmp::initiation(b"edge", b""));
    router.send_or_be_cut(&bmp::peer_up(peer, &open, Some("global")));
    (router, peer)
}

fn announce(peer: Peer, number: u32) -> Vec<u8> {
    let prefix = format!("10.{}.{}.0/24", number >> 8 & 0xff, number & 0xff);
    bmp::route_monitoring(peer, &bmp::announce(&Attributes::path(&[64_501]), "192.0.2.1", &[&prefix]))
}

/// Sends more and more until the collector closes the connection.
fn is_closed_by_much(router: &mut FakeRouter, peer: Peer) {
    let mut said = 0;
    eventually("the collector closes the connection", || {
        let piece: Vec<u8> = (said..said + 300).flat_map(|number| announce(peer, number)).collect();
        said += 300;
        router.send_or_be_cut(&piece);
        router.is_gone().then_some(())
    });
}

fn metric(ingester: &mut Ingester, name: &str) -> String {
    let text = ingester.get("/metrics").2;
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).unwrap_or("none").to_owned()
}

#[test]
fn a_loss_is_reported_though_the_router_is_back() {
    let scene = Scene::new();
    let mut ingester = scene.start(&[("JOURNAL_MAX_BYTES", "100000")]);
    scene.cut(true);
    let (mut first, peer) = connect(&ingester, 2);
    is_closed_by_much(&mut first, peer);
    // Immediately, while the database is away.
    ingester.logged("router 10.255.0.2: input lost: the journal is full");
    eventually_equal("1".to_owned(), || metric(&mut ingester, "rib_ingester_journal_gaps_total"));
    let (mut second, peer) = connect(&ingester, 2);
    second.send(&announce(peer, 0)).send(&bmp::route_monitoring(peer, &bmp::end_of_rib_ipv4()));
    scene.cut(false);
    eventually_equal(vec!["10.255.0.2|1".to_owned()], || scene.routes());
    eventually_equal(1, || scene.gaps().len());
    assert!(scene.gaps()[0].starts_with("10.255.0.2|input lost: the journal is full"), "{:?}", scene.gaps());
    assert!(ingester.stop().success());
}

#[test]
fn a_disk_that_takes_nothing_is_reported_at_once() {
    let scene = Scene::new();
    let mut ingester = scene.start(&[]);
    scene.cut(true);
    // No file may grow beyond this: as on a full disk, with another error.
    let limit = ["--pid", &ingester.id().to_string(), "--fsize=60000:60000"].map(str::to_owned);
    assert!(Command::new("prlimit").args(limit).status().unwrap().success());
    for octet in [2, 3] {
        let (mut router, peer) = connect(&ingester, octet);
        is_closed_by_much(&mut router, peer);
        ingester.logged(&format!("router 10.255.0.{octet}: input lost: the journal cannot be written: File too large"));
    }
    let is_said = |text: &String| text.contains("journal: cannot be written: File too large");
    eventually("it is not ready", || Some(ingester.get("/readyz").2).filter(is_said));
    eventually_equal("2".to_owned(), || metric(&mut ingester, "rib_ingester_journal_gaps_total"));
    assert_ne!(metric(&mut ingester, "rib_ingester_journal_write_errors_total"), "0");
    assert_eq!(scene.gaps(), [""; 0], "the database is away");
    // Both reconnect before it does.
    let back = [2, 3].map(|octet| connect(&ingester, octet));
    scene.cut(false);
    eventually_equal(2, || scene.gaps().len());
    assert!(scene.gaps()[0].starts_with("10.255.0.2|") && scene.gaps()[1].starts_with("10.255.0.3|"));
    drop(back);
}

#[test]
fn a_stop_that_discards_input_fails_and_is_reported() {
    let scene = Scene::new();
    let settings = [("JOURNAL_MAX_BYTES", "100000"), ("SHUTDOWN_TIMEOUT_SECS", "1")];
    let ingester = scene.start(&settings);
    scene.cut(true);
    let (mut router, peer) = connect(&ingester, 2);
    is_closed_by_much(&mut router, peer);
    assert_eq!(ingester.stop().code(), Some(1));
    scene.cut(false);
    let ingester = scene.start(&settings);
    eventually_equal(1, || scene.gaps().len());
    assert!(scene.gaps()[0].starts_with("10.255.0.2|input lost: the journal is full"), "{:?}", scene.gaps());
    assert!(ingester.stop().success());
}

#[test]
fn a_loss_without_room_is_reported_at_the_next_start() {
    let scene = Scene::new();
    let settings = [("JOURNAL_MAX_BYTES", "1"), ("SHUTDOWN_TIMEOUT_SECS", "1")];
    // What is given up at once, with a stop and a kill after it; and what a stop finds.
    for is_stopped in [true, false] {
        let ingester = scene.start(&settings);
        scene.cut(true);
        let (mut router, peer) = connect(&ingester, 2);
        is_closed_by_much(&mut router, peer);
        if is_stopped {
            assert_eq!(ingester.stop().code(), Some(1))
        } else {
            ingester.kill()
        }
        scene.cut(false);
        let ingester = scene.start(&settings);
        eventually_equal(1, || scene.gaps().len());
        assert!(scene.gaps()[0].starts_with("10.255.0.2|input lost: the journal is full"), "{:?}", scene.gaps());
        ingester.kill();
        scene.db.client().batch_execute("TRUNCATE session_events").unwrap();
    }
    let ingester = scene.start(&settings);
    scene.cut(true);
    let (mut router, peer) = connect(&ingester, 3);
    router.send(&announce(peer, 1));
    eventually("it is read", || (router.unread() == 0).then_some(()));
    assert_eq!(ingester.stop().code(), Some(1));
    scene.cut(false);
    let ingester = scene.start(&settings);
    eventually_equal(1, || scene.gaps().len());
    assert!(scene.gaps()[0].starts_with("10.255.0.3|input lost: not stored when"), "{:?}", scene.gaps());
    assert!(ingester.stop().success());
    assert!(scene.start(&settings).stop().success());
    assert_eq!(scene.gaps().len(), 1, "once");
}

/// A router sends this much while the database is away, and all of it is in the journal.
fn has_replay(scene: &Scene, ingester: &Ingester, octet: u8, messages: impl Fn(Peer) -> Vec<u8>) -> FakeRouter {
    let before = filled_streams(scene);
    let (mut router, peer) = connect(ingester, octet);
    // An earlier session's may go in the meantime.
    let octets = || -> u64 {
        let streams = filled_streams(scene);
        streams.iter().filter(|(stream, _)| !before.contains_key(*stream)).map(|(_, octets)| octets).sum()
    };
    let mut last = 0;
    eventually("its greeting is in the journal", || {
        let now = octets();
        (router.unread() == 0 && now > 0 && std::mem::replace(&mut last, now) == now).then_some(())
    });
    let messages = messages(peer);
    router.send(&messages);
    let all = last + u64::try_from(messages.len()).unwrap();
    eventually("it is read into the journal", || (octets() >= all).then_some(()));
    router
}

/// The streams with something in their segments, and how much.
fn filled_streams(scene: &Scene) -> BTreeMap<PathBuf, u64> {
    let streams = std::fs::read_dir(scene.state_dir.join("journal")).into_iter().flatten().flatten();
    let octets = |stream: &Path| -> u64 {
        let files = std::fs::read_dir(stream).into_iter().flatten().flatten();
        let segments = files.filter(|file| file.path().extension().is_some_and(|extension| extension == "segment"));
        // The first eight octets of a segment identify its format.
        segments.filter_map(|file| file.metadata().ok()?.len().checked_sub(8)).sum()
    };
    let streams = streams.map(|stream| (stream.path(), octets(&stream.path())));
    streams.filter(|(_, octets)| *octets > 0).collect()
}

fn streams(scene: &Scene) -> usize {
    let entries = std::fs::read_dir(scene.state_dir.join("journal")).into_iter().flatten().flatten();
    entries.filter(|entry| entry.path().is_dir()).count()
}

/// The output of `decode` for a file that was set aside.
fn decoded(path: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_rib-ingester")).args(["decode", path]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// The file that a reason names.
fn file_in(reason: &str) -> &str {
    reason.split([' ', ':']).find(|word| word.starts_with('/')).unwrap()
}

#[test]
fn a_replay_that_the_database_refuses_is_set_aside() {
    let scene = Scene::new();
    let ingester = scene.start(&[]);
    scene.cut(true);
    let routers = [2, 3].map(|octet| has_replay(&scene, &ingester, octet, |peer| announce(peer, 7)));
    ingester.kill();
    drop(routers);
    // A value that the database never accepts, of one router only.
    scene
        .db
        .client()
        .batch_execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
           BEGIN RAISE EXCEPTION 'not this one' USING ERRCODE = '22023'; END $$;
         CREATE TRIGGER refuse BEFORE INSERT ON routers FOR EACH ROW WHEN (NEW.router_id = '10.255.0.2')
           EXECUTE FUNCTION refuse()",
        )
        .unwrap();
    scene.cut(false);
    let mut ingester = scene.start(&[]);
    eventually_equal(1, || scene.gaps().len());
    let gap = scene.gaps().remove(0);
    assert!(gap.starts_with("10.255.0.2|input lost: ") && gap.contains("not this one"), "{gap}");
    assert!(decoded(file_in(&gap)).contains("10.0.7.0/24"), "{gap}");
    ingester.logged("router 10.255.0.2: input lost: ");
    // The other router's input is applied, and nothing is left for the next start.
    eventually_equal(vec!["10.255.0.3|1".to_owned()], || scene.routes());
    eventually_equal(0, || streams(&scene));
    assert!(ingester.stop().success());
    let ingester = scene.start(&[]);
    assert_eq!(ingester.count_logged("bytes of input since"), 0);
    assert_eq!(scene.gaps().len(), 1);
}

#[test]
fn replayed_messages_over_the_new_limit_are_set_aside() {
    let scene = Scene::new();
    let ingester = scene.start(&[]);
    scene.cut(true);
    // The statistics are of a length that the next process does not accept.
    let long = |peer: Peer| {
        let gauge = [&[0xff, 0, 0xff, 0xff][..], &[0; 0xffff]].concat();
        bmp::message(1, &[peer.bytes(), vec![0, 0, 0, 3], gauge.repeat(3)].concat())
    };
    let mut router = has_replay(&scene, &ingester, 2, |peer| announce(peer, 7));
    let peer = Peer::loc_rib("10.255.0.2");
    for piece in [long(peer), announce(peer, 8)] {
        router.send(&piece);
        eventually("it is read", || (router.unread() == 0).then_some(()));
    }
    ingester.kill();
    scene.cut(false);
    let ingester = scene.start(&[("MAX_MESSAGE_BYTES", "70000")]);
    eventually_equal(1, || scene.gaps().len());
    let gap = scene.gaps().remove(0);
    assert!(gap.contains("not BMP messages of an allowed length"), "{gap}");
    let kept = std::fs::read(file_in(&gap)).unwrap();
    assert!(kept.starts_with(&long(peer)), "{} bytes", kept.len());
    eventually_equal(0, || streams(&scene));
    assert!(ingester.stop().success());
}

#[test]
fn a_stop_keeps_what_a_router_without_a_name_said() {
    let scene = Scene::new();
    let settings = [("SHUTDOWN_TIMEOUT_SECS", "1")];
    let ingester = scene.start(&settings);
    scene.cut(true);
    let mut router = ingester.connect_from("127.0.0.2");
    router.send(&announce(Peer::global_instance("198.51.100.1", 64_501), 7));
    eventually("it is read", || (router.unread() == 0).then_some(()));
    assert!(ingester.stop().success());
    assert_eq!(streams(&scene), 1);
    scene.cut(false);
    let ingester = scene.start(&settings);
    let stored = "SELECT router_id || ' ' || prefix FROM adj_rib_in";
    eventually_equal(vec!["127.0.0.2 10.0.7.0/24".to_owned()], || scene.db.rows(stored));
    assert!(ingester.stop().success());
    assert_eq!(scene.gaps(), [""; 0]);
}

#[test]
fn a_replay_for_anothers_router_is_reported() {
    let scene = Scene::new();
    let ingester = scene.start(&[]);
    let (mut router, peer) = connect(&ingester, 2);
    router.send(&announce(peer, 1));
    eventually_equal(vec!["10.255.0.2|1".to_owned()], || scene.routes());
    drop(router);
    scene.cut(true);
    let router = has_replay(&scene, &ingester, 2, |peer| announce(peer, 7));
    ingester.kill();
    drop(router);
    let moved = "UPDATE router_owner SET collector_id = 'other', epoch = epoch + 1, since = now()";
    scene.db.client().batch_execute(moved).unwrap();
    scene.cut(false);
    let ingester = scene.start(&[]);
    // Its routes are the other collector's to write. Its history is stored, or a row reports that it is not.
    eventually("it is stored or told", || {
        let stored = scene.db.rows("SELECT FROM route_events WHERE prefix = '10.0.7.0/24'").len();
        let told = scene.gaps().iter().filter(|gap| gap.contains("owned by another collector")).count();
        (stored + told > 0).then_some(())
    });
    eventually_equal(0, || streams(&scene));
    assert!(ingester.stop().success());
}

#[test]
fn a_noted_loss_is_one_row_though_killed_before() {
    let scene = Scene::new();
    // What a collector leaves that is killed on a full disk.
    let noted = [
        r#"{"router":"10.255.0.1","source":"127.0.0.1","what":"input lost: one"}"#,
        r#"{"router":null,"source":"127.0.0.1","what":"input lost: two"}"#,
    ];
    let file = scene.state_dir.join("journal/losses");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, noted.map(|loss| format!("{loss:<512}")).concat()).unwrap();
    scene.cut(true);
    let settings = [("STATE_DIR", scene.state_dir.to_str().unwrap())];
    for _ in 0..2 {
        let mut ingester = Ingester::spawn(&scene.db.url_at("127.0.0.1", scene.proxy.port), &settings);
        ingester.logged("; retrying");
        ingester.kill();
    }
    scene.cut(false);
    let want = ["10.255.0.1|input lost: one", "-|input lost: two"];
    let ingester = scene.start(&[]);
    eventually_equal(want.map(str::to_owned).to_vec(), || scene.gaps());
    // The notes are gone with the rows.
    let is_noted = || String::from_utf8(std::fs::read(&file).unwrap()).unwrap().contains("lost");
    eventually("the notes to be removed", || (!is_noted()).then_some(()));
    ingester.kill();
    let ingester = scene.start(&[]);
    assert!(ingester.stop().success());
    assert_eq!(scene.gaps(), want);
}
