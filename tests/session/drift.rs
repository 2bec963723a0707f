//! A router that leaves routes in its Loc-RIB when a peer goes down, as FRR 10.3 does: a fake one, so that every step
//! of it is controlled. The real one is in `tests/live`.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use crate::common::bmp::{self, Attributes, Open, Peer};
use crate::common::ingester::{FakeRouter, Ingester, eventually, eventually_equal};
use crate::common::pg::TestDb;

const ROUTER: &str = "10.255.0.1";

fn open() -> Open {
    Open { families: vec![(1, 1)], ..Open::of(64_500, ROUTER) }
}

fn one() -> Peer {
    Peer::global_instance("192.0.2.1", 64_501)
}

fn two() -> Peer {
    Peer::global_instance("192.0.2.2", 64_502)
}

fn loc_rib() -> Peer {
    Peer::loc_rib(ROUTER)
}

/// A session whose peers have these numbers of routes, and whose Loc-RIB has these prefixes.
fn dump(ingester: &Ingester, peers: &[(Peer, u64)], prefixes: &[&str]) -> FakeRouter {
    let mut router = ingester.connect();
    router.send(&bmp::initiation(b"edge1", b"")).send(&bmp::peer_up(loc_rib(), &open(), Some("global")));
    for (peer, routes) in peers {
        router.send(&bmp::peer_up(*peer, &open(), None)).send(&bmp::statistics(*peer, *routes));
    }
    let routes = bmp::announce(&Attributes::path(&[64_501]), "192.0.2.9", prefixes);
    router.send(&bmp::route_monitoring(loc_rib(), &routes));
    router.send(&bmp::route_monitoring(loc_rib(), &bmp::end_of_rib_ipv4()));
    router
}

fn is_closed(mut router: FakeRouter) {
    eventually("the session is closed", || router.is_closed().then_some(()));
}

/// The seconds that each drift had lasted when it was repaired, and the reason logged before the figure.
fn drifts(db: &TestDb) -> Vec<(String, u64)> {
    let reasons = db.rows("SELECT reason FROM session_events WHERE kind = 'drift' ORDER BY id");
    let split = |reason: &String| {
        let (what, seconds) = reason.strip_suffix(" s").unwrap().rsplit_once(" for ").unwrap();
        (what.to_owned(), seconds.parse().unwrap())
    };
    reasons.iter().map(split).collect()
}

