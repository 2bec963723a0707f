//! Sessions that end, or send much, before their router is identified.
#![allow(missing_docs, clippy::unwrap_used)]

use crate::common::bmp::{self, Attributes, Open, Peer};
use crate::common::ingester::{FakeRouter, Ingester, eventually, eventually_equal};
use crate::common::pg::TestDb;

/// Much more than a session may hold before its router is identified.
const MUCH: usize = 24 << 20;

/// The most that resident memory may grow meanwhile, in KiB: far less than all that is sent, and than ten times its
/// size, which all of it would take in small messages.
const GROWTH_MAX: u64 = 120 << 10;

const PEER: &str = "198.51.100.1";

/// A peer in a VRF: its Peer Up names an identifier that may be the VRF's own.
fn vrf_peer() -> Peer {
    Peer { kind: 1, ..Peer::global_instance(PEER, 64_501) }.with_rd(7)
}

fn announce(peer: Peer, prefix: &str) -> Vec<u8> {
    bmp::route_monitoring(peer, &bmp::announce(&Attributes::path(&[64_501]), "192.0.2.1", &[prefix]))
}

fn is_read(router: &FakeRouter) {
    eventually("the collector has read it", || (router.unread() == 0).then_some(()));
}

/// The rows of peers' routes, as `router prefix`.
fn adj_rib_in(db: &TestDb) -> Vec<String> {
    db.rows("SELECT router_id || ' ' || prefix FROM adj_rib_in ORDER BY 1")
}

fn events(db: &TestDb) -> Vec<String> {
    db.rows("SELECT router_id || ' ' || action || ' ' || prefix FROM route_events ORDER BY ingest_time")
}

#[test]
fn vrf_peers_said_in_one_piece_are_stored() {
    let db = TestDb::migrated();
    let ingester = Ingester::start(&db.url(), &[]);
    let peer = vrf_peer();
    let (sent, received) = (Open::of(64_500, "192.0.2.2").bytes(), Open::of(64_501, PEER).bytes());
    let piece = [
        bmp::initiation(b"edge1", b""),
        bmp::peer_up_of(peer, &sent, &received, &[]),
        announce(peer, "203.0.113.0/24"),
        bmp::route_monitoring(peer, &bmp::end_of_rib_ipv4()),
    ];
    ingester.connect().send(&piece.concat());
    eventually_equal(vec!["192.0.2.2 203.0.113.0/24".to_owned()], || adj_rib_in(&db));
    eventually_equal(vec!["192.0.2.2 A 203.0.113.0/24".to_owned()], || events(&db));
    // Kept as stale, like the routes of any other session that is lost.
    let lost = "SELECT router_id FROM session_events WHERE kind = 'session_lost'";
    eventually_equal(vec!["192.0.2.2".to_owned()], || db.rows(lost));
    assert_eq!(db.rows("SELECT hostname FROM routers"), ["edge1"]);
}

#[test]
fn a_termination_before_the_name_leaves_the_history() {
    let db = TestDb::migrated();
    let ingester = Ingester::start(&db.url(), &[]);
    let peer = vrf_peer();
    let open = Open::of(64_500, "192.0.2.2").bytes();
    let piece = [
        bmp::initiation(b"edge1", b""),
        bmp::peer_up_of(peer, &open, &open, &[]),
        announce(peer, "203.0.113.0/24"),
        bmp::termination(0),
    ];
    ingester.connect().send(&piece.concat());
    let terminated = "SELECT router_id FROM session_events WHERE kind = 'terminated'";
    eventually_equal(vec!["192.0.2.2".to_owned()], || db.rows(terminated));
    assert_eq!(adj_rib_in(&db), [""; 0]);
    assert_eq!(events(&db), ["192.0.2.2 A 203.0.113.0/24"]);
}

