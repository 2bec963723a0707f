//! `change`: the gate around planned work.
#![allow(missing_docs, clippy::unwrap_used)]

use serde_json::{Value, json};

use super::compare::{elements, route, told, two_routers};
use crate::common::bmp::{self, Attributes, Open, Peer};
use crate::common::ingester::{FakeRouter, Ingester, eventually, eventually_equal};
use crate::common::pg::TestDb;

/// edge1 with a peer that is up and has 100 routes, and one own route.
pub fn scene() -> TestDb {
    let db = two_routers();
    route(&db, 1, "192.0.2.0/24", "");
    route(&db, 1, "10.0.0.0/8", "64500 64501");
    db.client()
        .batch_execute(
            "INSERT INTO peers (router_id, peer_type, peer_address, peer_asn, description, state)
             VALUES ('10.0.0.1', 'global', '198.51.100.1', 64500, 'Example', 'up'),
                    ('10.0.0.1', 'global', '198.51.100.2', 64501, NULL, 'down');
             INSERT INTO adj_rib_in_sync_status (router_id, peer_address, is_post_policy, table_name, afi, synced_at)
             VALUES ('10.0.0.1', '198.51.100.1', true, 'UNKNOWN', 4, now());
             INSERT INTO adj_rib_in (router_id, peer_address, peer_asn, is_post_policy, table_name, afi, prefix, as_path)
             SELECT '10.0.0.1', '198.51.100.1', 64500, true, 'UNKNOWN', 4, ('10.' || n || '.0.0/16')::cidr, '64500'
             FROM generate_series(1, 100) n",
        )
        .unwrap();
    db
}

const VERIFY: [&str; 3] = ["change", "verify", "cards"];

/// The results of the five checks, and the exit code.
fn verdict(db: &TestDb, more: &[&str]) -> (Vec<String>, Option<i32>) {
    let (text, code, said) = told(db, &[&VERIFY, more, &["--json"]].concat());
    let json: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text} {said}"));
    let results = json["checks"].as_array().unwrap().iter().map(|check| check["result"].as_str().unwrap().to_owned());
    (results.collect(), code)
}

#[test]
fn what_is_worse_decides() {
    let db = scene();
    let begun = told(&db, &["change", "begin", "cards", "--router", "edge1", "--silence", "2h"]);
    let want = "change cards: begun\nstored: 1 of 2 peers up, 2 route counts, 1 own route, 0 troubles\nsilenced until ";
    assert!(begun.0.starts_with(want) && begun.1 == Some(0), "{begun:?}");
    assert_eq!(
        db.rows("SELECT router_id, note, ends_at - starts_at FROM watch.silences"),
        ["10.0.0.1|change cards|02:00:00"]
    );
    let (_, code, said) = told(&db, &["change", "begin", "cards", "--router", "edge1"]);
    assert!(code == Some(1) && said.contains("change cards has begun already"), "{said}");
    let good =
        |index: usize| (0..5).map(|i| if i == index { "differs" } else { "equal" }.to_owned()).collect::<Vec<_>>();
    assert_eq!(verdict(&db, &[]), (good(9), Some(0)));
    // Each of these alone, and taken back.
    for (index, worse, better) in [
        (0, "UPDATE peers SET state = 'down' WHERE peer_asn = 64500", "UPDATE peers SET state = 'up' WHERE peer_asn = 64500"),
        (
            1,
            "INSERT INTO watch.watches (id, name, kind, prefix) VALUES (7, 'web', 'prefix', '192.0.2.0/24');
             INSERT INTO watch.conditions (watch_id, vantage, router_id, condition, since)
             VALUES (7, '10.0.0.1/global', '10.0.0.1', 'missing', now())",
            "DELETE FROM watch.watches",
        ),
        (
            1,
            "INSERT INTO watch.incidents (cause_key, condition, severity, state, opened_at, cause_at, affected, known, summary)
             VALUES ('x', 'missing', 'warning', 'open', now(), now(), 1, 1, 'GONE')",
            "DELETE FROM watch.incidents",
        ),
        (
            2,
            "UPDATE adj_rib_in SET peer_address = '198.51.100.2', peer_asn = 64501 WHERE prefix <<= '10.1.0.0/16' OR prefix <<= '10.2.0.0/15'",
            "UPDATE adj_rib_in SET peer_address = '198.51.100.1', peer_asn = 64500",
        ),
        (
            3,
            "UPDATE current_routes SET table_name = 'x' WHERE prefix = '192.0.2.0/24'",
            "UPDATE current_routes SET table_name = 'global'",
        ),
        (3, "UPDATE current_routes SET localpref = 50 WHERE prefix = '192.0.2.0/24'", "UPDATE current_routes SET localpref = NULL"),
    ] {
        db.client().batch_execute(worse).unwrap();
        assert_eq!(verdict(&db, &[]), (good(index), Some(3)), "{worse}");
        db.client().batch_execute(better).unwrap();
        assert_eq!(verdict(&db, &[]), (good(9), Some(0)), "{better}");
    }
    // Two percent less is churn.
    db.client().batch_execute("DELETE FROM adj_rib_in WHERE prefix IN ('10.1.0.0/16', '10.2.0.0/16')").unwrap();
    let (text, code, _) = told(&db, &VERIFY);
    let line = "10.0.0.1 peer 198.51.100.1 AS64500 table UNKNOWN IPv4 after policy: 100 routes before, 98 now\n";
    assert!(text.contains(line) && code == Some(0), "{text}");
    assert_eq!(verdict(&db, &["--strict"]), (good(4), Some(3)));
    let listed = told(&db, &["change", "list"]).0;
    assert!(listed.lines().count() == 2 && listed.lines().nth(1).unwrap().starts_with("cards  "), "{listed}");
    assert_eq!(told(&db, &["change", "end", "cards"]).0, "change cards: ended\n");
    assert_eq!(told(&db, &["change", "list", "--json"]).0, "[]\n");
    let all: Value = serde_json::from_str(&told(&db, &["change", "list", "--all", "--json"]).0).unwrap();
    assert_eq!((&all[0]["change"], &all[0]["routers"]), (&json!("cards"), &json!(["10.0.0.1"])));
    assert!(all[0]["ended_at"].is_string(), "{all}");
    assert_eq!(db.rows("SELECT ended_at IS NOT NULL FROM watch.silences"), ["t"]);
    assert_eq!(told(&db, &VERIFY).1, Some(1));
    // Its name can be used again.
    assert_eq!(told(&db, &["change", "begin", "cards", "--router", "edge1"]).1, Some(0));
    assert_eq!(verdict(&db, &["--strict"]).1, told(&db, &[&VERIFY[..], &["--strict"]].concat()).1);
}

