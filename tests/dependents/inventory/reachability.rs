//! From a router's socket to the state of a service, and what would be lost.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use serde_json::Value;

use super::scene::{INVENTORY, Router, run};
use crate::common::ingester::{Ingester, eventually_equal};
use crate::common::pg::TestDb;

const WEB: &str = "198.51.100.0/24";

fn services(db: &TestDb) -> Vec<String> {
    db.rows("SELECT name || ' ' || state FROM inventory.services_overview ORDER BY service_id")
}

fn states(db: &TestDb) -> Vec<String> {
    db.rows(
        "SELECT concat_ws(' ', host(address), COALESCE(router_id, '-'), state, prefix, path) FROM inventory.reachability
         ORDER BY address, router_id",
    )
}

/// The routes of two routers: edge1 has peers, and edge2 the private network of the second site.
fn start(db: &TestDb) -> (Ingester, Router, Router) {
    let settings = [("STORED_RIBS", "loc-rib,adj-rib-in-pre"), ("STORE_RAW_BYTES", "on")];
    let ingester = Ingester::start(&db.url(), &settings);
    let (one, two) = ([64_501, 64_496], [64_502, 64_496]);
    let mut edge1 = Router::connect(
        &ingester,
        "edge1",
        "10.255.0.1",
        &[(WEB, "192.0.2.1", &one), ("192.0.2.0/24", "192.0.2.1", &one), ("203.0.113.0/24", "192.0.2.2", &two)],
    );
    edge1.peer("192.0.2.1", 64_501, &[(WEB, &one), ("192.0.2.0/24", &one)]);
    edge1.peer("192.0.2.2", 64_502, &[(WEB, &two), ("203.0.113.0/24", &two)]);
    let edge2 = Router::connect(
        &ingester,
        "edge2",
        "10.255.0.2",
        &[(WEB, "192.0.2.9", &one), ("10.9.0.0/16", "192.0.2.9", &[64_510])],
    );
    (ingester, edge1, edge2)
}

/// Only AS 64499 may originate the prefix of the database server.
const INVALID: &str = "
    INSERT INTO rpki.vrps (prefix, max_length, asn) VALUES ('192.0.2.0/24', 24, 64499);
    INSERT INTO rpki.vrp_changes (version, is_added, prefix, max_length, asn, trust_anchor, is_slurm)
    VALUES (1, true, '192.0.2.0/24', 24, 64499, '', false);
    UPDATE rpki.vrp_set SET version = 1, generated = now(), fetched_at = now(), taken_at = now(), vrps = 1";

const ALL_WELL: [&str; 4] = ["www.example.com reachable", "tcp reachable", "_ldap._tcp unknown", "tcp reachable"];

#[test]
fn a_withdrawn_route_makes_services_unreachable() {
    let db = TestDb::migrated();
    db.client().batch_execute(INVENTORY).unwrap();
    let (mut ingester, mut edge1, mut edge2) = start(&db);
    eventually_equal(ALL_WELL.map(str::to_owned).to_vec(), || services(&db));
    let well = [
        "10.0.0.7 - unknown",
        "10.9.0.7 10.255.0.2 reachable 10.9.0.0/16 64510",
        "192.0.2.20 10.255.0.1 reachable 192.0.2.0/24 64501 64496",
        "198.51.100.5 10.255.0.1 reachable 198.51.100.0/24 64501 64496",
        "198.51.100.5 10.255.0.2 reachable 198.51.100.0/24 64501 64496",
        "198.51.100.9 10.255.0.1 reachable 198.51.100.0/24 64501 64496",
        "198.51.100.9 10.255.0.2 reachable 198.51.100.0/24 64501 64496",
        "203.0.113.10 10.255.0.1 reachable 203.0.113.0/24 64502 64496",
    ];
    assert_eq!(states(&db), well);
    impacts(&db);

    // At one of two vantages, and with a default route instead: the services below it and no other.
    let since = db.rows("SELECT min(since) FROM inventory.address_states WHERE address = '192.0.2.20'");
    edge1.withdraw(WEB);
    let web_gone = ["www.example.com unreachable", ALL_WELL[1], ALL_WELL[2], ALL_WELL[3]];
    eventually_equal(web_gone.map(str::to_owned).to_vec(), || services(&db));
    assert_eq!(
        states(&db)[3..7],
        ["198.51.100.5 10.255.0.1 unreachable", well[4], "198.51.100.9 10.255.0.1 unreachable", well[6]]
    );
    cause(&db);
    let (status, page) = browse(&mut ingester, "/inventory?state=bad");
    assert!(status == 200 && page.contains("www.example.com") && !page.contains("priv2"), "{page}");
    let (code, bad) = run(&db, &["inventory", "--bad", "--json"]);
    let bad: Value = serde_json::from_str(&bad).unwrap();
    let names: Vec<&str> = bad.as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap()).collect();
    assert_eq!((code, names), (0, vec!["fra1", "n1", "web1", "www.example.com"]));
    let default = edge1.loc_rib;
    edge1.announce(default, "0.0.0.0/0", "192.0.2.2", &[64_502]);
    let by_default = ["www.example.com default_only", ALL_WELL[1], ALL_WELL[2], ALL_WELL[3]];
    eventually_equal(by_default.map(str::to_owned).to_vec(), || services(&db));
    edge1.announce(default, WEB, "192.0.2.1", &[64_501, 64_496]);
    eventually_equal(ALL_WELL.map(str::to_owned).to_vec(), || services(&db));
    assert_eq!(
        db.rows("SELECT min(since) FROM inventory.address_states WHERE address = '192.0.2.20'"),
        since,
        "a state that stays keeps its time"
    );

    // A ROA of another AS.
    db.client().batch_execute(INVALID).unwrap();
    let invalid = [ALL_WELL[0], "tcp rpki_invalid", ALL_WELL[2], ALL_WELL[3]];
    eventually_equal(invalid.map(str::to_owned).to_vec(), || services(&db));

    // The external address of the site carries its HTTP services; a private address is judged where its site says.
    edge1.withdraw("203.0.113.0/24");
    edge1.withdraw("0.0.0.0/0");
    edge2.withdraw("10.9.0.0/16");
    let gone = ["www.example.com unreachable", invalid[1], ALL_WELL[2], "tcp unreachable"];
    eventually_equal(gone.map(str::to_owned).to_vec(), || services(&db));
    assert_eq!(db.rows("SELECT by_kind FROM inventory.services_overview WHERE service_id = 1"), ["site"]);

    // A default route is no route to it, whether it had another one or, where the site names the table, never had.
    let new =
        "INSERT INTO inventory.containers (id, hostname, node_id, ipv4_address) VALUES (5, 'priv3', 2, '172.16.0.7')";
    db.client().batch_execute(new).unwrap();
    let of_new = || db.rows("SELECT state FROM inventory.address_states WHERE address = '172.16.0.7'");
    eventually_equal(vec!["unreachable".to_owned()], of_new);
    let loc_rib = edge2.loc_rib;
    edge2.announce(loc_rib, "0.0.0.0/0", "192.0.2.9", &[64_510]);
    eventually_equal(vec!["default_only".to_owned()], of_new);
    eventually_equal("tcp default_only".to_owned(), || services(&db).remove(3));

    // What is not heard of is unknown, not gone; what is nobody's any more is not watched.
    drop(edge2);
    db.client().batch_execute("DELETE FROM inventory.containers WHERE hostname = 'db1'").unwrap();
    eventually_equal(vec!["_ldap._tcp unknown".to_owned(), "tcp unknown".to_owned()], || services(&db)[1..].to_vec());
    eventually_equal(vec!["0".to_owned()], || {
        db.rows("SELECT count(*) FROM watch.watches WHERE address = '192.0.2.20'")
    });
    let jobs = db.rows("SELECT DISTINCT name || ' ' || status FROM inventory.jobs ORDER BY 1");
    assert_eq!(jobs, ["reachability success", "watches success"]);
}

