//! One cause is one message.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use super::world::World;

/// One router with this many watched prefixes, 10.0.N.0/24.
fn watched(count: u32) -> World {
    let mut world = World::new();
    world.router(1);
    world.peer(1, "198.51.100.1", "up", "");
    for i in 0..count {
        world.announce(1, &format!("10.0.{i}.0/24"), "64500 64496");
        world.watch(
            &format!("w{i}"),
            "kind, prefix, expected_origins",
            &format!("'prefix', '10.0.{i}.0/24', '{{64496}}'"),
        );
    }
    assert!(world.round().lines.is_empty());
    world
}

#[test]
fn a_peer_down_is_one_parent() {
    let mut world = watched(200);
    world.sql("DELETE FROM current_routes");
    world.peer(1, "198.51.100.1", "down", "Hold Timer Expired");
    assert_eq!(world.round().lines.len(), 1);
    let down = "PEER DOWN edge1 198.51.100.1 AS64500 (Example): Hold Timer Expired, since T, 1,000 routes gone: \
                10.0.0.0/24, 10.0.1.0/24, 10.0.10.0/24 and 197 more";
    assert_eq!(world.told(), [format!("opened {down}")]);
    assert_eq!(
        world.rows("SELECT count(*) FROM watch.incidents WHERE parent_id IS NOT NULL AND state = 'open'"),
        ["200"]
    );
    for i in 0..200 {
        world.announce(1, &format!("10.0.{i}.0/24"), "64500 64496");
        if i == 100 {
            world.round();
            assert_eq!(world.told().len(), 1, "it is over with the last child");
        }
    }
    world.round();
    assert_eq!(world.told()[1..], [format!("closed OVER after D: {down}")]);
    assert_eq!(world.rows("SELECT DISTINCT state FROM watch.incidents"), ["closed"]);
}

#[test]
fn many_at_once_are_one_message() {
    let mut world = watched(20);
    for i in 0..20 {
        world.withdraw(1, &format!("10.0.{i}.0/24"));
    }
    world.round();
    let gone = "20 prefixes missing, on 1 of 1 routers, since T: 10.0.0.0/24, 10.0.1.0/24, 10.0.10.0/24 and 17 more";
    assert_eq!(world.told(), [format!("opened {gone}")]);
}

#[test]
fn what_does_not_come_back_after_a_reload() {
    let mut world = watched(3);
    world.watch("peer", "kind, peer_address", "'session', '198.51.100.1'");
    world.round();
    world.lose(1, "stale");
    world.note_session(1);
    world.round();
    assert!(world.told().is_empty(), "{:?}", world.told());
    world.sql("UPDATE bmp_sessions SET state = 'ended' WHERE state = 'stale'");
    world.sql("DELETE FROM current_routes WHERE prefix <> '10.0.0.0/24'");
    world.router(1);
    world.note_session(1);
    world.round();
    let back =
        "edge1 is back since T: 1 peer and 2 watched routes did not come back: 10.0.1.0/24, 10.0.2.0/24, 198.51.100.1";
    assert_eq!(world.told(), [format!("opened {back}")]);
    let began = world.db.rows(
        "SELECT p.cause_at >= max(s.began_at) - interval '1 second' AND bool_and(i.cause_at < p.cause_at)
         FROM watch.incidents p JOIN watch.incidents i ON i.parent_id = p.id AND i.condition = 'missing', bmp_sessions s
         GROUP BY p.cause_at",
    );
    assert_eq!(began, ["t"], "routes were seen before the router came back");
}

#[test]
fn what_fails_when_watches_are_made_is_one_digest() {
    let mut world = World::new();
    world.router(1);
    for i in 0..3 {
        world.announce(1, &format!("10.0.{i}.0/24"), "64500 64511");
        world.watch(
            &format!("w{i}"),
            "kind, prefix, expected_origins, source",
            &format!("'prefix', '10.0.{i}.0/24', '{{64496}}', 'list.csv'"),
        );
    }
    world.round();
    let digest = "BASELINE list.csv: 3 conditions hold already, since T: 10.0.0.0/24, 10.0.1.0/24, 10.0.2.0/24";
    assert_eq!(world.told(), [format!("opened {digest}")]);
    // Another hijack is none of it.
    world.announce(1, "10.0.0.0/25", "64500 64511");
    world.round();
    assert_eq!(world.told().len(), 2, "{:?}", world.told());
}
