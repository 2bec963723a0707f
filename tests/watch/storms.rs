//! From routers' sockets to receivers: what flaps, what a reload does not bring back, and what goes all at once.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use crate::common::bmp::{self, Attributes, Open, Peer};
use crate::common::ingester::{FakeRouter, Ingester, eventually_equal};
use crate::common::pg::TestDb;
use crate::common::receiver::Receiver;
use crate::scene::callback;

const ROUTER: &str = "10.255.0.1";
const PREFIX: &str = "192.0.2.0/24";
const COUNTED: &str = "SELECT COALESCE(sum(announced + withdrawn), 0) FROM watch.flap_counts";

fn announce(seconds: u32, path: &[u32], med: u32, prefixes: &[&str]) -> Vec<u8> {
    let attributes = Attributes { med: Some(med), ..Attributes::path(path) };
    let peer = Peer::loc_rib(ROUTER).at(seconds);
    bmp::route_monitoring(peer, &bmp::announce(&attributes, "192.0.2.1", prefixes))
}

fn withdraw(seconds: u32, prefixes: &[&str]) -> Vec<u8> {
    bmp::route_monitoring(Peer::loc_rib(ROUTER).at(seconds), &bmp::withdraw(prefixes))
}

/// A dump of the Loc-RIB.
fn dump(router: &mut FakeRouter, seconds: u32, path: &[u32], prefixes: &[&str]) {
    let peer = Peer::loc_rib(ROUTER).at(seconds);
    router
        .send(&bmp::initiation(b"edge1", b""))
        .send(&bmp::peer_up(peer, &Open::of(64_500, ROUTER), Some("global")))
        .send(&announce(seconds, path, 0, prefixes))
        .send(&bmp::route_monitoring(peer, &bmp::end_of_rib_ipv4()));
}

#[test]
fn a_prefix_that_flaps_is_told_once() {
    let db = TestDb::migrated();
    let mut client = db.client();
    let receiver = Receiver::start();
    let end = format!("'{}'", receiver.url("/end"));
    callback(&mut client, "flaps", "flapalerted", &receiver.url("/begin"), &[("url_end", &end)]);
    client
        .batch_execute(&format!(
            "INSERT INTO watch.watches (name, kind, prefix, settle_secs, close_after_secs, flap_changes)
             VALUES ('web', 'prefix', '{PREFIX}', 0, 0, 6)"
        ))
        .unwrap();
    let ingester = Ingester::start(&db.url(), &[("HISTORY", "off")]);
    let matched = "SELECT c.trie_version = t.version FROM collectors c, watch.trie_version t";
    eventually_equal(vec!["t".to_owned()], || db.rows(matched));
    let mut router = ingester.connect();
    dump(&mut router, 1_000, &[64_500, 64_496], &[PREFIX]);
    eventually_equal(vec!["1".to_owned()], || db.rows("SELECT count(*) FROM watch.seen"));
    // MED churn, the first minute, and another dump with another path.
    for med in 1..=20 {
        router.send(&announce(1_100, &[64_500, 64_496], med, &[PREFIX]));
    }
    drop(router);
    let mut router = ingester.connect();
    dump(&mut router, 2_000, &[64_501, 64_496], &[PREFIX]);
    router.send(&withdraw(2_030, &[PREFIX])).send(&announce(2_031, &[64_500, 64_496], 0, &[PREFIX]));
    for second in (2_100..2_160).step_by(20) {
        router.send(&withdraw(second, &[PREFIX])).send(&announce(second + 1, &[64_500, 64_496], 0, &[PREFIX]));
    }
    eventually_equal(vec!["6".to_owned()], || db.rows(COUNTED));
    let begin = &receiver.wait_for(1)[0];
    let body = begin.json();
    assert_eq!((body["Prefix"].as_str(), body["TotalPathChanges"].as_i64()), (Some(PREFIX), Some(6)));
    assert_eq!(body["PathHistory"][0]["Path"], serde_json::json!([64_500, 64_496]));
    client.batch_execute("UPDATE watch.flap_counts SET minute = minute - interval '16 minutes'").unwrap();
    let received = receiver.wait_for(2);
    assert_eq!(received[1].json()["Prefix"], PREFIX);
    let states = "SELECT subject, state FROM watch.deliveries ORDER BY id";
    eventually_equal(vec!["opened|delivered".to_owned(), "closed|delivered".to_owned()], || db.rows(states));
    assert!(ingester.stop().success());
}

