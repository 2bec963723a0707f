//! Sessions that are relayed to other stations: verbatim, without a delay for the router, and whole again after a break.
#![allow(missing_docs, clippy::unwrap_used)]

use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use socket2::{Domain, Socket, Type};

use crate::common::bmp::{self, Attributes, Open, Peer};
use crate::common::certificates::Authority;
use crate::common::ingester::{FakeRouter, Ingester, eventually, eventually_equal};
use crate::common::lab::free_address;
use crate::common::pg::TestDb;
use crate::common::server::Folder;

const ROUTER: &str = "10.255.0.1";

/// The octets that a station got on a connection, and whether it was closed.
type Connection = (Vec<u8>, bool);

/// All connections to a station.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<Connection>>>);

impl Heard {
    /// Returns the connections that had any octets.
    fn all(&self) -> Vec<Connection> {
        self.0.lock().unwrap().iter().filter(|(octets, _)| !octets.is_empty()).cloned().collect()
    }

    fn listen(self, listener: TcpListener) {
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let number = {
                    let mut all = self.0.lock().unwrap();
                    all.push((Vec::new(), false));
                    all.len() - 1
                };
                let heard = self.clone();
                std::thread::spawn(move || heard.read(stream.unwrap(), number));
            }
        });
    }

    fn read(&self, mut stream: TcpStream, number: usize) {
        let mut octets = vec![0; 64 << 10];
        loop {
            let count = stream.read(&mut octets).unwrap_or(0);
            let one = &mut self.0.lock().unwrap()[number];
            one.0.extend_from_slice(&octets[..count]);
            if count == 0 {
                one.1 = true;
                return;
            }
        }
    }
}

/// A station that keeps what it gets, and its address.
fn station() -> (Heard, SocketAddr) {
    let (heard, listener) = (Heard::default(), TcpListener::bind("127.0.0.1:0").unwrap());
    let address = listener.local_addr().unwrap();
    heard.clone().listen(listener);
    (heard, address)
}

fn prefix(number: u32) -> String {
    format!("10.{}.{}.0/24", number >> 8, number & 0xff)
}

fn announcement(peer: Peer, number: u32, med: u32) -> Vec<u8> {
    let attributes = Attributes { med: Some(med), ..Attributes::path(&[64_500, 64_501]) };
    bmp::route_monitoring(peer, &bmp::announce(&attributes, "192.0.2.1", &[&prefix(number)]))
}

/// A whole dump of a router with this many routes.
fn dump(id: &str, routes: u32) -> Vec<u8> {
    let peer = Peer::loc_rib(id);
    let mut all = bmp::initiation(b"edge1", b"");
    all.extend(bmp::peer_up(peer, &Open::of(64_500, id), Some("global")));
    (0..routes).for_each(|number| all.extend(announcement(peer, number, 0)));
    for update in [bmp::end_of_rib_ipv4(), bmp::end_of_rib(2, 1)] {
        all.extend(bmp::route_monitoring(peer, &update));
    }
    all
}

/// Changes and withdrawals of a router's routes.
fn churn(id: &str, changes: u32) -> Vec<u8> {
    let peer = Peer::loc_rib(id);
    let change = |number: u32| match number % 5 {
        0 => bmp::route_monitoring(peer, &bmp::withdraw(&[&prefix(number * 7 % 60)])),
        _ => announcement(peer, number * 7 % 60, number),
    };
    (1..=changes).flat_map(change).collect()
}

/// A message of an unknown type, which is skipped.
fn filler(size: usize) -> Vec<u8> {
    bmp::message(99, &vec![0; size])
}

fn table(db: &TestDb) -> Vec<String> {
    let sql = "SELECT router_id, table_name, prefix, nexthop, as_path, med FROM current_routes
               ORDER BY router_id, prefix";
    db.rows(sql)
}

fn dumps_are_over(db: &TestDb) {
    let open = "SELECT count(*) FROM rib_sync_status WHERE synced_at IS NULL OR stale_since IS NOT NULL";
    eventually_equal(vec!["0".to_owned()], || db.rows(open));
}

/// The tables of both databases become equal and have this many routes.
fn are_equal(one: &TestDb, other: &TestDb, routes: usize) {
    eventually("the tables are equal", || {
        let (one, other) = (table(one), table(other));
        (one == other && one.len() == routes).then_some(())
    });
}

fn metric(collector: &mut Ingester, name: &str) -> u64 {
    let metrics = collector.get("/metrics").2;
    let line = metrics.lines().find(|line| line.starts_with(&format!("{name}{{")));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(u64::MAX)
}

fn start(db: &TestDb, station: &str, more: &[(&str, &str)]) -> Ingester {
    Ingester::start(&db.url(), &[&[("RELAY", station)], more].concat())
}

