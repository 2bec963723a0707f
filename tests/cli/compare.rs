//! `compare`: what it prints, and the exit codes that scripts go by.
#![allow(missing_docs, clippy::unwrap_used)]

use serde_json::{Value, json};

use super::watch::run;
use crate::common::pg::TestDb;

/// Two connected routers, edge1 and edge2, with a Loc-RIB in sync and no route.
pub fn two_routers() -> TestDb {
    let db = TestDb::migrated();
    db.client()
        .batch_execute(
            "INSERT INTO collectors (collector_id, instance, alive_until, started_at, version)
             VALUES ('c1', gen_random_uuid(), now() + interval '1 day', now(), 'test');
             INSERT INTO routers (router_id, hostname, as_number) VALUES ('10.0.0.1', 'edge1', 64496), ('10.0.0.2', 'edge2', 64496);
             INSERT INTO bmp_sessions (router_id, collector_id, state, began_at)
             SELECT router_id, 'c1', 'up', now() - interval '1 hour' FROM routers;
             INSERT INTO rib_sync_status (router_id, table_name, afi, session_start_time, synced_at)
             SELECT router_id, 'global', 4, now(), now() FROM routers",
        )
        .unwrap();
    db
}

/// Stores a route: `192.0.2.0/24 64500 64501` of a router in its Loc-RIB.
pub fn route(db: &TestDb, router: u8, prefix: &str, path: &str) {
    let sql = format!(
        "INSERT INTO current_routes (router_id, table_name, afi, prefix, nexthop, as_path, origin)
         VALUES ('10.0.0.{router}', 'global', 4, '{prefix}', '192.0.2.1', '{path}', 'IGP')"
    );
    db.client().batch_execute(&sql).unwrap();
}

/// What a command prints, its exit code, and what it says on standard error.
pub fn told(db: &TestDb, arguments: &[&str]) -> (String, Option<i32>, String) {
    let output = run(db, arguments);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), output.status.code(), text(&output.stderr))
}

/// The names and attributes of the elements of an XML file, in order. Panics unless they are balanced.
pub fn elements(xml: &str) -> Vec<String> {
    let (mut open, mut found) = (Vec::new(), Vec::new());
    for part in xml.split('<').skip(1) {
        let (tag, text) = part.split_once('>').expect("a tag ends");
        assert!(!text.contains('&') || text.split('&').skip(1).all(|entity| entity.contains(';')), "{text}");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.starts_with('?') {
            let name = tag.split([' ', '/']).next().unwrap();
            found.push(tag.trim_end_matches('/').to_owned());
            if !tag.ends_with('/') {
                open.push(name);
            }
        }
    }
    assert!(open.is_empty(), "{open:?}");
    found
}

const ROUTERS: [&str; 4] = ["compare", "--routers", "edge1", "10.0.0.2"];

fn routers<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&ROUTERS, more].concat()
}