fn peer(number: usize) -> Peer {
    Peer::global_instance(&format!("198.51.100.{number}"), 64_501)
}

fn peers_up(router: &mut FakeRouter, numbers: std::ops::RangeInclusive<usize>) {
    for number in numbers {
        router
            .send(&bmp::peer_up(peer(number), &Open::of(64_501, &format!("198.51.100.{number}")), None))
            .send(&bmp::route_monitoring(peer(number), &bmp::end_of_rib_ipv4()));
    }
}

#[test]
fn a_reload_and_a_mass_withdrawal() {
    let db = TestDb::migrated();
    let mut client = db.client();
    let receiver = Receiver::start();
    callback(&mut client, "noc", "generic", &receiver.url("/"), &[]);
    client
        .batch_execute(
            "INSERT INTO watch.watches (name, kind, peer_address, router_id, settle_secs, open_after_secs, close_after_secs)
             SELECT 'peer ' || i, 'session', ('198.51.100.' || i)::inet, '10.255.0.1', 3, 0, 0 FROM generate_series(1, 200) i;
             INSERT INTO watch.watches (name, kind, prefix, settle_secs, open_after_secs, close_after_secs)
             SELECT 'route ' || i, 'prefix', ('10.0.' || i || '.0/24')::cidr, 3, 0, 0 FROM generate_series(1, 200) i",
        )
        .unwrap();
    let ingester = Ingester::start(&db.url(), &[("EOR_TIMEOUT_SECS", "1")]);
    let routes: Vec<String> = (1..=200).map(|i| format!("10.0.{i}.0/24")).collect();
    let routes: Vec<&str> = routes.iter().map(String::as_str).collect();
    let mut router = ingester.connect();
    dump(&mut router, 1_000, &[64_500, 64_496], &routes);
    peers_up(&mut router, 1..=200);
    eventually_equal(vec!["200".to_owned()], || db.rows("SELECT count(*) FROM watch.seen"));
    eventually_equal(vec!["200".to_owned()], || {
        db.rows("SELECT count(*) FROM peers WHERE state = 'up' AND peer_type = 'global'")
    });
    router.send(&bmp::termination(1));
    eventually_equal(vec!["0".to_owned()], || db.rows("SELECT count(*) FROM bmp_sessions WHERE state = 'up'"));
    drop(router);
    let mut router = ingester.connect();
    dump(&mut router, 2_000, &[64_500, 64_496], &routes);
    peers_up(&mut router, 1..=198);
    let summary = |at: usize| receiver.wait_for(at + 1)[at].json()["incident"]["summary"].as_str().unwrap().to_owned();
    let reload = summary(0);
    assert!(
        reload.starts_with("edge1 is back since ") && reload.contains(": 2 of 200 peers did not come back"),
        "{reload}"
    );
    peers_up(&mut router, 199..=200);
    let over = summary(1);
    assert!(over.starts_with("OVER after ") && over.contains("edge1 is back since "), "{over}");
    router.send(&withdraw(2_100, &routes));
    let gone = summary(2);
    assert!(gone.starts_with("200 prefixes missing, on 1 of 1 router, since "), "{gone}");
    assert!(gone.ends_with(": 10.0.1.0/24, 10.0.10.0/24 and 198 more"), "{gone}");
    router.send(&announce(2_200, &[64_500, 64_496], 0, &routes));
    assert!(summary(3).starts_with("OVER after "), "{}", summary(3));
    assert_eq!(receiver.received().len(), 4);
    assert!(ingester.stop().success());
}
