//! The commands that need a database, from the outside.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::io::{BufRead, BufReader};
use std::process::{Command, Output};

use crate::common::pg::TestDb;

fn run(arguments: &[&str], url: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rib-ingester"));
    command.env_clear().args(arguments).env("RIB_INGESTER_DATABASE_URL", url).output().unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// The output of a command that succeeds.
fn printed(arguments: &[&str], url: &str) -> String {
    let output = run(arguments, url);
    assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    stdout(&output).to_string()
}

#[test]
fn migrate_names_what_it_applied_and_then_nothing() {
    let db = TestDb::create();
    assert!(printed(&["migrate"], &db.url()).starts_with("applied 0001_routes"));
    assert_eq!(printed(&["migrate"], &db.url()), "the schema is up to date\n");
    assert_eq!(db.rows("SELECT count(*) FROM current_routes"), ["0"]);
}

#[test]
fn an_edited_migration_is_wrong_configuration() {
    let db = TestDb::migrated();
    db.client().batch_execute("UPDATE schema_migrations SET checksum = 'x'").unwrap();
    let output = run(&["migrate"], &db.url());
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("0001_routes"), "{}", stderr(&output));
}

#[test]
fn a_wrong_database_or_password_is_configuration() {
    let db = TestDb::create();
    let nowhere = db.url().replacen("dbname=", "dbname=no_such_", 1);
    let output = run(&["migrate"], &nowhere);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("does not exist"), "{}", stderr(&output));

    // A database that trusts its socket asks for no password, but no role has this name.
    let stranger = format!("{} user=no_such_role password=hunter2", db.url());
    let output = run(&["migrate"], &stranger);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(!stderr(&output).contains("hunter2"), "{}", stderr(&output));
}

#[test]
fn commands_before_migrate_say_what_to_do() {
    let db = TestDb::create();
    let output = run(&["maintenance"], &db.url());
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let said = stderr(&output);
    assert!(said.lines().count() == 1 && said.contains("run `rib-ingester migrate` first"), "{said}");
    for arguments in [&["status"][..], &["lookup", "10.0.0.1"]] {
        let output = run(arguments, &db.url());
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains("run `rib-ingester migrate` first"), "{}", stderr(&output));
    }
}

#[test]
fn maintenance_makes_partitions_and_refreshes_again() {
    let db = TestDb::migrated();
    let first = printed(&["maintenance"], &db.url());
    assert_eq!(first.matches("created route_events_").count(), 2, "{first}");
    assert!(first.ends_with("refreshed route_summary\n"), "{first}");
    assert_eq!(printed(&["maintenance"], &db.url()), "refreshed route_summary\n");
}

/// Two routers; on the first a prefix with two paths within a shorter one, and text that a terminal must not obey.
const ROUTES: &str = "
    INSERT INTO routers (router_id, router_ip, hostname, as_number) VALUES
        ('10.255.0.1', '192.0.2.1', E'edge1\\u001b[31m', 4200000000), ('10.255.0.2', '2001:db8::2', NULL, NULL);
    INSERT INTO router_owner (router_id, collector_id, epoch) VALUES ('10.255.0.1', 'collector-a', 1);
    INSERT INTO rib_sync_status (router_id, table_name, afi, eor_seen, eor_time, session_start_time, last_parsed_msg_time)
    VALUES ('10.255.0.1', 'global', 4, true, now() - interval '3 minutes', now() - interval '4 minutes', now()),
           ('10.255.0.2', 'global', 6, false, NULL, now() - interval '5 hours', NULL);
    INSERT INTO current_routes (router_id, table_name, afi, prefix, path_id, nexthop, as_path, origin, localpref, med)
    VALUES ('10.255.0.1', 'global', 4, '10.0.0.0/8', 0, '192.0.2.9', '64500', 'IGP', 100, NULL),
           ('10.255.0.1', 'global', 4, '10.1.0.0/16', 1, '192.0.2.7', '64500 4200000001', 'IGP', 100, 4294967295),
           ('10.255.0.1', 'global', 4, '10.1.0.0/16', 2, '192.0.2.8', '', 'INCOMPLETE', NULL, NULL),
           ('10.255.0.2', 'global', 4, '10.0.0.0/8', 0, '192.0.2.6', NULL, NULL, NULL, NULL),
           ('10.255.0.2', 'global', 6, '2001:db8::/32', 0, '2001:db8::1', '64501', 'EGP', 1, 1);
    INSERT INTO session_events (peer_address, kind, reason) VALUES
        ('2001:db8::bad', 'refused', 'not in the allow-list; to admit it add 2001:db8::bad/128 to RIB_INGESTER_ALLOW')";