#[test]
fn two_routers_are_equal_or_not() {
    let db = two_routers();
    let equal = "edge1 and edge2, table global: equal\n".to_owned();
    assert_eq!(told(&db, &routers(&[])), (equal.clone(), Some(0), String::new()));
    for router in [1, 2] {
        route(&db, router, "10.0.0.0/8", "64500 64501");
        route(&db, router, "192.0.2.0/24", "64500 64501");
    }
    assert_eq!(told(&db, &routers(&[])), (equal, Some(0), String::new()));
    route(&db, 1, "198.51.100.0/24", "64500");
    route(&db, 2, "203.0.113.0/24", "64502");
    db.client()
        .batch_execute("UPDATE current_routes SET med = 10 WHERE router_id = '10.0.0.2' AND prefix = '192.0.2.0/24'")
        .unwrap();
    let want = "edge1 and edge2, table global: 3 prefixes differ: 1 only at edge1, 1 only at edge2, 1 with other paths\n  \
                with other paths 192.0.2.0/24: med none / 10\n  \
                only at edge1 198.51.100.0/24: via 192.0.2.1 path 64500\n  \
                only at edge2 203.0.113.0/24: via 192.0.2.1 path 64502\n";
    assert_eq!(told(&db, &routers(&[])), (want.to_owned(), Some(3), String::new()));
    let (text, code, _) = told(&db, &routers(&["--limit", "1"]));
    assert!(
        text.ends_with("192.0.2.0/24: med none / 10\n  and 2 more; --limit lists more\n") && code == Some(3),
        "{text}"
    );
    // Parts of it.
    assert_eq!(told(&db, &routers(&["--prefix", "192.0.2.0/24", "--ignore", "med,communities"])).1, Some(0));
    assert_eq!(told(&db, &routers(&["--prefix", "192.0.0.0/16"])).1, Some(0));
    assert_eq!(told(&db, &routers(&["--prefix", "192.0.0.0/16", "--longer"])).1, Some(3));

    let file = std::env::temp_dir().join(format!("{}.xml", db.name()));
    let (text, code, _) = told(&db, &routers(&["--json", "--limit", "2", "--junit", file.to_str().unwrap()]));
    let path = |path: &str| json!([{"nexthop": "192.0.2.1", "as_path": path, "origin": "IGP"}]);
    let want = json!({"result": "differs", "comparisons": [{
        "name": "edge1 and edge2, table global",
        "result": "differs",
        "ends": ["edge1", "edge2"],
        "counts": {"only_a": 1, "only_b": 1, "paths": 1},
        "not_listed": 1,
        "differences": [
            {"table": null, "prefix": "192.0.2.0/24", "difference": "paths", "attributes": ["med"], "before": path("64500 64501"),
             "after": [{"nexthop": "192.0.2.1", "as_path": "64500 64501", "origin": "IGP", "med": 10}]},
            {"table": null, "prefix": "198.51.100.0/24", "difference": "only_a", "attributes": [], "before": path("64500"), "after": []},
        ]
    }]});
    assert_eq!((serde_json::from_str::<Value>(&text).unwrap(), code), (want, Some(3)), "{text}");
    let xml = std::fs::read_to_string(&file).unwrap();
    let tags = elements(&xml);
    assert_eq!(tags[0], "testsuites tests=\"1\" failures=\"1\" errors=\"0\"");
    assert_eq!(tags[2], "testcase classname=\"compare\" name=\"edge1 and edge2, table global\"");
    assert!(tags[3].starts_with("failure message=\"3 prefixes differ: ") && tags.len() == 4, "{xml}");
    std::fs::remove_file(&file).unwrap();
    let (_, code, said) = told(&db, &routers(&["--junit", "/nowhere/x.xml"]));
    assert!(code == Some(1) && said.contains("/nowhere/x.xml"), "{said}");
}

#[test]
fn tables_are_paired_by_name() {
    let db = two_routers();
    let mut client = db.client();
    route(&db, 1, "10.0.0.0/8", "64500");
    route(&db, 2, "10.0.0.0/8", "64500");
    // The only table of each is the same whatever it is called.
    client
        .batch_execute(
            "UPDATE current_routes SET table_name = 'UNKNOWN' WHERE router_id = '10.0.0.2';
             UPDATE rib_sync_status SET table_name = 'UNKNOWN' WHERE router_id = '10.0.0.2'",
        )
        .unwrap();
    let equal = "edge1 table global and edge2 table UNKNOWN: equal\n";
    assert_eq!(told(&db, &routers(&[])).0, equal);
    client
        .batch_execute(
            "INSERT INTO rib_sync_status (router_id, table_name, afi, synced_at)
             SELECT router_id, 'rd:0:64500:1', afi, now() FROM rib_sync_status",
        )
        .unwrap();
    let (text, code, _) = told(&db, &routers(&[]));
    assert_eq!((text.lines().filter(|line| line.starts_with("edge1 and")).count(), code), (3, Some(3)), "{text}");
    assert!(text.contains("edge1 and edge2, table rd:0:64500:1: equal\n"), "{text}");
    assert_eq!(told(&db, &routers(&["--table", "global", "--other-table", "UNKNOWN"])).0, equal);
    let (_, code, said) = told(&db, &routers(&["--table", "globl"]));
    assert_eq!(code, Some(1));
    assert!(said.contains("edge1 has no table globl; did you mean global?; it has global, rd:0:64500:1"), "{said}");
}

