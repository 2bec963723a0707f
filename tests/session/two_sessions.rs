//! Several sessions of one router, in succession and at the same time, from one address and from two.
#![allow(missing_docs, clippy::unwrap_used)]

use crate::common::bmp::{self, Attributes, Open, Peer};
use crate::common::ingester::{FakeRouter, Ingester, eventually, eventually_equal};
use crate::common::pg::TestDb;

const ROUTER: &str = "10.255.0.1";
const VRF: u64 = 0x0000_fde8_0000_0007;

fn base() -> Peer {
    Peer::loc_rib(ROUTER)
}

fn vrf() -> Peer {
    Peer::loc_rib(ROUTER).with_rd(VRF)
}

/// A session that reports one Loc-RIB instance, with one route in its dump.
fn speak(router: &mut FakeRouter, peer: Peer, table: &str, prefix: &str) {
    router
        .send(&bmp::initiation(table.as_bytes(), b""))
        .send(&bmp::peer_up(peer, &Open::of(64_500, ROUTER), Some(table)))
        .send(&announce(peer, prefix))
        .send(&bmp::route_monitoring(peer, &bmp::end_of_rib_ipv4()));
}

fn announce(peer: Peer, prefix: &str) -> Vec<u8> {
    bmp::route_monitoring(peer, &bmp::announce(&Attributes::path(&[64_501]), "192.0.2.1", &[prefix]))
}

fn routes(db: &TestDb) -> Vec<String> {
    db.rows("SELECT table_name, prefix FROM current_routes ORDER BY 1, 2")
}

fn stale(db: &TestDb) -> Vec<String> {
    db.rows("SELECT DISTINCT table_name FROM rib_sync_status WHERE stale_since IS NOT NULL ORDER BY 1")
}

fn states(db: &TestDb) -> Vec<String> {
    db.rows("SELECT state FROM bmp_sessions ORDER BY state")
}

#[test]
fn sessions_of_two_instances_live_and_end_each_alone() {
    let db = TestDb::migrated();
    let ingester = Ingester::start(&db.url(), &[("STALE_ROUTES_SECS", "3"), ("EOR_TIMEOUT_SECS", "1")]);
    let (mut first, mut second) = (ingester.connect(), ingester.connect());
    speak(&mut first, base(), "global", "10.1.0.0/16");
    eventually_equal(1, || routes(&db).len());
    speak(&mut second, vrf(), "blue", "10.2.0.0/16");
    let both = ["blue|10.2.0.0/16", "global|10.1.0.0/16"];
    eventually_equal(both.map(str::to_owned).to_vec(), || routes(&db));
    eventually_equal(vec!["up".to_owned(), "up".to_owned()], || states(&db));
    // The oldest identifies the router; one claim counted.
    assert_eq!(db.rows("SELECT hostname, epoch FROM routers JOIN router_owner USING (router_id)"), ["global|1"]);
    first.send(&announce(base(), "10.3.0.0/16"));
    second.send(&announce(vrf(), "10.4.0.0/16"));
    eventually_equal(4, || routes(&db).len());
    assert!(!first.is_closed() && !second.is_closed());
    // The loss of one makes its own tables stale, and then they are purged.
    drop(second);
    eventually_equal(vec!["blue".to_owned()], || stale(&db));
    assert_eq!(routes(&db).len(), 4);
    let left = ["global|10.1.0.0/16", "global|10.3.0.0/16"];
    eventually_equal(left.map(str::to_owned).to_vec(), || routes(&db));
    assert_eq!(
        db.rows("SELECT kind, table_name FROM session_events WHERE kind = 'stale_expired'"),
        ["stale_expired|blue"]
    );
    // The Termination of one removes the tables that it alone reports.
    let mut second = ingester.connect();
    speak(&mut second, vrf(), "blue", "10.2.0.0/16");
    eventually_equal(3, || routes(&db).len());
    second.send(&bmp::termination(0));
    eventually_equal(left.map(str::to_owned).to_vec(), || routes(&db));
    assert!(!first.is_closed());
    eventually_equal(vec!["ended".to_owned(), "ended".to_owned(), "up".to_owned()], || states(&db));
    assert!(ingester.stop().success());
}

