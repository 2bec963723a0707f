//! Routers that are gone for good, and routers whose collector is gone: which commands show them and which remove them.
#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::process::{Command, Output, Stdio};

use crate::common::bmp::{self, Attributes, Open, Peer};
use crate::common::ingester::{FakeRouter, Ingester, eventually, eventually_equal};
use crate::common::pg::TestDb;
use rib_ingester::store::forget::{Past, STEP_ROWS, tables};

const ROUTER: &str = "10.255.0.1";
const OTHER: &str = "10.255.0.2";

/// A router with a Loc-RIB, a peer with an Adj-RIB-In, and statistics of both.
fn life(id: &str, name: &str) -> Vec<u8> {
    let (loc_rib, peer) = (Peer::loc_rib(id), Peer::global_instance("192.0.2.9", 64_501));
    let routes = bmp::announce(&Attributes::path(&[64_500]), "192.0.2.1", &["10.1.0.0/16", "10.2.0.0/16"]);
    [
        bmp::initiation(name.as_bytes(), b""),
        bmp::peer_up(loc_rib, &Open::of(64_500, id), Some("global")),
        bmp::route_monitoring(loc_rib, &routes),
        bmp::route_monitoring(loc_rib, &bmp::end_of_rib_ipv4()),
        bmp::peer_up(peer, &Open::of(64_500, id), None),
        bmp::route_monitoring(peer, &routes),
        bmp::statistics(peer, 2),
    ]
    .concat()
}

fn run(db: &TestDb, arguments: &[&str]) -> Output {
    command(db, arguments).output().unwrap()
}

fn command(db: &TestDb, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rib-ingester"));
    command.args(arguments).env_clear().env("RIB_INGESTER_DATABASE_URL", db.url());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The tables that have rows of a router.
fn tables_with(db: &TestDb, router: &str) -> BTreeSet<&'static str> {
    let has = |table: &&str| db.rows(&format!("SELECT count(*) FROM {table} WHERE router_id = '{router}'")) != ["0"];
    tables(Past::Goes).into_iter().filter(has).collect()
}

fn past() -> BTreeSet<&'static str> {
    ["route_events", "session_events"].into()
}

/// Two routers that were connected, one of which is gone.
fn scene(db: &TestDb, settings: &[(&str, &str)]) -> (Ingester, FakeRouter) {
    let ingester = Ingester::start(&db.url(), &[&[("STORED_RIBS", "loc-rib,adj-rib-in-pre")], settings].concat());
    let mut gone = ingester.connect_from("127.0.0.3");
    gone.send(&life(ROUTER, "edge1"));
    let mut stays = ingester.connect_from("127.0.0.4");
    stays.send(&life(OTHER, "edge2"));
    eventually_equal(vec!["4".to_owned()], || db.rows("SELECT count(*) FROM adj_rib_in"));
    eventually_equal(vec!["4".to_owned()], || db.rows("SELECT count(*) FROM current_routes"));
    eventually("statistics", || (db.rows("SELECT count(*) FROM peer_statistics") != ["0"]).then_some(()));
    drop(gone);
    let stale = format!("SELECT state FROM bmp_sessions WHERE router_id = '{ROUTER}'");
    eventually_equal(vec!["stale".to_owned()], || db.rows(&stale));
    (ingester, stays)
}

#[test]
fn every_table_that_speaks_of_routers_is_known() {
    let db = TestDb::migrated();
    let all = db.rows(
        "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
         WHERE a.attname = 'router_id' AND c.relkind IN ('r', 'p') AND NOT c.relispartition
           AND c.relnamespace = current_schema()::regnamespace",
    );
    let all: BTreeSet<&str> = all.iter().map(String::as_str).collect();
    assert_eq!(tables(Past::Goes).into_iter().collect::<BTreeSet<_>>(), all);
    let summaries = db.rows(
        "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
         WHERE a.attname = 'router_id' AND c.relkind = 'm' ORDER BY 1",
    );
    assert_eq!(summaries, ["adj_rib_in_summary", "adj_rib_out_summary", "route_summary"]);
}

