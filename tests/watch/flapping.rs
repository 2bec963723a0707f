//! What comes and goes too often, and what does not.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use super::world::World;

/// Two routers with the watched prefix.
fn watched() -> World {
    let mut world = World::new();
    for number in [1, 2] {
        world.router(number);
        world.announce(number, "192.0.2.0/24", "64500 64496");
    }
    world.watch_prefix("192.0.2.0/24");
    assert!(world.round().lines.is_empty());
    world
}

/// Counts changes of the prefix some minutes ago, as a collector does.
fn count(world: &mut World, number: u32, rib: &str, minutes_ago: u32, changes: u32) {
    let peer = if rib == "loc-rib" { "NULL" } else { "'198.51.100.1'" };
    world.sql(&format!(
        "INSERT INTO watch.flap_counts
             (router_id, table_name, rib, peer_address, prefix, minute, as_path, announced, withdrawn)
         VALUES ('10.0.0.{number}', 'global', '{rib}', {peer}, '192.0.2.0/24',
             date_trunc('minute', now()) - interval '{minutes_ago} minutes', '64500 64496', {changes}, 0)"
    ));
}

const FLAPS: &str = "FLAPPING 192.0.2.0/24: 31 changes in 10 min at 1 of 2 routers (edge1), path 64500 64496, since T";

#[test]
fn a_prefix_that_flaps_and_is_quiet_again() {
    let mut world = watched();
    count(&mut world, 1, "loc-rib", 1, 21);
    count(&mut world, 1, "loc-rib", 2, 10);
    world.restart();
    assert_eq!(world.incidents(), [format!("open warning {FLAPS}")]);
    let found = world.db.rows(
        "SELECT detail->>'total_path_changes', detail->'rate_sec_history'->>-2, detail->'path_history'->0->>'ac'
         FROM watch.incidents",
    );
    assert_eq!(found, ["31|1|31"]);
    // Its other conditions are its children; a hijack has no harmless cause.
    world.withdraw(1, "192.0.2.0/24");
    world.announce(2, "192.0.2.0/24", "64500 64511");
    world.round();
    let of_parent = world.rows("SELECT condition, parent_id IS NOT NULL FROM watch.incidents ORDER BY condition");
    assert_eq!(of_parent, ["flapping|f", "missing|t", "origin|f"]);
    assert_eq!(world.told().len(), 2, "{:?}", world.told());
    world.announce(2, "192.0.2.0/24", "64500 64496");
    world.pass_secs(600);
    world.round();
    assert_eq!(world.rows("SELECT state FROM watch.incidents WHERE condition = 'flapping'"), ["open"]);
    world.pass_secs(400);
    world.round();
    assert_eq!(world.rows("SELECT state FROM watch.incidents WHERE condition = 'flapping'"), ["closed"]);
    // What still holds is told now.
    world.sql("UPDATE watch.outbox SET cause = cause");
    world.withdraw(1, "203.0.113.0/24");
    world.round();
    let told = world.told();
    assert_eq!(told.last().unwrap(), "unsilenced GONE 192.0.2.0/24 at 1 of 2 routers (edge1), since T", "{told:?}");
    assert_eq!(told.iter().filter(|line| line.contains("FLAPPING")).count(), 2);
}

#[test]
fn changes_that_are_no_flapping() {
    let mut world = watched();
    count(&mut world, 1, "loc-rib", 1, 29);
    count(&mut world, 2, "adj-rib-in-pre", 1, 40);
    count(&mut world, 1, "loc-rib", 12, 40);
    world.restart();
    assert!(world.incidents().is_empty(), "{:?}", world.incidents());
    world.sql("UPDATE watch.watches SET conditions = '{missing}', flap_changes = 2");
    world.restart();
    assert!(world.incidents().is_empty(), "{:?}", world.incidents());
    world.sql("UPDATE watch.watches SET conditions = NULL, router_id = '10.0.0.2'");
    world.restart();
    assert!(world.incidents().is_empty(), "{:?}", world.incidents());
}

#[test]
fn an_unknown_router_neither_flaps_nor_stops() {
    let mut world = watched();
    count(&mut world, 1, "loc-rib", 1, 31);
    world.lose(1, "stale");
    world.note_session(1);
    world.restart();
    assert!(world.told().is_empty(), "{:?}", world.told());
    world.router(1);
    world.note_session(1);
    world.restart();
    assert_eq!(world.told(), [format!("opened {FLAPS}")]);
    world.lose(1, "stale");
    world.note_session(1);
    world.pass_secs(2_000);
    world.round();
    assert_eq!(world.told().len(), 1, "{:?}", world.told());
    assert_eq!(world.rows("SELECT count(*) FROM watch.flap_counts"), ["0"], "old counts are deleted");
}

#[test]
fn sessions_that_go_down_three_times_an_hour() {
    let mut world = World::new();
    world.router(1);
    world.peer(1, "198.51.100.1", "up", "");
    world.watch("peer", "kind, peer_address", "'session', '198.51.100.1'");
    world.round();
    for downs in 1..=3 {
        world.peer(1, "198.51.100.1", "down", "Hold Timer Expired");
        world.peer(1, "198.51.100.1", "up", "");
        world.restart();
        assert_eq!(world.incidents().len(), usize::from(downs == 3), "{:?}", world.incidents());
        world.pass_secs(1_000);
    }
    let flaps = "FLAPPING 198.51.100.1 AS64500 (Example) at 1 of 1 router (edge1): 3 Peer Downs in 1 h, the last one: Hold \
                 Timer Expired, since T";
    assert_eq!(world.told(), [format!("opened {flaps}")]);
    world.peer(1, "198.51.100.1", "down", "Hold Timer Expired");
    world.restart();
    assert_eq!(world.told().len(), 1, "the session that is down belongs to it: {:?}", world.told());
    world.peer(1, "198.51.100.1", "up", "");
    world.pass_secs(3_000);
    world.round();
    assert_eq!(world.rows("SELECT DISTINCT state FROM watch.incidents"), ["closed"], "{:?}", world.told());
}
