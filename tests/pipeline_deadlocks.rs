//! Writers that meet on the same rows never wait for each other in a ring.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

#[path = "common/pg.rs"]
mod pg;
#[path = "common/rows.rs"]
mod rows;

use std::sync::atomic::Ordering;

use pg::TestDb;
use rib_ingester::model::Afi;
use rib_ingester::pipeline::StateOp;
use rows::{Writers, announce, event, table};

const ROUNDS: u32 = 60;
const TABLES: u32 = 40;

/// Two state writers and the event writer of the same routers lock the same rows of `rib_sync_status`: what they are told
/// comes in opposite orders.
#[test]
fn state_and_history_of_many_tables_in_opposite_orders() {
    let db = TestDb::migrated();
    rib_ingester::maintenance::run_once(&mut db.client(), 30).unwrap();
    let writers = Writers::start(&db);
    let routers: Vec<_> = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"]
        .iter()
        .map(|router| {
            let owner = writers.claim(router).owner;
            let tables: Vec<_> = (0..TABLES).map(|i| table(router, &format!("t{i:02}"), Afi::Ipv4)).collect();
            for t in &tables {
                writers.start_sync(&owner, t).unwrap();
            }
            (owner, tables)
        })
        .collect();
    let mut number = 0;
    for round in 0..ROUNDS {
        for (owner, tables) in &routers {
            let ops = tables.iter().flat_map(|t| [announce(t, "10.0.0.0/8", round), StateOp::TableSeen(t.clone())]);
            writers.send(owner, ops.collect());
            let events = tables.iter().rev().map(|t| {
                number += 1;
                event(t, "10.0.0.0/8", number)
            });
            writers.send_events(owner, events.collect());
        }
    }
    let health = writers.pipeline.health().clone();
    assert_eq!(writers.finish(), 0);
    assert_eq!(health.retries.load(Ordering::Relaxed), 0, "a deadlock is broken by the database and tried again");
    assert_eq!(db.rows("SELECT count(*) FROM route_events"), [number.to_string()]);
    assert_eq!(db.rows("SELECT count(*), min(med), max(med) FROM current_routes"), ["160|59|59"]);
}
