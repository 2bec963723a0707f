//! What operators are told of RPKI, and what opens nothing.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use super::world::World;
use crate::common::ingester::eventually_equal;

impl World {
    /// A new set of VRPs replaces the one in force; each is a prefix, its maxLength and its AS.
    fn vrps(&mut self, vrps: &[(&str, u8, u32)]) {
        let rows: Vec<String> =
            vrps.iter().map(|(prefix, length, asn)| format!("('{prefix}'::cidr, {length}, {asn}::bigint)")).collect();
        let new = format!("(SELECT * FROM (VALUES {}) AS v (prefix, max_length, asn))", rows.join(", "));
        self.sql(&format!(
            "BEGIN;
             UPDATE rpki.vrp_set SET version = version + 1, generated = now(), taken_at = now(), fetched_at = now(), tried_at = now();
             INSERT INTO rpki.vrp_changes (version, is_added, prefix, max_length, asn, trust_anchor, is_slurm)
             SELECT s.version, c.is_added, c.prefix, c.max_length, c.asn, '', false
             FROM (SELECT true AS is_added, n.* FROM ({new} EXCEPT SELECT prefix, max_length, asn FROM rpki.vrps) AS n
                   UNION ALL
                   SELECT false, o.* FROM (SELECT prefix, max_length, asn FROM rpki.vrps EXCEPT {new}) AS o) AS c,
                  rpki.vrp_set s WHERE s.version > 1;
             DELETE FROM rpki.vrps;
             INSERT INTO rpki.vrps (prefix, max_length, asn) SELECT * FROM {new} AS n;
             COMMIT"
        ));
    }

    /// The incidents that are not closed, as condition and subject.
    fn open(&self) -> Vec<String> {
        self.rows("SELECT condition || ' ' || subject FROM watch.incidents WHERE state <> 'closed' ORDER BY 1")
    }

    /// A set of which the validator has said nothing for a day.
    fn age_set(&mut self) {
        self.sql("UPDATE rpki.vrp_set SET generated = now() - interval '2 days'");
    }
}

/// A router with a watched prefix, valid by a set of one VRP.
fn watched() -> World {
    let mut world = World::new();
    world.router(1);
    world.announce(1, "192.0.2.0/24", "64500 64496");
    world.vrps(&[("192.0.2.0/24", 24, 64496)]);
    world.watch_prefix("192.0.2.0/24");
    assert!(world.round().lines.is_empty());
    world
}

const SEEN: &str = "1 of 1 router (edge1), path 64500 64496, since T";

#[test]
fn a_new_set_makes_a_route_invalid() {
    let mut world = watched();
    world.sql("UPDATE watch.watches SET conditions = '{origin,rpki_invalid,rpki_uncovered}'");
    world.round();
    world.vrps(&[("192.0.2.0/24", 24, 64497)]);
    world.restart();
    let invalid = format!("RPKI INVALID 192.0.2.0/24 origin AS64496, ROA for AS64497; {SEEN}");
    assert_eq!(world.incidents(), [format!("open error {invalid}")]);
    // Too old, it says nothing any more; a full evaluation closes nothing, and the end of the age neither.
    world.age_set();
    world.restart();
    assert_eq!(world.open(), ["rpki_invalid 192.0.2.0/24 AS64496", "vrps_stale "]);
    world.vrps(&[("192.0.2.0/24", 24, 64496), ("192.0.2.0/24", 24, 64497)]);
    world.restart();
    assert_eq!(world.told()[2], format!("closed OVER after D: {invalid}"));
    // No VRP is left: it was valid a moment ago.
    world.vrps(&[("198.51.100.0/24", 24, 64497)]);
    let report = world.restart();
    assert!(report.lines.iter().any(|line| line.contains("ROA GONE 192.0.2.0/24 origin AS64496")), "{report:?}");
}

