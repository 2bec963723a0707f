//! From a router's socket to a receiver: the right incident, told once when it opens and once when it is over.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use crate::common::bmp::{self, Attributes, Open, Peer};
use crate::common::ingester::{Ingester, eventually};
use crate::common::pg::TestDb;
use crate::common::receiver::Receiver;
use crate::scene::{callback, secret, told};

const PREFIX: &str = "192.0.2.0/24";

fn route(path: &[u32]) -> Vec<u8> {
    let update = bmp::announce(&Attributes::path(path), "192.0.2.1", &[PREFIX]);
    bmp::route_monitoring(Peer::loc_rib("10.255.0.1"), &update)
}

#[test]
fn a_hijack_is_told_once_and_so_is_its_end() {
    let db = TestDb::migrated();
    let mut client = db.client();
    let receiver = Receiver::start();
    callback(&mut client, "noc", "generic", &receiver.url("/"), &[]);
    secret(&mut client, "noc", "signed");
    client
        .batch_execute(&format!(
            "INSERT INTO watch.watches (name, kind, prefix, expected_origins, settle_secs, close_after_secs, accepted_at)
             VALUES ('web', 'prefix', '{PREFIX}', '{{64496}}', 0, 0, now() - interval '1 day')"
        ))
        .unwrap();
    let ingester = Ingester::start(&db.url(), &[("SITE", "lab")]);
    let peer = Peer::loc_rib("10.255.0.1");
    let mut router = ingester.connect();
    router
        .send(&bmp::initiation(b"edge1", b""))
        .send(&bmp::peer_up(peer, &Open::of(64_500, "10.255.0.1"), Some("global")))
        .send(&route(&[64_500, 64_496]))
        .send(&bmp::route_monitoring(peer, &bmp::end_of_rib_ipv4()));
    eventually("the route is watched", || (db.rows("SELECT count(*) FROM watch.seen") == ["1"]).then_some(()));
    router.send(&route(&[64_500, 64_511]));
    let received = receiver.wait_for(1);
    assert!(received[0].is_signed_with("signed"));
    let (key, event) = told(&received[0]);
    assert!(key.starts_with("lab/web/origin") && event == "opened", "{key} {event}");
    let summary = received[0].json()["incident"]["summary"].as_str().unwrap().to_owned();
    assert!(summary.starts_with("HIJACK? 192.0.2.0/24 origin AS64511, expected AS64496"), "{summary}");
    router.send(&route(&[64_500, 64_496]));
    let received = receiver.wait_for(2);
    assert_eq!(told(&received[1]), (key, "closed".to_owned()));
    eventually("both are delivered", || {
        (db.rows("SELECT count(*) FROM watch.deliveries WHERE state = 'delivered'") == ["2"]).then_some(())
    });
    assert_eq!(receiver.received().len(), 2);
}
