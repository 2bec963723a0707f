//! Watches of an AS: what it originates.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::time::Instant;

use postgres::Client;
use rib_ingester::store::watch::operator::{Author, IncidentChange, change};

use super::world::World;

/// Two routers with two prefixes of AS 64496, one of them the router's own, judged once. What they accept was told, and
/// is deleted, so that tests see what comes after it.
fn watched(columns: &str, values: &str) -> World {
    let mut world = World::new();
    world.router(1);
    world.router(2);
    world.announce(1, "192.0.2.0/24", "64500 64496");
    world.announce(2, "198.51.100.0/24", "");
    world.announce(1, "203.0.113.0/24", "64500 64497");
    world.watch("ours", &format!("kind, asn{columns}"), &format!("'origin', 64496{values}"));
    let line = "BASELINE AS64496 originates 2 prefixes, now accepted: 192.0.2.0/24, 198.51.100.0/24";
    world.round();
    assert_eq!(take_told(&mut world), [format!("closed info opened {line}")]);
    assert!(world.round().lines.is_empty());
    world
}

/// Takes all incidents, each with its events that callbacks are told of.
fn take_told(world: &mut World) -> Vec<String> {
    let told = world.rows(
        "SELECT concat_ws(' ', i.state, i.severity, e.event, i.summary) FROM watch.incidents i
         LEFT JOIN watch.incident_events e ON e.incident_id = i.id AND e.is_told ORDER BY e.id",
    );
    world.sql("DELETE FROM watch.incidents");
    told
}

fn accepted(world: &World) -> Vec<String> {
    world.rows("SELECT prefix FROM watch.accepted_prefixes ORDER BY 1")
}

fn accept(client: &mut Client, id: i64) -> String {
    let author = Author { who: "ada", note: None };
    change(client, id, IncidentChange::Accept, author).unwrap().unwrap()
}

#[test]
fn a_new_prefix_and_its_end() {
    let mut world = watched("", "");
    // What was there is no news, at whichever router.
    world.announce(2, "192.0.2.0/24", "64500 64496");
    world.announce(1, "198.51.100.0/24", "64496");
    world.round();
    assert!(world.incidents().is_empty(), "{:?}", world.incidents());
    world.announce(1, "10.1.0.0/16", "64500 64496");
    world.round();
    let new = "NEW PREFIX 10.1.0.0/16 from AS64496; 1 of 2 routers (edge1), path 64500 64496, since T";
    assert_eq!(world.incidents(), [format!("open warning {new}")]);
    assert_eq!(world.restart().missed, 0);
    world.withdraw(1, "10.1.0.0/16");
    world.round();
    assert_eq!(world.told(), [format!("opened {new}"), format!("closed OVER after D: {new}")]);
    assert_eq!(world.restart().missed, 0);
    // A router's own, and the same from elsewhere.
    world.announce(2, "10.2.0.0/16", "");
    world.announce(2, "10.3.0.0/16", "64500 64511");
    world.announce(2, "10.4.0.0/16", "64496 64511");
    world.round();
    assert_eq!(world.restart().missed, 0);
    let open = world.rows("SELECT subject FROM watch.incidents WHERE state = 'open'");
    assert_eq!(open, ["10.2.0.0/16 AS64496"]);
    world.announce(2, "10.2.0.0/16", "64500 64511");
    world.round();
    assert!(world.rows("SELECT 1 FROM watch.incidents WHERE state = 'open'").is_empty());
}

#[test]
fn a_prefix_that_is_accepted() {
    let mut world = watched("", "");
    let matched = |world: &World| world.rows("SELECT version FROM watch.trie_version");
    let version = matched(&world);
    world.announce(1, "10.1.0.0/16", "64500 64496");
    world.round();
    assert_ne!(matched(&world), version, "writers look for the prefix from now on");
    let mut client = world.db.client();
    let id = client.query_one("SELECT id FROM watch.incidents", &[]).unwrap().get(0);
    let text = accept(&mut client, id);
    assert_eq!(text, "accepted: watch \"ours\" knows from now on that its AS originates 10.1.0.0/16");
    world.round();
    assert_eq!(world.rows("SELECT state FROM watch.incidents"), ["closed"]);
    assert_eq!(accepted(&world), ["10.1.0.0/16", "192.0.2.0/24", "198.51.100.0/24"]);
    // The baseline is not taken again.
    world.announce(1, "10.2.0.0/16", "64496");
    world.sql("UPDATE watch.watches SET note = 'x', accepted_at = now()");
    world.round();
    assert_eq!(world.rows("SELECT count(*) FROM watch.accepted_prefixes"), ["3"]);
    // Another AS has others.
    world.sql("UPDATE watch.watches SET asn = 64497");
    world.round();
    assert_eq!(accepted(&world), ["203.0.113.0/24"]);
}