#[test]
fn a_new_set_is_judged_at_once() {
    let mut world = watched();
    world.announce(1, "192.0.2.128/25", "64500 64496");
    world.round();
    let held = "SELECT condition || ' ' || subject || ' ' || (detail->>'reason') FROM watch.conditions ORDER BY 1";
    let longer = "rpki_invalid 192.0.2.128/25 AS64496 longer than maxLength 24";
    assert_eq!(world.rows(held), [longer]);
    world.vrps(&[("192.0.2.0/23", 25, 64496)]);
    world.sql("SELECT pg_sleep(1)");
    let report = world.round();
    assert!(!report.is_full && report.changes == 0, "{report:?}");
    assert_eq!(world.rows(held), Vec::<String>::new());
    assert_eq!(world.restart().missed, 0);
}

#[test]
fn an_invalid_hijack_is_one_alarm() {
    let mut world = watched();
    world.sql("UPDATE watch.watches SET open_after_secs = NULL");
    world.round();
    world.receive(1, "192.0.2.0/24", "64500 64511");
    world.round();
    let alarm = "HIJACK? 192.0.2.0/24 origin AS64511, expected AS64496; 1 of 1 router (edge1), before policy only, \
                 path 64500 64511, RPKI invalid, since T";
    assert_eq!(world.told(), [format!("opened {alarm}")]);
    assert_eq!(world.open(), ["origin 192.0.2.0/24 AS64511", "rpki_invalid 192.0.2.0/24 AS64511"]);
    assert_eq!(world.rows("SELECT count(*) FROM watch.incidents WHERE parent_id IS NOT NULL"), ["1"]);
}

#[test]
fn what_an_as_originates_is_judged() {
    let mut world = World::new();
    world.router(1);
    world.announce(1, "192.0.2.0/24", "64500 64496");
    world.announce(1, "198.51.100.0/24", "64500 64511");
    world.vrps(&[("192.0.2.0/24", 24, 64496), ("198.51.100.0/24", 24, 64496)]);
    world.watch("us", "kind, asn", "'origin', 64496");
    world.round();
    world.vrps(&[("192.0.2.0/24", 24, 64497), ("198.51.100.0/24", 24, 64496)]);
    world.restart();
    let open = ["roa_changed 192.0.2.0/24-24 AS64496", "rpki_invalid 192.0.2.0/24 AS64496"];
    assert_eq!(world.open(), open);
}

#[test]
fn roas_that_come_go_and_expire() {
    let mut world = watched();
    world.sql("UPDATE rpki.vrps SET expires = now() + interval '1 hour'");
    world.restart();
    assert!(world.incidents()[0].starts_with("open warning ROA EXPIRES 192.0.2.0/24 origin AS64496 at T; 1 of 1"));
    world.sql("UPDATE rpki.vrps SET expires = now() + interval '3 hours'");
    world.restart();
    world.vrps(&[("192.0.2.0/24", 25, 64496), ("203.0.113.0/24", 24, 64496)]);
    world.restart();
    // The last of them is not near the watch; another watch that expects its AS does not say it again.
    let changed =
        world.rows("SELECT severity || ' ' || summary FROM watch.incidents WHERE condition = 'roa_changed' ORDER BY 1");
    assert_eq!(
        changed,
        [
            "info ROA ADDED 192.0.2.0/24-25 AS64496, watch 192.0.2.0/24, since T",
            "info ROA ADDED 203.0.113.0/24-24 AS64496, watch 192.0.2.0/24, since T",
            "info ROA REMOVED 192.0.2.0/24-24 AS64496, watch 192.0.2.0/24, since T"
        ]
    );
    world.sql("UPDATE rpki.vrp_changes SET at = now() - interval '1 hour'");
    world.restart();
    assert_eq!(world.open(), Vec::<String>::new());
}