#[test]
fn a_second_collector_gets_the_same_tables() {
    let (db, other) = (TestDb::migrated(), TestDb::migrated());
    let second = Ingester::start(&other.url(), &[]);
    let mut first = start(&db, &second.address().to_string(), &[]);
    let mut routers: Vec<FakeRouter> = Vec::new();
    for id in [ROUTER, "10.255.0.2", "10.255.0.3"] {
        let mut router = first.connect();
        router.send(&dump(id, 60));
        routers.push(router);
    }
    are_equal(&db, &other, 180);
    for (router, id) in routers.iter_mut().zip([ROUTER, "10.255.0.2", "10.255.0.3"]) {
        router.send(&churn(id, 500));
    }
    // The last change of each route decides, and every change is an event.
    let events = "SELECT router_id, prefix, action, med FROM route_events ORDER BY 1, ingest_time, event_id, 2, 3, 4";
    let sorted = |db: &TestDb| {
        let mut rows = db.rows(events);
        rows.sort();
        rows
    };
    eventually("the history is equal", || {
        let (one, two) = (sorted(&db), sorted(&other));
        (one == two && one.len() > 1_000).then_some(())
    });
    let left = table(&db).len();
    are_equal(&db, &other, left);
    for db in [&db, &other] {
        dumps_are_over(db);
    }
    eventually_equal(3, || metric(&mut first, "rib_ingester_relay_sessions"));
    // The end of a session is relayed: with a Termination, and without.
    routers[0].send(&bmp::termination(1));
    drop(routers.remove(0));
    drop(routers.remove(0));
    let ends = "SELECT router_id, kind FROM session_events WHERE kind IN ('terminated', 'session_lost')
                ORDER BY 1, 2";
    eventually("both routers are gone in both", || {
        let (one, two) = (db.rows(ends), other.rows(ends));
        (one == two && one.len() == 2).then_some(())
    });
    assert_eq!(first.count_logged("relay: station"), 1, "{:?}", first.log());
    for collector in [first, second] {
        assert!(collector.stop().success());
    }
}

#[test]
fn octets_are_relayed_as_they_were_read() {
    let db = TestDb::migrated();
    let (heard, address) = station();
    let first = start(&db, &address.to_string(), &[]);
    let said = [dump(ROUTER, 30), churn(ROUTER, 2_000), filler(300_000), churn(ROUTER, 10)].concat();
    let mut router = first.connect();
    for part in said.chunks(777) {
        router.send(part);
    }
    eventually_equal(vec![(said.clone(), false)], || heard.all());
    drop(router);
    eventually_equal(vec![(said.clone(), true)], || heard.all());
    // A session whose router is not known, because it names none, is relayed as well.
    let greeting = bmp::initiation(b"edge9", b"");
    let mut unnamed = first.connect();
    unnamed.send(&greeting);
    eventually_equal(vec![(said.clone(), true), (greeting.clone(), false)], || heard.all());
    drop(unnamed);
    eventually_equal(vec![(said, true), (greeting, true)], || heard.all());
    assert!(first.stop().success());
}

#[test]
fn a_stop_sends_the_rest_and_closes() {
    let db = TestDb::migrated();
    let (heard, address) = station();
    let first = start(&db, &address.to_string(), &[]);
    let mut router = first.connect();
    router.send(&dump(ROUTER, 30));
    eventually_equal(30, || table(&db).len());
    eventually_equal(1, || heard.all().len());
    let more = churn(ROUTER, 300);
    router.send(&more);
    eventually_equal(0, || router.unread());
    assert!(first.stop().success());
    eventually_equal(vec![([dump(ROUTER, 30), more].concat(), true)], || heard.all());
}

#[test]
fn a_station_that_never_reads_is_dropped() {
    let db = TestDb::migrated();
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(64 << 10).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    socket.listen(8).unwrap();
    let listener: TcpListener = socket.into();
    let mut first = start(&db, &listener.local_addr().unwrap().to_string(), &[]);
    let mut router = first.connect();
    router.send(&dump(ROUTER, 60));
    // Far more than the kernel has room for.
    let begun = Instant::now();
    for _ in 0..30 {
        router.send(&filler(900_000));
    }
    router.send(&churn(ROUTER, 200));
    let last = "SELECT count(*) FROM current_routes WHERE med = '199'";
    eventually_equal(vec!["1".to_owned()], || db.rows(last));
    let took = begun.elapsed();
    assert_eq!(first.count_logged("dropped"), 0);
    eventually("the station to lag", || {
        (metric(&mut first, "rib_ingester_relay_lag_bytes") > 10_000_000).then_some(())
    });
    let line = first.logged("dropped for router 10.255.0.1: it took nothing for 30 s, ");
    assert!(line.contains("octets behind"), "{line}");
    // The router was never held back, and its session goes on.
    assert!(took.as_secs() < 20 && !router.is_gone(), "{took:?}");
    router.send(&announcement(Peer::loc_rib(ROUTER), 1, 4_242));
    eventually_equal(vec!["1".to_owned()], || db.rows("SELECT count(*) FROM current_routes WHERE med = '4242'"));
    eventually_equal(0, || metric(&mut first, "rib_ingester_relay_sessions"));
    assert_eq!(metric(&mut first, "rib_ingester_relay_dropped_total"), 1);
    assert_eq!((first.count_logged("relay: station"), first.count_logged("dropped")), (2, 1), "{:?}", first.log());
    assert!(first.stop().success());
}