#[test]
fn what_is_not_in_sync_cannot_be_told() {
    let db = two_routers();
    let mut client = db.client();
    let mut check = |sql: &str, want: &str| {
        client.batch_execute(sql).unwrap();
        let (_, code, said) = told(&db, &routers(&[]));
        assert!(code == Some(4) && said.contains(want), "{sql}: {code:?} {said}");
    };
    check(
        "UPDATE rib_sync_status SET synced_at = NULL WHERE router_id = '10.0.0.2'",
        "rib-ingester: cannot tell: edge2: the dump of table global, IPv4, is not complete\n",
    );
    check("DELETE FROM rib_sync_status WHERE router_id = '10.0.0.2'", "edge2: none of its tables is stored\n");
    check(
        "UPDATE bmp_sessions SET state = 'stale', reason = 'connection reset' WHERE router_id = '10.0.0.1'",
        "edge1: its BMP session is not up: stale since ",
    );
    let json: Value = serde_json::from_str(&told(&db, &routers(&["--json"])).0).unwrap();
    assert_eq!((&json["result"], json["comparisons"][0]["reasons"].as_array().unwrap().len()), (&json!("unknown"), 2));
    let (_, code, said) = told(&db, &["compare", "--routers", "edge1", "edge9"]);
    assert!(code == Some(1) && said.contains("no router edge9 is stored: did you mean "), "{said}");
    for wrong in [
        &["compare"][..],
        &["compare", "--routers", "edge1"],
        &["compare", "--policy", "edge1", "peer"],
        &["compare", "--since", "2026-11-26 01:00"],
        &["compare", "--since", "2040-01-01 00:00 UTC"],
        &["compare", "--routers", "edge1", "edge2", "--ignore", "meds"],
        &["compare", "--routers", "edge1", "edge2", "--prefix", "10.1.1.1/8"],
        &["compare", "--routers", "edge1", "edge2", "--longer"],
    ] {
        assert_eq!(told(&db, wrong).1, Some(2), "{wrong:?}");
    }
}

#[test]
fn routers_without_loc_ribs_are_compared_by_peers() {
    let db = two_routers();
    let mut client = db.client();
    let mut set_up = |sql: &str| client.batch_execute(sql).unwrap();
    set_up(
        "DELETE FROM rib_sync_status;
         INSERT INTO adj_rib_in_sync_status (router_id, peer_address, is_post_policy, table_name, afi, synced_at)
         SELECT router_id, peer::inet, is_post, 'UNKNOWN', 4, now()
         FROM routers, unnest('{198.51.100.1,198.51.100.2}'::text[]) AS peer, unnest('{false,true}'::boolean[]) AS is_post;
         INSERT INTO adj_rib_in (router_id, peer_address, peer_asn, is_post_policy, table_name, afi, prefix, as_path)
         SELECT router_id, peer::inet, 64500, is_post, 'UNKNOWN', 4, '192.0.2.0/24', '64500'
         FROM routers, unnest('{198.51.100.1,198.51.100.2}'::text[]) AS peer, unnest('{false,true}'::boolean[]) AS is_post",
    );
    let equal = "edge1 and edge2, from peers after policy: equal\n";
    assert_eq!(told(&db, &routers(&[])), (equal.to_owned(), Some(0), String::new()));
    set_up(
        "DELETE FROM adj_rib_in WHERE router_id = '10.0.0.2' AND peer_address = '198.51.100.2' AND is_post_policy;
         UPDATE adj_rib_in SET as_path = '64500 64501' WHERE router_id = '10.0.0.2' AND peer_address = '198.51.100.1'",
    );
    let want = "edge1 and edge2, from peers after policy: 2 prefixes differ: 1 only at edge1, 1 with other paths\n  \
                with other paths peer 198.51.100.1 table UNKNOWN 192.0.2.0/24: as_path 64500 / 64500 64501\n  \
                only at edge1 peer 198.51.100.2 table UNKNOWN 192.0.2.0/24: via - path 64500\n";
    assert_eq!(told(&db, &routers(&[])), (want.to_owned(), Some(3), String::new()));
    let json: Value = serde_json::from_str(&told(&db, &routers(&["--json", "--ignore", "as_path"])).0).unwrap();
    assert_eq!(json["comparisons"][0]["differences"][0]["peer"], json!("198.51.100.2"));

    // What is stored of both is compared, and nobody can tell what is not complete.
    set_up("DELETE FROM adj_rib_in_sync_status WHERE is_post_policy AND router_id = '10.0.0.1'");
    let (said, code, _) = told(&db, &routers(&["--ignore", "as_path"]));
    assert_eq!((said.as_str(), code), ("edge1 and edge2, from peers before policy: equal\n", Some(0)));
    set_up("UPDATE adj_rib_in_sync_status SET synced_at = NULL WHERE router_id = '10.0.0.1'");
    let (_, code, said) = told(&db, &routers(&[]));
    assert!(code == Some(4) && said.contains("edge1: the dump of table UNKNOWN of 198.51.100.1, IPv4"), "{said}");
    set_up(
        "DELETE FROM adj_rib_in_sync_status WHERE NOT is_post_policy AND router_id = '10.0.0.2'; UPDATE adj_rib_in_sync_status SET synced_at = now()",
    );
    let (_, code, said) = told(&db, &routers(&[]));
    assert!(code == Some(4) && said.contains("the same view of Adj-RIB-In is not stored of both"), "{said}");
    set_up(
        "INSERT INTO rib_sync_status (router_id, table_name, afi, synced_at) VALUES ('10.0.0.1', 'global', 4, now())",
    );
    let (_, code, said) = told(&db, &routers(&[]));
    assert!(code == Some(4) && said.contains("edge2: it has no Loc-RIB"), "{said}");
}

