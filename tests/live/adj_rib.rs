//! Adj-RIBs of real routers: FRR 8.4, FRR 10.3, BIRD 3 and GoBGP 3.10 monitor the routes that two peers send them,
//! before and after policy. After each event the rows of the database equal the routes that each router itself prints
//! of its peers.
//!
//! Where the routers cannot be had (`scripts/lab-root`), the test prints a note and proves nothing.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeSet;
use std::time::Instant;

use crate::common::ingester::{Ingester, eventually, eventually_equal};
use crate::common::lab::{Lab, Views, difference, free_address};
use crate::common::pg::TestDb;
use serde_json::Value;

const ROUTERS: [(&str, &str); 4] =
    [("frr8", "10.255.0.1"), ("gobgp", "10.255.0.2"), ("frr10", "10.255.0.3"), ("bird", "10.255.0.4")];

/// The state of routes that FRR 8.4's policy rejects, in its view before policy.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rejected {
    /// They are in it: it has just dumped.
    Sent,
    /// Some are in it: it withdraws them from that view too when its policy begins to reject them.
    Uncertain,
}

#[test]
fn adj_ribs_are_what_the_routers_print_of_their_peers() {
    if !Lab::is_possible() {
        return;
    }
    let db = TestDb::migrated();
    let address = free_address();
    let listen = address.to_string();
    let settings = [
        ("BMP_LISTEN", listen.as_str()),
        ("STORED_RIBS", "loc-rib,adj-rib-in-pre,adj-rib-in-post"),
        ("EOR_TIMEOUT_SECS", "2"),
        ("RESYNC_ON_DRIFT", "0%,1h"),
    ];
    let mut collector = Ingester::start(&db.url(), &settings);
    let lab = Lab::start(address, &ROUTERS.map(|(router, _)| router), Views::All);

    lab.run(&["base"], &[]);
    agree(&lab, &db, Rejected::Uncertain, "the routes are announced");
    let rejected = "SELECT count(*) FROM adj_rib_in WHERE prefix = '10.99.1.0/24' AND is_post_policy
                    AND peer_asn = 65010";
    assert_eq!(db.rows(rejected), ["1"], "GoBGP alone has no policy");

    lab.run(&["change"], &[]);
    agree(&lab, &db, Rejected::Uncertain, "routes have changed, come and gone");

    // BIRD 3.1, below, withdraws nothing from its view after policy when its policy begins to reject.
    for router in ["frr8", "frr10"] {
        lab.run(&["policy"], &[router]);
    }
    let few = "SELECT count(*) FROM adj_rib_in WHERE prefix <<= '10.1.0.0/16' AND peer_asn = 65010 AND is_post_policy
               AND router_id IN ('10.255.0.1', '10.255.0.3')";
    eventually_equal(vec!["0".to_owned()], || db.rows(few));
    agree(&lab, &db, Rejected::Uncertain, "the routers reject more");

    // FRR 10.3 reports every 15 seconds the number of routes that each peer has before policy. (GoBGP does, too; it
    // counts those that have its own AS in the path, which FRR 8.4 sends back to it, and does not send them.)
    let series = "rib_ingester_drift_routes{router=\"10.255.0.3\",rib=\"adj-rib-in-pre\"} 0";
    eventually(series, || collector.get("/metrics").2.contains(series).then_some(()));

    lab.run(&["policy"], &["bird"]);
    for (router, _) in ROUTERS {
        lab.run(&["reset"], &[router]);
    }
    lab.run(&["feed"], &["1", "add", "10.4.1.0/24", "nexthop", "192.0.2.21"]);
    agree(&lab, &db, Rejected::Uncertain, "the sessions with feeder 1 were reset");

    lab.run(&["flap"], &["1"]);
    lab.run(&["feed"], &["1", "add", "10.4.2.0/24", "nexthop", "192.0.2.21"]);
    agree(&lab, &db, Rejected::Uncertain, "feeder 1 has come back with one route");

    assert!(collector.stop().success());
    lab.run(&["feed"], &["2", "del", "10.2.1.0/24"]);
    lab.run(&["feed"], &["2", "add", "10.5.1.0/24", "nexthop", "192.0.2.22"]);
    let collector = Ingester::start(&db.url(), &settings);
    // BIRD 3.1 dumps at its first BMP connection only, and one that notices only now that its collector was away needs
    // a change to send.
    lab.run(&["restart"], &["bird"]);
    lab.run(&["feed"], &["1", "add", "10.4.3.0/24", "nexthop", "192.0.2.21"]);
    agree(&lab, &db, Rejected::Sent, "the collector was away while routes came and went");

    let drifts = "SELECT router_id, reason FROM session_events WHERE kind = 'drift' AND router_id <> '10.255.0.2'";
    assert_eq!(db.rows(drifts), [""; 0]);
    assert!(collector.stop().success());
}

