//! A router without a Loc-RIB, from a recording of BIRD: pages, commands, watches and metrics show its peers and routes.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::process::Command;

use serde_json::Value;

use crate::common::browser::Browser;
use crate::common::ingester::{Ingester, eventually, eventually_equal};
use crate::common::pg::TestDb;
use crate::screenshots::picture;

const RECORDING: &[u8] = include_bytes!("../data/bird3-adjribin.bmp");

/// The exit code of a command, and what it prints.
fn command(db: &TestDb, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rib-ingester"));
    let output = command.env_clear().args(arguments).env("RIB_INGESTER_DATABASE_URL", db.url()).output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap())
}

/// The text of a page without its elements, and with one blank between words.
fn text(page: &str) -> String {
    let mut out = String::new();
    for part in page.split('<') {
        out.push(' ');
        out.push_str(part.split_once('>').map_or(part, |(_, text)| text));
    }
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What the text of a page, or what a command prints, must and must not have.
fn check(what: &str, text: &str, has: &[&str], has_not: &[&str]) {
    for wanted in has {
        assert!(text.contains(wanted), "{what} has no {wanted:?}: {text}");
    }
    for unwanted in has_not {
        assert!(!text.contains(unwanted), "{what} has {unwanted:?}: {text}");
    }
}

/// Where the router is shown with what it has, whichever collector asks.
fn check_pages(db: &TestDb, ingester: &mut Ingester, state: &str) {
    let mut get = |target: &str| {
        let (status, head, body) = ingester.get(target);
        assert_eq!(status, 200, "{target}: {head}");
        text(&body)
    };
    let count = |condition: &str| db.rows(&format!("SELECT count(*) FROM adj_rib_in WHERE {condition}")).remove(0);
    let post = count("is_post_policy");
    assert_eq!((post.as_str(), count("NOT is_post_policy").as_str()), ("82", "83"), "the policy rejects one route");
    let page = get("/");
    check("/", &page, &[&format!("Routes {post} {post} stored"), &format!("8/8 {post} Adj-RIB-In")], &[]);
    check("/", &page, &[&format!("{state} bird 10.255.0.4 AS65004")], &[]);
    let page = get("/router?id=10.255.0.4");
    check("the router's page", &page, &[&format!("Routes {post} Adj-RIB-In"), "Peers 2: 2 up, 0 down"], &["Loc-RIB"]);
    let of_peer = |peer: &str| {
        let of = |view: &str| count(&format!("host(peer_address) = '{peer}' AND {view}"));
        [of("NOT is_post_policy"), of("is_post_policy")]
    };
    for (peer, asn) in [("127.0.0.21", "65010"), ("127.0.0.22", "4200000010")] {
        let [pre, post] = of_peer(peer);
        let at = page.find(&format!("up {peer} {asn}")).unwrap_or_else(|| panic!("no peer {peer}: {page}"));
        let row: Vec<&str> = page[at..].split(' ').take(9).collect();
        assert!(row.contains(&pre.as_str()) && row.contains(&post.as_str()), "{pre} and {post} in {row:?}");
    }
    let table = |view: &str| format!("UNKNOWN adj-rib-in-{view} of 127.0.0.21 IPv4");
    check("the router's page", &page, &["Adj-RIB tables 8, 8 in sync", &table("pre"), &table("post")], &[]);
    let paths = [
        "bird 10.255.0.4 UNKNOWN in-post of 127.0.0.21 10.1.2.0/24",
        "65010 64501 64512",
        "Longest match on 1 router, 4 paths",
    ];
    check("the lookup", &get("/lookup?q=10.1.2.3"), &paths, &["No change is on record"]);
    let page = get("/lookup?q=AS64502");
    check("the AS", &page, &["203.0.113.0/24 1 2", "Adj-RIB-In paths"], &["Loc-RIB paths", "Adj-RIB-Out paths"]);
    check("the AS of a peer", &get("/lookup?q=65010"), &["up 127.0.0.21"], &[]);
    for search in ["BIRD", "10.255.0.4", "bir"] {
        let (status, head, _) = ingester.get(&format!("/lookup?q={search}"));
        assert!(status == 303 && head.contains("Location: /router?id=10.255.0.4"), "{head}");
    }
}

fn check_commands(db: &TestDb, state: &str) {
    let (_, status) = command(db, &["status"]);
    check(
        "status",
        &status,
        &["8      82  adj-rib-in", "adj-rib-in-pre ", "adj-rib-in-post"],
        &["no tables are stored"],
    );
    let (_, status) = command(db, &["status", "bird"]);
    check("status bird", &status, &["before policy", "after policy", "4200000010"], &["no tables are stored"]);
    let (_, json) = command(db, &["status", "bird", "--json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    let router = &json["routers"][0];
    assert_eq!(
        (&router["routes"], &router["rib"], &router["table_count"]),
        (&82.into(), &"adj-rib-in".into(), &8.into())
    );
    let peers = router["peers"].as_array().unwrap().iter().map(|peer| peer["post_policy_routes"].as_i64().unwrap());
    assert_eq!(peers.sum::<i64>(), 82, "{router}");
    let (code, found) = command(db, &["lookup", "10.1.2.3"]);
    assert_eq!(code, Some(0));
    check("lookup", &found, &["adj-rib-in-post of 127.0.0.22", "4200000010 64502 64503 64504"], &[]);
    let (_, file) = command(db, &["watch", "suggest", "--origin", "64504"]);
    check(
        "suggest",
        &file,
        &["10.1.2.0-24,prefix,10.1.2.0/24,,,64504,64503,,another origin is seen now: AS64512"],
        &[],
    );
    if state == "up" {
        let (code, text) =
            command(db, &["compare", "--policy", "bird", "127.0.0.21", "--ignore", "communities,localpref"]);
        assert_eq!(code, Some(3), "{text}");
        check("compare --policy", &text, &["dropped table UNKNOWN 10.99.1.0/24"], &[]);
        let (code, text) = command(db, &["compare", "--since", "2026-11-26 19:00 UTC", "bird"]);
        assert_eq!(code, Some(4), "{text}");
        check(
            "compare --since",
            &text,
            &["bird: it has no Loc-RIB; --policy compares", "of Adj-RIBs nothing tells what they were"],
            &[],
        );
    }
    // The collector's own run may have come in the middle of the dump.
    db.client().batch_execute("REFRESH MATERIALIZED VIEW adj_rib_in_summary").unwrap();
    let overview = "SELECT route_count, adj_rib_in_route_count, adj_rib_in_peer_count, all_afis_synced,
                        reported_adj_rib_in_routes, adj_rib_in_drift FROM routers_overview";
    assert_eq!(db.rows(overview), ["0|165|2|-|-|-"]);
}

#[test]
fn pages_commands_watches_and_metrics_show_it() {
    let db = TestDb::migrated();
    db.client()
        .batch_execute(
            // A route that is right, and one with another origin.
            "INSERT INTO watch.watches (name, kind, prefix, expected_origins, settle_secs, severity) VALUES
                 ('right', 'prefix', '10.1.6.0/24', '{64504,64516}', 0, 'critical'),
                 ('wrong', 'prefix', '10.1.7.0/24', '{64504}', 0, 'critical')",
        )
        .unwrap();
    let settings = [("STORED_RIBS", "adj-rib-in-pre,adj-rib-in-post")];
    let mut ingester = Ingester::start(&db.url(), &settings);
    let mut router = ingester.connect();
    router.send(RECORDING);
    eventually_equal(vec!["up|8|8".to_owned()], || {
        db.rows("SELECT (SELECT state FROM router_states), count(*), count(synced_at) FROM adj_rib_in_sync_status")
    });
    eventually_equal(vec!["82|83".to_owned()], || {
        db.rows(
            "SELECT count(*) FILTER (WHERE is_post_policy), count(*) FILTER (WHERE NOT is_post_policy) FROM adj_rib_in",
        )
    });
    check_pages(&db, &mut ingester, "up");
    check_commands(&db, "up");
    let (_, _, metrics) = ingester.get("/metrics");
    for (peer, view) in [("21", "pre"), ("21", "post"), ("22", "pre"), ("22", "post")] {
        let table = format!("UNKNOWN adj-rib-in-{view} of 127.0.0.{peer}");
        let series = format!("rib_ingester_routes{{router=\"10.255.0.4\",table=\"{table}\",afi=\"4\"}} ");
        let routes = metrics.lines().find_map(|line| line.strip_prefix(series.as_str())).expect("its series");
        assert_ne!(routes, "0", "{table}");
    }
    let open = "SELECT w.name, i.condition FROM watch.incidents i JOIN watch.watches w ON w.id = i.watch_id WHERE i.state = 'open' ORDER BY 1, 2";
    eventually("the wrong origin is an incident", || db.rows(open).contains(&"wrong|origin".to_owned()).then_some(()));
    assert!(db.rows(open).iter().all(|row| !row.starts_with("right")), "{:?}", db.rows(open));
    if let Some(browser) = Browser::find() {
        let url = format!("http://{}/router?id=10.255.0.4&peers=1&adj=1", ingester.http());
        let file = browser.profile.join("router.png");
        assert!(picture(&browser, &url, (500, 1000), &[], &file).len() > 20_000, "an empty page is smaller");
    }
    // The collector that has the session is gone: nothing but the database knows the router.
    drop(router);
    assert!(ingester.stop().success());
    let mut ingester = Ingester::start(&db.url(), &settings);
    eventually_equal(vec!["stale".to_owned()], || db.rows("SELECT state FROM router_states"));
    let page = ingester.get("/").2;
    check("/ without the router", &text(&page), &["82 Adj-RIB-In"], &[]);
    let page = text(&ingester.get("/router?id=10.255.0.4").2);
    check(
        "the router's page without it",
        &page,
        &["UNKNOWN adj-rib-in-pre of 127.0.0.21 IPv4", "Adj-RIB tables 8"],
        &["Loc-RIB"],
    );
}
