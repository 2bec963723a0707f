//! From a router's socket to the incident: the collector as operators run it.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use crate::common::bmp::{self, Attributes, Open, Peer};
use crate::common::ingester::{FakeRouter, Ingester, eventually_equal};
use crate::common::pg::TestDb;

const ROUTER: &str = "10.255.0.1";

fn loc_rib() -> Peer {
    Peer::loc_rib(ROUTER)
}

/// A router with its Loc-RIB, dump and all.
fn dump(router: &mut FakeRouter, prefixes: &[&str]) {
    router
        .send(&bmp::initiation(b"edge1", b"made by a test"))
        .send(&bmp::peer_up(loc_rib(), &Open::of(64_500, ROUTER), Some("global")))
        .send(&announce(prefixes, &[64_500, 64_501]))
        .send(&bmp::route_monitoring(loc_rib(), &bmp::end_of_rib_ipv4()))
        .send(&bmp::route_monitoring(loc_rib(), &bmp::end_of_rib(2, 1)));
}

fn announce(prefixes: &[&str], path: &[u32]) -> Vec<u8> {
    bmp::route_monitoring(loc_rib(), &bmp::announce(&Attributes::path(path), "192.0.2.1", prefixes))
}

#[test]
fn a_router_opens_and_closes_incidents() {
    let db = TestDb::migrated();
    db.client()
        .batch_execute(
            "INSERT INTO watch.watches (name, kind, prefix, expected_origins, open_after_secs, close_after_secs, settle_secs)
             VALUES ('ours', 'prefix', '10.1.0.0/16', '{64501}', 0, 0, 0)",
        )
        .unwrap();
    let ingester = Ingester::start(&db.url(), &[]);
    let mut router = ingester.connect();
    dump(&mut router, &["10.1.0.0/16"]);
    let seen = "SELECT count(*) FROM watch.seen";
    eventually_equal(vec!["1".to_owned()], || db.rows(seen));
    let events =
        "SELECT event || ' ' || split_part(summary, ';', 1) FROM watch.incident_events WHERE is_told ORDER BY id";
    let conditions = "SELECT condition || ' ' || subject FROM watch.conditions";
    router.send(&announce(&["10.1.2.0/24"], &[64_500, 64_511]));
    eventually_equal(vec!["more_specific 10.1.2.0/24 AS64511".to_owned()], || db.rows(conditions));
    router.send(&bmp::route_monitoring(loc_rib(), &bmp::withdraw(&["10.1.2.0/24"])));
    eventually_equal(2, || db.rows(events).len());
    router.send(&bmp::route_monitoring(loc_rib(), &bmp::withdraw(&["10.1.0.0/16"])));
    eventually_equal(3, || db.rows(events).len());
    router.send(&announce(&["10.1.0.0/16"], &[64_500, 64_501]));
    eventually_equal(4, || db.rows(events).len());
    let told: Vec<String> = db.rows(events).iter().map(|row| row.split(" of ").next().unwrap().to_owned()).collect();
    let is_as = |row: &str, want: &str| assert!(row.starts_with(want), "{row}");
    is_as(&told[0], "opened MORE SPECIFIC 10.1.2.0/24");
    is_as(&told[1], "closed OVER after ");
    is_as(&told[2], "opened GONE 10.1.0.0/16 at 1");
    is_as(&told[3], "closed OVER after ");
    // A router that reconnects and sends its routes again opens nothing.
    drop(router);
    let mut router = ingester.connect();
    dump(&mut router, &["10.1.0.0/16"]);
    let known = "SELECT count(*) FROM watch.vantages v JOIN bmp_sessions s USING (router_id)
                 WHERE v.known AND v.table_name = 'global' AND s.state = 'up' AND v.since >= s.began_at";
    eventually_equal(vec!["1".to_owned()], || db.rows(known));
    assert_eq!(db.rows(events).len(), 4);
    assert!(ingester.stop().success());
}
