//! Routers that are gone for good, and routers whose collector is gone: which commands show them and which remove them.
#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::process::{Command, Output, Stdio};

use crate::common::bmp::{self, Attributes, Open, Peer};
use crate::common::ingester::{FakeRouter, Ingester, eventually, eventually_equal};
use crate::common::pg::TestDb;
use rib_ingester::store::forget::references::{BY_THEMSELVES, LISTED};
use rib_ingester::store::forget::{Past, STEP_ROWS, peer, tables};

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
    // What maintenance notes of a router is there now, and not only after the first look.
    assert!(run(db, &["maintenance"]).status.success());
    (ingester, stays)
}

/// A later table that names routers or peers is removed, listed, or lets go by itself: its author says which.
#[test]
fn every_table_that_speaks_of_routers_is_known() {
    let db = TestDb::migrated();
    let with = |column: &str, kinds: &str| -> BTreeSet<String> {
        let sql = format!(
            "SELECT CASE n.nspname WHEN current_schema() THEN '' ELSE n.nspname || '.' END || c.relname
             FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE a.attname = '{column}' AND c.relkind IN ({kinds}) AND NOT c.relispartition
               AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')"
        );
        db.rows(&sql).into_iter().collect()
    };
    let own = |names: Vec<&str>| -> BTreeSet<String> { names.into_iter().map(str::to_owned).collect() };
    let elsewhere: BTreeSet<String> =
        own(LISTED.into_iter().chain(BY_THEMSELVES.into_iter().map(|(table, _)| table)).collect());
    let (of_routers, of_peers) = (with("router_id", "'r', 'p'"), with("peer_address", "'r', 'p'"));
    assert_eq!(of_routers.difference(&elsewhere).cloned().collect::<BTreeSet<_>>(), own(tables(Past::Goes)));
    assert_eq!(of_peers.difference(&elsewhere).cloned().collect::<BTreeSet<_>>(), own(peer::tables(Past::Goes, None)));
    // None of the lists names a table that is gone. Windows of changes have their routers in a list.
    let known: BTreeSet<String> = &(&of_routers | &of_peers) | &own(vec!["watch.change_windows"]);
    assert_eq!(elsewhere.difference(&known).collect::<Vec<_>>(), Vec::<&String>::new());
    assert_eq!(with("router_id", "'m'"), own(vec!["adj_rib_in_summary", "adj_rib_out_summary", "route_summary"]));
}

#[test]
fn a_removal_lists_who_still_names_it() {
    let db = TestDb::migrated();
    db.client()
        .batch_execute(&format!(
            "INSERT INTO routers (router_id, hostname) VALUES ('{ROUTER}', 'edge1'), ('{OTHER}', 'edge2');
             INSERT INTO peers (router_id, peer_type, peer_address, peer_asn, state) VALUES
                 ('{ROUTER}', 'global', '192.0.2.9', 64501, 'down'), ('{OTHER}', 'global', '192.0.2.9', 64501, 'down');
             INSERT INTO watch.watches (name, kind, router_id) VALUES ('its BMP', 'router', '{ROUTER}'), ('another', 'router', '{OTHER}');
             INSERT INTO watch.watches (name, kind, peer_address, router_id, team) VALUES ('its peer', 'session', '192.0.2.9', '{ROUTER}', 'noc');
             INSERT INTO watch.watches (name, kind, peer_address) VALUES ('that peer anywhere', 'session', '192.0.2.9');
             INSERT INTO watch.watches (name, kind, prefix, expected_origins, router_id)
             SELECT 'many ' || i, 'prefix', ('10.' || i || '.0.0/16')::cidr, '{{64501}}', '{ROUTER}' FROM generate_series(1, 30) i;
             INSERT INTO watch.silences (starts_at, ends_at, router_id, created_by, note)
             VALUES (now(), '2099-01-01 00:00Z', '{ROUTER}', 'x', 'new \u{1b}[2J line cards'), (now() - interval '2 h', now() - interval '1 h', '{ROUTER}', 'x', 'past');
             INSERT INTO watch.silences (starts_at, ends_at, peer_address, created_by, note) VALUES (now(), '2099-01-01 00:00Z', '192.0.2.9', 'x', 'its cable');
             INSERT INTO watch.vantages (router_id, table_name, rib, known, since) VALUES ('{ROUTER}', 'global', 'loc-rib', false, now());
             INSERT INTO watch.change_windows (name, scope, state) VALUES ('upgrade', '{{{ROUTER}}}', '{{}}');
             INSERT INTO registry.routers (name, router_id) VALUES ('edge1.example.net', '{ROUTER}');
             INSERT INTO registry.bgp_sessions (router, asn, status, ipv4) SELECT uuid, 64501, 0, '192.0.2.9' FROM registry.routers;
             INSERT INTO inventory.sites (name) VALUES ('north');
             INSERT INTO inventory.site_vantages (site_id, router_id, table_name) SELECT id, '{ROUTER}', 'global' FROM inventory.sites;"
        ))
        .unwrap();
    let named = |arguments: &[&str]| -> Vec<String> {
        let output = run(&db, &[&["forget", "--dry-run"], arguments].concat());
        let shown = said(&output);
        assert!(output.status.success(), "{shown}");
        let after = shown.lines().skip_while(|line| !line.starts_with("still named by"));
        after.skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    };
    let all = named(&["edge1"]);
    for line in [
        "change window upgrade",
        "inventory site north, vantage global",
        "registry router edge1.example.net, by its router id",
        "silence 1, until 2099-01-01 00:00 UTC: new \\u{1b}[2J line cards",
        "vantage table global",
        "watch its BMP",
        "watch and 12 more",
    ] {
        assert!(all.iter().any(|found| found == line), "{line}: {all:#?}");
    }
    assert_eq!(all.len(), 5 + 21, "{all:#?}");
    let of_peer = named(&["--peer", "edge1", "192.0.2.9"]);
    assert!(of_peer[0].starts_with("registry session ") && of_peer[0].ends_with(", AS64501"), "{of_peer:#?}");
    assert_eq!(
        of_peer[1..],
        ["silence 3, until 2099-01-01 00:00 UTC: its cable", "watch noc: its peer", "watch that peer anywhere"]
    );
    // They stay.
    assert!(run(&db, &["forget", "edge1"]).status.success());
    assert_eq!(db.rows("SELECT count(*) FROM watch.watches"), ["34"]);
}