#[test]
fn a_hijack_of_what_it_originates() {
    let mut world = watched(", expected_origins", ", '{64498}'");
    world.announce(1, "192.0.2.0/24", "64500 64498");
    world.announce(1, "10.1.0.0/16", "64500 64511");
    world.round();
    assert!(world.incidents().is_empty(), "{:?}", world.incidents());
    world.receive(2, "192.0.2.0/24", "64500 64511");
    world.sql("UPDATE adj_rib_in SET communities_std = '{65535:666}'");
    world.round();
    let hijack = "HIJACK? 192.0.2.0/24 origin AS64511, expected AS64496, AS64498; 1 of 2 routers (edge2), before policy \
                  only, path 64500 64511, since T";
    assert_eq!(world.incidents(), [format!("open critical {hijack}")]);
    assert_eq!(world.restart().missed, 0);
    world.withdraw(2, "192.0.2.0/24");
    world.round();
    assert_eq!(world.told()[1..], [format!("closed OVER after D: {hijack}")]);
}

#[test]
fn ases_beside_the_as() {
    let mut world = watched(", expected_upstreams, expected_downstreams", ", '{64500}', '{64497}'");
    for path in ["64499 64500 64496 64496", "64496", "(65001 65002) 64500 64496"] {
        world.announce(1, "192.0.2.0/24", path);
    }
    world.announce(1, "203.0.113.0/24", "64500 64496 64497 64511");
    world.round();
    assert_eq!(world.restart().missed, 0);
    assert!(world.incidents().is_empty(), "{:?}", world.incidents());
    world.announce(1, "192.0.2.0/24", "64499 64496");
    world.announce(1, "203.0.113.0/24", "64500 64496 64511");
    world.round();
    assert_eq!(world.restart().missed, 0);
    let lines = [
        "open warning DOWNSTREAM AS64511 in the path of 203.0.113.0/24, expected AS64497; 1 of 2 routers (edge1), path 64500 \
         64496 64511, since T",
        "open warning UPSTREAM 192.0.2.0/24 behind AS64499, expected AS64500; 1 of 2 routers (edge1), path 64499 64496, since T",
    ];
    assert_eq!(world.incidents(), lines);
    world.announce(1, "192.0.2.0/24", "64500 64496");
    world.withdraw(1, "203.0.113.0/24");
    world.round();
    assert_eq!(world.rows("SELECT DISTINCT state FROM watch.incidents"), ["closed"]);
    assert_eq!(world.restart().missed, 0);
}

#[test]
fn watches_of_prefixes_judge_their_own() {
    let mut world = watched("", "");
    world.sql(
        "INSERT INTO watch.watches (team, name, kind, prefix, expected_origins, conditions, settle_secs, open_after_secs)
         VALUES (NULL, 'expected', 'prefix', '10.1.0.0/16', '{64496}', '{}', 0, 0),
                (NULL, 'default', 'prefix', '0.0.0.0/0', NULL, '{missing}', 0, 0),
                ('other', 'theirs', 'prefix', '10.2.0.0/16', '{64496}', '{}', 0, 0)",
    );
    world.round();
    world.announce(1, "10.1.0.0/16", "64500 64496");
    world.announce(1, "10.1.1.0/24", "64500 64496");
    world.round();
    assert_eq!(world.restart().missed, 0);
    assert!(world.incidents().is_empty(), "{:?}", world.incidents());
    // No team's watch silences the operator's, and one of the default route expects nothing else.
    world.announce(1, "10.2.0.0/16", "64500 64496");
    world.round();
    assert_eq!(world.rows("SELECT subject FROM watch.incidents"), ["10.2.0.0/16 AS64496"]);
    // Without the expectation it is new.
    world.sql("UPDATE watch.incidents SET opened_at = opened_at - interval '1 hour'; DELETE FROM watch.watches WHERE name = 'expected'");
    world.round();
    let open = world.rows("SELECT subject FROM watch.conditions ORDER BY subject");
    assert_eq!(open, ["10.1.0.0/16 AS64496", "10.1.1.0/24 AS64496", "10.2.0.0/16 AS64496"]);
    world.sql(
        "INSERT INTO watch.watches (name, kind, prefix, expected_origins, conditions, settle_secs)
         VALUES ('again', 'prefix', '10.1.0.0/16', '{64496}', '{}', 0)",
    );
    world.round();
    assert_eq!(world.rows("SELECT subject FROM watch.conditions"), ["10.2.0.0/16 AS64496"]);
}

