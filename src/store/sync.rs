//! `rib_sync_status` and `session_events`: how far each table is, and what happened to it.

use std::sync::Arc;

use postgres::types::Type;
use postgres::{Client, Transaction};

use super::error::Result;
use super::owner::read_afi;
use super::record::SessionEvent;
use crate::model::{Afi, RouterId, Table};

/// A table's dump begins. Has to be committed before the first route of the dump, because the purge compares
/// `updated_at` with this transaction's `now()`.
///
/// # Errors
/// Whatever PostgreSQL says.
pub fn start(transaction: &mut Transaction<'_>, table: &Table) -> Result<()> {
    on_table(
        transaction,
        "INSERT INTO rib_sync_status (router_id, table_name, afi, session_start_time) VALUES ($1, $2, $3, now())
         ON CONFLICT (router_id, table_name, afi) DO UPDATE
         SET session_start_time = now(), eor_seen = false, eor_time = NULL, updated_at = now()",
        table,
    )
}

/// End-of-RIB was seen. Routers send it more than once: the first one of a dump is the time that stays.
///
/// # Errors
/// Whatever PostgreSQL says.
pub fn end_of_rib(transaction: &mut Transaction<'_>, table: &Table) -> Result<()> {
    on_table(
        transaction,
        "INSERT INTO rib_sync_status AS r (router_id, table_name, afi, eor_seen, eor_time) VALUES ($1, $2, $3, true, now())
         ON CONFLICT (router_id, table_name, afi) DO UPDATE
         SET eor_seen = true, eor_time = CASE WHEN r.eor_seen THEN r.eor_time ELSE now() END, updated_at = now()",
        table,
    )
}

fn on_table(transaction: &mut Transaction<'_>, sql: &str, table: &Table) -> Result<()> {
    let (router, name, afi) = (table.router.as_str(), &*table.name, table.afi.column());
    transaction.execute_typed(sql, &[(&router, Type::TEXT), (&name, Type::TEXT), (&afi, Type::INT2)])?;
    Ok(())
}

/// The tables had messages in this batch: `last_parsed_msg_time`.
///
/// # Errors
/// Whatever PostgreSQL says.
pub fn seen(transaction: &mut Transaction<'_>, tables: &[&Table]) -> Result<()> {
    on_tables(transaction, include_str!("../../sql/tables_seen.sql"), tables)
}

/// The history of the tables had messages in this batch: `last_raw_msg_time`, where the table is still there.
///
/// # Errors
/// Whatever PostgreSQL says.
pub fn seen_raw(transaction: &mut Transaction<'_>, tables: &[&Table]) -> Result<()> {
    on_tables(transaction, include_str!("../../sql/tables_seen_raw.sql"), tables)
}

fn on_tables(transaction: &mut Transaction<'_>, sql: &str, tables: &[&Table]) -> Result<()> {
    if tables.is_empty() {
        return Ok(());
    }
    let routers: Vec<&str> = tables.iter().map(|table| table.router.as_str()).collect();
    let names: Vec<&str> = tables.iter().map(|table| &*table.name).collect();
    let afis: Vec<i16> = tables.iter().map(|table| table.afi.column()).collect();
    transaction
        .execute_typed(sql, &[(&routers, Type::TEXT_ARRAY), (&names, Type::TEXT_ARRAY), (&afis, Type::INT2_ARRAY)])?;
    Ok(())
}

/// The session ended without saying so: nothing of the router is in step any more, its rows stay.
///
/// # Errors
/// Whatever PostgreSQL says.
pub fn hold(transaction: &mut Transaction<'_>, router: &RouterId) -> Result<()> {
    transaction.execute_typed(
        "UPDATE rib_sync_status SET eor_seen = false, updated_at = now() WHERE router_id = $1",
        &[(&router.as_str(), Type::TEXT)],
    )?;
    Ok(())
}

/// A table, or all tables of the router, went down: the rows of all its families go.
///
/// # Errors
/// Whatever PostgreSQL says.
pub fn remove(transaction: &mut Transaction<'_>, router: &RouterId, table_name: Option<&str>) -> Result<()> {
    transaction.execute_typed(
        "DELETE FROM rib_sync_status WHERE router_id = $1 AND ($2 IS NULL OR table_name = $2)",
        &[(&router.as_str(), Type::TEXT), (&table_name, Type::TEXT)],
    )?;
    Ok(())
}

/// The tables of one router that have a row.
pub(super) fn tables_of(transaction: &mut Transaction<'_>, router: &RouterId) -> Result<Vec<(Arc<str>, Afi)>> {
    let rows = transaction.query_typed(
        "SELECT table_name, afi FROM rib_sync_status WHERE router_id = $1 ORDER BY table_name, afi",
        &[(&router.as_str(), Type::TEXT)],
    )?;
    rows.iter().map(|row| Ok((row.get::<_, &str>(0).into(), read_afi(row.get(1))?))).collect()
}

/// The routers and table names with rows whose last owner was `collector`: what has to come back within the hold
/// after a start.
///
/// # Errors
/// Whatever PostgreSQL says.
pub fn owned_tables(client: &mut Client, collector: &str) -> Result<Vec<(RouterId, Arc<str>)>> {
    let rows = client.query_typed(
        "SELECT DISTINCT router_id, table_name FROM rib_sync_status JOIN router_owner USING (router_id)
         WHERE collector_id = $1 ORDER BY router_id, table_name",
        &[(&collector, Type::TEXT)],
    )?;
    Ok(rows.iter().map(|row| (RouterId::new(row.get(0)), row.get::<_, &str>(1).into())).collect())
}

/// Writes a row of `session_events`.
///
/// # Errors
/// Whatever PostgreSQL says.
pub fn insert_event(transaction: &mut Transaction<'_>, router: Option<&RouterId>, event: &SessionEvent) -> Result<()> {
    transaction.execute_typed(
        "INSERT INTO session_events (event_time, router_id, table_name, peer_address, afi, kind, reason, routes)
         VALUES (clock_timestamp(), $1, $2, $3, $4, $5, $6, $7)",
        &[
            (&router.map(RouterId::as_str), Type::TEXT),
            (&event.table_name.as_deref(), Type::TEXT),
            (&event.peer_address, Type::INET),
            (&event.afi.map(Afi::column), Type::INT2),
            (&event.kind.as_str(), Type::TEXT),
            (&event.reason, Type::TEXT),
            (&event.routes, Type::INT8),
        ],
    )?;
    Ok(())
}
