//! A router moves to another collector while the first one still has events of it: they are stored before the events
//! that the other one stores, each once, or a row reports that they are lost.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::sync::atomic::Ordering;

use crate::common::pg::TestDb;
use crate::common::rows::{Writers, announce, event, table, wait_for};
use rib_ingester::model::Afi;

/// Another collector has the router from now on.
const TAKE: &str = "UPDATE router_owner SET collector_id = 'other', epoch = epoch + 1, since = clock_timestamp()";

/// The events that it stores then: the id of the test's event number 2, and one of its own.
const OTHERS: &str = "INSERT INTO route_events (event_id, ingest_time, router_id, table_name, afi, prefix, action, med)
     SELECT decode(lpad(to_hex(n), 8, '0') || repeat('00', 28), 'hex'), clock_timestamp(), '10.0.0.1', 'global', 4, '10.0.0.0/8', 'A', n
     FROM unnest(ARRAY[2, 50]) n";

#[test]
fn events_read_before_a_take_over_are_dated_before_it() {
    let db = TestDb::migrated();
    let writers = Writers::start(&db);
    let owner = writers.claim("10.0.0.1").owner;
    let t = table("10.0.0.1", "global", Afi::Ipv4);
    writers.start_sync(&owner, &t);
    writers.send_events(&owner, vec![event(&t, "10.0.0.0/8", 1)]);
    wait_for("the first event", || db.rows("SELECT med FROM route_events") == ["1"]);
    db.client().batch_execute(&format!("{TAKE}; {OTHERS}")).unwrap();
    writers.send_events(&owner, (2..20).map(|i| event(&t, "10.0.0.0/8", i)).collect());
    writers.send(&owner, vec![announce(&t, "10.0.0.0/8", 19)]);
    wait_for("the events", || db.rows("SELECT count(*) FROM route_events") == ["20"]);
    // Events in another batch are stored after them.
    writers.send_events(&owner, (20..30).map(|i| event(&t, "10.0.0.0/8", i)).collect());
    wait_for("the last events", || db.rows("SELECT count(*) FROM route_events") == ["30"]);
    assert!(owner.is_lost());
    assert_eq!(writers.finish(), 0);
    let order: Vec<u32> =
        db.rows("SELECT med FROM route_events ORDER BY ingest_time").iter().map(|med| med.parse().unwrap()).collect();
    let want: Vec<u32> = std::iter::once(1).chain(3..30).chain([2, 50]).collect();
    assert_eq!(order, want);
    let before = "SELECT count(*) FROM route_events, router_owner WHERE ingest_time < since";
    assert_eq!(db.rows(before), ["28"]);
    assert_eq!(db.rows("SELECT count(DISTINCT ingest_time) FROM route_events"), ["30"]);
    // The state belongs to the other one.
    assert_eq!(db.rows("SELECT count(*) FROM current_routes"), ["0"]);
    assert_eq!(db.rows("SELECT count(*) FROM session_events WHERE kind = 'gap'"), ["0"]);
}

#[test]
fn events_that_cannot_be_fitted_in_are_a_gap() {
    let db = TestDb::migrated();
    let writers = Writers::start(&db);
    let owner = writers.claim("10.0.0.1").owner;
    let t = table("10.0.0.1", "global", Afi::Ipv4);
    writers.start_sync(&owner, &t);
    writers.send_events(&owner, vec![event(&t, "10.0.0.0/8", 1)]);
    wait_for("the first event", || db.rows("SELECT med FROM route_events") == ["1"]);
    // Room for two.
    let full = "UPDATE route_events SET ingest_time = (SELECT since - interval '3 microseconds' FROM router_owner)";
    db.client().batch_execute(&format!("{TAKE}; {full}; {OTHERS}")).unwrap();
    writers.send_events(&owner, (2..20).map(|i| event(&t, "10.0.0.0/8", i)).collect());
    let gap = "SELECT routes FROM session_events WHERE kind = 'gap' AND router_id = '10.0.0.1'";
    wait_for("the row", || db.rows(gap) == ["16"]);
    assert_eq!(writers.pipeline.health().events_lost.load(Ordering::Relaxed), 16);
    assert_eq!(writers.finish(), 0);
    assert_eq!(db.rows("SELECT med FROM route_events ORDER BY ingest_time"), ["1", "3", "2", "50"]);
    assert_eq!(
        db.rows("SELECT g.event_time < o.since FROM session_events g, router_owner o WHERE kind = 'gap'"),
        ["t"]
    );
}

#[test]
fn a_gap_lasts_until_every_family_has_ended_a_dump() {
    let db = TestDb::migrated();
    let mut client = db.client();
    rib_ingester::maintenance::run_once(&mut client, 30).unwrap();
    let note = |minutes: u32, kind: &str, table: &str, afi: &str| {
        format!(
            "INSERT INTO session_events (event_time, router_id, kind, table_name, afi)
             VALUES (now() - interval '{minutes} minutes', 'r', '{kind}', {table}, {afi});"
        )
    };
    client
        .batch_execute(
            &[
                "INSERT INTO routers (router_id) VALUES ('r');
                 INSERT INTO rib_sync_status (router_id, table_name, afi) VALUES ('r', 't', 4), ('r', 't', 6);"
                    .to_owned(),
                note(9, "end_of_rib", "'t'", "4"),
                note(9, "end_of_rib", "'t'", "6"),
                note(7, "gap", "NULL", "NULL"),
                note(5, "end_of_rib", "'u'", "4"),
                note(5, "end_of_rib", "'t'", "4"),
                note(3, "eor_timeout", "'t'", "6"),
            ]
            .concat(),
        )
        .unwrap();
    // The history has to begin before all events, whatever the time of day.
    client.batch_execute("UPDATE routers SET first_seen = now() - interval '10 minutes'").unwrap();
    let yesterday = rib_ingester::store::partitions::today(&mut client).unwrap().yesterday().unwrap();
    rib_ingester::store::partitions::ensure(&mut client, yesterday).unwrap();
    let complete = |minutes: u32| {
        db.rows(&format!("SELECT history_is_complete('r', 't', now() - interval '{minutes} minutes')")).remove(0)
    };
    let all: Vec<String> = [8, 6, 4, 2].into_iter().map(complete).collect();
    assert_eq!(all, ["t", "f", "f", "t"]);
    // A removal of the whole table leaves nothing open.
    client.batch_execute(&(note(1, "gap", "NULL", "NULL") + "SELECT")).unwrap();
    assert_eq!(db.rows("SELECT history_is_complete('r', 't', now())"), ["f"]);
    client.batch_execute(&(note(0, "terminated", "'t'", "NULL") + "SELECT")).unwrap();
    assert_eq!(db.rows("SELECT history_is_complete('r', 't', now())"), ["t"]);
}
