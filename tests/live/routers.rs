//! Real routers against the collector: FRR 8.4, FRR 10.3 and GoBGP 3.10 peer with each other on loopback and send BMP
//! to the binary. After each event the rows of the database equal the routes that the router itself reports.
//!
//! The routers are unpacked from Debian's packages (`scripts/lab-root`); where they cannot be had, the test prints a
//! note and proves nothing.

#![allow(clippy::unwrap_used, reason = "a test")]

use crate::common::ingester::{Ingester, eventually, eventually_equal};
use crate::common::lab::{Lab, Views, difference, free_address};
use crate::common::pg::TestDb;
use serde_json::Value;

const FRR: &str = "10.255.0.3";
const GOBGP: &str = "10.255.0.2";

#[test]
fn the_database_holds_what_the_routers_report() {
    if !Lab::is_possible() {
        return;
    }
    let db = TestDb::migrated();
    let address = free_address();
    let listen = address.to_string();
    // GoBGP sends no End-of-RIB: routes that it no longer has after a restart are purged when its dump has been quiet
    // for two seconds.
    let settings = [("BMP_LISTEN", listen.as_str()), ("EOR_TIMEOUT_SECS", "2")];
    let collector = Ingester::start(&db.url(), &settings);
    let lab = Lab::start(address, &["frr8", "gobgp", "frr10"], Views::Chosen);

    lab.run(&["base"], &[]);
    agree(&lab, &db, "the routes are announced");
    assert!(db.rows("SELECT count(*) > 70 FROM current_routes WHERE router_id = '10.255.0.3'") == ["t"]);

    lab.run(&["change"], &[]);
    lab.run(&["own"], &["add", "10.50.0.0/24", "nexthop", "192.0.2.50", "local-pref", "77", "med", "9"]);
    agree(&lab, &db, "attributes have changed, routes have come and gone");

    for router in ["frr10", "gobgp"] {
        lab.run(&["reset"], &[router]);
    }
    lab.run(&["feed"], &["1", "add", "10.4.1.0/24", "nexthop", "192.0.2.21"]);
    agree(&lab, &db, "the sessions with feeder 1 were reset");
    history_ends_in_the_present(&db);

    // FRR sends its End-of-RIB at a BMP connect, and only for peers that are up then.
    eventually("FRR's peers are up again", || {
        let many = db.rows("SELECT count(*) > 70 FROM current_routes WHERE router_id = '10.255.0.3'") == ["t"];
        many.then_some(())
    });
    assert!(collector.stop().success());
    for index in 16..20 {
        lab.run(&["feed"], &["1", "del", &format!("10.1.{index}.0/24")]);
        lab.run(&["feed"], &["2", "add", &format!("10.5.{index}.0/24"), "nexthop", "192.0.2.22"]);
    }
    let collector = Ingester::start(&db.url(), &settings);
    // A router that notices only now that its collector was away needs a change to send.
    lab.run(&["feed"], &["1", "add", "10.4.2.0/24", "nexthop", "192.0.2.21"]);
    agree(&lab, &db, "the collector was away while routes came and went");
    history_ends_in_the_present(&db);

    // Properties of one kind of router only.
    // FRR names its table and sends End-of-RIB, some time after the routes; GoBGP neither. FRR 8.4 has no Loc-RIB.
    eventually_equal(vec![format!("{GOBGP}|UNKNOWN|f"), format!("{FRR}|global|t")], || {
        db.rows("SELECT router_id, table_name, bool_and(eor_seen) FROM rib_sync_status GROUP BY 1, 2 ORDER BY 1")
    });
    assert_eq!(
        db.rows("SELECT hostname, host(router_ip), as_number FROM routers WHERE hostname <> 'frr8' ORDER BY 1"),
        ["frr10|127.0.0.1|65003", "gobgp|127.0.0.1|4200000002"],
    );
    assert_eq!(
        db.rows("SELECT hostname, count(prefix) FROM routers LEFT JOIN current_routes USING (router_id) WHERE hostname = 'frr8' GROUP BY 1"),
        ["frr8|0"],
        "FRR 8.4 monitors Adj-RIB-In only",
    );
    // The TCP connection is lost without a Termination, and the router returns with only the routes that it originates.
    lab.run(&["restart"], &["frr10"]);
    lab.run(&["feed"], &["2", "add", "10.4.3.0/24", "nexthop", "192.0.2.22"]);
    agree(&lab, &db, "a router was restarted");
    history_ends_in_the_present(&db);

    assert!(collector.stop().success());
}

