//! What opens an incident, once, and closes it, once, with the right text.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use super::world::World;

/// One router with the watched prefix, judged once.
fn watched() -> World {
    let mut world = World::new();
    world.router(1);
    world.announce(1, "192.0.2.0/24", "64500 64496");
    world.watch_prefix("192.0.2.0/24");
    let report = world.round();
    assert!(report.is_full && report.lines.is_empty(), "{report:?}");
    world
}

#[test]
fn a_withdrawal_and_its_end() {
    let mut world = watched();
    world.withdraw(1, "192.0.2.0/24");
    assert_eq!(world.round().lines.len(), 1);
    let gone = "GONE 192.0.2.0/24 at 1 of 1 router (edge1), since T";
    assert_eq!(world.incidents(), [format!("open critical {gone}")]);
    assert!(world.round().lines.is_empty());
    assert!(world.restart().lines.is_empty());
    world.announce(1, "192.0.2.0/24", "64500 64496");
    world.round();
    assert_eq!(world.incidents(), [format!("closed critical OVER after D: {gone}")]);
    assert_eq!(world.told(), [format!("opened {gone}"), format!("closed OVER after D: {gone}")]);
    assert_eq!(world.rows("SELECT count(*) FROM watch.conditions"), ["0"]);
}

#[test]
fn a_hijack_seen_before_policy_only() {
    let mut world = watched();
    world.receive(1, "192.0.2.0/24", "64500 64511");
    world.round();
    let hijack = "HIJACK? 192.0.2.0/24 origin AS64511, expected AS64496; 1 of 1 router (edge1), before policy only, path \
                  64500 64511, since T";
    assert_eq!(world.incidents(), [format!("open critical {hijack}")]);
    world.sql("DELETE FROM adj_rib_in");
    world.withdraw(1, "203.0.113.0/24");
    assert!(world.round().lines.is_empty(), "nobody said that it went");
    world.announce(1, "192.0.2.0/24", "64500 64496");
    world.round();
    assert_eq!(world.told(), [format!("opened {hijack}"), format!("closed OVER after D: {hijack}")]);
}

#[test]
fn a_more_specific_hijack() {
    let mut world = watched();
    world.sql("INSERT INTO names.as_names (asn, name) VALUES (64511, 'Example <b>')");
    world.announce(1, "192.0.2.128/25", "64500 64511");
    world.round();
    let hijack = "MORE SPECIFIC 192.0.2.128/25 of 192.0.2.0/24 origin AS64511 (Example b), expected AS64496; 1 of 1 router \
                  (edge1), path 64500 64511, since T";
    assert_eq!(world.incidents(), [format!("open critical {hijack}")]);
    world.withdraw(1, "192.0.2.128/25");
    world.round();
    assert_eq!(world.told(), [format!("opened {hijack}"), format!("closed OVER after D: {hijack}")]);
}

#[test]
fn a_session_that_is_down() {
    let mut world = World::new();
    world.router(1);
    world.peer(1, "198.51.100.1", "up", "");
    world.watch("peer", "kind, peer_address", "'session', '198.51.100.1'");
    world.round();
    world.peer(1, "198.51.100.1", "down", "Hold Timer Expired");
    world.round();
    let down = "PEER DOWN edge1 198.51.100.1 AS64500 (Example): Hold Timer Expired, since T, 1,000 routes gone";
    assert_eq!(world.incidents(), [format!("open critical {down}")]);
    world.peer(1, "198.51.100.1", "up", "");
    world.round();
    assert_eq!(world.told(), [format!("opened {down}"), format!("closed OVER after D: {down}")]);
}

#[test]
fn a_router_that_reports_nothing() {
    let mut world = watched();
    world.watch("edge1", "kind, router_id", "'router', '10.0.0.1'");
    world.round();
    world.lose(1, "stale");
    world.note_session(1);
    world.round();
    let down = "NOT WATCHED edge1, 1 watch unknown, since T";
    assert_eq!(world.incidents(), [format!("open warning {down}")]);
    world.router(1);
    world.note_session(1);
    world.round();
    assert_eq!(world.told(), [format!("opened {down}"), format!("closed OVER after D: {down}")]);
}