#[test]
fn routes_of_a_session_cut_off_before_any_name() {
    let db = TestDb::migrated();
    let ingester = Ingester::start(&db.url(), &[]);
    let peer = Peer::global_instance(PEER, 64_501);
    // Nothing is stored of this address: it is the router's identifier.
    ingester.connect_from("127.0.0.2").send(&announce(peer, "203.0.113.0/24"));
    eventually_equal(vec!["127.0.0.2 203.0.113.0/24".to_owned()], || adj_rib_in(&db));
    // A router is stored for this address.
    let mut named = ingester.connect_from("127.0.0.3");
    named.send(&bmp::peer_up(peer, &Open::of(64_500, "192.0.2.3"), None)).send(&announce(peer, "203.0.113.0/24"));
    eventually_equal(2, || adj_rib_in(&db).len());
    drop(named);
    eventually_equal(2, || db.rows("SELECT FROM session_events WHERE kind = 'session_lost'").len());
    ingester.connect_from("127.0.0.3").send(&announce(peer, "198.51.100.0/24"));
    let all = ["127.0.0.2 203.0.113.0/24", "192.0.2.3 198.51.100.0/24", "192.0.2.3 203.0.113.0/24"];
    eventually_equal(all.map(str::to_owned).to_vec(), || adj_rib_in(&db));
}

#[test]
fn a_stop_applies_what_a_router_without_a_name_said() {
    for settings in [&[][..], &[("JOURNAL", "off")]] {
        let db = TestDb::migrated();
        let ingester = Ingester::start(&db.url(), settings);
        let mut router = ingester.connect();
        let peer = Peer::global_instance(PEER, 64_501);
        let gone = bmp::route_monitoring(peer, &bmp::withdraw(&["203.0.113.0/24"]));
        for message in [announce(peer, "203.0.113.0/24"), gone, announce(peer, "203.0.113.0/24")] {
            router.send(&message);
            is_read(&router);
        }
        assert!(ingester.stop().success());
        assert_eq!(adj_rib_in(&db), ["127.0.0.1 203.0.113.0/24"]);
        assert_eq!(events(&db), ["A", "D", "A"].map(|action| format!("127.0.0.1 {action} 203.0.113.0/24")));
    }
}

/// Messages of this type without a body, or with a body of this many octets that cannot be decoded.
fn junk(type_code: u8, body: usize, octets: usize) -> Vec<u8> {
    bmp::message(type_code, &vec![0xff; body]).repeat(octets / (body + 6))
}

/// Statistics of no known type, as long as a message may be.
fn chatter(peer: Peer, octets: usize) -> Vec<u8> {
    let gauge = [&[0xff, 0, 0xff, 0xff][..], &[0; 0xffff]].concat();
    let message = bmp::message(1, &[peer.bytes(), vec![0, 0, 0, 15], gauge.repeat(15)].concat());
    message.repeat(octets / message.len())
}

fn files(folder: &std::path::Path) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(|entry| entry.path().is_dir()).count()
}

fn refused(ingester: &mut Ingester) -> u64 {
    let text = ingester.get("/metrics").2;
    let line = text.lines().find(|line| line.starts_with("rib_ingester_") && line.contains("reason=\"unnamed\""));
    line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
}

#[test]
fn small_messages_without_a_name_take_no_memory() {
    let db = TestDb::migrated();
    let ingester = Ingester::start(&db.url(), &[]);
    let before = ingester.proc_status("VmRSS");
    // Initiations, and Route Monitoring without a header.
    for type_code in [4, 0] {
        let mut router = ingester.connect();
        let piece = junk(type_code, 0, 1 << 20);
        // The rest of a session that was closed is not accepted.
        (0..6).for_each(|_| router.send_or_be_cut(&piece));
        eventually("it is read or closed", || (router.is_gone() || router.unread() == 0).then_some(()));
    }
    // A router that repeats its Initiation says who it is later: more than may wait in memory is no reason to end it.
    let mut router = ingester.connect();
    let piece = junk(4, 0, 1 << 20);
    for _ in 0..24 {
        router.send(&piece);
    }
    eventually("it is read", || (router.unread() == 0).then_some(()));
    assert!(!router.is_closed());
    drop(router);
    let grown = ingester.proc_status("VmHWM") - before;
    assert!(grown < 50 << 10, "{grown} KiB");
    // They are in the journal as long as the connections live.
    eventually_equal(0, || files(&ingester.state_dir().join("journal")));
}