/// Waits until both Loc-RIBs equal their rows. Asks again each time, since the routers themselves are still at work.
pub fn agree(lab: &Lab, db: &TestDb, after: &str) {
    for (router, router_id) in [("frr10", FRR), ("gobgp", GOBGP)] {
        let mut last = String::new();
        let started = std::time::Instant::now();
        eventually(&format!("{router} and the database agree after {after}"), || {
            // A router that has just been restarted does not answer yet.
            let (reported, stored) = (reported(lab, router)?, stored(db, router_id));
            if reported == stored && !stored.is_empty() {
                return Some(());
            }
            last = difference(&reported, &stored);
            assert!(started.elapsed().as_secs() < 50, "{router} after {after}:\n{last}");
            None
        });
    }
}

/// The latest event of every Loc-RIB route that is an announcement is a row, with the same attributes, and the reverse.
pub fn history_ends_in_the_present(db: &TestDb) {
    let columns = "router_id, table_name, afi, prefix, nexthop, as_path, origin, localpref, med, origin_asn, \
                   communities_std, communities_ext, communities_large, attrs";
    let key = "router_id, table_name, afi, prefix, coalesce(path_id, 0)";
    let latest = format!(
        "SELECT {columns} FROM (SELECT DISTINCT ON ({key}) * FROM route_events WHERE rib = 'loc-rib'
                                ORDER BY {key}, ingest_time DESC) latest \
         WHERE action = 'A'"
    );
    let present = format!("SELECT {columns} FROM current_routes");
    eventually("the history ends in the present", || {
        let differing = db.rows(&format!(
            "SELECT count(*) FROM (({latest} EXCEPT {present}) UNION ALL ({present} EXCEPT {latest})) d"
        ));
        (differing == ["0"]).then_some(())
    });
}

/// One line per route: family, prefix, next hop, AS path, origin, MED, LOCAL_PREF and the three kinds of communities.
fn stored(db: &TestDb, router_id: &str) -> Vec<String> {
    let sorted = |column: &str| format!("(SELECT string_agg(c, ' ' ORDER BY c COLLATE \"C\") FROM unnest({column}) c)");
    let mut rows = db.rows(&format!(
        "SELECT afi, prefix, host(nexthop), as_path, origin, med, localpref, {}, {}, {} FROM current_routes \
         WHERE router_id = '{router_id}'",
        sorted("communities_std"),
        sorted("communities_ext"),
        sorted("communities_large"),
    ));
    rows.sort();
    rows
}

/// The router's own account of its Loc-RIB, in the form of [`stored`]; `None` while it does not answer.
fn reported(lab: &Lab, router: &str) -> Option<Vec<String>> {
    let mut lines = Vec::new();
    for (family, afi) in [("ipv4", 4), ("ipv6", 6)] {
        let json = lab.try_run(&["rib"], &[router, family]).inspect_err(|why| eprintln!("{why}")).ok()?;
        let json: Value = serde_json::from_str(&json).ok()?;
        if router == "gobgp" {
            lines
                .extend(json.as_object().unwrap().iter().filter_map(|(prefix, paths)| gobgp_route(afi, prefix, paths)));
        } else {
            let routes = json["routes"].as_object().unwrap();
            lines.extend(routes.iter().filter_map(|(prefix, route)| frr_route(afi, prefix, &route["paths"])));
        }
    }
    lines.sort();
    Some(lines)
}

/// The common form of both routers' output. An absent value is `-`, as [`TestDb::rows`] writes NULL.
struct Reported<'a> {
    next_hop: &'a str,
    as_path: Option<String>,
    origin: &'a str,
    med: Option<u64>,
    local_pref: Option<u64>,
    standard: Vec<String>,
    extended: Vec<String>,
    large: Vec<String>,
}

impl Reported<'_> {
    fn line(mut self, afi: u8, prefix: &str) -> String {
        let number = |value: Option<u64>| value.map_or("-".to_owned(), |value| value.to_string());
        let list = |values: &mut Vec<String>| {
            values.sort();
            if values.is_empty() { "-".to_owned() } else { values.join(" ") }
        };
        [
            afi.to_string(),
            prefix.to_owned(),
            self.next_hop.to_owned(),
            self.as_path.clone().unwrap_or_else(|| "-".to_owned()),
            self.origin.to_owned(),
            number(self.med),
            number(self.local_pref),
            list(&mut self.standard),
            list(&mut self.extended),
            list(&mut self.large),
        ]
        .join("|")
    }
}