#[test]
fn a_peer_is_removed_and_may_come_back() {
    let db = TestDb::migrated();
    let (ingester, mut stays) = scene(&db, &[]);
    let of = |router: &str| -> BTreeSet<&'static str> {
        let has = |table: &&str| {
            let sql =
                format!("SELECT count(*) FROM {table} WHERE router_id = '{router}' AND peer_address = '192.0.2.9'");
            db.rows(&sql) != ["0"]
        };
        peer::tables(Past::Goes, None).into_iter().filter(has).collect()
    };
    // Of a router whose session is lost, all goes but its Loc-RIB, and the history says so.
    let output = run(&db, &["forget", "--peer", "edge1", "192.0.2.9"]);
    let shown = said(&output);
    assert!(output.status.success() && shown.contains(&format!("router {ROUTER} peer 192.0.2.9: removed")), "{shown}");
    assert!(shown.lines().any(|line| line.split_whitespace().eq(["adj_rib_in", "2"])), "{shown}");
    assert_eq!(of(ROUTER), past());
    let removal = format!(
        "SELECT kind, table_name, reason FROM session_events WHERE router_id = '{ROUTER}' ORDER BY id DESC LIMIT 1"
    );
    assert_eq!(db.rows(&removal), ["stale_expired|UNKNOWN|peer removed by the command forget"]);
    assert_eq!(db.rows(&format!("SELECT count(*) FROM current_routes WHERE router_id = '{ROUTER}'")), ["2"]);
    assert_eq!(db.wrong_counts(), Vec::<String>::new());
    assert!(run(&db, &["forget", "--peer", ROUTER, "192.0.2.9", "--history"]).status.success());
    assert_eq!(of(ROUTER), BTreeSet::new());
    let missing = run(&db, &["forget", "--peer", ROUTER, "192.0.2.9"]);
    assert!(missing.status.code() == Some(1) && said(&missing).contains("nothing is stored of this peer"));
    for (wrong, code) in [("0.0.0.0", 2), ("::", 2), ("edge", 2)] {
        assert_eq!(run(&db, &["forget", "--peer", ROUTER, wrong]).status.code(), Some(code), "{wrong}");
    }

    // One that is up stays; once it is down it goes, and when it comes back it is stored as before.
    let before = of(OTHER);
    let refused = run(&db, &["forget", "--peer", "edge2", "192.0.2.9"]);
    let shown = said(&refused);
    assert!(refused.status.code() == Some(1) && shown.contains("is up or has routes"), "{shown}");
    assert_eq!(of(OTHER), before);
    let peer = Peer::global_instance("192.0.2.9", 64_501);
    stays.send(&bmp::peer_down(peer, 4));
    let state = format!("SELECT state FROM peers WHERE router_id = '{OTHER}'");
    eventually_equal(vec!["down".to_owned()], || db.rows(&state));
    eventually_equal(vec!["0".to_owned()], || db.rows("SELECT count(*) FROM adj_rib_in_sync_status"));
    assert!(run(&db, &["forget", "--peer", "edge2", "192.0.2.9"]).status.success());
    assert_eq!(db.rows(&state), Vec::<String>::new());
    let back = life(OTHER, "edge2");
    // All but the Initiation, which a session has once.
    stays.send(&back[bmp::initiation(b"edge2", b"").len()..]);
    eventually_equal(before, || of(OTHER));
    eventually_equal(vec!["2".to_owned()], || db.rows("SELECT count(*) FROM adj_rib_in"));
    assert_eq!(db.wrong_counts(), Vec::<String>::new());
    assert!(ingester.stop().success());
}

#[test]
fn a_router_is_removed_with_its_series_and_memory() {
    let db = TestDb::migrated();
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
    let db = TestDb::migrated();
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
    let db = TestDb::migrated();
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
    let db = TestDb::migrated();
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
