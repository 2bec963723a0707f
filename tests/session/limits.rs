//! Refused connections, floods and misbehavior at the BMP port: each affects its own connection only.
#![allow(missing_docs, clippy::unwrap_used)]

use std::process::Command;
use std::time::{Duration, Instant};

use crate::common::bmp::{self, Attributes, Open, Peer};
use crate::common::ingester::{FakeRouter, Ingester, eventually, eventually_equal};
use crate::common::pg::TestDb;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Initiation and the Peer Up of the global Loc-RIB.
fn greet(router: &mut FakeRouter, id: &str) {
    router.send(&bmp::initiation(b"edge1", b"")).send(&bmp::peer_up(
        Peer::loc_rib(id),
        &Open::of(64_500, id),
        Some("global"),
    ));
}

fn announce(id: &str, prefix: &str) -> Vec<u8> {
    let next_hop = if prefix.contains(':') { "2001:db8::1" } else { "192.0.2.1" };
    let update = bmp::announce(&Attributes::path(&[64_500, 64_501]), next_hop, &[prefix]);
    bmp::route_monitoring(Peer::loc_rib(id), &update)
}

/// A router that is identified and has one route in the database.
fn live(ingester: &Ingester, db: &TestDb, source: &str, id: &str, prefix: &str) -> FakeRouter {
    let mut router = ingester.connect_from(source);
    greet(&mut router, id);
    router.send(&announce(id, prefix));
    eventually_equal(vec![prefix.to_owned()], || routes(db, id));
    router
}

fn routes(db: &TestDb, id: &str) -> Vec<String> {
    db.rows(&format!("SELECT prefix FROM current_routes WHERE router_id = '{id}' ORDER BY prefix"))
}

fn refusals(db: &TestDb) -> Vec<String> {
    db.rows("SELECT host(peer_address), reason FROM session_events WHERE kind = 'refused' ORDER BY id")
}

fn is_cut(router: &mut FakeRouter) {
    eventually("the collector closes the connection", || router.is_closed().then_some(()));
}

