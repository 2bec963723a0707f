//! `status` and `lookup` on terminals, and `status` of many routers.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::fs::File;
use std::io::Read;
use std::process::{Command, Output};

use crate::common::pg::TestDb;
use nix::pty::{OpenptyResult, Winsize, openpty};

fn command(db: &TestDb, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rib-ingester"));
    command.env_clear().args(arguments).env("RIB_INGESTER_DATABASE_URL", db.url());
    command
}

fn output(db: &TestDb, arguments: &[&str]) -> Output {
    command(db, arguments).output().unwrap()
}

/// The output of a command into a pipe, when it succeeds.
fn printed(db: &TestDb, arguments: &[&str]) -> String {
    let output = output(db, arguments);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The output of a command on a terminal of this many columns.
fn on_terminal(mut command: Command, columns: u16) -> String {
    let size = Winsize { ws_row: 25, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let OpenptyResult { master: terminal, slave: inner } = openpty(&size, None).unwrap();
    let mut child = command.stdout(inner).spawn().unwrap();
    // This process's own handle of the inner end is closed once the command runs, so that the end can be read.
    drop(command);
    let mut out = Vec::new();
    // Linux returns EIO when no process has the inner end open any more.
    let end = File::from(terminal).read_to_end(&mut out);
    assert!(child.wait().unwrap().success(), "{end:?}");
    String::from_utf8(out).unwrap().replace("\r\n", "\n")
}

fn widest(text: &str) -> usize {
    text.lines().map(|line| line.chars().count()).max().unwrap()
}

#[test]
fn a_terminals_width_is_used_and_a_pipe_is_never_cut() {
    let db = TestDb::migrated();
    let (name, path) = ("edge-of-the-network-".repeat(12), vec!["4200000001"; 30].join(" "));
    db.client()
        .batch_execute(&format!(
            "INSERT INTO routers (router_id, hostname, router_ip) VALUES ('10.255.0.1', '{name}', '192.0.2.1');
             INSERT INTO current_routes (router_id, table_name, afi, prefix, as_path) VALUES ('10.255.0.1', 'global', 4, '10.0.0.0/8', '{path}')"
        ))
        .unwrap();
    for (columns, want) in [(80, 80), (132, 132), (0, 240)] {
        let text = on_terminal(command(&db, &["status"]), columns);
        assert!(widest(&text) == want || columns == 0 && widest(&text) > want, "{columns}: {}\n{text}", widest(&text));
    }
    let mut told = command(&db, &["status"]);
    told.env("COLUMNS", "120");
    assert_eq!(widest(&on_terminal(told, 80)), 120);
    let piped = String::from_utf8(command(&db, &["status"]).env("COLUMNS", "80").output().unwrap().stdout).unwrap();
    assert!(piped.contains(&name) && !piped.contains('…'), "{piped}");

    // Sentences are wrapped; a value is one word.
    let text = on_terminal(command(&db, &["config"]), 80);
    let sentences = text.lines().filter(|line| line.starts_with("    ")).collect::<Vec<_>>().join("\n");
    assert!((70..=80).contains(&widest(&sentences)), "{sentences}");

    let text = on_terminal(command(&db, &["lookup", "10.1.2.3"]), 80);
    assert!(widest(&text) <= 80 && !text.contains('…'), "{text}");
    assert_eq!(text.split_whitespace().filter(|word| *word == "4200000001").count(), 30, "{text}");
    assert!(printed(&db, &["lookup", "10.1.2.3"]).contains(&path));
}

/// Two live collectors and one that is down; a router of each state; stale routes of collector `here` are kept for 900
/// s.
const ROUTERS: &str = "
    INSERT INTO collectors (collector_id, instance, alive_until, started_at, version, stale_routes_secs, mass_loss_stale_secs) VALUES
        ('here', gen_random_uuid(), now() + interval '1 hour', now(), '1', 900, 3600),
        ('there', gen_random_uuid(), now() + interval '1 hour', now(), '1', NULL, NULL),
        ('gone', gen_random_uuid(), now() - interval '1 minute', now(), '1', 900, 3600);
    INSERT INTO routers (router_id, hostname, router_ip, as_number, last_seen) VALUES
        ('10.0.0.10', 'up', '192.0.2.10', 64500, now()), ('10.0.0.9', 'elsewhere', '192.0.2.9', 64500, now()),
        ('2001:db8::1', 'dead', NULL, NULL, now()), ('9.0.0.1', 'Lost', '192.0.2.1', 64501, now()),
        ('core', 'lost', NULL, NULL, now()), ('9.0.0.2', NULL, '192.0.2.2', NULL, now() - interval '3 days'),
        ('10.0.0.2', 'most', NULL, NULL, now());
    INSERT INTO router_owner (router_id, collector_id, epoch) VALUES
        ('10.0.0.10', 'here', 1), ('10.0.0.9', 'there', 1), ('2001:db8::1', 'gone', 1), ('9.0.0.1', 'here', 1), ('core', 'there', 1),
        ('9.0.0.2', 'here', 1), ('10.0.0.2', 'here', 1);
    INSERT INTO bmp_sessions (router_id, collector_id, source, state, since, reason) VALUES
        ('10.0.0.10', 'here', '192.0.2.10', 'up', now() - interval '1 day', NULL),
        ('10.0.0.10', 'here', '192.0.2.10', 'dumping', now() - interval '2 days', NULL),
        ('10.0.0.9', 'there', '192.0.2.9', 'up', now() - interval '1 day', NULL),
        ('2001:db8::1', 'gone', NULL, 'up', now() - interval '1 day', NULL),
        ('9.0.0.1', 'here', '192.0.2.1', 'stale', '2026-01-02 03:04:05+00', 'connection reset'),
        ('9.0.0.1', 'here', '192.0.2.1', 'ended', now(), 'superseded'),
        ('10.0.0.2', 'here', '192.0.2.2', 'isolated', '2026-01-02 03:04:05+00', 'with most others');
    INSERT INTO rib_sync_status (router_id, table_name, afi, stale_since) VALUES
        ('9.0.0.1', 'global', 4, '2026-01-02 03:04:05+00'), ('10.0.0.2', 'global', 4, '2026-01-02 03:04:05+00');
    INSERT INTO adj_rib_in_sync_status (router_id, peer_address, is_post_policy, table_name, afi, stale_since) VALUES
        ('9.0.0.1', '192.0.2.7', false, 'UNKNOWN', 4, '2026-01-02 03:05:05+00'), ('core', '192.0.2.7', false, 'UNKNOWN', 4, now());
    INSERT INTO current_routes (router_id, table_name, afi, prefix) VALUES
        ('9.0.0.1', 'global', 4, '10.0.0.0/8'), ('9.0.0.1', 'global', 4, '10.1.0.0/16'), ('10.0.0.10', 'global', 4, '10.1.0.0/16');
    INSERT INTO route_counts VALUES ('9.0.0.1', 'loc-rib', '0.0.0.0', false, 'global', 4, 2), ('10.0.0.10', 'loc-rib', '0.0.0.0', false, 'global', 4, 1);
    INSERT INTO peers (router_id, peer_type, peer_address, peer_asn, state, last_reason, since)
        VALUES ('9.0.0.1', 'global', '192.0.2.7', 64777, 'down', 'hold timer', '2026-01-02 03:04:05+00')";

/// The first two columns of the lines below a title.
fn listed(text: &str, title: &str) -> Vec<String> {
    let lines = text.lines().skip_while(|line| *line != title).skip(2).take_while(|line| !line.is_empty());
    lines
        .map(|line| {
            line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).take(2).collect::<Vec<_>>().join("|")
        })
        .collect()
}

#[test]
fn all_routers_are_summed_up_and_sorted_as_addresses() {
    let db = TestDb::migrated();
    db.client().batch_execute(ROUTERS).unwrap();
    let text = printed(&db, &["status"]);
    let summary = "7 routers: 1 up, 1 dumping, 2 stale (routes expire from 2026-01-02 03:20:05 UTC), \
                   1 isolated (routes expire from 2026-01-02 04:04:05 UTC), 1 no collector, 1 down";
    assert_eq!(text.lines().next().unwrap(), summary);
    let sorted = [
        "stale|9.0.0.1",
        "down|9.0.0.2",
        "isolated|10.0.0.2",
        "up|10.0.0.9",
        "dumping|10.0.0.10",
        "no collector|2001:db8::1",
        "stale|core",
    ];
    assert_eq!(listed(&text, "ROUTERS"), sorted, "{text}");
    // A router that is connected to another collector is connected.
    let there = text.lines().find(|line| line.contains("elsewhere")).unwrap();
    assert!(there.starts_with("up ") && there.contains(" there"), "{there}");
    let json: serde_json::Value = serde_json::from_str(&printed(&db, &["status", "--json"])).unwrap();
    assert_eq!((&json["summary"]["routers"], &json["summary"]["by_state"]["stale"]), (&7.into(), &2.into()));
    assert_eq!(json["routers"][0]["expires_at"], "2026-01-02T03:20:05.000000Z");
    assert_eq!(json["routers"][6]["expires_at"], serde_json::Value::Null, "nobody says when");
}

#[test]
fn only_disconnected_routers_are_shown_on_request() {
    let db = TestDb::migrated();
    assert!(printed(&db, &["status", "--down"]).contains("no router has connected yet"));
    db.client().batch_execute(ROUTERS).unwrap();
    let text = printed(&db, &["status", "--down"]);
    assert!(text.starts_with("7 routers: 1 up, "), "{text}");
    let sorted = ["stale|9.0.0.1", "down|9.0.0.2", "isolated|10.0.0.2", "no collector|2001:db8::1", "stale|core"];
    assert_eq!(listed(&text, "NOT CONNECTED"), sorted, "{text}");
    let json: serde_json::Value = serde_json::from_str(&printed(&db, &["status", "--down", "--json"])).unwrap();
    assert_eq!(json["routers"].as_array().unwrap().len(), 5);
    assert_eq!((&json["summary"]["routers"], &json["routers"][0]["tables"][0]["routes"]), (&7.into(), &2.into()));
    db.client().batch_execute("DELETE FROM routers WHERE router_id NOT IN ('10.0.0.9', '10.0.0.10')").unwrap();
    assert!(printed(&db, &["status", "--down"]).contains("all routers are connected"));
}

#[test]
fn a_router_is_shown_by_identifier_name_or_address() {
    let db = TestDb::migrated();
    db.client().batch_execute(ROUTERS).unwrap();
    for name in ["9.0.0.1", "192.0.2.1"] {
        let text = printed(&db, &["status", name]);
        let title = "9.0.0.1 (Lost): stale since 2026-01-02 03:04:05 UTC (";
        assert!(
            text.starts_with(title) && text.contains("ago), its routes expire at 2026-01-02 03:20:05 UTC\n"),
            "{text}"
        );
        assert!(text.contains("  reason        connection reset\n"), "{text}");
        assert_eq!(listed(&text, "SESSIONS"), ["stale|here", "ended|here"], "{text}");
        assert_eq!(listed(&text, "TABLES"), ["9.0.0.1|global"], "{text}");
        assert_eq!(listed(&text, "PEERS"), ["down|192.0.2.7"], "{text}");
        assert!(
            text.contains("stale since") && text.contains("hold timer") && text.contains("adj-rib-in-pre"),
            "{text}"
        );
        assert!(!text.contains("10.0.0.10"), "{text}");
    }
    // Two routers have this name.
    let both = printed(&db, &["status", "LOST"]);
    assert!(both.starts_with("9.0.0.1 (Lost): ") && both.contains("\ncore (lost): stale since "), "{both}");
    let json: serde_json::Value = serde_json::from_str(&printed(&db, &["status", "--json", "9.0.0.1"])).unwrap();
    let router = &json["routers"][0];
    assert_eq!((&router["session_state"], &router["tables"][0]["routes"]), (&"stale".into(), &2.into()));
    assert_eq!((&router["peers"][0]["asn"], &router["sessions"][1]["state"]), (&64_777.into(), &"ended".into()));
    assert_eq!(
        (&router["adj_ribs"][0]["peers"], &router["stale_since"]),
        (&1.into(), &"2026-01-02T03:04:05.000000Z".into())
    );

    // Peers with the same address in two VRFs are told apart.
    assert!(router["peers"][0]["distinguisher"].is_null() && !both.contains("distinguisher"), "{both}");
    db.client()
        .batch_execute(
            "INSERT INTO peers (router_id, peer_type, distinguisher, peer_address, peer_asn, state, since)
             VALUES ('9.0.0.1', 'rd', '64500:1', '192.0.2.7', 64777, 'down', now())",
        )
        .unwrap();
    let text = printed(&db, &["status", "9.0.0.1"]);
    let peers = text.lines().skip_while(|line| *line != "PEERS").skip(2);
    let rds: Vec<&str> = peers.filter_map(|line| line.split_whitespace().nth(2)).collect();
    assert_eq!(rds, ["-", "64500:1"], "{text}");
    let json: serde_json::Value = serde_json::from_str(&printed(&db, &["status", "--json", "9.0.0.1"])).unwrap();
    assert_eq!(json["routers"][0]["peers"][1]["distinguisher"], "64500:1");

    let nobody = output(&db, &["status", "nobody"]);
    assert_eq!((nobody.status.code(), nobody.stdout.len()), (Some(1), 0), "{nobody:?}");
    assert!(String::from_utf8_lossy(&nobody.stderr).contains("no router is called nobody"), "{nobody:?}");
}

#[test]
fn tables_of_other_families_are_shown() {
    let db = TestDb::migrated();
    db.client().batch_execute(ROUTERS).unwrap();
    assert!(!printed(&db, &["status"]).contains("OTHER FAMILIES"));
    db.client()
        .batch_execute(
            "INSERT INTO nlri_loc_rib_sync_status (router_id, table_name, afi, synced_at, last_parsed_msg_time)
                 VALUES ('10.0.0.10', 'global|nlri:25/70', 6, now(), now() - interval '5 minutes');
             INSERT INTO nlri_adj_rib_in_sync_status (router_id, peer_address, is_post_policy, table_name, afi, synced_at, stale_since) VALUES
                 ('9.0.0.1', '192.0.2.7', false, 'UNKNOWN|nlri:1/132', 6, now(), NULL),
                 ('9.0.0.1', '192.0.2.8', false, 'UNKNOWN|nlri:1/132', 6, NULL, now());
             INSERT INTO nlri_route_counts VALUES
                 ('10.0.0.10', 'nlri-loc-rib', '0.0.0.0', false, 'global|nlri:25/70', 6, 1234),
                 ('9.0.0.1', 'nlri-adj-rib-in', '192.0.2.7', false, 'UNKNOWN|nlri:1/132', 6, 4),
                 ('9.0.0.1', 'nlri-adj-rib-in', '192.0.2.8', false, 'UNKNOWN|nlri:1/132', 6, 3)",
        )
        .unwrap();
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ");
    let text = printed(&db, &["status"]);
    let lines: Vec<String> =
        text.lines().skip_while(|line| *line != "TABLES OF OTHER FAMILIES").skip(2).take(2).map(words).collect();
    let loc_rib = "10.0.0.10 loc-rib global|nlri:25/70 - 1/1 0 1234 5 min ago";
    assert_eq!(lines, [loc_rib, "9.0.0.1 adj-rib-in-pre UNKNOWN|nlri:1/132 2 1/2 1 7 -"], "{text}");
    // The routes to prefixes are counted as before, those of other families beside them.
    let router = words(text.lines().find(|line| line.contains(" 9.0.0.1 ")).unwrap());
    assert!(text.contains("other families") && router.contains(" Lost 64501 4 2 7 "), "{router}");
    let one = printed(&db, &["status", "9.0.0.1"]);
    assert!(one.contains("TABLES OF OTHER FAMILIES") && !one.contains("25/70"), "{one}");
    let json: serde_json::Value = serde_json::from_str(&printed(&db, &["status", "--json"])).unwrap();
    let tables: Vec<_> = json["nlri_tables"].as_array().unwrap().iter().map(|one| &one["routes"]).collect();
    assert_eq!(tables, [&serde_json::json!(1234), &serde_json::json!(7)]);
    let (first, table) = (&json["routers"][0], &json["nlri_tables"][1]);
    assert_eq!(
        (&first["routes"], &first["nlri_routes"], &table["afi"], &table["safi"]),
        (&2.into(), &7.into(), &1.into(), &132.into())
    );
    let json: serde_json::Value = serde_json::from_str(&printed(&db, &["status", "--json", "9.0.0.1"])).unwrap();
    assert_eq!(json["routers"][0]["nlri_tables"][0]["peers"], 2);
}