#[test]
fn frr_10_forgets_a_peers_loc_rib_losses_and_redumps() {
    if !Lab::is_possible() {
        return;
    }
    let db = TestDb::migrated();
    let address = free_address();
    let listen = address.to_string();
    let settings = |on_drift| {
        let fixed = [("BMP_LISTEN", listen.as_str()), ("EOR_TIMEOUT_SECS", "2"), ("STORED_RIBS", "loc-rib")];
        fixed.into_iter().chain(on_drift).collect::<Vec<_>>()
    };
    let mut collector = Ingester::start(&db.url(), &settings(None));
    let lab = Lab::start(address, &["frr10"], Views::Chosen);
    let stored = || {
        let mut prefixes = db.rows("SELECT prefix FROM current_routes");
        prefixes.sort();
        Some(prefixes)
    };
    let agree = |what| eventually(what, || (stored()?.len() > 30 && loc_rib_prefixes(&lab) == stored()).then_some(()));
    let forgotten = || {
        let printed = loc_rib_prefixes(&lab)?;
        Some(stored()?.iter().filter(|prefix| !printed.contains(prefix)).count())
    };
    lab.run(&["base"], &[]);
    eventually("the Loc-RIB is stored", || (stored()?.len() > 60 && loc_rib_prefixes(&lab) == stored()).then_some(()));
    let whole = stored().unwrap().len();
    let reports = "SELECT count(*) FROM peer_statistics WHERE stat_type = 8 AND value > 30";
    eventually_equal(vec!["2".to_owned()], || db.rows(reports));

    // With the setting off, the stored routes of a lost peer stay.
    lab.run(&["stop"], &["feeder1"]);
    eventually("the peer's routes are gone", || loc_rib_prefixes(&lab).filter(|prefixes| prefixes.len() < 40));
    // FRR writes its pending Loc-RIB messages with the next report of a peer.
    let down = "SELECT max(event_time) FROM session_events WHERE kind = 'peer_down' AND peer_address = '127.0.0.21'";
    let later = format!("SELECT count(*) > 0 FROM peer_statistics WHERE updated_at > ({down}) + interval '1 second'");
    eventually("a later report", || (db.rows(&later) == ["t"]).then_some(()));
    assert_eq!((stored().unwrap().len(), forgotten().unwrap() > 20), (whole, true));
    // It reports the table sizes of its peers, none of its Loc-RIB. More is stored than the other peer has: the routes
    // that FRR forgot to withdraw, and the two routes that are FRR's own.
    let reported = "SELECT DISTINCT peer_type FROM peer_statistics WHERE stat_type = 8";
    assert_eq!(db.rows(reported), ["global"]);
    let excess =
        format!("rib_ingester_drift_routes{{router=\"10.255.0.3\",rib=\"loc-rib\"}} {}", forgotten().unwrap() + 2);
    eventually(&excess, || collector.get("/metrics").2.contains(&excess).then_some(()));
    assert_eq!(db.rows("SELECT reason FROM session_events WHERE kind = 'drift'"), [""; 0]);
    // Any new BMP session repairs it.
    assert!(collector.stop().success());
    let mut collector = Ingester::start(&db.url(), &settings(Some(("RESYNC_ON_DRIFT", "1%,5s"))));
    agree("what was forgotten is gone");

    // With the setting the collector causes a new session itself.
    lab.run(&["flap"], &["1"]);
    lab.run(&["base"], &[]);
    eventually("all is back", || (stored()?.len() == whole && loc_rib_prefixes(&lab) == stored()).then_some(()));
    let since = "SELECT since FROM peers WHERE peer_address = '127.0.0.21' AND state = 'up'";
    let known = format!(
        "SELECT value FROM peer_statistics WHERE peer_address = '127.0.0.21' AND stat_type = 7 AND updated_at > ({since})"
    );
    eventually_equal(vec!["52".to_owned()], || db.rows(&known));
    lab.run(&["stop"], &["feeder1"]);
    eventually("the peer's routes are gone", || loc_rib_prefixes(&lab).filter(|prefixes| prefixes.len() < 40));
    assert!(stored().unwrap().len() == whole || db.rows("SELECT 1 FROM session_events WHERE kind = 'drift'") == ["1"]);
    let fixed = "SELECT reason FROM session_events WHERE kind = 'drift'";
    let why = eventually("the session is closed", || db.rows(fixed).pop());
    assert!(why.starts_with(&format!("drift: loc-rib: {whole} routes stored, up to 52 left behind")), "{why}");
    collector.logged(&why);
    agree("FRR has dumped again, and what it had forgotten is gone");
    let removed = "SELECT count(*) > 20 FROM route_events WHERE attrs @> '{\"reason\": \"stale\"}'
                   AND ingest_time > (SELECT event_time FROM session_events WHERE kind = 'drift')";
    eventually_equal(vec!["t".to_owned()], || db.rows(removed));
    // Nothing is left to repair.
    let excess = "rib_ingester_drift_routes{router=\"10.255.0.3\",rib=\"loc-rib\"} 2";
    eventually(excess, || collector.get("/metrics").2.contains(excess).then_some(()));
    assert_eq!(db.rows(fixed).len(), 1);
    assert!(collector.stop().success());
}