#[test]
fn what_cannot_be_told_is_no_success() {
    let db = scene();
    let begin = ["change", "begin", "cards", "--router", "10.0.0.1", "--router", "edge2"];
    db.client().batch_execute("UPDATE rib_sync_status SET synced_at = NULL WHERE router_id = '10.0.0.2'").unwrap();
    let (_, code, said) = told(&db, &begin);
    assert!(code == Some(4) && said.contains("cannot begin: edge2: the dump of table global"), "{said}");
    assert_eq!(db.rows("SELECT count(*) FROM watch.change_windows"), ["0"]);
    db.client().batch_execute("UPDATE rib_sync_status SET synced_at = now()").unwrap();
    assert_eq!(told(&db, &begin).1, Some(0));
    db.client().batch_execute("UPDATE bmp_sessions SET state = 'stale' WHERE router_id = '10.0.0.1'").unwrap();
    let file = std::env::temp_dir().join(format!("{}.xml", db.name()));
    let (text, code, said) =
        told(&db, &[&VERIFY[..], &["--json", "--wait", "1s", "--junit", file.to_str().unwrap()]].concat());
    let json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &json["result"], &json["change"]), (Some(4), &json!("unknown"), &json!("cards")));
    assert!(said.contains("cannot tell: edge1: its BMP session is not up: stale"), "{said}");
    let tags = elements(&std::fs::read_to_string(&file).unwrap());
    assert!(tags.iter().any(|tag| tag.starts_with("error message=")), "{tags:?}");
    std::fs::remove_file(&file).unwrap();
    let (_, code, said) = told(&db, &["change", "verify", "card"]);
    assert!(code == Some(1) && said.contains("there is no change card; did you mean cards?"), "{said}");
    for wrong in [
        &["change", "begin", "x"][..],
        &["change", "begin", "", "--router", "edge1"],
        &["change", "begin", "x", "--router", "edge1", "--silence", "2"],
        &["change", "verify", "cards", "--wait", "soon"],
    ] {
        assert_eq!(told(&db, wrong).1, Some(2), "{wrong:?}");
    }
    assert_eq!(told(&db, &["change", "begin", "x", "--router", "edge7"]).1, Some(1));
}