/// The series of the Loc-RIB's drift.
fn metric(ingester: &mut Ingester) -> Option<String> {
    let (_, _, text) = ingester.get("/metrics");
    let series = format!("rib_ingester_drift_routes{{router=\"{ROUTER}\",rib=\"loc-rib\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&series)).map(str::to_owned)
}

/// Reported Loc-RIB and Adj-RIB-In routes, and the drift of the Loc-RIB.
fn overview(db: &TestDb) -> Vec<String> {
    db.client().batch_execute("REFRESH MATERIALIZED VIEW route_summary").unwrap();
    db.rows("SELECT reported_loc_rib_routes, reported_adj_rib_in_routes, loc_rib_drift FROM routers_overview")
}

#[test]
fn a_peers_leftovers_in_the_loc_rib_end_with_a_redump() {
    let db = TestDb::migrated();
    let mut ingester = Ingester::start(&db.url(), &[("STORED_RIBS", "loc-rib"), ("RESYNC_ON_DRIFT", "30%,1s")]);
    let stored = || db.rows("SELECT prefix FROM current_routes ORDER BY prefix");
    let all = ["10.0.0.0/16", "10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16"];
    for time in 1..=4 {
        let mut router = dump(&ingester, &[(one(), 2), (two(), 1)], &all);
        eventually_equal(all.map(str::to_owned).to_vec(), stored);
        eventually_equal(Some("1".to_owned()), || metric(&mut ingester));
        assert_eq!(overview(&db), ["3|3|1"], "one route is the router's own");
        router.send(&bmp::peer_down(one(), 4));
        eventually_equal(Some("3".to_owned()), || metric(&mut ingester));
        assert_eq!(overview(&db), ["1|1|3"]);
        is_closed(router);
        eventually_equal(time, || drifts(&db).len());
        assert_eq!(stored(), all, "what may be right stays until the router has dumped again");
        let what = "drift: loc-rib: 4 routes stored, up to 2 left behind by peers that went down,";
        let (why, lasted) = drifts(&db).pop().unwrap();
        assert_eq!(why, what);
        // The fourth time would be after eight seconds if the dumps had not helped.
        assert!(lasted < 8, "{lasted}");
        ingester.logged(what);
        assert_eq!(metric(&mut ingester), None);

        let mut router = dump(&ingester, &[(two(), 1)], &all[..2]);
        eventually_equal(all[..2].to_vec(), || {
            stored().iter().map(|prefix| *all.iter().find(|of| *of == prefix).unwrap()).collect()
        });
        eventually_equal(Some("1".to_owned()), || metric(&mut ingester));
        // FRR does so repeatedly for a peer that is away.
        router.send(&bmp::peer_down(one(), 2));
        // The peer is back, and the next check finds the initial state.
    }
    assert!(ingester.stop().success());
}

#[test]
fn a_router_without_leftovers_is_asked_less_often() {
    let db = TestDb::migrated();
    let ingester = Ingester::start(&db.url(), &[("STORED_RIBS", "loc-rib"), ("RESYNC_ON_DRIFT", "0%,1s")]);
    for time in 0..3 {
        // Another peer had sent this peer's routes, too.
        let mut router = dump(&ingester, &[(one(), 2), (two(), 2)], &["10.1.0.0/16", "10.2.0.0/16"]);
        eventually("the dump is over", || {
            let ends = "SELECT count(*) FROM session_events WHERE kind = 'end_of_rib'";
            (db.rows(ends) == [(time + 1).to_string()]).then_some(())
        });
        router.send(&bmp::peer_down(one(), 4));
        is_closed(router);
    }
    eventually_equal(3, || drifts(&db).len());
    let lasted: Vec<u64> = drifts(&db).into_iter().map(|(_, seconds)| seconds).collect();
    assert!(lasted[0] >= 1 && lasted[1] >= 2 && lasted[2] >= 4, "{lasted:?}");
    assert_eq!(db.rows("SELECT count(*) FROM current_routes"), ["2"]);
    assert_eq!(db.rows("SELECT count(*) FROM route_events WHERE action = 'D'"), ["0"]);
    assert!(ingester.stop().success());
}

#[test]
fn a_router_that_counts_its_loc_rib_is_trusted() {
    let db = TestDb::migrated();
    let mut ingester = Ingester::start(&db.url(), &[("STORED_RIBS", "loc-rib"), ("RESYNC_ON_DRIFT", "0%,1s")]);
    let mut router = dump(&ingester, &[(one(), 2), (two(), 2)], &["10.1.0.0/16", "10.2.0.0/16"]);
    router.send(&bmp::loc_rib_statistics(loc_rib(), 2)).send(&bmp::peer_down(one(), 4));
    eventually_equal(Some("0".to_owned()), || metric(&mut ingester));
    // Its own count, not the sum of its peers', is compared.
    router.send(&bmp::statistics(two(), 1));
    eventually("it was stored", || {
        (db.rows("SELECT value FROM peer_statistics WHERE stat_type = 7 AND peer_asn = 64502") == ["1"]).then_some(())
    });
    assert_eq!(overview(&db), ["2|1|0"]);
    // When this drift is repaired, the peer has been down for longer.
    eventually("the session is closed", || {
        router.send_or_be_cut(&bmp::loc_rib_statistics(loc_rib(), 3));
        router.is_closed().then_some(())
    });
    eventually_equal(1, || drifts(&db).len());
    let what = &drifts(&db)[0].0;
    assert!(what.starts_with("drift: loc-rib: 2 routes stored, 3 reported, different"), "{what}");
    assert!(ingester.stop().success());
}