/// A collector whose journal keeps no stored input, with a router whose first segment is gone.
fn with_removed_beginning(db: &TestDb, station: SocketAddr, more: &[(&str, &str)]) -> (Ingester, FakeRouter) {
    let state = [("JOURNAL_MAX_BYTES", "2097152")];
    let first = start(db, &station.to_string(), &[&state, more].concat());
    let mut router = first.connect();
    router.send(&dump(ROUTER, 60));
    dumps_are_over(db);
    let folder = first.state_dir().join("journal");
    // More than half of what the journal may have.
    for _ in 0..40 {
        router.send(&filler(30_000));
    }
    eventually("the first segment is removed", || {
        let streams = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        let stream = streams.into_iter().find(|path| path.is_dir())?;
        (!stream.join(format!("{:020}.segment", 1)).exists()).then_some(())
    });
    (first, router)
}

#[test]
fn a_station_that_comes_later_gets_a_new_dump() {
    let (db, other) = (TestDb::migrated(), TestDb::migrated());
    let address = free_address();
    let (mut first, mut router) = with_removed_beginning(&db, address, &[]);
    first.logged(&format!("relay: station {address}: cannot be reached: "));
    eventually_equal(1, || metric(&mut first, "rib_ingester_relay_missed_sessions"));
    assert_eq!(metric(&mut first, "rib_ingester_relay_up"), 0);
    assert!(first.get("/readyz").2.contains("stations: degraded: "), "{}", first.get("/readyz").2);
    assert!(!router.is_gone());
    let mut second = Ingester::start(&other.url(), &[("BMP_LISTEN", &address.to_string())]);
    // Once is enough.
    eventually("the session is closed", || router.is_gone().then_some(()));
    let mut router = first.connect();
    router.send(&dump(ROUTER, 60)).send(&churn(ROUTER, 100));
    eventually_equal(1, || metric(&mut first, "rib_ingester_relay_sessions"));
    eventually("the tables are equal", || (table(&db) == table(&other)).then_some(()));
    dumps_are_over(&other);
    let closed = "SELECT count(*), min(reason) FROM session_events WHERE kind = 'session_closed'";
    let why = format!("1|closed for a new dump, which is relayed to {address}");
    assert_eq!(db.rows(closed), [why]);
    assert_eq!(metric(&mut first, "rib_ingester_relay_resyncs_total"), 1);
    assert_eq!((first.count_logged("cannot be reached"), first.count_logged("connected again")), (1, 1));
    assert!(!router.is_gone());
    // It breaks, and comes back: the journal still has the whole session.
    second.signal("KILL");
    eventually("it has ended", || second.has_ended().then_some(()));
    first.logged("lost: ");
    let third = Ingester::start(&other.url(), &[("BMP_LISTEN", &address.to_string())]);
    eventually_equal(1, || metric(&mut first, "rib_ingester_relay_sessions"));
    router.send(&churn(ROUTER, 50));
    eventually("the tables are equal again", || (table(&db) == table(&other)).then_some(()));
    assert!(!router.is_gone());
    for collector in [first, third] {
        assert!(collector.stop().success());
    }
}

#[test]
fn without_a_resync_a_station_gets_the_rest() {
    let db = TestDb::migrated();
    let address = free_address();
    let (mut first, mut router) = with_removed_beginning(&db, address, &[("RELAY_RESYNC", "off")]);
    eventually_equal(1, || metric(&mut first, "rib_ingester_relay_missed_sessions"));
    let heard = Heard::default();
    heard.clone().listen(TcpListener::bind(address).unwrap());
    let peer = Peer::loc_rib(ROUTER);
    let greeting = [bmp::initiation(b"edge1", b""), bmp::peer_up(peer, &Open::of(64_500, ROUTER), Some("global"))];
    let greeting = greeting.concat();
    eventually_equal(vec![(greeting.clone(), false)], || heard.all());
    let more = churn(ROUTER, 100);
    router.send(&more);
    eventually_equal(vec![([greeting, more].concat(), false)], || heard.all());
    assert!(!router.is_gone());
    assert_eq!(metric(&mut first, "rib_ingester_relay_resyncs_total"), 0);
    assert!(first.stop().success());
}