#[test]
fn lookup_finds_the_longest_match_per_router() {
    let db = TestDb::migrated();
    db.client().batch_execute(ROUTES).unwrap();
    let found = |target| {
        let text = printed(&["lookup", target], &db.url());
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        text.lines().map(|line| line.split_whitespace().take(5).collect::<Vec<_>>().join(" ")).collect::<Vec<_>>()
    };
    assert_eq!(
        found("10.1.2.3"),
        [
            "10.1.0.0/16 router 10.255.0.1 table global",
            "path next hop AS path",
            "1 192.0.2.7 64500 4200000001 IGP",
            "2 192.0.2.8 INCOMPLETE - -",
            "",
            "10.0.0.0/8 router 10.255.0.2 table global",
            "path next hop AS path",
            "0 192.0.2.6 - - -",
        ]
    );
    assert_eq!(found("10.0.0.0/12").len(), 7);
    assert_eq!(
        found("2001:db8:1::/48"),
        ["2001:db8::/32 router 10.255.0.2 table global", "path next hop AS path", "0 2001:db8::1 64501 EGP 1"]
    );
    // As with grep, a script can tell by the exit code.
    let none = run(&["lookup", "192.0.2.1"], &db.url());
    assert_eq!((none.status.code(), stdout(&none)), (Some(1), ""));
    assert_eq!(stderr(&none), "rib-ingester: no route covers 192.0.2.1/32\n");
    let wrong = run(&["lookup", "edge1"], &db.url());
    assert_eq!(wrong.status.code(), Some(2), "{}", stderr(&wrong));
}

#[test]
fn lookup_json_is_an_array_of_rows() {
    let db = TestDb::migrated();
    db.client().batch_execute(ROUTES).unwrap();
    let rows: serde_json::Value = serde_json::from_str(&printed(&["lookup", "--json", "10.1.2.3"], &db.url())).unwrap();
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[0]["med"], 4_294_967_295_u64);
    assert_eq!((&rows[0]["as_path"], &rows[0]["prefix"]), (&"64500 4200000001".into(), &"10.1.0.0/16".into()));
    assert_eq!((&rows[1]["as_path"], &rows[1]["med"]), (&"".into(), &serde_json::Value::Null));
    let columns = db.rows(
        "SELECT count(*) FROM information_schema.columns WHERE table_name = 'current_routes' AND table_schema = 'public'",
    );
    assert!(rows.iter().all(|row| row.as_object().unwrap().len().to_string() == columns[0]));
    let none = run(&["lookup", "--json", "192.0.2.1"], &db.url());
    assert_eq!((none.status.code(), stdout(&none)), (Some(1), "[]\n"));
}