#[test]
fn the_allow_file_is_reloaded_unless_it_is_invalid() {
    let db = TestDb::migrated();
    let folder = std::env::temp_dir().join(format!("rib-ingester-limits-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("allow");
    std::fs::write(&file, "# routers\n127.0.0.2\n").unwrap();
    let settings = [("ALLOW", "192.0.2.0/24"), ("ALLOW_FILE", file.to_str().unwrap())];
    let mut ingester = Ingester::start(&db.url(), &settings);
    let mut first = live(&ingester, &db, "127.0.0.2", "10.255.0.2", "10.2.0.0/16");

    is_cut(&mut ingester.connect_from("127.0.0.3"));
    let refused = "not in the allow-list; to admit it add 127.0.0.3/32 to RIB_INGESTER_ALLOW";
    eventually_equal(vec![format!("127.0.0.3|{refused}")], || refusals(&db));

    std::fs::write(&file, "127.0.0.3\n").unwrap();
    ingester.signal("HUP");
    ingester.logged("allow-list: read again, 1 networks");
    live(&ingester, &db, "127.0.0.3", "10.255.0.3", "10.3.0.0/16");
    is_cut(&mut ingester.connect_from("127.0.0.2"));
    // A session that was admitted stays.
    first.send(&announce("10.255.0.2", "10.22.0.0/16"));
    eventually_equal(2, || routes(&db, "10.255.0.2").len());

    std::fs::write(&file, "127.0.0.2\n127.0.0.3/8\n").unwrap();
    ingester.signal("HUP");
    ingester.logged("allow-list: old values kept: RIB_INGESTER_ALLOW_FILE");
    ingester.logged("line 2: 127.0.0.3/8 has host bits");
    is_cut(&mut ingester.connect_from("127.0.0.2"));
    let mut third = ingester.connect_from("127.0.0.3");
    greet(&mut third, "10.255.0.3");
    third.send(&announce("10.255.0.3", "10.33.0.0/16"));
    eventually_equal(2, || routes(&db, "10.255.0.3").len());
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn sessions_are_bounded_in_all_and_by_address() {
    let db = TestDb::migrated();
    let settings = [("MAX_SESSIONS", "3"), ("MAX_SESSIONS_PER_ADDRESS", "2"), ("ALLOW", "127.0.0.0/8")];
    let ingester = Ingester::start(&db.url(), &settings);
    // Two routers with one address are two routers.
    let first = live(&ingester, &db, "127.0.0.2", "10.255.0.2", "10.2.0.0/16");
    let second = live(&ingester, &db, "127.0.0.2", "10.255.0.3", "10.3.0.0/16");
    is_cut(&mut ingester.connect_from("127.0.0.2"));
    let _other = live(&ingester, &db, "127.0.0.3", "10.255.0.4", "10.4.0.0/16");
    is_cut(&mut ingester.connect_from("127.0.0.4"));
    let of_address = "2 sessions from this address are open: RIB_INGESTER_MAX_SESSIONS_PER_ADDRESS is reached";
    let of_all = "3 sessions are open: RIB_INGESTER_MAX_SESSIONS is reached";
    eventually_equal(vec![format!("127.0.0.2|{of_address}"), format!("127.0.0.4|{of_all}")], || refusals(&db));
    drop((first, second));
    let mut again = eventually("a place is free again", || {
        let mut router = ingester.connect_from("127.0.0.2");
        (!router.is_closed()).then_some(router)
    });
    greet(&mut again, "10.255.0.5");
    again.send(&announce("10.255.0.5", "10.5.0.0/16"));
    eventually_equal(1, || routes(&db, "10.255.0.5").len());
}

#[test]
fn a_router_that_stalls_is_closed_an_idle_one_is_not() {
    let db = TestDb::migrated();
    let settings = [("MESSAGE_TIMEOUT_SECS", "1"), ("ALLOW", "127.0.0.0/8")];
    let mut ingester = Ingester::start(&db.url(), &settings);
    let mut silent = live(&ingester, &db, "127.0.0.2", "10.255.0.2", "10.2.0.0/16");
    let mut stalled = live(&ingester, &db, "127.0.0.3", "10.255.0.3", "10.3.0.0/16");
    let mut drips = live(&ingester, &db, "127.0.0.4", "10.255.0.4", "10.4.0.0/16");
    let mut mute = ingester.connect_from("127.0.0.5");

    let message = announce("10.255.0.3", "10.33.0.0/16");
    stalled.send(&message[..message.len() - 1]);
    is_cut(&mut stalled);
    // A message that would take minutes: bytes keep arriving, the message does not end.
    let mut drop_by_drop = message.iter().cycle();
    drips.send(&[3, 0, 0, 0xff, 0xff, 0]);
    eventually("the dripping session ends", || {
        drips.send_or_be_cut(&[*drop_by_drop.next().unwrap()]);
        drips.is_closed().then_some(())
    });
    is_cut(&mut mute);
    ingester.logged("router 10.255.0.3 (edge1): session ended: stalled inside a message");
    ingester.logged("router 10.255.0.4 (edge1): session ended: stalled inside a message");
    ingester.logged("router at 127.0.0.5: session ended: no BMP message received");
    silent.send(&announce("10.255.0.2", "10.22.0.0/16"));
    eventually_equal(2, || routes(&db, "10.255.0.2").len());
    // The routes of the closed sessions stay for the stale time.
    assert_eq!((routes(&db, "10.255.0.3").len(), routes(&db, "10.255.0.4").len()), (1, 1));
    let lost = "SELECT router_id, kind, reason FROM session_events WHERE kind = 'session_lost' ORDER BY router_id";
    eventually_equal(
        ["3", "4"].map(|i| format!("10.255.0.{i}|session_lost|stalled inside a message")).to_vec(),
        || db.rows(lost),
    );
}

#[test]
fn two_routers_with_one_identifier_from_two_addresses() {
    let db = TestDb::migrated();
    let ingester = Ingester::start(&db.url(), &[("ALLOW", "127.0.0.0/8")]);
    let mut holder = live(&ingester, &db, "127.0.0.2", "10.255.0.2", "10.2.0.0/16");
    // It retries repeatedly: one row reports it.
    for _ in 0..3 {
        let mut other = ingester.connect_from("127.0.0.3");
        other.send_or_be_cut(&bmp::initiation(b"edge2", b""));
        other.send_or_be_cut(&bmp::peer_up(
            Peer::loc_rib("10.255.0.2"),
            &Open::of(64_500, "10.255.0.2"),
            Some("global"),
        ));
        is_cut(&mut other);
    }
    let reason = "router identifier 10.255.0.2 belongs to a live session from 127.0.0.2; if these are two routers, give \
                  one another identifier with RIB_INGESTER_ROUTER_ID_FROM=127.0.0.3/32=address";
    eventually_equal(vec![format!("127.0.0.3|{reason}")], || refusals(&db));
    holder.send(&announce("10.255.0.2", "10.22.0.0/16"));
    eventually_equal(2, || routes(&db, "10.255.0.2").len());
}

#[test]
fn without_file_descriptors_accepting_pauses() {
    /// For the connections to PostgreSQL that are not made yet; too few descriptors for them would be a fault other
    /// than the one tested.
    const SPARE: usize = 48;
    let db = TestDb::migrated();
    let mut ingester = Ingester::start(&db.url(), &[("ALLOW", "127.0.0.0/8")]);
    let mut first = live(&ingester, &db, "127.0.0.2", "10.255.0.2", "10.2.0.0/16");
    let open = std::fs::read_dir(format!("/proc/{}/fd", ingester.id())).unwrap().count();
    let limit = format!("--nofile={0}:{0}", open + SPARE);
    let status = Command::new("prlimit").args(["--pid", &ingester.id().to_string(), &limit]).status().unwrap();
    assert!(status.success());
    // The kernel completes the handshakes by itself; the collector cannot accept them.
    let crowd: Vec<FakeRouter> = (0..3 * SPARE).map(|_| ingester.connect_from("127.0.0.3")).collect();
    ingester.logged("listener: accept failed, trying again: Too many open files");
    first.send(&announce("10.255.0.2", "10.22.0.0/16"));
    eventually_equal(2, || routes(&db, "10.255.0.2").len());
    drop(crowd);
    drop(live(&ingester, &db, "127.0.0.4", "10.255.0.4", "10.4.0.0/16"));
    assert!(ingester.count_logged("accept failed") < 100);
}

#[test]
fn a_table_over_its_bound_is_cut_there_and_reported() {
    let db = TestDb::migrated();
    let mut ingester = Ingester::start(&db.url(), &[("MAX_ROUTES_PER_TABLE", "100")]);
    let id = "10.255.0.2";
    let mut router = ingester.connect();
    greet(&mut router, id);
    // Ten times the usual size, in UPDATEs of twenty prefixes.
    for third in 0..50 {
        let prefixes: Vec<String> = (0..20).map(|fourth| format!("10.2.{third}.{fourth}/32")).collect();
        let prefixes: Vec<&str> = prefixes.iter().map(String::as_str).collect();
        let update = bmp::announce(&Attributes::path(&[64_500]), "192.0.2.1", &prefixes);
        router.send(&bmp::route_monitoring(Peer::loc_rib(id), &update));
    }
    router.send(&announce(id, "2001:db8::/32"));
    ingester.logged("table global IPv4: 90 routes; new ones are refused at 100 (RIB_INGESTER_MAX_ROUTES_PER_TABLE)");
    ingester.logged("table global IPv4: full, new routes are refused: RIB_INGESTER_MAX_ROUTES_PER_TABLE is 100");
    let by_family = "SELECT family(prefix), count(*) FROM current_routes GROUP BY 1 ORDER BY 1";
    eventually_equal(vec!["4|100".to_owned(), "6|1".to_owned()], || db.rows(by_family));
    let full = "SELECT router_id, table_name, afi, routes FROM session_events WHERE kind = 'table_full'";
    eventually_equal(vec![format!("{id}|global|4|100")], || db.rows(full));
    // The stored routes stay right: changes and withdrawals are applied, and make room.
    router.send(&bmp::route_monitoring(Peer::loc_rib(id), &bmp::withdraw(&["10.2.0.0/32"])));
    router.send(&announce(id, "10.3.0.0/16"));
    eventually_equal(vec!["100|1".to_owned()], || {
        db.rows("SELECT count(*), count(*) FILTER (WHERE prefix = '10.3.0.0/16') FROM current_routes WHERE afi = 4")
    });
    assert!(ingester.stop().success());
}

/// The state of the collector's half of this connection in `/proc/net/tcp`: its timer, 02 for keepalive.
fn timer_of(ingester: &Ingester, router: std::net::SocketAddr) -> Option<String> {
    let text = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let (here, there) = (format!(":{:04X}", ingester.address().port()), format!(":{:04X}", router.port()));
    let fields = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let mut found = fields.filter(|f| f.len() > 5 && f[1].ends_with(&here) && f[2].ends_with(&there));
    found.next().map(|fields| fields[5][..2].to_owned())
}

#[test]
fn a_router_that_vanishes_without_a_word_is_asked_for() {
    let db = TestDb::migrated();
    let ingester = Ingester::start(&db.url(), &[]);
    let router = std::net::TcpStream::connect(ingester.address()).unwrap();
    let own = router.local_addr().unwrap();
    eventually_equal(Some("02".to_owned()), || timer_of(&ingester, own));
}

/// The threads of sessions. Others begin and end, as each connection to the database does when it is made.
fn session_threads(ingester: &Ingester) -> u64 {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", ingester.id())).unwrap().flatten();
    // One that has just ended has no name any more.
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    u64::try_from(names.filter(|name| name.starts_with("bmp-")).count()).unwrap()
}

#[test]
fn a_thousand_routers_at_once() {
    const ROUTERS: u64 = 1_000;
    /// Of resident memory, in KiB: a read buffer of 64 KiB, a stack, and the state of peers and tables.
    const EACH_MAX: u64 = 256;
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    // The collector starts with the usual limit and raises it itself.
    setrlimit(Resource::RLIMIT_NOFILE, most.min(1_024), most).unwrap();
    let db = TestDb::migrated();
    let settings = [("MAX_SESSIONS_PER_ADDRESS", "1024"), ("ALLOW", "127.0.0.0/8")];
    let ingester = Ingester::start(&db.url(), &settings);
    setrlimit(Resource::RLIMIT_NOFILE, most.min(4_096), most).unwrap();
    let before = ingester.proc_status("VmRSS");
    let count = "SELECT count(*), count(DISTINCT router_id) FROM current_routes";
    let mut routers: Vec<(String, FakeRouter)> = Vec::new();
    for i in 0..ROUTERS {
        let id = format!("10.254.{}.{}", i / 250, i % 250);
        let mut router = ingester.connect();
        greet(&mut router, &id);
        router.send(&announce(&id, "10.1.0.0/16"));
        routers.push((id, router));
        // In steps, so that a slow machine has a deadline for each.
        if routers.len().is_multiple_of(100) {
            eventually_equal(vec![format!("{0}|{0}", routers.len())], || db.rows(count));
        }
    }
    for (id, router) in &mut routers {
        router.send(&announce(id, "10.2.0.0/16"));
    }
    eventually_equal(vec!["2000|1000".to_owned()], || db.rows(count));
    let threads = session_threads(&ingester);
    let memory = ingester.proc_status("VmRSS") - before;
    eprintln!("{ROUTERS} sessions: {threads} threads and {memory} KiB more");
    assert_eq!(threads, ROUTERS);
    assert!(memory < ROUTERS * EACH_MAX, "{memory} KiB");
    drop(routers);
    eventually("their threads are gone", || (session_threads(&ingester) == 0).then_some(()));
    assert!(ingester.stop().success());
}

#[test]
fn a_flood_of_connections_leaves_nothing_behind() {
    let db = TestDb::migrated();
    let ingester = Ingester::start(&db.url(), &[("ALLOW", "127.0.0.0/24"), ("MAX_SESSIONS", "50")]);
    let mut first = live(&ingester, &db, "127.0.0.2", "10.255.0.2", "10.2.0.0/16");
    let threads = ingester.proc_status("Threads");
    let begin = Instant::now();
    let mut connections = 0;
    // Refused sources, routers that send little, and one that reconnects repeatedly under its own name.
    while connections < 3_000 && begin.elapsed() < Duration::from_secs(20) {
        drop(ingester.connect_from("127.0.1.3"));
        let mut half = ingester.connect_from("127.0.0.3");
        half.send_or_be_cut(&bmp::initiation(b"edge3", b"")[..10]);
        if connections % 60 == 0 {
            let mut again = ingester.connect_from("127.0.0.4");
            again.send_or_be_cut(&bmp::initiation(b"edge4", b""));
            again.send_or_be_cut(&bmp::peer_up(
                Peer::loc_rib("10.255.0.4"),
                &Open::of(64_500, "10.255.0.4"),
                Some("global"),
            ));
            again.send_or_be_cut(&announce("10.255.0.4", "10.4.0.0/16"));
        }
        connections += 2;
    }
    first.send(&announce("10.255.0.2", "10.22.0.0/16"));
    eventually_equal(2, || routes(&db, "10.255.0.2").len());
    eventually("the threads of the flood are gone", || (ingester.proc_status("Threads") <= threads).then_some(()));
    let _last = live(&ingester, &db, "127.0.0.4", "10.255.0.4", "10.4.0.0/16");
    // Each kind of refusal of each source is one row, not thousands.
    assert!(refusals(&db).len() <= 3, "{:?}", refusals(&db));
    assert_eq!(db.rows("SELECT count(*) FROM current_routes"), ["3"]);
}
