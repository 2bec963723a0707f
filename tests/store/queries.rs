//! The queries of `docs/queries.md`, which readers of the database build on, against data received through a socket.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;

use crate::common::bmp::{self, Attributes, Open, Peer};
use crate::common::ingester::{FakeRouter, Ingester, eventually_equal};
use crate::common::pg::TestDb;

/// The title of a query, the columns to compare, and the rows that it has to return, in order.
const EXPECTED: [(&str, &str, &[&str]); 30] = [
    (
        "All routes of a router",
        "table_name, afi, prefix, path_id, host(nexthop), as_path, origin, med, origin_asn, communities_std",
        &[
            "UNKNOWN|4|10.100.0.0/16|0|172.30.0.30|64496 65002|IGP|-|65002|{65001:200}",
            "UNKNOWN|4|10.100.0.0/24|0|172.30.0.30|64496 65001|IGP|4294967295|65001|{65001:100,65001:200}",
            "UNKNOWN|4|10.100.5.0/24|0|172.30.0.31|64496 65001|IGP|-|65001|-",
            "UNKNOWN|6|2001:db8:100::/48|0|2001:db8::30|64496 4200000000|IGP|-|4200000000|-",
        ],
    ),
    ("One prefix", "router_id, prefix", &["10.0.0.2|10.100.0.0/24", "10.0.0.3|10.100.0.0/24"]),
    ("Longest match of an address", "router_id, prefix", &["10.0.0.2|10.100.5.0/24"]),
    (
        "Longest match on every router",
        "router_id, table_name, prefix, host(nexthop)",
        &["10.0.0.2|UNKNOWN|10.100.5.0/24|172.30.0.31"],
    ),
    (
        "Routes that an AS originates",
        "prefix, host(nexthop), as_path",
        &[
            "10.100.0.0/24|172.30.0.30|64496 65001",
            "10.100.0.0/24|172.30.0.40|64497 65001",
            "10.100.5.0/24|172.30.0.31|64496 65001",
        ],
    ),
    ("Routes with a community", "prefix, host(nexthop), as_path", &["10.100.0.0/24|172.30.0.30|64496 65001"]),
    (
        "Routes with names",
        "prefix, path, communities",
        &[
            "10.100.0.0/24|64496 > Example Net|a color, 65001:200",
            "10.100.0.0/24|64497 > Example Net|-",
            "10.100.5.0/24|64496 > Example Net|-",
        ],
    ),
    ("Routes by next hop", "prefix, as_path", &["10.100.0.0/16|64496 65002", "10.100.0.0/24|64496 65001"]),
    // The route that changed last is first; the others arrived in one batch.
    ("What changed since", "router_id, prefix", &["10.0.0.2|10.100.0.0/24"]),
    (
        "Which routers have a prefix",
        "router_id, host(nexthop), as_path",
        &["10.0.0.2|172.30.0.30|64496 65001", "10.0.0.3|172.30.0.40|64497 65001"],
    ),
    (
        "History of a prefix",
        "action, host(nexthop), as_path, origin_asn",
        &["A|172.30.0.30|64496 65001|65001", "D|-|-|-", "A|172.30.0.32|64496 65009|65009"],
    ),
    ("Churn of a router, by the minute", "sum(events), sum(adds), sum(withdraws)", &["8|6|2"]),
    (
        "All changes in a span of time",
        "prefix, action, host(nexthop)",
        &["10.100.9.0/24|D|-", "10.100.9.0/24|A|172.30.0.30", "10.100.0.0/24|A|172.30.0.30", "10.100.0.0/24|D|-"],
    ),
    // Its state before the change.
    (
        "A table as it was",
        "prefix, path_id, host(nexthop), as_path, since < now(), complete",
        &[
            "10.100.0.0/16|0|172.30.0.30|64496 65002|t|t",
            "10.100.0.0/24|0|172.30.0.32|64496 65009|t|t",
            "10.100.5.0/24|0|172.30.0.31|64496 65001|t|t",
            "2001:db8:100::/48|0|2001:db8::30|64496 4200000000|t|t",
        ],
    ),
    ("One prefix as it was", "host(nexthop), as_path, complete", &["172.30.0.32|64496 65009|t"]),
    ("Is all of it known", "history_is_complete", &["t"]),
    (
        "What is different between two moments",
        "router_id, prefix, change, as_path_before, as_path_after, complete",
        &["10.0.0.2|10.100.0.0/24|changed|64496 65009|64496 65001|t"],
    ),
    (
        "What flaps",
        "router_id, prefix, path_id, flaps, changes, last_event IS NULL, last_action",
        &["10.0.0.2|10.100.0.0/24|0|1|0|f|A"],
    ),
    ("How far the past reaches", "router_id, table_name, routes", &["10.0.0.2|UNKNOWN|4", "10.0.0.3|UNKNOWN|1"]),
    (
        "History of an NLRI of another family",
        "table_name, action, host(nexthop), vnis, reason",
        &["UNKNOWN|nlri:25/70|D|-|[256]|-", "UNKNOWN|nlri:25/70|A|192.0.2.1|[256]|-"],
    ),
    (
        "What a peer announces",
        "prefix, host(nexthop), as_path",
        &["203.0.113.0/24|192.0.2.1|64501 64510", "203.0.113.0/25|192.0.2.1|64501"],
    ),
    (
        "Which peers announce the route to an address",
        "router_id, host(peer_address), is_post_policy, prefix, as_path",
        &["10.0.0.4|192.0.2.1|t|203.0.113.0/25|64501", "10.0.0.4|192.0.2.1|t|203.0.113.0/24|64501 64510"],
    ),
    ("Peers of a router and their state", "host(peer_address), peer_asn, state, flap_count", &["192.0.2.1|64501|up|0"]),
    ("Prefix history for one peer", "action, as_path, is_post_policy", &["A|64501 64510|t"]),
    (
        "What a peer has changed last",
        "action, prefix, as_path, is_post_policy",
        &["A|203.0.113.0/25|64501|t", "A|203.0.113.0/24|64501 64510|t"],
    ),
    (
        "Routers and what they have",
        "router_id, hostname, route_count, adj_rib_in_route_count, adj_rib_in_peer_count, all_afis_synced",
        &["10.0.0.2|edge1|4|0|0|t", "10.0.0.3|edge2|1|0|0|f", "10.0.0.4|edge3|0|2|1|-"],
    ),
    (
        "Which routers have sent End-of-RIB",
        "router_id, hostname, afi, eor_seen, eor_time IS NULL, session_start_time IS NULL",
        &["10.0.0.2|edge1|4|t|f|f", "10.0.0.2|edge1|6|t|f|f", "10.0.0.3|edge2|4|f|t|f", "10.0.0.3|edge2|6|f|t|f"],
    ),
    ("Tables without news for five minutes", "router_id, table_name, afi", &["10.0.0.3|UNKNOWN|4"]),
    (
        "Routes per router, fast",
        "router_id, table_name, afi, route_count, unique_prefixes, unique_nexthops",
        &["10.0.0.2|UNKNOWN|4|3|3|2", "10.0.0.2|UNKNOWN|6|1|1|1", "10.0.0.3|UNKNOWN|4|1|1|1"],
    ),
    (
        "Routes per router, exact",
        "router_id, table_name, afi, route_count, unique_prefixes",
        &["10.0.0.2|UNKNOWN|4|3|3", "10.0.0.2|UNKNOWN|6|1|1", "10.0.0.3|UNKNOWN|4|1|1"],
    ),
];

