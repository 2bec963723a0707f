//! From a router's socket to the state of its routes, with the collector as operators run it.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use crate::common::bmp::{self, Attributes, Open, Peer};
use crate::common::ingester::eventually_equal;
use crate::common::pg::TestDb;
use crate::world::{Entry, Folder, json, rpki, start, text};

const SET: [Entry; 3] =
    [("10.1.0.0/16", 24, 64501, "ripe"), ("10.2.0.0/16", 16, 64502, "ripe"), ("10.3.0.0/16", 16, 64500, "ripe")];

fn output(db: &TestDb, arguments: &[&str]) -> String {
    let output = rpki(db, arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn routes_of_a_router_get_their_state() {
    let (db, folder) = (TestDb::migrated(), Folder::new());
    folder.write("vrps.json", &json(&SET, 60));
    let file = folder.path("vrps.json");
    // Only its own dump makes it validated so soon.
    let settings = [("RPKI_SCAN_SECS", "86400"), ("STORED_RIBS", "loc-rib,adj-rib-in-pre,adj-rib-in-post")];
    let mut ingester = start(&db, text(&file), &settings);
    eventually_equal(vec!["1".to_owned()], || db.rows("SELECT scanned_version FROM rpki.vrp_set"));
    let (loc_rib, peer) = (Peer::loc_rib("10.255.0.1"), Peer::global_instance("198.51.100.1", 64_510));
    let mut router = ingester.connect();
    router
        .send(&bmp::initiation(b"edge1", b""))
        .send(&bmp::peer_up(loc_rib, &Open::of(64_500, "10.255.0.1"), Some("global")))
        .send(&bmp::peer_up(peer, &Open::of(64_510, "198.51.100.1"), None));
    let mut announce = |peer: Peer, path: &[u32], prefixes: &[&str]| {
        let update = bmp::announce(&Attributes::path(path), "192.0.2.1", prefixes);
        router.send(&bmp::route_monitoring(peer, &update));
    };
    announce(loc_rib, &[64_510, 64_501], &["10.1.0.0/16", "10.1.2.0/24", "10.9.0.0/16"]);
    announce(loc_rib, &[64_510, 64_511], &["10.1.3.0/24"]);
    // Its own: valid by its own AS.
    announce(loc_rib, &[], &["10.3.0.0/16"]);
    // Dropped by policy.
    announce(peer, &[64_510, 64_511], &["10.2.0.0/16"]);
    announce(peer, &[64_510, 64_511], &["10.1.3.0/24"]);
    router
        .send(&bmp::route_monitoring(loc_rib, &bmp::end_of_rib_ipv4()))
        .send(&bmp::route_monitoring(peer, &bmp::end_of_rib_ipv4()));
    let validity = "SELECT prefix, origin_asn, state FROM rpki.route_validity ORDER BY prefix, origin_asn";
    let want = [
        "10.1.0.0/16|64501|valid",
        "10.1.2.0/24|64501|valid",
        "10.1.3.0/24|64511|invalid",
        "10.2.0.0/16|64511|invalid",
        "10.3.0.0/16|64500|valid",
    ];
    eventually_equal(want.map(str::to_owned).to_vec(), || db.rows(validity));
    let invalid = "SELECT prefix, origin_asn, fate, as_path, table_name, peer_address, routes FROM invalid_routes
                   ORDER BY prefix, table_name DESC";
    assert_eq!(
        db.rows(invalid),
        [
            "10.1.3.0/24|64511|accepted|64510 64511|global|-|1",
            "10.1.3.0/24|64511|accepted|64510 64511|UNKNOWN|198.51.100.1|1",
            "10.2.0.0/16|64511|filtered|64510 64511|UNKNOWN|198.51.100.1|1",
        ]
    );
    eventually_equal(true, || {
        let (_, _, metrics) = ingester.get("/metrics");
        ["valid\"} 3", "invalid\"} 2", "not-found\"} 1"]
            .iter()
            .all(|end| metrics.contains(&format!("rib_ingester_rpki_routes{{router=\"10.255.0.1\",state=\"{end}")))
    });
    let mut page = |target: &str, want: &[&str]| {
        let (_, _, page) = ingester.get(target);
        want.iter().for_each(|text| assert!(page.contains(text), "{text}: {page}"));
    };
    page(
        "/",
        &[
            "3 VRPs, made ",
            "<b>2</b> invalid pairs",
            "1 accepted<",
            "1 filtered<",
            "<td class=\"number\">2</td><td class=\"number\">3</td>",
        ],
    );
    page("/router?id=10.255.0.1", &[">3 valid<", "state bad\">2 invalid<", ">1 not-found<"]);
    let shown = output(&db, &["show"]);
    assert!(shown.contains("VRPs     3 (ripe 3), ASPAs 0\n"), "{shown}");
    assert!(shown.contains("10.255.0.1      3        2          1"), "{shown}");
    let as_json: serde_json::Value = serde_json::from_str(&output(&db, &["show", "--json"])).unwrap();
    assert_eq!(as_json["routers"][0]["not_found"], 1);
    what_if(&db);
    // A ROA goes.
    folder.write("vrps.json", &json(&SET[1..], 0));
    eventually_equal(vec!["10.2.0.0/16|64511|invalid".to_owned(), "10.3.0.0/16|64500|valid".to_owned()], || {
        db.rows(validity)
    });
    let lost = "SELECT prefix FROM rpki.lost_validity ORDER BY 1";
    assert_eq!(db.rows(lost), ["10.1.0.0/16", "10.1.2.0/24"]);
    // Too old: nothing is said, and nothing is lost.
    db.client().batch_execute("UPDATE rpki.vrp_set SET generated = now() - INTERVAL '25 h'").unwrap();
    assert!(db.rows(invalid).is_empty());
    assert!(ingester.get("/").2.contains("The state of every route is unknown"));
    assert!(ingester.get("/router?id=10.255.0.1").2.contains("the VRPs are too old"));
    assert_eq!(db.rows(validity).len(), 2);
    assert_eq!(rpki(&db, &["what-if", "10.9.0.0/16", "AS1"]).status.code(), Some(1));
}

fn what_if(db: &TestDb) {
    let text = output(db, &["what-if", "10.1.0.0/16", "AS64511", "--max-length", "24"]);
    assert!(
        text.starts_with("A ROA for 10.1.0.0/16 up to /24 and AS64511 covers 3 stored routes: 1 would become valid, 0 invalid, 2 stay.\n"),
        "{text}"
    );
    assert!(text.contains("10.1.3.0/24  AS64511  invalid  valid        1\n"), "{text}");
    let text = output(db, &["what-if", "10.0.0.0/8", "64501"]);
    // The one that no VRP covers is covered by this one, which is too short for it.
    assert!(text.contains("10.9.0.0/16  AS64501  not-found  invalid        1\n"), "{text}");
    let refused = |arguments: &[&str], want: &str| {
        let output = rpki(db, &[["what-if"].as_slice(), arguments].concat());
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && error.contains(want), "{error}");
    };
    refused(&["10.0.0.1/8", "AS1"], "bits are set");
    refused(&["10.0.0.0/8", "ASx"], "\"ASx\" is not an AS number");
    refused(&["10.0.0.0/8", "AS1", "--max-length", "7"], "maxLength 7 is shorter");
}