#[test]
fn a_newer_session_takes_the_peers_that_it_speaks_of() {
    let db = TestDb::migrated();
    let mut ingester = Ingester::start(&db.url(), &[]);
    let mut first = ingester.connect();
    speak(&mut first, base(), "global", "10.1.0.0/16");
    speak(&mut first, vrf(), "blue", "10.2.0.0/16");
    eventually_equal(2, || routes(&db).len());
    let mut second = ingester.connect();
    speak(&mut second, vrf(), "blue", "10.3.0.0/16");
    let both = ["blue|10.3.0.0/16", "global|10.1.0.0/16"];
    eventually_equal(both.map(str::to_owned).to_vec(), || routes(&db));
    // The older one's messages about it now have no effect; those about the other table do.
    first.send(&announce(vrf(), "10.9.0.0/16")).send(&announce(base(), "10.4.0.0/16"));
    eventually_equal(3, || routes(&db).len());
    assert!(!routes(&db).iter().any(|route| route.contains("10.9.0.0/16")), "{:?}", routes(&db));
    assert!(!first.is_closed());
    speak(&mut second, base(), "global", "10.1.0.0/16");
    eventually("the older one is closed", || first.is_closed().then_some(()));
    ingester.logged("superseded");
    let all = ["blue|10.3.0.0/16", "global|10.1.0.0/16"];
    eventually_equal(all.map(str::to_owned).to_vec(), || routes(&db));
    assert_eq!(stale(&db), [""; 0]);
    // The newer one identifies the router from now on.
    second.send(&bmp::initiation(b"renamed", b""));
    eventually_equal(vec!["renamed".to_owned()], || db.rows("SELECT hostname FROM routers"));
    assert!(ingester.stop().success());
}

#[test]
fn a_quiet_router_keeps_its_identifier_from_another() {
    let db = TestDb::migrated();
    let mut ingester = Ingester::start(&db.url(), &[("ALLOW", "127.0.0.0/8")]);
    let mut first = ingester.connect_from("127.0.0.2");
    speak(&mut first, base(), "global", "10.1.0.0/16");
    eventually_equal(1, || routes(&db).len());
    let mut second = ingester.connect_from("127.0.0.3");
    speak(&mut second, base(), "global", "10.2.0.0/16");
    eventually("the other one is refused", || second.is_closed().then_some(()));
    ingester.logged("RIB_INGESTER_ROUTER_ID_FROM=127.0.0.3/32=address");
    assert!(!first.is_closed());
    assert_eq!(routes(&db), ["global|10.1.0.0/16"]);
    assert!(ingester.stop().success());
}

#[test]
fn what_is_stale_goes_however_often_sessions_flap() {
    let db = TestDb::migrated();
    let ingester = Ingester::start(&db.url(), &[("STALE_ROUTES_SECS", "6")]);
    let mut router = ingester.connect();
    speak(&mut router, base(), "global", "10.1.0.0/16");
    speak(&mut router, vrf(), "blue", "10.2.0.0/16");
    eventually_equal(2, || routes(&db).len());
    drop(router);
    eventually_equal(2, || stale(&db).len());
    let since = "SELECT stale_since FROM rib_sync_status WHERE table_name = 'blue' AND afi = 4";
    let before = db.rows(since);
    // Sessions that never last a stale time, and a collector that is restarted in between.
    let flap = |ingester: &Ingester| {
        let mut router = ingester.connect();
        speak(&mut router, base(), "global", "10.1.0.0/16");
        eventually("its table has begun", || (!stale(&db).contains(&"global".to_owned())).then_some(()));
        // On a slow machine the stale time is over between two sessions: then the route comes again.
        eventually("it has its route", || routes(&db).contains(&"global|10.1.0.0/16".to_owned()).then_some(()));
        drop(router);
        eventually("it is stale again", || stale(&db).contains(&"global".to_owned()).then_some(()));
        let now = db.rows(since);
        assert!(now == before || now.is_empty(), "a later loss has moved it: {now:?}");
        now.is_empty()
    };
    flap(&ingester);
    assert!(ingester.stop().success());
    let ingester = Ingester::start(&db.url(), &[("STALE_ROUTES_SECS", "6")]);
    eventually("the table that no session begins goes", || flap(&ingester).then_some(()));
    assert!(ingester.stop().success());
}
