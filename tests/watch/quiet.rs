//! What opens no incident: a false alarm is as bad as one that is missing.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use super::world::World;

/// Two routers with the watched prefix, one of which originates it, judged once.
fn watched() -> World {
    let mut world = World::new();
    world.router(1);
    world.router(2);
    world.announce(1, "192.0.2.0/24", "");
    world.announce(2, "192.0.2.0/24", "64500 64496");
    world.watch_prefix("192.0.2.0/24");
    assert!(world.round().lines.is_empty());
    world
}

#[test]
fn own_prefixes_have_empty_paths() {
    let mut world = watched();
    world.announce(1, "192.0.2.128/25", "");
    world.announce(1, "192.0.2.0/24", "(65001 65002)");
    world.round();
    world.sql("UPDATE routers SET as_number = NULL");
    world.announce(1, "192.0.2.0/24", "");
    world.restart();
    assert!(world.incidents().is_empty(), "{:?}", world.incidents());
}

#[test]
fn several_origins_that_are_expected() {
    let mut world = watched();
    world.sql("UPDATE watch.watches SET expected_origins = '{64496,64511}'");
    world.round();
    world.announce(2, "192.0.2.0/24", "64500 64511");
    world.round();
    assert!(world.incidents().is_empty(), "{:?}", world.incidents());
}

#[test]
fn a_bmp_session_that_is_lost() {
    let mut world = watched();
    world.lose(1, "stale");
    world.note_session(1);
    world.round();
    // Whatever is purged then says nothing.
    world.withdraw(1, "192.0.2.0/24");
    world.sql("DELETE FROM rib_sync_status WHERE router_id = '10.0.0.1'");
    world.note_session(1);
    world.round();
    world.restart();
    assert!(world.incidents().is_empty(), "{:?}", world.incidents());
}

#[test]
fn a_router_that_sends_its_routes_again() {
    let mut world = watched();
    world.lose(1, "ended");
    world.withdraw(1, "192.0.2.0/24");
    world.router(1);
    world.sql(
        "UPDATE rib_sync_status SET synced_at = NULL; UPDATE bmp_sessions SET state = 'dumping' WHERE state = 'up'",
    );
    world.note_session(1);
    world.round();
    world.announce(1, "192.0.2.0/24", "");
    world.sql(
        "UPDATE rib_sync_status SET synced_at = now(); UPDATE bmp_sessions SET state = 'up' WHERE state = 'dumping'",
    );
    world.note_session(1);
    world.round();
    assert!(world.incidents().is_empty(), "{:?}", world.incidents());
}

#[test]
fn a_collector_that_restarts() {
    let mut world = watched();
    world.lose(1, "stale");
    world.lose(2, "stale");
    world.sql("UPDATE collectors SET alive_until = now() - interval '1 minute'");
    world.restart();
    world.sql("UPDATE collectors SET alive_until = now() + interval '1 day'");
    world.router(1);
    world.router(2);
    world.restart();
    assert!(world.incidents().is_empty(), "{:?}", world.incidents());
}

#[test]
fn a_silence() {
    let mut world = watched();
    world.sql(
        "INSERT INTO watch.silences (starts_at, ends_at, prefix, created_by, note)
         VALUES (now() - interval '1 hour', now() + interval '1 hour', '192.0.2.0/24', 'me', 'work')",
    );
    world.withdraw(1, "192.0.2.0/24");
    world.round();
    let gone = "GONE 192.0.2.0/24 at 1 of 2 routers (edge1), since T";
    assert_eq!(world.incidents(), [format!("open warning {gone}")]);
    assert!(world.told().is_empty(), "{:?}", world.told());
    world.sql("UPDATE watch.silences SET ended_at = now()");
    world.note_session(1);
    world.round();
    assert_eq!(world.told(), [format!("unsilenced {gone}")]);
    world.announce(1, "192.0.2.0/24", "");
    world.round();
    assert_eq!(world.told()[1..], [format!("closed OVER after D: {gone}")]);
}