#[test]
fn a_peer_that_does_not_come_back_is_worse() {
    let db = TestDb::migrated();
    let ingester = Ingester::start(&db.url(), &[("STORED_RIBS", "loc-rib,adj-rib-in-pre")]);
    let mut router = ingester.connect();
    let (peer, loc_rib) = (Peer::global_instance("198.51.100.1", 64_500), Peer::loc_rib("10.255.0.1"));
    let routes = |of: Peer| {
        bmp::route_monitoring(of, &bmp::announce(&Attributes::path(&[64_500]), "198.51.100.1", &["10.1.0.0/16"]))
    };
    let peer_up = |router: &mut FakeRouter| {
        router
            .send(&bmp::peer_up(peer, &Open::of(64_500, "198.51.100.1"), None))
            .send(&routes(peer))
            .send(&bmp::route_monitoring(peer, &bmp::end_of_rib_ipv4()))
            .send(&bmp::route_monitoring(peer, &bmp::end_of_rib(2, 1)));
    };
    router.send(&bmp::initiation(b"edge1", b"")).send(&bmp::peer_up(
        loc_rib,
        &Open::of(64_500, "10.255.0.1"),
        Some("global"),
    ));
    peer_up(&mut router);
    router
        .send(&routes(loc_rib))
        .send(&bmp::route_monitoring(loc_rib, &bmp::end_of_rib_ipv4()))
        .send(&bmp::route_monitoring(loc_rib, &bmp::end_of_rib(2, 1)));
    // The rows of peers may follow those of routes.
    eventually_equal(vec!["up".to_owned()], || db.rows("SELECT state FROM peers"));
    let begin = ["change", "begin", "cards", "--router", "edge1"];
    let begun = eventually("the router is in sync", || Some(told(&db, &begin)).filter(|(_, code, _)| *code == Some(0)));
    assert!(begun.0.contains("stored: 1 of 1 peer up"), "{begun:?}");
    assert_eq!(verdict(&db, &[]).1, Some(0));
    router.send(&bmp::peer_down(peer, 4));
    eventually_equal(vec!["down".to_owned()], || db.rows("SELECT state FROM peers"));
    let (text, code, _) = told(&db, &VERIFY);
    assert!(code == Some(3) && text.contains("198.51.100.1 AS64500 was up and is not"), "{text}");
    peer_up(&mut router);
    let (text, code, _) = told(&db, &[&VERIFY[..], &["--wait", "1m"]].concat());
    assert_eq!(code, Some(0), "{text}");
    assert!(ingester.stop().success());
}

#[test]
fn the_past_is_compared_with_the_present() {
    let db = TestDb::migrated();
    let ingester = Ingester::start(&db.url(), &[]);
    let mut router = ingester.connect();
    let peer = Peer::loc_rib("10.255.0.1");
    let announce = |path: &[u32], prefixes: &[&str]| {
        bmp::route_monitoring(peer, &bmp::announce(&Attributes::path(path), "198.51.100.1", prefixes))
    };
    let before =
        db.rows("SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')").remove(0);
    router
        .send(&bmp::initiation(b"edge1", b""))
        .send(&bmp::peer_up(peer, &Open::of(64_500, "10.255.0.1"), Some("global")))
        .send(&announce(&[64_500], &["10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16"]))
        .send(&bmp::route_monitoring(peer, &bmp::end_of_rib_ipv4()))
        .send(&bmp::route_monitoring(peer, &bmp::end_of_rib(2, 1)));
    let synced = "SELECT count(*) FROM rib_sync_status WHERE synced_at IS NOT NULL";
    eventually_equal(vec!["2".to_owned()], || db.rows(synced));
    let since =
        db.rows("SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')").remove(0);
    let compare = |more: &[&str]| told(&db, &[&["compare", "--since", &since], more].concat());
    assert_eq!(compare(&["edge1"]), ("edge1 table global: equal\n".to_owned(), Some(0), String::new()));
    router
        .send(&bmp::route_monitoring(peer, &bmp::withdraw(&["10.1.0.0/16"])))
        .send(&announce(&[64_500, 64_501], &["10.2.0.0/16", "10.4.0.0/16"]));
    eventually_equal(vec!["3".to_owned()], || {
        db.rows("SELECT count(*) FROM current_routes WHERE prefix <> '10.1.0.0/16'")
    });
    let want = "edge1 table global: 3 prefixes differ: 1 added, 1 changed, 1 gone\n  \
                gone 10.1.0.0/16: via 198.51.100.1 path 64500\n  \
                changed 10.2.0.0/16: as_path 64500 / 64500 64501\n  \
                added 10.4.0.0/16: via 198.51.100.1 path 64500 64501\n";
    assert_eq!(compare(&[]), (want.to_owned(), Some(3), String::new()));
    assert_eq!(compare(&["--ignore", "as_path", "--prefix", "10.2.0.0/16"]).1, Some(0));
    assert_eq!(told(&db, &["compare", "--since", &before, "--until", &since]).1, Some(3));
    // Before the history began.
    let (_, code, said) = told(&db, &["compare", "--since", "2020-01-01 00:00 UTC", "edge1"]);
    assert!(
        code == Some(4) && said.contains("edge1 table global: the history does not tell all of 2020-01-01"),
        "{said}"
    );
    drop(router);
    eventually_equal(vec!["0".to_owned()], || {
        db.rows("SELECT count(*) FROM rib_sync_status WHERE stale_since IS NULL")
    });
    let (_, code, said) = compare(&[]);
    assert!(code == Some(4) && said.contains("edge1: its BMP session is not up: stale"), "{said}");
    assert!(ingester.stop().success());
}
