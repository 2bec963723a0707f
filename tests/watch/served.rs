//! From a router's socket to the incident: the collector as operators run it.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::time::{Duration, Instant};

use rib_ingester::maintenance;

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

#[test]
fn a_peer_loses_half_of_its_usual_routes() {
    let db = TestDb::migrated();
    let mut client = db.client();
    let ingester = Ingester::start(&db.url(), &[("STORED_RIBS", "adj-rib-in-pre")]);
    let mut router = ingester.connect();
    let peer = Peer::global_instance("198.51.100.1", 64_500);
    let prefixes: Vec<String> = (0..10).map(|i| format!("10.{i}.0.0/16")).collect();
    let prefixes: Vec<&str> = prefixes.iter().map(String::as_str).collect();
    let all = bmp::route_monitoring(peer, &bmp::announce(&Attributes::path(&[64_500]), "192.0.2.1", &prefixes));
    router
        .send(&bmp::initiation(b"edge1", b"made by a test"))
        .send(&bmp::peer_up(peer, &Open::of(64_500, "198.51.100.1"), None))
        .send(&all)
        .send(&bmp::statistics_of_family(peer, &[(22, 2, 7), (21, 1, 10), (23, 1, 8), (22, 1, 2)]))
        .send(&bmp::route_monitoring(peer, &bmp::end_of_rib_ipv4()))
        .send(&bmp::route_monitoring(peer, &bmp::end_of_rib(2, 1)));
    eventually_equal(vec!["4".to_owned()], || db.rows("SELECT count(*) FROM peer_statistics"));
    // Maintenance notes the number, every five minutes at most; of the earlier hours it is the same here.
    let samples = "SELECT pre, is_hourly FROM peer_route_counts WHERE afi = 4";
    eventually_equal(vec!["10|t".to_owned()], || {
        maintenance::run_once(&mut db.client(), 30).unwrap();
        db.rows(samples)
    });
    // What its policy accepts and rejects is the router's own word, of each family.
    let told = "SELECT afi, pre, accepted, rejected FROM peer_route_counts ORDER BY afi";
    assert_eq!(db.rows(told), ["4|10|8|2", "6|0|-|7"]);
    client
        .batch_execute(
            "INSERT INTO peer_route_counts (router_id, peer_address, table_name, afi, at, pre, post, is_hourly)
             SELECT router_id, peer_address, table_name, afi, at - hours * interval '1 hour', pre, post, true
             FROM peer_route_counts, generate_series(1, 10) AS hours;
             INSERT INTO watch.watches (name, kind, peer_address, open_after_secs, close_after_secs, settle_secs, severity)
             VALUES ('transit', 'peer_routes', '198.51.100.1', 0, 0, 0, 'critical')",
        )
        .unwrap();
    let judged = "SELECT count(*) FROM watch.judged";
    eventually_equal(true, || db.rows(judged) != ["0"]);
    router.send(&bmp::route_monitoring(peer, &bmp::withdraw(&prefixes[..5])));
    // The watch may be so new that this is its baseline: that has an incident of its own above it.
    let incidents =
        "SELECT state || ' ' || split_part(summary, ', since', 1) FROM watch.incidents WHERE watch_id IS NOT NULL";
    let down = "ROUTES DOWN 50 % edge1 198.51.100.1 AS64500: 5 IPv4 routes, usually 10";
    eventually_equal(vec![format!("open {down}")], || db.rows(incidents));
    router.send(&all);
    eventually_equal(true, || db.rows(incidents)[0].starts_with("closed OVER"));
    // Of three days ago one number an hour is kept, of last year none.
    client
        .batch_execute(
            "DELETE FROM peer_route_counts WHERE afi = 6 OR at < date_bin('1 hour', now(), 'epoch');
             UPDATE peer_route_counts SET at = at - interval '3 days';
             INSERT INTO peer_route_counts SELECT router_id, peer_address, table_name, afi, at + interval '5 minutes', 11, post, false
             FROM peer_route_counts;
             INSERT INTO peer_route_counts SELECT router_id, peer_address, table_name, afi, at - interval '400 days', 12, post, true
             FROM peer_route_counts WHERE is_hourly",
        )
        .unwrap();
    let old = format!("{samples} AND at < now() - interval '2 days'");
    eventually_equal(vec!["10|t".to_owned()], || {
        maintenance::run_once(&mut db.client(), 30).unwrap();
        db.rows(&old)
    });
}

/// The time from a router's socket to the row of the incident.
///
/// ```text
/// cargo nextest run --test watch --run-ignored only --no-capture from_the_socket
/// ```
#[test]
#[ignore = "a measurement"]
fn from_the_socket_to_the_incident() {
    const ROUTES: usize = 200;
    let db = TestDb::migrated();
    let mut client = db.client();
    client
        .batch_execute(
            "INSERT INTO watch.watches (name, kind, prefix, expected_origins, open_after_secs, settle_secs)
             SELECT 'w' || i, 'prefix', ('10.' || i / 256 || '.' || i % 256 || '.0/24')::cidr, '{64501}', 0, 0
             FROM generate_series(0, 9999) i",
        )
        .unwrap();
    let ingester = Ingester::start(&db.url(), &[]);
    let mut router = ingester.connect();
    let prefixes: Vec<String> = (0..ROUTES).map(|i| format!("10.0.{i}.0/24")).collect();
    dump(&mut router, &prefixes.iter().map(String::as_str).collect::<Vec<_>>());
    eventually_equal(vec![ROUTES.to_string()], || db.rows("SELECT count(*) FROM watch.seen"));
    let opened =
        client.prepare("SELECT count(*) FROM watch.incidents WHERE condition = 'origin' AND watch_id > 0").unwrap();
    let mut times: Vec<f64> = Vec::new();
    for (i, prefix) in prefixes.iter().enumerate() {
        // At any moment between two rounds.
        std::thread::sleep(Duration::from_millis(u64::try_from(i * 37 % 200).unwrap()));
        let began = Instant::now();
        router.send(&announce(&[prefix], &[64_500, 64_511]));
        while client.query_one(&opened, &[]).unwrap().get::<_, i64>(0) <= i64::try_from(i).unwrap() {
            assert!(began.elapsed() < Duration::from_secs(60), "{prefix}");
            std::thread::sleep(Duration::from_millis(2));
        }
        times.push(began.elapsed().as_secs_f64() * 1_000.0);
    }
    times.sort_unstable_by(f64::total_cmp);
    let at = |share: usize| times[(ROUTES * share / 100).min(ROUTES - 1)];
    eprintln!(
        "10,000 watches, {ROUTES} routes: {:.0} ms, 99 of 100 {:.0} ms, longest {:.0} ms",
        at(50),
        at(99),
        at(100)
    );
}