#[test]
fn a_session_is_relayed_over_tls() {
    let (db, other) = (TestDb::migrated(), TestDb::migrated());
    let (files, authority) = (Folder::new(), Authority::new("authority"));
    let ca = authority.write(&files.path().join("authority.crt"));
    let stranger = Authority::new("stranger").write(&files.path().join("stranger.crt"));
    let (chain, key) = authority.issue(&["localhost"]).write(files.path(), "station");
    let (own_chain, own_key) = authority.issue(&["collector.example"]).write(files.path(), "own");
    let text = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let mut second = Ingester::start(
        &other.url(),
        &[
            ("BMP_TLS_LISTEN", "127.0.0.1:0"),
            ("BMP_TLS_CERTIFICATE_FILE", &text(&chain)),
            ("BMP_TLS_KEY_FILE", &text(&key)),
            ("BMP_TLS_CLIENT_CA_FILE", &text(&ca)),
        ],
    );
    let port = second.address_logged("waiting for routers with TLS on ").port();
    let station = format!("tls://localhost:{port}");
    let own = [("RELAY_CERTIFICATE_FILE", text(&own_chain)), ("RELAY_KEY_FILE", text(&own_key))];
    let own = own.each_ref().map(|(name, value)| (*name, value.as_str()));
    let first = start(&db, &station, &[&own[..], &[("RELAY_CA_FILE", &text(&ca))]].concat());
    let mut router = first.connect();
    router.send(&dump(ROUTER, 2_000)).send(&filler(500_000)).send(&churn(ROUTER, 50));
    eventually_equal(vec!["1".to_owned()], || db.rows("SELECT count(*) FROM current_routes WHERE med = '49'"));
    eventually("the tables are equal", || (table(&db) == table(&other)).then_some(()));
    drop(router);
    let lost = "SELECT reason FROM session_events WHERE kind = 'session_lost'";
    eventually_equal(vec!["closed by the router without Termination".to_owned()], || other.rows(lost));
    assert!(first.stop().success());
    // A station with a certificate of somebody else gets nothing.
    let third = TestDb::migrated();
    let mut first = start(&third, &station, &[("RELAY_CA_FILE", &text(&stranger))]);
    let line = first.logged("cannot be reached: TLS: ");
    assert!(line.contains("certificate"), "{line}");
    assert!(first.stop().success());
}

#[test]
fn a_session_that_stands_by_is_not_relayed() {
    let db = TestDb::migrated();
    let (heard, address) = station();
    let collectors = ["one", "two"].map(|name| {
        let collector = start(&db, &address.to_string(), &[("COLLECTOR_ID", name)]);
        let mut router = collector.connect();
        router.send(&dump(ROUTER, 20));
        let stands = "SELECT count(*) FROM bmp_sessions WHERE state <> 'ended'";
        let count = if name == "one" { "1" } else { "2" };
        eventually_equal(vec![count.to_owned()], || db.rows(stands));
        dumps_are_over(&db);
        (collector, router)
    });
    let [(one, mut with_one), (two, mut with_two)] = collectors;
    let (before, more) = (dump(ROUTER, 20), churn(ROUTER, 30));
    with_one.send(&more);
    with_two.send(&more);
    eventually_equal(vec![([before.clone(), more].concat(), false)], || heard.all());
    // The other one takes the router, and relays its next session.
    drop(with_one);
    eventually("the standby takes over", || with_two.is_gone().then_some(()));
    let mut with_two = two.connect();
    with_two.send(&before);
    eventually("it is relayed", || (heard.all().len() == 2 && heard.all()[1] == (before.clone(), false)).then_some(()));
    for collector in [one, two] {
        assert!(collector.stop().success());
    }
}

#[test]
fn a_relay_without_a_journal_or_to_itself_is_refused() {
    let db = TestDb::migrated();
    let check = |settings: &[(&str, &str)], why: &str| {
        let (status, log) = Ingester::spawn(&db.url(), settings).ended();
        let said = log.iter().any(|line| line.contains(why));
        assert!(status.code() == Some(2) && said, "{status} {log:?}");
    };
    check(&[("RELAY", "127.0.0.1:9"), ("JOURNAL", "off")], "RIB_INGESTER_RELAY: needs the journal");
    let own = [("RELAY", "localhost:11019"), ("BMP_LISTEN", "[::]:11019")];
    check(&own, "RIB_INGESTER_RELAY: names this collector");
}