#[test]
fn a_policy_drops_and_changes() {
    let db = two_routers();
    let mut client = db.client();
    client
        .batch_execute(
            "INSERT INTO peers (router_id, peer_type, peer_address, peer_asn, state)
             VALUES ('10.0.0.1', 'global', '198.51.100.1', 64500, 'up');
             INSERT INTO adj_rib_in_sync_status (router_id, peer_address, is_post_policy, table_name, afi, synced_at)
             VALUES ('10.0.0.1', '198.51.100.1', false, 'UNKNOWN', 4, now());
             INSERT INTO adj_rib_in (router_id, peer_address, peer_asn, is_post_policy, table_name, afi, prefix, as_path, localpref)
             SELECT '10.0.0.1', '198.51.100.1', 64500, is_post, 'UNKNOWN', 4, prefix::cidr, '64500', localpref
             FROM (VALUES (false, '10.0.0.0/8', 100), (true, '10.0.0.0/8', 100), (false, '192.0.2.0/24', NULL),
                          (false, '198.51.100.0/24', NULL), (true, '198.51.100.0/24', 200)) AS r (is_post, prefix, localpref)",
        )
        .unwrap();
    let policy = |peer| told(&db, &["compare", "--policy", "edge1", peer]);
    let (_, code, said) = policy("198.51.100.1");
    assert!(code == Some(4) && said.contains("adj-rib-in-post of 198.51.100.1 is not stored"), "{said}");
    client
        .batch_execute(
            "INSERT INTO adj_rib_in_sync_status (router_id, peer_address, is_post_policy, table_name, afi, synced_at)
             VALUES ('10.0.0.1', '198.51.100.1', true, 'UNKNOWN', 4, now())",
        )
        .unwrap();
    let want = "edge1, policy for 198.51.100.1: 2 prefixes differ: 1 changed, 1 dropped\n  \
                dropped table UNKNOWN 192.0.2.0/24: via - path 64500\n  \
                changed table UNKNOWN 198.51.100.0/24: localpref none / 200\n";
    assert_eq!(policy("198.51.100.1"), (want.to_owned(), Some(3), String::new()));
    let (_, code, said) = policy("198.51.100.2");
    assert!(code == Some(1) && said.contains("edge1 has no peer 198.51.100.2; did you mean 198.51.100.1?"), "{said}");
    client.batch_execute("UPDATE peers SET state = 'down'").unwrap();
    let (_, code, said) = policy("198.51.100.1");
    assert!(code == Some(4) && said.contains("edge1: its peer 198.51.100.1 is not up"), "{said}");
}