/// One peer's routes before and after its policy, and another's Adj-RIB-Out.
const ADJ_RIBS: &str = "
    INSERT INTO adj_rib_in (router_id, peer_address, peer_asn, peer_bgp_id, is_post_policy, table_name, afi, prefix, path_id, as_path) VALUES
        ('10.255.0.1', '192.0.2.9', 64509, '192.0.2.9', false, 'UNKNOWN', 4, '10.1.0.0/16', 0, '64509'),
        ('10.255.0.1', '192.0.2.9', 64509, '192.0.2.9', false, 'UNKNOWN', 4, '10.1.2.0/24', 0, '64509 64510'),
        ('10.255.0.1', '192.0.2.9', 64509, '192.0.2.9', true, 'UNKNOWN', 4, '10.1.0.0/16', 0, '64509');
    INSERT INTO adj_rib_out (router_id, peer_address, peer_asn, peer_bgp_id, is_post_policy, table_name, afi, prefix, path_id, as_path) VALUES
        ('10.255.0.1', '2001:db8::9', 64508, '192.0.2.8', true, 'UNKNOWN', 4, '10.0.0.0/8', 0, '64500');
    INSERT INTO adj_rib_in_sync_status (router_id, peer_address, is_post_policy, table_name, afi, eor_seen, synced_at, last_parsed_msg_time) VALUES
        ('10.255.0.1', '192.0.2.9', false, 'UNKNOWN', 4, true, now(), now()), ('10.255.0.1', '192.0.2.10', false, 'UNKNOWN', 4, false, NULL, NULL)";

#[test]
fn lookup_finds_matches_in_every_adj_rib_or_in_one() {
    let db = TestDb::migrated();
    db.client().batch_execute(ROUTES).unwrap();
    db.client().batch_execute(ADJ_RIBS).unwrap();
    let found = |arguments: &[&str]| {
        let output = run(arguments, &db.url());
        let text = stdout(&output);
        assert_eq!(output.status.success(), !text.is_empty(), "{arguments:?}: {}", stderr(&output));
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        let headings = text.lines().filter(|line| line.contains("  router 10.255.0.1  ")).map(str::to_owned);
        headings.collect::<Vec<_>>()
    };
    let loc_rib = "10.1.0.0/16  router 10.255.0.1  table global";
    let out = "10.0.0.0/8  router 10.255.0.1  table UNKNOWN  adj-rib-out-post of 2001:db8::9";
    let before = "10.1.2.0/24  router 10.255.0.1  table UNKNOWN  adj-rib-in-pre of 192.0.2.9";
    let behind = "10.1.0.0/16  router 10.255.0.1  table UNKNOWN  adj-rib-in-post of 192.0.2.9";
    assert_eq!(found(&["lookup", "10.1.2.3"]), [loc_rib, out, before, behind]);
    assert_eq!(found(&["lookup", "--view", "adj-rib-in-post", "10.1.2.3"]), [behind]);
    assert_eq!(found(&["lookup", "--view=loc-rib", "10.1.2.3"]), [loc_rib]);
    assert_eq!(found(&["lookup", "--view=adj-rib-out-pre", "10.1.2.3"]), Vec::<String>::new());
    let rows = printed(&["lookup", "--json", "--view=adj-rib-in-pre", "10.1.2.3"], &db.url());
    let rows: serde_json::Value = serde_json::from_str(&rows).unwrap();
    assert_eq!(rows.as_array().unwrap().len(), 1);
    assert_eq!(rows[0]["view"], "adj-rib-in-pre");
    assert_eq!((&rows[0]["peer_address"], &rows[0]["peer_asn"]), (&"192.0.2.9".into(), &64_509.into()));
    assert_eq!(run(&["lookup", "--view", "rib", "10.1.2.3"], &db.url()).status.code(), Some(2));
}

#[test]
fn status_counts_the_adj_ribs_over_all_peers() {
    let db = TestDb::migrated();
    db.client().batch_execute(ROUTES).unwrap();
    assert!(!printed(&["status"], &db.url()).contains("PEERS"));
    db.client().batch_execute(ADJ_RIBS).unwrap();
    rib_ingester::store::counts::correct(&mut db.client(), None).unwrap();
    let text = printed(&["status"], &db.url());
    let words: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| line.contains("adj-rib-"))
        .map(|line| line.split_whitespace().take(7).collect())
        .collect();
    assert_eq!(words, [["10.255.0.1", "adj-rib-in-pre", "UNKNOWN", "IPv4", "2", "1", "2"]], "{text}");
    let status: serde_json::Value = serde_json::from_str(&printed(&["status", "--json"], &db.url())).unwrap();
    let one = &status["adj_ribs"][0];
    assert_eq!((&one["peers"], &one["synchronized"], &one["routes"]), (&2.into(), &1.into(), &2.into()));
}