#[test]
fn nothing_is_new_where_nothing_was_known() {
    let mut world = watched("", "");
    world.sql("UPDATE routers SET as_number = NULL WHERE router_id = '10.0.0.2'");
    world.restart();
    world.announce(2, "10.1.0.0/16", "");
    world.announce(1, "10.2.0.0/16", "64500 {64496}");
    world.round();
    // Mitigated prefixes are not there for long.
    world.announce(1, "10.3.0.1/32", "64500 64496");
    world.sql("UPDATE current_routes SET communities_std = '{65535:666}' WHERE prefix = '10.3.0.1/32'");
    world.round();
    world.restart();
    assert!(world.incidents().is_empty(), "{:?}", world.incidents());
    // A router that was not there when the watch was made; its dump is not complete.
    world.router(3);
    world.sql("UPDATE rib_sync_status SET synced_at = NULL WHERE router_id = '10.0.0.3'; UPDATE bmp_sessions SET state = 'dumping' WHERE router_id = '10.0.0.3'");
    world.announce(3, "10.4.0.0/16", "64500 64496");
    world.note_session(3);
    world.round();
    world.announce(3, "10.5.0.0/16", "64500 64496");
    world.round();
    world.sql("UPDATE rib_sync_status SET synced_at = now(); UPDATE bmp_sessions SET state = 'up'");
    world.note_session(3);
    let line = "BASELINE AS64496 originates 2 prefixes, now accepted: 10.4.0.0/16, 10.5.0.0/16";
    world.round();
    assert_eq!(take_told(&mut world), [format!("closed info opened {line}")]);
    world.announce(3, "10.6.0.0/16", "64500 64496");
    world.round();
    assert_eq!(world.rows("SELECT subject FROM watch.incidents"), ["10.6.0.0/16 AS64496"]);
    // Its session is lost: what goes meanwhile says nothing.
    world.lose(3, "stale");
    world.note_session(3);
    world.withdraw(3, "10.6.0.0/16");
    world.round();
    assert_eq!(world.rows("SELECT state FROM watch.incidents"), ["open"]);
    world.router(3);
    world.note_session(3);
    world.round();
    assert_eq!(world.rows("SELECT state FROM watch.incidents"), ["closed"]);
}

#[test]
fn what_ases_of_one_source_originate_is_one_message() {
    let mut world = World::new();
    world.router(1);
    for (prefix, asn) in [("192.0.2.0/24", 64496), ("198.51.100.0/24", 64496), ("203.0.113.0/24", 64497)] {
        world.announce(1, prefix, &format!("64500 {asn}"));
    }
    for (name, asn) in [("a", 64496), ("b", 64497), ("silent", 64498)] {
        world.watch(name, "kind, asn, source", &format!("'origin', {asn}, 'list.csv'"));
    }
    world.round();
    let line = "BASELINE list.csv: 2 ASes originate 3 prefixes, now accepted: AS64496 2, AS64497 1";
    assert_eq!(take_told(&mut world), [format!("closed info opened {line}")]);
    // Of what is silenced, nobody is told.
    world.watch("c", "kind, asn, source", "'origin', 64500, 'list.csv'");
    world.sql(
        "INSERT INTO watch.silences (starts_at, ends_at, watch_id, created_by, note)
         SELECT now(), now() + interval '1 hour', id, 'ada', 'renumbering' FROM watch.watches WHERE name = 'c'",
    );
    world.announce(1, "10.0.0.0/24", "64500");
    world.round();
    let line = "BASELINE AS64500 originates 1 prefix, now accepted: 10.0.0.0/24";
    assert_eq!(take_told(&mut world), [format!("closed info {line}")]);
}

#[test]
fn a_transit_as_with_20_000_prefixes() {
    let mut world = World::new();
    world.router(1);
    world.sql(
        "INSERT INTO current_routes (router_id, table_name, afi, prefix, as_path, origin_asn)
         SELECT '10.0.0.1', 'global', 4, set_masklen('20.0.0.0'::inet + i * 256, 24)::cidr,
                CASE WHEN i <= 20000 THEN '64500 64496' ELSE '64500 64496 64497' END,
                CASE WHEN i <= 20000 THEN 64496 ELSE 64497 END
         FROM generate_series(1, 40000) AS i;
         ANALYZE current_routes",
    );
    world.watch(
        "transit",
        "kind, asn, expected_upstreams, expected_downstreams",
        "'origin', 64496, '{64500}', '{64497}'",
    );
    let began = Instant::now();
    let lines = world.round().lines;
    eprintln!("baseline: {:?}", began.elapsed());
    assert!(lines[0].contains("opened, info: BASELINE AS64496 originates 20,000 prefixes"), "{lines:?}");
    let began = Instant::now();
    let report = world.restart();
    eprintln!("full evaluation: {:?}", began.elapsed());
    assert!(report.is_full && report.missed == 0 && report.lines.is_empty(), "{report:?}");
    world.announce(1, "10.1.0.0/16", "64500 64496");
    world.announce(1, "20.0.1.0/24", "64500 64511");
    let began = Instant::now();
    assert_eq!(world.round().lines.len(), 2);
    eprintln!("two prefixes: {:?}", began.elapsed());
    assert_eq!(world.restart().missed, 0);
}
