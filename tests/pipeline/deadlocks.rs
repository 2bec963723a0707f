//! Writers that meet on the same rows never wait for each other in a cycle.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::sync::atomic::Ordering;

use crate::common::pg::TestDb;
use crate::common::rows::{Writers, announce, event, table, wait_for};
use postgres::types::Type;
use postgres::{Client, Transaction};
use rib_ingester::model::{Afi, RibKind};
use rib_ingester::pipeline::StateOp;
use rib_ingester::store::statement::render;
use rib_ingester::store::{Error, Result, sync};

const ROUNDS: u32 = 60;
const TABLES: u32 = 40;

/// Two state writers and the event writer of the same routers lock the same rows of `rib_sync_status`: their input
/// arrives in opposite orders.
#[test]
fn state_and_history_of_tables_in_opposite_orders() {
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

/// The result of two transactions: the first takes `first_key`, the second then wants all in `second` and has to wait,
/// and the first goes on with all in `first`. The SQLSTATE of each that fails.
fn meet<T: Sync + ?Sized>(
    db: &TestDb,
    take: impl Fn(&mut Transaction<'_>, &T) -> Result<()> + Sync,
    [first_key, first, second]: [&T; 3],
) -> Vec<String> {
    let (mut one, mut other): (Client, Client) = (db.client(), db.client());
    let backend: i32 = other.query_one("SELECT pg_backend_pid()", &[]).unwrap().get(0);
    let mut begun = one.transaction().unwrap();
    take(&mut begun, first_key).unwrap();
    let take = &take;
    let ends = std::thread::scope(|scope| {
        let other = scope.spawn(move || {
            let mut transaction = other.transaction()?;
            take(&mut transaction, second)?;
            Ok(transaction.commit()?)
        });
        let waits = format!("SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = {backend}");
        wait_for("the second transaction to wait", || db.rows(&waits) == ["t"]);
        let end = take(&mut begun, first).and_then(|()| Ok(begun.commit()?));
        [end, other.join().unwrap()]
    });
    let state = |end: Result<()>| match end {
        Ok(()) => None,
        Err(Error::Database(error)) => Some(error.code().unwrap().code().to_owned()),
        Err(error) => panic!("{error}"),
    };
    ends.into_iter().filter_map(state).collect()
}

/// The order prevents the cycles: the same statement and the same rows without it are a deadlock.
#[test]
fn unordered_keys_of_the_same_rows_are_a_deadlock() {
    let db = TestDb::migrated();
    let tables: Vec<_> = (0..TABLES).map(|i| table("10.0.0.1", &format!("t{i:02}"), Afi::Ipv4)).collect();
    let forth: Vec<_> = tables.iter().map(|table| &**table).collect();
    let back: Vec<_> = forth.iter().rev().copied().collect();
    let mut client = db.client();
    let mut transaction = client.transaction().unwrap();
    sync::seen(&mut transaction, &forth).unwrap();
    transaction.commit().unwrap();

    let sorted = meet(&db, sync::seen, [&forth[..1], &forth, &back]);
    assert_eq!(sorted, [""; 0]);
    let history = meet(&db, sync::seen_raw, [&forth[..1], &forth, &back]);
    assert_eq!(history, [""; 0]);

    let statement = render(include_str!("../../sql/statements/tables_seen.sql"), RibKind::LocRib);
    let statement = statement.replace("$4::inet[], $5::boolean[]", "NULL::inet[], NULL::boolean[]");
    let unsorted: Vec<&str> = statement.lines().filter(|line| !line.starts_with("ORDER BY")).collect();
    assert_eq!(unsorted.len() + 1, statement.lines().count());
    let unsorted = unsorted.join("\n");
    let as_they_came = |transaction: &mut Transaction<'_>, tables: &[&rib_ingester::model::Table]| {
        let routers: Vec<&str> = tables.iter().map(|table| table.router.as_str()).collect();
        let names: Vec<&str> = tables.iter().map(|table| &*table.name).collect();
        let afis = vec![4_i16; tables.len()];
        let arrays = (Type::TEXT_ARRAY, Type::TEXT_ARRAY, Type::INT2_ARRAY);
        transaction.execute_typed(&unsorted, &[(&routers, arrays.0), (&names, arrays.1), (&afis, arrays.2)])?;
        Ok(())
    };
    assert_eq!(meet(&db, as_they_came, [&forth[..1], &forth, &back]), ["40P01"]);
}