#[test]
fn every_documented_query_returns_the_right_rows() {
    let db = TestDb::create();
    let settings = [("MAINTENANCE_INTERVAL_SECS", "1"), ("STORED_FAMILIES", "evpn")];
    let collector = Ingester::start(&db.url(), &settings);
    let mut edge1 = Talking { router: collector.connect(), peer: Peer::loc_rib("10.0.0.2") };
    edge1.greet("edge1", 64_496);
    edge1.announce(&path(&[64_496, 65_002], &[65_001 << 16 | 200]), "172.30.0.30", "10.100.0.0/16");
    edge1.announce(&path(&[64_496, 65_009], &[]), "172.30.0.32", "10.100.0.0/24");
    edge1.announce(&path(&[64_496, 65_001], &[]), "172.30.0.31", "10.100.5.0/24");
    edge1.announce(&path(&[64_496, 4_200_000_000], &[]), "2001:db8::30", "2001:db8:100::/48");
    edge1.say(&bmp::end_of_rib_ipv4());
    edge1.say(&bmp::end_of_rib(2, 1));
    let mut edge2 = Talking { router: collector.connect(), peer: Peer::loc_rib("10.0.0.3") };
    edge2.greet("edge2", 64_497);
    edge2.announce(&path(&[64_497, 65_001], &[]), "172.30.0.40", "10.100.0.0/24");
    let first = "SELECT (SELECT count(*) FROM current_routes), (SELECT count(*) FROM route_events)";
    eventually_equal(vec!["5|5".to_owned()], || db.rows(first));
    // EVPN type 2 (RFC 7432 section 7.2) of 02:00:00:00:00:01, without an IP address, label 16.
    let rd_and_esi = [0, 0, 0xfd, 0xe8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let mac = [&[2, 33][..], &rd_and_esi, &[0, 0, 0, 0, 48, 2, 0, 0, 0, 0, 1, 0, 0, 1, 0]].concat();
    let reach = bmp::attribute(0x80, 14, &[&[0, 25, 70, 4, 192, 0, 2, 1, 0][..], &mac].concat());
    let common = [bmp::attribute(0x40, 1, &[0]), bmp::attribute(0x40, 2, &[])].concat();
    edge1.say(&bmp::update(&[], &[common, reach].concat(), &[]));
    edge1.say(&bmp::update(&[], &bmp::attribute(0x80, 15, &[&[0, 25, 70][..], &mac].concat()), &[]));
    eventually_equal(vec!["2".to_owned()], || db.rows("SELECT count(*) FROM nlri_events"));
    let before_the_change = db.rows("SELECT clock_timestamp()").remove(0);

    edge1.say(&bmp::withdraw(&["10.100.0.0/24"]));
    let colored =
        Attributes { med: Some(u32::MAX), ..path(&[64_496, 65_001], &[65_001 << 16 | 100, 65_001 << 16 | 200]) };
    edge1.announce(&colored, "172.30.0.30", "10.100.0.0/24");
    edge1.announce(&path(&[64_496, 65_001], &[]), "172.30.0.30", "10.100.9.0/24");
    edge1.say(&bmp::withdraw(&["10.100.9.0/24"]));
    let changed =
        "SELECT (SELECT count(*) FROM current_routes WHERE med IS NOT NULL), (SELECT count(*) FROM route_events)";
    eventually_equal(vec!["1|9".to_owned()], || db.rows(changed));
    let mut edge3 = Talking {
        router: collector.connect(),
        peer: Peer { flags: 0x40, ..Peer::global_instance("192.0.2.1", 64_501) },
    };
    edge3.router.send(&bmp::initiation(b"edge3", b"made by a test"));
    edge3.router.send(&bmp::peer_up(edge3.peer, &Open::of(64_504, "10.0.0.4"), None));
    edge3.announce(&path(&[64_501, 64_510], &[]), "192.0.2.1", "203.0.113.0/24");
    edge3.announce(&path(&[64_501], &[]), "192.0.2.1", "203.0.113.0/25");
    let summarized =
        "SELECT (SELECT sum(route_count) FROM route_summary), (SELECT sum(route_count) FROM adj_rib_in_summary)";
    eventually_equal(vec!["5|2".to_owned()], || db.rows(summarized));
    db.rows(
        "UPDATE rib_sync_status SET updated_at = now() - interval '6 minutes' WHERE router_id = '10.0.0.3' AND afi = 4",
    );

    db.rows("INSERT INTO names.as_names (asn, name) VALUES (65001, 'Example Net')");
    db.rows("INSERT INTO names.communities (pattern, text) VALUES ('65001:1xx', 'a color')");

    // Again where the collector's own run has the lock.
    eventually_equal(vec!["2".to_owned()], || {
        let mut maintenance = std::process::Command::new(env!("CARGO_BIN_EXE_rib-ingester"));
        maintenance.env_clear().arg("maintenance").env("RIB_INGESTER_DATABASE_URL", db.url());
        assert!(maintenance.env("RIB_INGESTER_DAILY_SNAPSHOTS", "on").output().unwrap().status.success());
        db.rows("SELECT count(*) FROM snapshots")
    });

    let mut queries = documented();
    for (title, columns, expected) in EXPECTED {
        let query = queries.remove(title).unwrap_or_else(|| panic!("docs/queries.md has no {title:?}"));
        // The moments in the text are long past.
        let query = query
            .replace("2026-02-21T20:00:00Z", &before_the_change)
            .replace("2026-02-21 20:00:00+00", &before_the_change)
            .replace("2026-02-21 21:00:00+00", "infinity");
        let mut rows = db.rows(&format!("SELECT {columns} FROM ({query}) documented"));
        if !query.contains("ORDER BY") {
            rows.sort();
        }
        assert_eq!(rows, expected, "{title}\n{query}");
    }
    assert!(queries.is_empty(), "documented and not tested: {:?}", queries.keys());
    assert!(collector.stop().success());
}

/// The SQL of `docs/queries.md` by title, without its semicolon.
fn documented() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/queries.md")).unwrap();
    let sections = text.split("\n### ").skip(1).map(|section| {
        let (title, body) = section.split_once('\n').unwrap();
        let sql = body.split("```sql\n").nth(1).unwrap().split("```").next().unwrap();
        (title.to_owned(), sql.trim().trim_end_matches(';').to_owned())
    });
    sections.collect()
}

fn path(asns: &[u32], communities: &[u32]) -> Attributes {
    Attributes { communities: communities.to_vec(), ..Attributes::path(asns) }
}

/// A router that reports its Loc-RIB.
struct Talking {
    router: FakeRouter,
    peer: Peer,
}

impl Talking {
    fn greet(&mut self, name: &str, asn: u32) {
        let open = Open::of(asn, &self.peer.bgp_id.to_string());
        self.router
            .send(&bmp::initiation(name.as_bytes(), b"made by a test"))
            .send(&bmp::peer_up(self.peer, &open, None));
    }

    fn announce(&mut self, attributes: &Attributes, next_hop: &str, prefix: &str) {
        self.say(&bmp::announce(attributes, next_hop, &[prefix]));
    }

    fn say(&mut self, update: &[u8]) {
        self.router.send(&bmp::route_monitoring(self.peer, update));
    }
}