#[test]
fn a_router_is_removed_with_its_series_and_memory() {
    let db = TestDb::create();
    let (mut ingester, mut stays) = scene(&db, &[]);
    db.client().batch_execute("REFRESH MATERIALIZED VIEW route_summary").unwrap();
    let kept = tables_with(&db, OTHER);
    let before = tables_with(&db, ROUTER);
    assert!(before.len() > 10, "{before:?}");

    // The first run only shows what would be removed.
    let output = run(&db, &["forget", ROUTER, "--dry-run"]);
    let shown = said(&output);
    assert!(output.status.success() && shown.contains("would be removed"), "{shown}");
    assert!(shown.lines().any(|line| line.split_whitespace().eq(["current_routes", "2"])), "{shown}");
    assert!(!shown.contains("route_events"), "{shown}");
    assert_eq!(tables_with(&db, ROUTER), before);
    // The connected router stays, whatever its name is.
    db.client()
        .batch_execute(&format!("UPDATE routers SET display_name = 'Paris Core' WHERE router_id = '{OTHER}'"))
        .unwrap();
    for word in [OTHER, "edge2", "EDGE2", "paris core", "127.0.0.4"] {
        let output = run(&db, &["forget", word]);
        let shown = said(&output);
        assert_eq!(output.status.code(), Some(1), "{shown}");
        assert!(shown.contains("on collector test") && shown.contains("from 127.0.0.4"), "{shown}");
    }
    assert_eq!(tables_with(&db, OTHER), kept);

    let output = run(&db, &["forget", "edge1"]);
    let shown = said(&output);
    assert!(output.status.success() && shown.contains(&format!("router {ROUTER}: removed")), "{shown}");
    for (table, rows) in [("current_routes", "2"), ("adj_rib_in", "2"), ("routers", "1"), ("router_owner", "1")] {
        assert!(shown.lines().any(|line| line.split_whitespace().eq([table, rows])), "{table}: {shown}");
    }
    assert_eq!(tables_with(&db, ROUTER), past());
    assert_eq!(tables_with(&db, OTHER), kept);
    assert_eq!(db.rows(&format!("SELECT count(*) FROM routers_overview WHERE router_id = '{ROUTER}'")), ["0"]);
    // History records that its routes were withdrawn.
    let removals =
        format!("SELECT kind, reason FROM session_events WHERE router_id = '{ROUTER}' ORDER BY id DESC LIMIT 1");
    assert_eq!(db.rows(&removals), ["stale_expired|router removed by the command forget"]);
    let series = |ingester: &mut Ingester, router: &str| {
        let (_, _, metrics) = ingester.get("/metrics");
        metrics.contains(&format!("router=\"{router}\""))
    };
    eventually("its series go", || (!series(&mut ingester, ROUTER)).then_some(()));
    assert!(series(&mut ingester, OTHER));
    stays.send(&bmp::route_monitoring(Peer::loc_rib(OTHER), &bmp::withdraw(&["10.2.0.0/16"])));
    eventually_equal(vec!["1".to_owned()], || db.rows("SELECT count(*) FROM current_routes"));

    // A second run finds nothing. A new router with the name starts from nothing.
    let output = run(&db, &["forget", "10.255.0.3"]);
    let shown = said(&output);
    assert_eq!(output.status.code(), Some(1), "{shown}");
    assert!(shown.contains("no router 10.255.0.3 is stored") && shown.contains(&format!("{OTHER} (edge2)")), "{shown}");
    let mut back = ingester.connect_from("127.0.0.3");
    back.send(&life(ROUTER, "edge1"));
    eventually_equal(vec!["3".to_owned()], || db.rows("SELECT count(*) FROM current_routes"));
    eventually("its series are back", || series(&mut ingester, ROUTER).then_some(()));
    drop(back);
    eventually_equal(vec!["stale".to_owned()], || {
        db.rows(&format!("SELECT state FROM bmp_sessions WHERE router_id = '{ROUTER}'"))
    });

    // With its history.
    let output = run(&db, &["forget", ROUTER, "--history"]);
    assert!(output.status.success() && said(&output).contains("route_events"), "{}", said(&output));
    assert_eq!(tables_with(&db, ROUTER), BTreeSet::new());
    assert!(ingester.stop().success());
}

#[test]
fn a_name_with_an_invisible_character_is_found() {
    let db = TestDb::migrated();
    db.client().batch_execute("INSERT INTO routers (router_id, hostname) VALUES ('10.0.0.7', 'edge\u{ad}7')").unwrap();
    let output = run(&db, &["forget", "edge\u{ad}7", "--dry-run"]);
    assert!(output.status.success(), "{}", said(&output));
    let unknown = run(&db, &["forget", "\u{202e}", "--dry-run"]);
    assert!(said(&unknown).contains("no router \\u{202e} is stored"), "{}", said(&unknown));
}

