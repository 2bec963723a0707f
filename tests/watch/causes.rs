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
fn a_second_peer_down_is_told_by_itself() {
    let mut world = watched(3);
    for minutes in [0, 5] {
        world.pass_secs(minutes * 60);
        world.sql("DELETE FROM current_routes");
        world.peer(1, "198.51.100.1", "down", "Hold Timer Expired");
        world.round();
        world.peer(1, "198.51.100.1", "up", "");
        (0..3).for_each(|i| world.announce(1, &format!("10.0.{i}.0/24"), "64500 64496"));
        world.round();
    }
    // Its children are the incidents of the first one, which were reopened.
    let down = "PEER DOWN edge1 198.51.100.1 AS64500 (Example): Hold Timer Expired, since T, 1,000 routes gone: \
                10.0.0.0/24, 10.0.1.0/24, 10.0.2.0/24";
    let (opened, over) = (format!("opened {down}"), format!("closed OVER after D: {down}"));
    assert_eq!(world.told(), [opened.clone(), over.clone(), opened, over]);
    let second =
        "SELECT cause_at > now() - interval '1 minute' FROM watch.incidents WHERE watch_id IS NULL ORDER BY id";
    assert_eq!(world.rows(second), ["f", "t"]);
}

#[test]
fn many_at_once_are_one_message() {
    let mut world = watched(20);
    for i in 0..20 {
        world.withdraw(1, &format!("10.0.{i}.0/24"));
    }
    world.round();
    let gone = "20 prefixes missing, on 1 of 1 router, since T: 10.0.0.0/24, 10.0.1.0/24 and 18 more";
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
    let back = "edge1 is back since T: 1 of 1 peer and 2 of 3 watched prefixes did not come back: 10.0.1.0/24, 10.0.2.0/24, 198.51.100.1";
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

/// Routers with some watched prefixes, that of two of them at both: missing at one is no emergency.
fn gone_at_one_of_two(count: u32) -> World {
    let mut world = watched(count);
    world.router(2);
    world.note_session(2);
    for i in 0..count {
        world.announce(2, &format!("10.0.{i}.0/24"), "64500 64496");
    }
    assert!(world.round().lines.is_empty());
    world.sql("INSERT INTO watch.callbacks (name, format, url) VALUES ('noc', 'generic', 'http://192.0.2.1/')");
    world
}

fn deliveries(world: &World) -> Vec<String> {
    world.rows(
        "SELECT count(*), d.state, CASE WHEN d.state <> 'pending' THEN '' WHEN d.next_try_at > now() THEN 'held' ELSE 'due' END, i.parent_id IS NULL
         FROM watch.deliveries d JOIN watch.incidents i ON i.id = d.incident_id GROUP BY 2, 3, 4 ORDER BY 1",
    )
}

#[test]
fn what_can_wait_is_told_together() {
    let mut world = gone_at_one_of_two(10);
    for i in 0..4 {
        world.withdraw(1, &format!("10.0.{i}.0/24"));
    }
    world.round();
    for i in 4..10 {
        world.withdraw(1, &format!("10.0.{i}.0/24"));
        world.round();
    }
    assert_eq!(deliveries(&world), ["10|pending|held|t"], "their incidents are there at once");
    world.pass_secs(31);
    world.round();
    let gone = "10 prefixes missing, on 1 of 2 routers, since T: 10.0.0.0/24, 10.0.1.0/24 and 8 more";
    assert_eq!(world.told().last().unwrap(), &format!("opened {gone}"));
    assert_eq!(deliveries(&world), ["1|pending|due|t", "10|superseded||f"]);
    for i in 0..10 {
        world.announce(1, &format!("10.0.{i}.0/24"), "64500 64496");
    }
    world.round();
    assert_eq!(world.told().last().unwrap(), &format!("closed OVER after D: {gone}"));
    assert_eq!(world.rows("SELECT count(*) FROM watch.deliveries WHERE state = 'pending'"), ["2"]);
}

#[test]
fn a_few_are_told_one_by_one() {
    let mut world = gone_at_one_of_two(10);
    for i in 0..5 {
        world.withdraw(1, &format!("10.0.{i}.0/24"));
    }
    world.round();
    world.pass_secs(40);
    world.withdraw(1, "10.0.9.0/24");
    world.round();
    assert_eq!(deliveries(&world), ["1|pending|held|t", "5|pending|due|t"]);
    // What becomes an emergency waits no longer.
    world.withdraw(2, "10.0.9.0/24");
    world.round();
    assert_eq!(deliveries(&world), ["7|pending|due|t"]);
}

#[test]
fn a_parent_counts_what_comes_later() {
    let mut world = watched(30);
    for i in 0..10 {
        world.withdraw(1, &format!("10.0.{i}.0/24"));
    }
    world.round();
    for i in 10..20 {
        world.withdraw(1, &format!("10.0.{i}.0/24"));
    }
    world.round();
    let gone = "20 prefixes missing, on 1 of 1 router, since T: 10.0.0.0/24, 10.0.1.0/24 and 18 more";
    assert_eq!(world.incidents()[0], format!("open critical {gone}"), "{:?}", world.told());
    assert_eq!(world.told().len(), 1);
    world.pass_secs(31);
    world.round();
    assert_eq!(world.told()[1..], [format!("worse {gone}")], "twice as many as were told");
    world.round();
    assert_eq!(world.told().len(), 2);
}

#[test]
fn what_goes_again_with_its_peer_is_one_message() {
    let mut world = watched(20);
    for told in [1, 3] {
        world.sql("DELETE FROM current_routes");
        world.peer(1, "198.51.100.1", "down", "Hold Timer Expired");
        world.round();
        assert_eq!(world.told().len(), told, "{:?}", world.told());
        world.peer(1, "198.51.100.1", "up", "");
        (0..20).for_each(|i| world.announce(1, &format!("10.0.{i}.0/24"), "64500 64496"));
        world.round();
        world.pass_secs(130);
    }
}

/// A router has been known for a while.
fn known_for(world: &mut World, number: u32, secs: u32) {
    let by = format!("interval '{secs} seconds' WHERE router_id = '10.0.0.{number}'");
    world.sql(&format!(
        "UPDATE watch.vantages SET since = since - {by}; UPDATE bmp_sessions SET began_at = began_at - {by};
         UPDATE bmp_sessions SET since = since - {by}; UPDATE rib_sync_status SET synced_at = synced_at - {by};
         UPDATE rib_sync_status SET session_start_time = session_start_time - {by}"
    ));
}

#[test]
fn a_router_that_settles_has_the_baseline_later() {
    let mut world = World::new();
    for number in [1, 2] {
        world.router(number);
        world.announce(number, "10.0.0.0/24", "64500 64511");
        world.announce(number, "10.0.1.0/24", &format!("64500 6451{number}"));
    }
    world.round();
    known_for(&mut world, 1, 3_600);
    for i in 0..2 {
        let prefix = format!("'prefix', '10.0.{i}.0/24', '{{64496}}', 'list.csv'");
        world.watch(&format!("w{i}"), "kind, prefix, expected_origins, source", &prefix);
    }
    world.sql("UPDATE watch.watches SET settle_secs = 300");
    world.restart();
    let digest = "BASELINE list.csv: 2 conditions hold already, since T: 10.0.0.0/24, 10.0.1.0/24";
    assert_eq!(world.told(), [format!("opened {digest}")]);
    assert_eq!(world.rows("SELECT unsettled FROM watch.judged"), ["{10.0.0.2}", "{10.0.0.2}"]);
    known_for(&mut world, 2, 301);
    world.restart();
    // The same origin at another router is the same incident; another one belongs to the digest.
    assert_eq!(world.told().len(), 1, "{:?}", world.told());
    assert_eq!(
        world.rows("SELECT count(*), bool_and(is_baseline) FROM watch.incidents WHERE parent_id IS NOT NULL"),
        ["3|t"]
    );
    assert_eq!(world.rows("SELECT DISTINCT unsettled FROM watch.judged"), ["{}"]);
    // What is found there from now on is none of it.
    world.announce(2, "10.0.0.0/24", "64500 64512");
    world.round();
    assert_eq!(world.told().len(), 2, "{:?}", world.told());
}
