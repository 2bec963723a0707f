//! From a router's socket to a receiver: the right incident, told once when it opens and once when it is over.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use rib_ingester::store::watch::operator::{Author, IncidentChange, change};

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

fn route_to(prefix: &str, path: &[u32]) -> Vec<u8> {
    let update = bmp::announce(&Attributes::path(path), "192.0.2.1", &[prefix]);
    bmp::route_monitoring(Peer::loc_rib("10.255.0.1"), &update)
}

#[test]
fn a_new_prefix_of_an_as_until_it_is_accepted_or_goes() {
    let db = TestDb::migrated();
    let mut client = db.client();
    let receiver = Receiver::start();
    callback(&mut client, "noc", "generic", &receiver.url("/"), &[]);
    client
        .batch_execute(
            // What is critical is not held back to be gathered.
            "INSERT INTO watch.watches (name, kind, asn, settle_secs, close_after_secs, severity)
             VALUES ('ours', 'origin', 64496, 0, 0, 'critical')",
        )
        .unwrap();
    let ingester = Ingester::start(&db.url(), &[("SITE", "lab")]);
    let peer = Peer::loc_rib("10.255.0.1");
    let mut router = ingester.connect();
    router
        .send(&bmp::initiation(b"edge1", b""))
        .send(&bmp::peer_up(peer, &Open::of(64_496, "10.255.0.1"), Some("global")))
        .send(&route_to(PREFIX, &[64_500, 64_496]))
        // The router's own.
        .send(&route_to("198.51.100.0/24", &[]))
        .send(&bmp::route_monitoring(peer, &bmp::end_of_rib_ipv4()))
        .send(&bmp::route_monitoring(peer, &bmp::end_of_rib(2, 1)));
    // What it originates is accepted, and told in one message, which is all that is told of it.
    let received = receiver.wait_for(1);
    let incident = &received[0].json()["incident"];
    assert_eq!((&incident["state"], &incident["severity"]), (&"closed".into(), &"info".into()));
    let line = "BASELINE AS64496 originates 2 prefixes, now accepted: 192.0.2.0/24, 198.51.100.0/24";
    assert_eq!(incident["summary"], line);
    router.send(&route_to("203.0.113.0/24", &[64_500, 64_496]));
    let received = receiver.wait_for(2);
    assert_eq!(
        told(&received[1]),
        ("lab/ours/new_origin_prefix/203.0.113.0/24 AS64496".to_owned(), "opened".to_owned())
    );
    let summary = received[1].json()["incident"]["summary"].as_str().unwrap().to_owned();
    assert!(summary.starts_with("NEW PREFIX 203.0.113.0/24 from AS64496; 1 of 1 router (edge1)"), "{summary}");
    let author = Author { who: "ada", note: None };
    let id = client.query_one("SELECT max(id) FROM watch.incidents", &[]).unwrap().get(0);
    change(&mut client, id, IncidentChange::Accept, author).unwrap().unwrap();
    assert_eq!(told(&receiver.wait_for(3)[2]).1, "closed");
    // Another one, and it goes; the router's own is no news again.
    router.send(&route_to("10.1.0.0/16", &[])).send(&route_to("198.51.100.0/24", &[]));
    assert_eq!(told(&receiver.wait_for(4)[3]).0, "lab/ours/new_origin_prefix/10.1.0.0/16 AS64496");
    router.send(&bmp::route_monitoring(peer, &bmp::withdraw(&["10.1.0.0/16"])));
    assert_eq!(told(&receiver.wait_for(5)[4]).1, "closed");
    // What was accepted is not anybody's.
    router.send(&route_to("203.0.113.0/24", &[64_500, 64_511]));
    let received = receiver.wait_for(6);
    assert_eq!(told(&received[5]).0, "lab/ours/origin/203.0.113.0/24 AS64511");
    let found = &received[5].json()["found"];
    assert_eq!((&found["origin"], &found["expected"]), (&"AS64511".into(), &"AS64496".into()));
    router.send(&route_to("203.0.113.0/24", &[64_500, 64_496]));
    assert_eq!(told(&receiver.wait_for(7)[6]).1, "closed");
    assert_eq!(db.rows("SELECT count(*) FROM watch.incidents"), ["4"]);
}

#[test]
fn an_invalid_route_until_its_roa_is_corrected() {
    let db = TestDb::migrated();
    let mut client = db.client();
    let receiver = Receiver::start();
    callback(&mut client, "noc", "generic", &receiver.url("/"), &[]);
    client
        .batch_execute(&format!(
            "INSERT INTO watch.watches (name, kind, prefix, expected_origins, conditions, settle_secs, open_after_secs,
                 close_after_secs, severity)
             VALUES ('web', 'prefix', '{PREFIX}', '{{64496}}', '{{rpki_invalid}}', 0, 0, 0, 'critical')"
        ))
        .unwrap();
    let vrps = std::env::temp_dir().join(format!("rib-ingester-vrps-{}.csv", std::process::id()));
    // As a validator replaces its file: at once.
    let roa = |max_length: u8| {
        let new = vrps.with_extension("new");
        let text = format!("ASN,IP Prefix,Max Length,Trust Anchor\nAS64496,{PREFIX},{max_length},ripe\n");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(&new, &vrps).unwrap();
    };
    roa(24);
    let settings = [("SITE", "lab"), ("VRPS", vrps.to_str().unwrap()), ("VRPS_REFRESH_SECS", "1")];
    let ingester = Ingester::start(&db.url(), &settings);
    let peer = Peer::loc_rib("10.255.0.1");
    let mut router = ingester.connect();
    router
        .send(&bmp::initiation(b"edge1", b""))
        .send(&bmp::peer_up(peer, &Open::of(64_500, "10.255.0.1"), Some("global")))
        .send(&route(&[64_500, 64_496]))
        .send(&bmp::route_monitoring(peer, &bmp::end_of_rib_ipv4()));
    eventually("the route is watched and validated", || {
        let is_so =
            "SELECT (SELECT count(*) FROM watch.seen) = 1 AND (SELECT state FROM rpki.route_validity) = 'valid'";
        (db.rows(is_so) == ["t"]).then_some(())
    });
    router.send(&route_to("192.0.2.128/25", &[64_500, 64_496]));
    let received = receiver.wait_for(1);
    let invalid = ("lab/web/rpki_invalid/192.0.2.128/25 AS64496".to_owned(), "opened".to_owned());
    assert_eq!(told(&received[0]), invalid);
    let summary = received[0].json()["incident"]["summary"].as_str().unwrap().to_owned();
    assert!(summary.starts_with("RPKI INVALID 192.0.2.128/25 origin AS64496, longer than maxLength 24"), "{summary}");
    roa(25);
    let received = receiver.wait_for(2);
    assert_eq!(told(&received[1]), (invalid.0, "closed".to_owned()));
    assert_eq!(db.rows("SELECT count(*) FROM watch.incidents"), ["1"]);
    std::fs::remove_file(&vrps).unwrap();
}