#[test]
fn status_shows_routers_tables_and_refused_sources() {
    let db = TestDb::migrated();
    assert!(printed(&["status"], &db.url()).contains("no router has connected yet"));
    db.client().batch_execute(ROUTES).unwrap();
    rib_ingester::store::counts::correct(&mut db.client(), None).unwrap();
    printed(&["maintenance"], &db.url());
    let text = printed(&["status"], &db.url());
    let line = |parts: &[&str]| {
        let found = text.lines().find(|line| parts.iter().all(|part| line.contains(part)));
        found.unwrap_or_else(|| panic!("no line with {parts:?}:\n{text}"))
    };
    line(&["10.255.0.1", "192.0.2.1", "edge1\\u{1b}[31m", "4200000000", "collector-a", " 3 "]);
    line(&["10.255.0.2", "2001:db8::2", " - "]);
    line(&["10.255.0.1", "global", "IPv4", " 3 ", "EoR 3 min ago"]);
    line(&["10.255.0.2", "global", "IPv6", " 1 ", "no EoR, began 5 h ago"]);
    line(&["2001:db8::bad", "noted 1 time, last "]);
    line(&["    not in the allow-list; to admit it add 2001:db8::bad/128 to RIB_INGESTER_ALLOW"]);
    assert_eq!(text.lines().filter(|line| line.starts_with("route_events_")).count(), 2, "{text}");
    assert!(!text.contains('\u{1b}'), "{text:?}");
}

#[test]
fn status_says_which_routers_have_a_session() {
    let db = TestDb::migrated();
    db.client()
        .batch_execute(
            "INSERT INTO routers (router_id) VALUES ('r1'), ('r2'), ('r3'), ('r4'), ('r5');
             INSERT INTO collectors (collector_id, instance, alive_until, started_at, version) VALUES
                 ('here', gen_random_uuid(), now() + interval '1 hour', now(), '1'),
                 ('gone', gen_random_uuid(), now() - interval '1 second', now(), '1');
             INSERT INTO bmp_sessions (router_id, collector_id, state, since) VALUES
                 ('r1', 'here', 'up', now() - interval '3 hours'), ('r1', 'here', 'ended', now()),
                 ('r2', 'here', 'stale', now()), ('r3', 'gone', 'up', now()), ('r4', 'here', 'dumping', now()),
                 ('r4', 'here', 'stale', now())",
        )
        .unwrap();
    let status: serde_json::Value = serde_json::from_str(&printed(&["status", "--json"], &db.url())).unwrap();
    let states: Vec<&str> = (0..5).map(|i| status["routers"][i]["session_state"].as_str().unwrap_or("-")).collect();
    assert_eq!(states, ["up", "stale", "no collector", "dumping", "down"]);
    let text = printed(&["status"], &db.url());
    assert!(
        text.lines().any(|line| line.starts_with("up ") && line.contains("r1") && line.contains("3 h ago")),
        "{text}"
    );
}

#[test]
fn status_json_has_the_same_facts() {
    let db = TestDb::migrated();
    db.client().batch_execute(ROUTES).unwrap();
    printed(&["maintenance"], &db.url());
    let status: serde_json::Value = serde_json::from_str(&printed(&["status", "--json"], &db.url())).unwrap();
    let router = &status["routers"][0];
    assert_eq!((&router["router_id"], &router["as_number"]), (&"10.255.0.1".into(), &4_200_000_000_u64.into()));
    assert_eq!((&router["tables"][0]["routes"], &router["tables"][0]["eor_seen"]), (&3.into(), &true.into()));
    assert_eq!(status["routers"][1]["hostname"], serde_json::Value::Null);
    assert_eq!(status["partitions"].as_array().unwrap().len(), 2);
    assert_eq!(status["refused"][0]["address"], "2001:db8::bad");
}