#[test]
fn a_removal_that_was_interrupted_goes_on_from_there() {
    let db = TestDb::create();
    let (ingester, _stays) = scene(&db, &[]);
    assert!(ingester.stop().success());
    let many = 2 * STEP_ROWS + 1;
    db.client()
        .batch_execute(&format!(
            "INSERT INTO current_routes (router_id, table_name, afi, prefix)
             SELECT '{ROUTER}', 'large', 4, set_masklen('11.0.0.0'::inet + 256 * i, 24)::cidr FROM generate_series(1, {many}) i"
        ))
        .unwrap();
    // A transaction locks a row of the fourth table.
    let mut holder = db.client();
    holder.batch_execute(&format!("BEGIN; SELECT FROM peers WHERE router_id = '{ROUTER}' FOR UPDATE")).unwrap();
    let mut forget = command(&db, &["forget", ROUTER]).spawn().unwrap();
    let routes = format!("SELECT count(*) FROM current_routes WHERE router_id = '{ROUTER}'");
    eventually_equal(vec!["0".to_owned()], || db.rows(&routes));
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'rib-ingester/forget' AND wait_event_type = 'Lock'";
    eventually_equal(vec!["1".to_owned()], || db.rows(waits));
    forget.kill().unwrap();
    forget.wait().unwrap();
    holder.batch_execute("ROLLBACK").unwrap();
    let left = tables_with(&db, ROUTER);
    assert!(left.contains("peers") && left.contains("router_owner") && left.contains("routers"), "{left:?}");
    let output = run(&db, &["forget", ROUTER]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(tables_with(&db, ROUTER), past());
}

/// A claim and a step wait for each other: each sees what the other one did.
#[test]
fn a_router_that_comes_back_meanwhile_stays() {
    let db = TestDb::create();
    let (ingester, _stays) = scene(&db, &[]);
    let before = tables_with(&db, ROUTER);
    // As a claim that has the lock and has not committed.
    let mut claim = db.client();
    claim
        .batch_execute(&format!(
            "BEGIN; SELECT FROM router_owner WHERE router_id = '{ROUTER}' FOR UPDATE;
             INSERT INTO bmp_sessions (session, router_id, collector_id, source, state)
             VALUES (gen_random_uuid(), '{ROUTER}', 'test', '127.0.0.3', 'dumping')"
        ))
        .unwrap();
    let forget = command(&db, &["forget", ROUTER]).spawn().unwrap();
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'rib-ingester/forget' AND wait_event_type = 'Lock'";
    eventually_equal(vec!["1".to_owned()], || db.rows(waits));
    claim.batch_execute("COMMIT").unwrap();
    let output = forget.wait_with_output().unwrap();
    let shown = said(&output);
    assert_eq!(output.status.code(), Some(1), "{shown}");
    assert!(
        shown.contains("reconnected while it was being removed") && shown.contains("(dumping) from 127.0.0.3"),
        "{shown}"
    );
    assert_eq!(tables_with(&db, ROUTER), before);
    assert!(ingester.stop().success());
}

#[test]
fn routers_whose_collector_is_gone_show_everywhere() {
    let db = TestDb::create();
    let (ingester, stays) = scene(&db, &[("COLLECTOR_ID", "old-container")]);
    ingester.kill();
    drop(stays);
    let mut ingester = Ingester::start(&db.url(), &[("COLLECTOR_ID", "new-container")]);
    let of = |ingester: &mut Ingester, value: &str| {
        let (_, _, metrics) = ingester.get("/metrics");
        metrics.lines().any(|line| line == format!("rib_ingester_routers_without_collector {value}")).then_some(())
    };
    eventually("the metric", || of(&mut ingester, "2"));
    let status = said(&run(&db, &["status"]));
    let line = status.lines().find(|line| line.contains("old-container, which is not alive since")).expect(&status);
    assert!(line.contains("2 routers (10.255.0.1, 10.255.0.2)"), "{line}");
    assert!(status.contains("RIB_INGESTER_COLLECTOR_ID=old-container") && status.contains("forget"), "{status}");
    let json: serde_json::Value =
        serde_json::from_slice(&run(&db, &["status", "--json"]).stdout).expect("status prints JSON");
    assert_eq!(json["without_collector"][0]["collector_id"], "old-container");
    assert_eq!(json["without_collector"][0]["routers"][1], OTHER);
    let doctor: serde_json::Value =
        serde_json::from_slice(&run(&db, &["doctor", "--json"]).stdout).expect("doctor prints JSON");
    let check = doctor.as_array().unwrap().iter().find(|check| check["check"] == "collectors").unwrap();
    assert_eq!(check["state"], "warning", "{check}");
    assert!(check["remedy"].as_str().unwrap().contains("forget ROUTER"), "{check}");

    // One is gone for good, the other one moves to another collector.
    assert!(run(&db, &["forget", ROUTER]).status.success());
    eventually("the metric", || of(&mut ingester, "1"));
    let mut moved = ingester.connect_from("127.0.0.4");
    moved.send(&life(OTHER, "edge2"));
    eventually("the metric", || of(&mut ingester, "0"));
    let status = said(&run(&db, &["status"]));
    assert!(!status.contains("old-container"), "{status}");
    assert!(ingester.stop().success());
}