fn browse(ingester: &mut Ingester, target: &str) -> (u16, String) {
    let (status, _, body) = ingester.browse(target);
    (status, body)
}

/// The cause of an unreachable service can be followed to the octets of its message.
fn cause(db: &TestDb) {
    eventually_equal(
        vec!["198.51.100.9|10.255.0.1|inventory 198.51.100.9|missing|t|D|198.51.100.0/24|t".to_owned()],
        || {
            db.rows(
                "SELECT host(c.address), c.router_id, c.watch, c.condition, i.summary LIKE 'GONE 198.51.100.9%', c.action,
                        c.prefix, c.has_raw AND e.event_id IS NOT NULL
                 FROM inventory.causes c
                 LEFT JOIN watch.incidents i ON i.id = c.incident_id
                 LEFT JOIN route_events e ON e.event_id = c.event_id AND e.ingest_time = c.ingest_time
                 WHERE c.service_id = 1",
            )
        },
    );
}

/// What would be lost without a prefix, a peer and a router.
fn impacts(db: &TestDb) {
    let lost = |target: &str| {
        let (code, output) = run(db, &["impact", target, "--json"]);
        let json: Value = serde_json::from_str(&output).unwrap();
        let addresses = json["addresses"].as_array().unwrap().iter().map(|loss| {
            let text = |field: &str| loss[field].as_str().unwrap_or_default().to_owned();
            let others: Vec<&str> = loss["other_routes"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
            format!("{} {} {} {}", text("outcome"), text("address"), text("router"), others.join("; "))
                .trim_end()
                .to_owned()
        });
        let lost: Vec<String> = json["lost"]
            .as_array()
            .unwrap()
            .iter()
            .map(|service| service["container"].as_str().unwrap().to_owned())
            .collect();
        (code, lost, addresses.collect::<Vec<_>>())
    };
    let nothing_left =
        ["lost 198.51.100.5 edge1", "lost 198.51.100.5 edge2", "lost 198.51.100.9 edge1", "lost 198.51.100.9 edge2"];
    assert_eq!(lost(WEB), (3, vec!["web1".to_owned()], nothing_left.map(str::to_owned).to_vec()));
    let other = "AS64502 via 192.0.2.2, 198.51.100.0/24, before policy";
    let peer = [
        "lost 192.0.2.20 edge1".to_owned(),
        format!("covered 198.51.100.5 edge1 {other}"),
        format!("covered 198.51.100.9 edge1 {other}"),
    ];
    assert_eq!(lost("192.0.2.1"), (3, vec!["db1".to_owned()], peer.to_vec()));
    let router = ["lost 10.9.0.7 edge2", "covered 198.51.100.5 edge2 at edge1", "covered 198.51.100.9 edge2 at edge1"];
    assert_eq!(lost("edge2"), (3, vec!["priv2".to_owned()], router.map(str::to_owned).to_vec()));
    let (code, text) = run(db, &["impact", "192.0.2.1"]);
    assert_eq!(code, 3);
    let first = "without the peer 192.0.2.1: 1 service on 1 container, 1 node, 1 site lose their covering route";
    assert_eq!(text.lines().next(), Some(first));
    let route = format!(
        "covered 198.51.100.9 at edge1 table global: {WEB} path 64501 64496; other routes known to edge1: 1 ({other})"
    );
    assert!(text.lines().any(|line| line == route) && !text.contains("safe"), "{text}");
    assert_eq!(run(db, &["impact", "198.51.100.0/25"]).0, 1);
}