/// The best path of a prefix in `gobgp global rib -j`: attributes by their type code.
fn gobgp_route(afi: u8, prefix: &str, paths: &Value) -> Option<String> {
    let best = paths.as_array().unwrap().iter().find(|path| path["best"] == true)?;
    let attribute = |code: u64| best["attrs"].as_array().unwrap().iter().find(|attribute| attribute["type"] == code);
    let numbers = |value: &Value| value.as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect::<Vec<_>>();
    let segment = |segment: &Value| {
        let asns: Vec<String> = numbers(&segment["asns"]).iter().map(u64::to_string).collect();
        if segment["segment_type"] == 1 { format!("{{{}}}", asns.join(",")) } else { asns.join(" ") }
    };
    let path = |a: &Value| a["as_paths"].as_array().into_iter().flatten().map(segment).collect::<Vec<_>>().join(" ");
    let large = |c: &Value| format!("{}:{}:{}", c["ASN"], c["LocalData1"], c["LocalData2"]);
    Some(
        Reported {
            next_hop: attribute(3).or_else(|| attribute(14)).unwrap()["nexthop"].as_str().unwrap(),
            as_path: attribute(2).map(path),
            origin: ["IGP", "EGP", "INCOMPLETE"]
                [usize::try_from(attribute(1).unwrap()["value"].as_u64().unwrap()).unwrap()],
            med: attribute(4).and_then(|a| a["metric"].as_u64()),
            local_pref: attribute(5).and_then(|a| a["value"].as_u64()),
            standard: attribute(8)
                .map(|a| numbers(&a["communities"]).iter().map(|c| format!("{}:{}", c >> 16, c & 0xffff)).collect())
                .unwrap_or_default(),
            extended: attribute(16)
                .map(|a| a["value"].as_array().unwrap().iter().map(gobgp_extended).collect())
                .unwrap_or_default(),
            large: attribute(32)
                .map(|a| a["value"].as_array().unwrap().iter().map(large).collect())
                .unwrap_or_default(),
        }
        .line(afi, prefix),
    )
}

/// The scenario has route targets and route origins only. GoBGP writes a 4-octet AS number as two numbers with a dot.
fn gobgp_extended(community: &Value) -> String {
    let name = match community["subtype"].as_u64() {
        Some(2) => "RT",
        Some(3) => "SOO",
        other => panic!("subtype {other:?}: {community}"),
    };
    let (administrator, number) = community["value"].as_str().unwrap().rsplit_once(':').unwrap();
    match administrator.split('.').collect::<Vec<_>>()[..] {
        [high, low] => {
            let asn = (high.parse::<u32>().unwrap() << 16) + low.parse::<u32>().unwrap();
            format!("{name}:{asn}:{number}")
        }
        _ => format!("{name}:{administrator}:{number}"),
    }
}

/// The best path of a prefix in FRR's `show bgp .. json detail`. The routes that FRR 10.3 sends by BMP differ from it
/// in two points, whatever the collector does: an external path begins with the router's own AS, and LOCAL_PREF is left
/// out.
fn frr_route(afi: u8, prefix: &str, paths: &Value) -> Option<String> {
    let best = paths.as_array().unwrap().iter().find(|path| path["bestpath"]["overall"] == true)?;
    let path = best["aspath"]["string"].as_str().unwrap();
    let words = |value: &Value| value.as_str().unwrap_or("").split(' ').map(str::to_owned).collect::<Vec<_>>();
    let standard = |community: &Value| match community.as_str().unwrap() {
        "noExport" => "65535:65281".to_owned(),
        community => community.to_owned(),
    };
    let list = |value: &Value| value["list"].as_array().cloned().unwrap_or_default();
    Some(
        Reported {
            next_hop: best["nexthops"][0]["ip"].as_str().unwrap(),
            as_path: Some(if path == "Local" { String::new() } else { format!("65003 {path}") }),
            origin: match best["origin"].as_str().unwrap() {
                "incomplete" => "INCOMPLETE",
                origin => origin,
            },
            med: best["metric"].as_u64(),
            local_pref: None,
            standard: list(&best["community"]).iter().map(standard).collect(),
            extended: words(&best["extendedCommunity"]["string"])
                .iter()
                .filter(|community| !community.is_empty())
                .map(|community| community.replace("SoO:", "SOO:"))
                .collect(),
            large: list(&best["largeCommunity"]).iter().map(|c| c.as_str().unwrap().to_owned()).collect(),
        }
        .line(afi, prefix),
    )
}