#[test]
fn a_session_that_names_nobody_ends_with_a_reason() {
    let db = TestDb::migrated();
    let mut ingester = Ingester::start(&db.url(), &[("MESSAGE_TIMEOUT_SECS", "1"), ("ALLOW", "127.0.0.0/8")]);
    let mut silent = ingester.connect_from("127.0.0.2");
    silent.send(&bmp::initiation(b"edge2", b""));
    let mut talker = ingester.connect_from("127.0.0.3");
    // It is not taken for a session that says nothing while the other one is read.
    talker.send(&bmp::initiation(b"edge3", b""));
    let mut large = ingester.connect_from("127.0.0.4");
    large.send_or_be_cut(&junk(3, 60_000, MUCH));
    eventually("the one that says too much is closed", || large.is_gone().then_some(()));
    eventually("the one that talks is closed", || {
        talker.send_or_be_cut(&bmp::initiation(b"edge3", b""));
        talker.is_closed().then_some(())
    });
    let rows = "SELECT host(peer_address) FROM session_events
                 WHERE kind = 'refused' AND reason LIKE '% messages % name no router' ORDER BY 1";
    eventually_equal(vec!["127.0.0.3".to_owned(), "127.0.0.4".to_owned()], || db.rows(rows));
    assert_eq!(refused(&mut ingester), 2);
    // A router without peers sends Initiation and no more.
    assert!(!silent.is_closed());
    assert_eq!(db.rows("SELECT FROM routers").len(), 0);
}

#[test]
fn what_is_too_much_to_wait_is_stored_by_address() {
    let db = TestDb::migrated();
    let mut ingester = Ingester::start(&db.url(), &[]);
    let mut router = ingester.connect();
    let peer = Peer::global_instance(PEER, 64_501);
    router.send(&bmp::initiation(b"edge1", b""));
    let prefix = |i: u32| format!("10.{}.{}.0/24", i >> 8, i & 0xff);
    (0..100).for_each(|i| router.send_or_be_cut(&announce(peer, &prefix(i))));
    router.send(&chatter(peer, MUCH));
    (100..200).for_each(|i| router.send_or_be_cut(&announce(peer, &prefix(i))));
    router.send(&bmp::peer_up(peer, &Open::of(64_500, "192.0.2.2"), None));
    router.send(&bmp::route_monitoring(peer, &bmp::end_of_rib_ipv4()));
    let all = "SELECT router_id, count(*) FROM adj_rib_in GROUP BY 1";
    eventually_equal(vec!["127.0.0.1|200".to_owned()], || db.rows(all));
    eventually_equal(200, || events(&db).len());
    eventually_equal(1, || db.rows("SELECT FROM adj_rib_in_sync_status WHERE eor_seen").len());
    ingester.logged("name no router: identified by its address");
    assert_eq!(db.rows("SELECT hostname FROM routers"), ["edge1"]);
}

#[test]
fn sessions_without_a_name_are_bounded_together() {
    const SESSIONS: usize = 128;
    let db = TestDb::migrated();
    let mut ingester = Ingester::start(&db.url(), &[("MAX_SESSIONS_PER_ADDRESS", "256")]);
    let before = ingester.proc_status("VmRSS");
    let piece = junk(3, 60_000, 2 << 20);
    let mut routers: Vec<_> = (0..SESSIONS).map(|_| ingester.connect()).collect();
    for router in &mut routers {
        router.send_or_be_cut(&piece);
    }
    for router in &mut routers {
        eventually("it is read or closed", || (router.is_gone() || router.unread() == 0).then_some(()));
    }
    let mut closed = || routers.iter_mut().filter_map(|router| router.is_gone().then_some(())).count();
    eventually("half of them are closed", || (closed() > SESSIONS / 2).then_some(()));
    let closed = u64::try_from(closed()).unwrap();
    eventually("they are counted", || (refused(&mut ingester) >= closed).then_some(()));
    let grown = ingester.proc_status("VmHWM") - before;
    assert!(grown < GROWTH_MAX, "{grown} KiB");
}
