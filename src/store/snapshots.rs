//! Daily snapshots of `current_routes`, the starting points of `routes_as_of`.
//!
//! Each transaction copies one table of one router, so that none stays open for long: changes to a table while its
//! routes are copied are in the events, which count from some minutes before a snapshot on.

use std::sync::Arc;

use jiff::civil::Date;
use postgres::Client;
use postgres::types::Type;

use super::error::Result;
use crate::model::RouterId;

/// Returns the tables that have no snapshot of this day yet.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn due(client: &mut Client, day: Date) -> Result<Vec<(RouterId, Arc<str>)>> {
    let rows = client.query_typed(
        "SELECT DISTINCT r.router_id, r.table_name FROM rib_sync_status r
         WHERE NOT EXISTS (SELECT FROM snapshots s
                           WHERE s.router_id = r.router_id AND s.table_name = r.table_name AND s.day = $1::text::date)
         ORDER BY r.router_id, r.table_name",
        &[(&day.to_string(), Type::TEXT)],
    )?;
    Ok(rows.iter().map(|row| (RouterId::new(row.get(0)), row.get::<_, &str>(1).into())).collect())
}

/// Copies the routes of one table into the partition of the day. Returns their number.
///
/// # Errors
/// When a statement fails or the connection is lost: 23514 if the partition is missing.
pub fn take(client: &mut Client, day: Date, router: &RouterId, table_name: &str) -> Result<u64> {
    let (day, router) = (day.to_string(), router.as_str());
    let key = [(&day as _, Type::TEXT), (&router as _, Type::TEXT), (&table_name as _, Type::TEXT)];
    let mut transaction = client.transaction()?;
    let routes = transaction.execute_typed(include_str!("../../sql/statements/take_snapshot.sql"), &key)?;
    let count = i64::try_from(routes).unwrap_or(i64::MAX);
    let [day, router, table_name] = key;
    transaction.execute_typed(
        "INSERT INTO snapshots (day, router_id, table_name, taken_at, routes)
         VALUES ($1::text::date, $2, $3, clock_timestamp(), $4)",
        &[day, router, table_name, (&count, Type::INT8)],
    )?;
    transaction.commit()?;
    Ok(routes)
}

/// Deletes the records of snapshots before `oldest`; their routes are dropped with their partitions. Returns the number
/// of records.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn forget(client: &mut Client, oldest: Date) -> Result<u64> {
    Ok(client
        .execute_typed("DELETE FROM snapshots WHERE day < $1::text::date", &[(&oldest.to_string(), Type::TEXT)])?)
}