/// Waits until each router's peers equal their rows. Asks again each time: the routers themselves are at work.
fn agree(lab: &Lab, db: &TestDb, frr8: Rejected, after: &str) {
    for (router, router_id) in ROUTERS {
        let started = Instant::now();
        eventually(&format!("{router} and the database agree after {after}"), || {
            let (mut printed, mut stored) = (printed(lab, router)?, stored(db, router_id));
            if router == "frr8" && frr8 == Rejected::Uncertain {
                let is_rejected = rejected(&printed);
                stored.retain(|line| !is_rejected.contains(&key(line)));
                printed.retain(|line| !is_rejected.contains(&key(line)));
            }
            if printed == stored && !stored.is_empty() {
                return Some(());
            }
            let last = difference(&printed, &stored);
            assert!(started.elapsed().as_secs() < 55, "{router} after {after}:\n{last}");
            None
        });
    }
}

/// Peer, view, family and prefix of a line.
fn key(line: &str) -> Vec<String> {
    line.split('|').take(4).map(str::to_owned).collect()
}

/// The keys of the routes in the view before policy alone.
fn rejected(printed: &[String]) -> BTreeSet<Vec<String>> {
    let keys: BTreeSet<_> = printed.iter().map(|line| key(line)).collect();
    let after = |key: &[String]| [&key[..1], &["post".to_owned()], &key[2..]].concat();
    keys.iter().filter(|key| key[1] == "pre" && !keys.contains(&after(key))).cloned().collect()
}

/// One line per route: peer, view, family, prefix, next hop, AS path, origin, MED; sorted.
fn stored(db: &TestDb, router_id: &str) -> Vec<String> {
    let mut rows = db.rows(&format!(
        "SELECT host(peer_address), CASE WHEN is_post_policy THEN 'post' ELSE 'pre' END, afi, prefix, host(nexthop), as_path,
                origin, med FROM adj_rib_in
         WHERE router_id = '{router_id}' AND host(peer_address) IN ('127.0.0.21', '127.0.0.22')"
    ));
    rows.sort();
    rows
}

/// The routes of both feeders as the router prints them, in the form of [`stored`]; `None` while it does not answer.
fn printed(lab: &Lab, router: &str) -> Option<Vec<String>> {
    let mut lines = Vec::new();
    for number in ["1", "2"] {
        for (family, afi) in [("ipv4", 4), ("ipv6", 6)] {
            let routes_of = |policy: &str| {
                let text = lab.try_run(&["in"], &[router, family, number, policy]);
                let text = text.inspect_err(|why| eprintln!("{why}")).ok()?;
                routes(router, policy, &text)
            };
            for policy in ["pre", "post"] {
                let routes = routes_of(policy)?;
                lines.extend(routes.iter().map(|route| format!("127.0.0.2{number}|{policy}|{afi}|{}", route.line())));
            }
        }
    }
    lines.sort();
    Some(lines)
}

#[derive(Default)]
struct Route {
    prefix: String,
    next_hop: String,
    as_path: String,
    origin: String,
    med: Option<String>,
}

impl Route {
    fn line(&self) -> String {
        let Route { prefix, next_hop, as_path, origin, med } = self;
        let origin = match origin.as_str() {
            "i" | "0" => "IGP",
            "e" | "1" => "EGP",
            "?" | "2" | "incomplete" => "INCOMPLETE",
            origin => origin,
        };
        let med = med.as_deref().unwrap_or("-");
        format!("{prefix}|{next_hop}|{as_path}|{}|{med}", origin.to_uppercase())
    }
}

