//! The life of incidents in the database: frozen, back again, accepted, removed.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use rib_ingester::maintenance::{Report, forget_incidents};

use super::world::World;

fn watched(routers: u32) -> World {
    let mut world = World::new();
    for number in 1..=routers {
        world.router(number);
        world.announce(number, "192.0.2.0/24", "64500 64496");
    }
    world.watch_prefix("192.0.2.0/24");
    assert!(world.round().lines.is_empty());
    world
}

fn events(world: &World) -> Vec<String> {
    world.rows("SELECT event || CASE WHEN is_told THEN '!' ELSE '' END FROM watch.incident_events ORDER BY id")
}

#[test]
fn an_unknown_router_closes_nothing() {
    let mut world = watched(2);
    world.announce(1, "192.0.2.0/24", "64500 64511");
    world.round();
    world.lose(1, "stale");
    world.note_session(1);
    world.round();
    world.withdraw(1, "192.0.2.0/24");
    world.round();
    world.restart();
    assert_eq!(events(&world), ["opened!", "frozen"]);
    world.announce(1, "192.0.2.0/24", "64500 64496");
    world.router(1);
    world.note_session(1);
    world.round();
    assert_eq!(events(&world), ["opened!", "frozen", "thawed", "closed!"]);
}

#[test]
fn what_comes_back_again_and_again_flaps() {
    let mut world = watched(1);
    for _ in 0..4 {
        world.withdraw(1, "192.0.2.0/24");
        world.round();
        world.announce(1, "192.0.2.0/24", "64500 64496");
        world.round();
    }
    let want = ["opened!", "closed!", "reopened!", "closed!", "reopened!", "closed!", "reopened", "flapping!"];
    assert_eq!(events(&world), want);
    assert_eq!(world.rows("SELECT count(*), max(state) FROM watch.incidents"), ["1|open"]);
}

#[test]
fn a_watch_that_is_removed_ends_its_incidents() {
    let mut world = watched(1);
    world.withdraw(1, "192.0.2.0/24");
    world.round();
    world.sql("DELETE FROM watch.watches");
    world.round();
    assert_eq!(events(&world), ["opened!", "closed!"]);
    assert_eq!(
        world.rows("SELECT note FROM watch.incident_events WHERE event = 'closed'"),
        ["the watch was removed or switched off"]
    );
}

#[test]
fn a_state_that_is_accepted_is_right() {
    let mut world = watched(1);
    world.withdraw(1, "192.0.2.0/24");
    world.round();
    world.sql("UPDATE watch.watches SET accepted_at = now()");
    world.round();
    world.restart();
    assert_eq!(events(&world), ["opened!", "closed!"]);
    world.announce(1, "192.0.2.0/24", "64500 64496");
    world.round();
    world.withdraw(1, "192.0.2.0/24");
    world.round();
    assert_eq!(events(&world), ["opened!", "closed!", "reopened!"]);
}

#[test]
fn as_many_routers_as_the_watch_asks_for() {
    let mut world = watched(3);
    world.sql("UPDATE watch.watches SET min_vantages = 2");
    world.round();
    world.withdraw(1, "192.0.2.0/24");
    world.round();
    assert!(events(&world).is_empty());
    world.withdraw(2, "192.0.2.0/24");
    world.round();
    world.withdraw(3, "192.0.2.0/24");
    world.round();
    let gone = "GONE 192.0.2.0/24 at 3 of 3 routers (edge1, edge2, edge3), since T";
    assert_eq!(
        (events(&world), world.incidents()),
        (vec!["opened!".into(), "worse!".into()], vec![format!("open critical {gone}")])
    );
}

#[test]
fn an_address_that_only_the_default_covers() {
    let mut world = World::new();
    world.router(1);
    world.announce(1, "0.0.0.0/0", "64500");
    world.announce(1, "192.0.2.0/24", "64500 64496");
    world.watch("server", "kind, address", "'address', '192.0.2.1'");
    world.round();
    world.withdraw(1, "192.0.2.0/24");
    world.round();
    let only = "DEFAULT ONLY 192.0.2.1 at 1 of 1 router (edge1), since T";
    assert_eq!(world.told(), [format!("opened {only}")]);
    world.withdraw(1, "0.0.0.0/0");
    world.round();
    assert_eq!(
        world.told()[1..],
        [format!("closed OVER after D: {only}"), "opened GONE 192.0.2.1 at 1 of 1 router (edge1), since T".to_owned()]
    );
}

#[test]
fn the_most_specific_watch_of_a_team_judges() {
    let mut world = World::new();
    world.router(1);
    world.announce(1, "192.0.2.0/24", "64500 64496");
    world.announce(1, "192.0.2.128/25", "64500 64511");
    world.watch_prefix("192.0.2.0/24");
    // The customer's part is expected, and another team's expectation silences nobody.
    world.watch(
        "customer",
        "kind, prefix, expected_origins, conditions",
        "'prefix', '192.0.2.128/25', '{64511}', '{}'",
    );
    world.round();
    assert!(world.incidents().is_empty(), "{:?}", world.incidents());
    world.sql("UPDATE watch.watches SET team = 'other' WHERE name = 'customer'");
    world.round();
    assert_eq!(world.incidents().len(), 1, "{:?}", world.incidents());
}

#[test]
fn a_collector_that_is_cut_off() {
    let mut world = watched(3);
    for number in 1..=3 {
        world.lose(number, "isolated");
    }
    world.note_session(1);
    world.round();
    assert_eq!(world.told(), ["opened ISOLATED collector c1 lost 3 routers at once, since T"]);
}

#[test]
fn what_is_closed_for_long_is_forgotten() {
    let mut world = watched(1);
    world.sql("INSERT INTO watch.callbacks (name, format, url) VALUES ('noc', 'generic', 'http://192.0.2.1/')");
    world.withdraw(1, "192.0.2.0/24");
    world.round();
    world.announce(1, "192.0.2.0/24", "64500 64496");
    world.round();
    world.sql(
        "UPDATE watch.incidents SET opened_at = now() - interval '41 days', closed_at = now() - interval '39 days';
         INSERT INTO watch.silences (starts_at, ends_at, ended_at, prefix, created_by, note)
         VALUES (now() - interval '50 days', now() + interval '9 days', now() - interval '41 days', '::/0', 'ada', 'early'),
                (now() - interval '50 days', now() + interval '9 days', NULL, '::/0', 'ada', 'still in force')",
    );
    let mut client = world.db.client();
    let left = |world: &World| {
        world.rows(
            "SELECT (SELECT count(*) FROM watch.incidents), (SELECT count(*) FROM watch.incident_events),
                    (SELECT count(*) FROM watch.deliveries), (SELECT string_agg(note, ',') FROM watch.silences)",
        )
    };
    let mut forget = |days| {
        let mut report = Report::default();
        forget_incidents(&mut client, days, &mut report).unwrap();
        assert!(report.failures.is_empty(), "{:?}", report.failures);
        report.forgotten_incidents
    };
    assert_eq!(forget(0), 0, "kept forever");
    assert_eq!(forget(40), 0, "it was not closed for so long");
    assert_eq!(left(&world), ["1|2|2|still in force"]);
    world.withdraw(1, "192.0.2.0/24");
    world.round();
    assert_eq!(forget(39), 1);
    assert_eq!(left(&world), ["1|1|1|still in force"], "what is open stays");
}