#[test]
fn a_set_that_is_too_old_or_lacks_much() {
    let mut world = watched();
    world.age_set();
    world.sql("UPDATE rpki.vrp_set SET taken_after_hold_at = now(), taken_after_hold_why = 'half of the VRPs'");
    world.restart();
    assert_eq!(world.open(), ["vrps_reduced ", "vrps_stale "]);
    assert_eq!(
        world.rows("SELECT cause_key FROM watch.incidents ORDER BY 1"),
        ["test/rpki/vrps_reduced", "test/rpki/vrps_stale"]
    );
    world.sql("UPDATE rpki.vrp_set SET generated = now(), taken_after_hold_at = NULL, taken_after_hold_why = NULL");
    world.restart();
    let over = world.rows("SELECT count(*) FROM watch.incidents WHERE state = 'closed' OR over_since IS NOT NULL");
    assert_eq!(over, ["2"]);
}

#[test]
fn a_set_that_nobody_loads_any_more() {
    let mut world = watched();
    world.sql("UPDATE watch.watches SET conditions = '{rpki_invalid}'");
    world.round();
    world.vrps(&[("192.0.2.0/24", 24, 64497)]);
    world.restart();
    let invalid = "rpki_invalid 192.0.2.0/24 AS64496";
    assert_eq!(world.open(), [invalid]);
    // Too old, and a process still tries: its lock says so, however long a try takes.
    world.age_set();
    world.sql("UPDATE rpki.vrp_set SET tried_at = now() - interval '2 hours'");
    let mut loader = world.db.client();
    loader.execute("SELECT pg_advisory_lock(hashtext('rib_rpki'))", &[]).unwrap();
    // The set is looked at each second.
    eventually_equal(vec![invalid.to_owned(), "vrps_stale ".to_owned()], || {
        world.round();
        world.open()
    });
    // No collector has RIB_INGESTER_VRPS any more: as if there had been no set.
    loader.execute("SELECT pg_advisory_unlock_all()", &[]).unwrap();
    world.sql("UPDATE watch.watches SET close_after_secs = 0");
    let over = "SELECT condition FROM watch.incidents WHERE state = 'closed' OR over_since IS NOT NULL ORDER BY 1";
    eventually_equal(vec!["rpki_invalid".to_owned(), "vrps_stale".to_owned()], || {
        world.round();
        world.rows(over)
    });
    assert_eq!(world.restart().missed, 0);
    assert_eq!(world.rows("SELECT count(*) FROM watch.conditions"), ["0"]);
}

#[test]
fn what_opens_nothing() {
    // No set; one that is too old from the start; one that is held.
    let mut world = World::new();
    world.router(1);
    world.announce(1, "192.0.2.0/24", "64500 64496");
    world.watch_prefix("192.0.2.0/24");
    world.round();
    assert_eq!(world.open(), Vec::<String>::new());
    world.vrps(&[("192.0.2.0/24", 24, 64497)]);
    world.age_set();
    world.restart();
    assert_eq!(world.open(), ["vrps_stale "]);
    let mut world = watched();
    world.sql(
        "UPDATE rpki.vrp_set SET held_since = now(), held_until = now() + interval '1 hour', held_reason = 'half'",
    );
    world.restart();
    // The router's own route, by an empty path, with and without an AS; one that the network drops on purpose.
    world.announce(1, "192.0.2.0/24", "");
    world.round();
    world.sql("UPDATE routers SET as_number = 65001");
    world.announce(1, "192.0.2.64/26", "");
    world.round();
    world.sql("UPDATE routers SET as_number = NULL");
    world.restart();
    world.sql(
        "UPDATE routers SET as_number = 64496;
         UPDATE watch.watches SET conditions = '{rpki_invalid,rpki_uncovered,roa_expiring}'",
    );
    world.announce(1, "192.0.2.1/32", "64500 64496");
    world.sql(
        "DELETE FROM current_routes WHERE prefix = '192.0.2.64/26';
         UPDATE current_routes SET communities_std = '{65535:666}' WHERE prefix = '192.0.2.1/32'",
    );
    world.restart();
    // Not covered, and it never was.
    world.vrps(&[("203.0.113.0/24", 24, 64500), ("192.0.2.0/24", 24, 64496)]);
    world.announce(1, "198.51.100.0/24", "64500 64496");
    world.watch_prefix("198.51.100.0/24");
    world.restart();
    assert_eq!(world.open(), Vec::<String>::new());
}
