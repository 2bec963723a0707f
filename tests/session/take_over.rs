//! A router moves to another collector while the first one still has events of it: nothing more is written of it, and a
//! row reports that they are lost.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::sync::atomic::Ordering;

use crate::common::pg::TestDb;
use crate::common::rows::{Writers, announce, event, table, wait_for};
use rib_ingester::model::Afi;

#[test]
fn events_left_when_a_router_is_taken_are_a_gap() {
    let db = TestDb::migrated();
    let writers = Writers::start(&db);
    let owner = writers.claim("10.0.0.1").owner;
    let t = table("10.0.0.1", "global", Afi::Ipv4);
    writers.start_sync(&owner, &t);
    writers.send_events(&owner, vec![event(&t, "10.0.0.0/8", 1)]);
    wait_for("the first event", || db.rows("SELECT med FROM route_events") == ["1"]);
    let take = "UPDATE router_owner SET collector_id = 'other', epoch = epoch + 1, since = clock_timestamp()";
    db.client().batch_execute(take).unwrap();
    writers.send_events(&owner, (2..20).map(|i| event(&t, "10.0.0.0/8", i)).collect());
    writers.send(&owner, vec![announce(&t, "10.0.0.0/8", 19)]);
    let gap = "SELECT routes FROM session_events WHERE kind = 'gap' AND router_id = '10.0.0.1'";
    wait_for("the row", || db.rows(gap) == ["18"]);
    assert!(owner.is_lost());
    assert_eq!(writers.pipeline.health().events_lost.load(Ordering::Relaxed), 18);
    assert_eq!(writers.finish(), 0);
    // Neither history nor state: both belong to the other one, whose dump ends the gap.
    assert_eq!(db.rows("SELECT med FROM route_events"), ["1"]);
    assert_eq!(db.rows("SELECT count(*) FROM current_routes"), ["0"]);
    let before = "SELECT g.event_time < o.since FROM session_events g, router_owner o WHERE kind = 'gap'";
    assert_eq!(db.rows(before), ["t"]);
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