fn routes(router: &str, policy: &str, text: &str) -> Option<Vec<Route>> {
    if router == "bird" {
        return Some(bird_routes(text));
    }
    let json: Value = serde_json::from_str(text).ok()?;
    let routes = match (router, policy) {
        ("gobgp", _) => &json,
        (_, "pre") => &json["receivedRoutes"],
        (_, _) => &json["routes"],
    };
    // FRR prepends its own AS to the paths that it sends by BMP, whatever it has stored.
    let own = match router {
        "frr8" => "65001 ",
        "frr10" => "65003 ",
        _ => "",
    };
    // Without a peer, or routes, there is no such object.
    let routes = routes.as_object().into_iter().flatten();
    Some(
        routes
            .filter_map(|(prefix, route)| {
                // A list of paths, except for the routes that FRR has received.
                let route = if route.is_array() { route.get(0)? } else { route };
                let route = if router == "gobgp" { gobgp_route(route) } else { frr_route(route, own) };
                Some(Route { prefix: prefix.clone(), ..route })
            })
            .collect(),
    )
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn frr_route(route: &Value, own: &str) -> Route {
    let next_hop = [&route["nextHop"], &route["nextHopGlobal"], &route["nexthops"][0]["ip"]];
    Route {
        next_hop: next_hop.into_iter().find_map(text).unwrap(),
        as_path: format!("{own}{}", route["path"].as_str().unwrap()),
        origin: text(&route["origin"]).or_else(|| text(&route["bgpOriginCode"])).unwrap(),
        med: route["metric"].as_u64().map(|med| med.to_string()),
        ..Route::default()
    }
}

fn gobgp_route(route: &Value) -> Route {
    let attribute = |code: u64| route["attrs"].as_array().unwrap().iter().find(|attribute| attribute["type"] == code);
    let segment = |segment: &Value| {
        let asns: Vec<String> = segment["asns"].as_array().unwrap().iter().map(Value::to_string).collect();
        if segment["segment_type"] == 1 { format!("{{{}}}", asns.join(",")) } else { asns.join(" ") }
    };
    let segments = attribute(2).unwrap()["as_paths"].as_array().unwrap();
    Route {
        next_hop: text(&attribute(3).or_else(|| attribute(14)).unwrap()["nexthop"]).unwrap(),
        as_path: segments.iter().map(segment).collect::<Vec<_>>().join(" "),
        origin: attribute(1).unwrap()["value"].to_string(),
        med: attribute(4).map(|a| a["metric"].to_string()),
        ..Route::default()
    }
}

/// BIRD prints a line for each route and indented ones for its attributes.
fn bird_routes(text: &str) -> Vec<Route> {
    let mut routes: Vec<Route> = Vec::new();
    for line in text.lines() {
        let is_route = line.starts_with(|first: char| first.is_ascii_hexdigit() || first == ':') && line.contains('/');
        if is_route {
            let prefix = line.split_whitespace().next().unwrap().to_owned();
            routes.push(Route { prefix, ..Route::default() });
        } else if let (Some(route), Some((name, value))) = (routes.last_mut(), line.trim().split_once(": ")) {
            match name {
                "bgp_origin" => route.origin = value.to_uppercase(),
                "bgp_path" => route.as_path = set_with_commas(value),
                "bgp_next_hop" => route.next_hop = value.split(' ').next().unwrap().to_owned(),
                "bgp_med" => route.med = Some(value.to_owned()),
                _ => {}
            }
        }
    }
    routes
}

/// BIRD writes an AS_SET as `{1 2}`.
fn set_with_commas(path: &str) -> String {
    let Some((before, set)) = path.split_once('{') else { return path.to_owned() };
    format!("{before}{{{}", set.replace(' ', ","))
}

/// The prefixes of FRR 10.3's Loc-RIB, sorted as the database sorts text.
fn loc_rib_prefixes(lab: &Lab) -> Option<Vec<String>> {
    let mut prefixes = Vec::new();
    for family in ["ipv4", "ipv6"] {
        let json: Value = serde_json::from_str(&lab.try_run(&["rib"], &["frr10", family]).ok()?).ok()?;
        let routes = json["routes"].as_object()?;
        let has_best = |route: &Value| {
            route["paths"].as_array().is_some_and(|paths| paths.iter().any(|path| path["bestpath"]["overall"] == true))
        };
        prefixes.extend(routes.iter().filter(|(_, route)| has_best(route)).map(|(prefix, _)| prefix.clone()));
    }
    prefixes.sort();
    Some(prefixes)
}