/// The results in `doctor --json`, by check, and the exit code.
fn doctor(url: &str, vars: &[(&str, &str)]) -> (std::collections::BTreeMap<String, String>, Option<i32>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rib-ingester"));
    command.env_clear().args(["doctor", "--json"]).env("RIB_INGESTER_DATABASE_URL", url);
    let output = command.envs(vars.iter().copied()).output().unwrap();
    let checks: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
    let state = |check: &serde_json::Value| {
        let text = |key: &str| check[key].as_str().unwrap_or_default().to_owned();
        (text("check"), format!("{}: {}", text("state"), text("found")))
    };
    (checks.iter().map(state).collect(), output.status.code())
}

#[test]
fn doctor_reports_what_is_wrong_until_it_is_fixed() {
    let db = TestDb::create();
    let folder = std::env::temp_dir();
    let free = ("RIB_INGESTER_BMP_LISTEN", "127.0.0.1:0");
    let state = ("RIB_INGESTER_STATE_DIR", folder.to_str().unwrap());
    let (before, code) = doctor(&db.url(), &[free, state]);
    assert_eq!(code, Some(1), "{before:#?}");
    assert!(before["schema"].starts_with("fault: ") && before["schema"].contains("0001_routes"), "{before:#?}");
    assert!(before["partitions"].starts_with("warning: "), "{before:#?}");
    assert!(before["allow-list"].starts_with("warning: "), "{before:#?}");

    printed(&["migrate"], &db.url());
    printed(&["maintenance"], &db.url());
    let allow = ("RIB_INGESTER_ALLOW", "192.0.2.0/24");
    let (after, code) = doctor(&db.url(), &[free, state, allow]);
    assert!(after["environment"].contains("settings from this shell, not from the unit"), "{after:#?}");
    for check in [
        "BMP port",
        "allow-list",
        "state folder",
        "server",
        "role",
        "extension",
        "schema",
        "partitions",
        "routers",
        "clock",
    ] {
        assert!(after[check].starts_with("ok: "), "{check}: {after:#?}");
    }
    // The test's PostgreSQL may run without fsync, which is a fault.
    let faults = after.values().filter(|check| check.starts_with("fault: ")).count();
    assert_eq!(code, Some(i32::from(faults > 0)), "{after:#?}");

    // Commands refuse such an expression; SQL does not know it.
    db.client()
        .batch_execute("INSERT INTO watch.watches (name, kind, prefix, path_match) VALUES ('web', 'prefix', '192.0.2.0/24', '(64500')")
        .unwrap();
    let (unusable, _) = doctor(&db.url(), &[free, state, allow]);
    let found = &unusable["watches"];
    assert!(found.starts_with("warning: watch web: path_match ") && found.ends_with(": that is not judged"), "{found}");

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().to_string();
    let (busy, code) = doctor(&db.url(), &[("RIB_INGESTER_BMP_LISTEN", &taken), state]);
    assert!(code == Some(1) && busy["BMP port"].starts_with("fault: "), "{busy:#?}");

    let (nowhere, code) = doctor("host=127.0.0.1 port=1 user=x dbname=x password=hunter2", &[free]);
    assert!(code == Some(1) && nowhere["connection"].starts_with("fault: "), "{nowhere:#?}");
    assert!(nowhere.contains_key("file limit") && !format!("{nowhere:?}").contains("hunter2"), "{nowhere:#?}");

    let text = run(&["doctor"], &db.url());
    assert!(stdout(&text).lines().count() >= 12, "{}", stdout(&text));
    assert!(stdout(&text).lines().all(|line| line.chars().count() <= 100), "{}", stdout(&text));
}

#[test]
fn status_watch_looks_again_and_ends_with_its_reader() {
    let db = TestDb::migrated();
    let mut child = Command::new(env!("CARGO_BIN_EXE_rib-ingester"))
        .env_clear()
        .args(["status", "--watch=1"])
        .env("RIB_INGESTER_DATABASE_URL", db.url())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line == "no router has connected yet"));
    db.client().batch_execute(ROUTES).unwrap();
    assert!(lines.any(|line| line.starts_with("10.255.0.1")), "a later look shows what came in between");
    drop(lines);
    assert!(child.wait().unwrap().success());
}
