//! `rib_sync_status`, its like for the Adj-RIBs, and `session_events`: how far each table is, and what happened to it.

use std::time::Duration;

use postgres::types::Type;
use postgres::{Client, Transaction};

use super::error::Result;
use super::owner::read_afi;
use super::record::SessionEvent;
use super::routes::Scope;
use super::statement::on;
use crate::model::{Afi, Neighbour, Policy, RibKind, RouterId, Table, TableKey, View};

/// How long counting one table may take, whatever a writer's other statements may.
const COUNT_TIMEOUT: &str = "10min";

/// A table's dump begins. Has to be committed before the first route of the dump, because the purge compares
/// `updated_at` with this transaction's `now()`.
///
/// # Errors
/// Whatever PostgreSQL says.
pub fn start(transaction: &mut Transaction<'_>, table: &Table) -> Result<()> {
    on_table(transaction, include_str!("../../sql/sync_start.sql"), table)
}

/// End-of-RIB was seen. Routers send it more than once: the first one of a dump is the time that stays.
///
/// # Errors
/// Whatever PostgreSQL says.
pub fn end_of_rib(transaction: &mut Transaction<'_>, table: &Table) -> Result<()> {
    on_table(transaction, include_str!("../../sql/sync_end_of_rib.sql"), table)
}

/// How many routes of the table are stored.
///
/// # Errors
/// Whatever PostgreSQL says.
pub fn count(transaction: &mut Transaction<'_>, table: &Table) -> Result<u64> {
    transaction.batch_execute(&format!("SET LOCAL statement_timeout = '{COUNT_TIMEOUT}'"))?;
    let (router, name, afi) = (table.router.as_str(), &*table.name, table.afi.column());
    let neighbour = table.view.neighbour();
    let row = transaction.query_typed_one(
        &on(table.view.kind(), include_str!("../../sql/count_routes.sql")),
        &[
            (&router, Type::TEXT),
            (&name, Type::TEXT),
            (&afi, Type::INT2),
            (&neighbour.map(|of| of.address), Type::INET),
            (&neighbour.map(|of| of.policy.is_post()), Type::BOOL),
        ],
    )?;
    Ok(u64::try_from(row.get::<_, i64>(0)).unwrap_or(0))
}

fn on_table(transaction: &mut Transaction<'_>, sql: &str, table: &Table) -> Result<()> {
    let (router, name, afi) = (table.router.as_str(), &*table.name, table.afi.column());
    let neighbour = table.view.neighbour();
    transaction.execute_typed(
        &on(table.view.kind(), sql),
        &[
            (&router, Type::TEXT),
            (&name, Type::TEXT),
            (&afi, Type::INT2),
            (&neighbour.map(|of| of.address), Type::INET),
            (&neighbour.map(|of| of.policy.is_post()), Type::BOOL),
        ],
    )?;
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
    for kind in RibKind::ALL {
        let tables: Vec<&Table> = tables.iter().copied().filter(|table| table.view.kind() == kind).collect();
        if tables.is_empty() {
            continue;
        }
        let routers: Vec<&str> = tables.iter().map(|table| table.router.as_str()).collect();
        let names: Vec<&str> = tables.iter().map(|table| &*table.name).collect();
        let afis: Vec<i16> = tables.iter().map(|table| table.afi.column()).collect();
        let neighbours: Vec<_> = tables.iter().map(|table| table.view.neighbour()).collect();
        let addresses: Vec<_> = neighbours.iter().map(|of| of.map(|of| of.address)).collect();
        let policies: Vec<_> = neighbours.iter().map(|of| of.map(|of| of.policy.is_post())).collect();
        transaction.execute_typed(
            &on(kind, sql),
            &[
                (&routers, Type::TEXT_ARRAY),
                (&names, Type::TEXT_ARRAY),
                (&afis, Type::INT2_ARRAY),
                (&addresses, Type::INET_ARRAY),
                (&policies, Type::BOOL_ARRAY),
            ],
        )?;
    }
    Ok(())
}

/// The table's dump counts as complete though no End-of-RIB came.
///
/// # Errors
/// As PostgreSQL reports.
pub fn complete(transaction: &mut Transaction<'_>, table: &Table) -> Result<()> {
    on_table(transaction, include_str!("../../sql/sync_complete.sql"), table)
}

/// The session of these tables ended without saying so: they are stale, their rows stay.
///
/// # Errors
/// As PostgreSQL reports.
pub fn mark_stale(transaction: &mut Transaction<'_>, router: &RouterId, tables: &[TableKey]) -> Result<()> {
    for kind in RibKind::ALL {
        let tables: Vec<&TableKey> = tables.iter().filter(|table| table.view.kind() == kind).collect();
        if tables.is_empty() {
            continue;
        }
        let names: Vec<&str> = tables.iter().map(|table| &*table.name).collect();
        let afis: Vec<i16> = tables.iter().map(|table| table.afi.column()).collect();
        let peers: Vec<_> = tables.iter().map(|table| table.view.neighbour()).collect();
        let addresses: Vec<_> = peers.iter().map(|of| of.map(|of| of.address)).collect();
        let policies: Vec<_> = peers.iter().map(|of| of.map(|of| of.policy.is_post())).collect();
        transaction.execute_typed(
            &on(kind, include_str!("../../sql/sync_stale.sql")),
            &[
                (&router.as_str(), Type::TEXT),
                (&names, Type::TEXT_ARRAY),
                (&afis, Type::INT2_ARRAY),
                (&addresses, Type::INET_ARRAY),
                (&policies, Type::BOOL_ARRAY),
            ],
        )?;
    }
    Ok(())
}

/// No table of the router has a session. Their `eor_seen` stays: nothing was lost that is known of.
///
/// # Errors
/// As PostgreSQL reports.
pub fn mark_all_stale(transaction: &mut Transaction<'_>, router: &RouterId) -> Result<()> {
    let sql = "UPDATE rib_sync_status SET stale_since = now(), synced_at = NULL, updated_at = now()
               WHERE router_id = $1 AND stale_since IS NULL";
    for kind in RibKind::ALL {
        transaction.execute_typed(&on(kind, sql), &[(&router.as_str(), Type::TEXT)])?;
    }
    Ok(())
}

/// Whether a table has been stale for at least `hold` in all its families. Who begins it has to wait until the transaction
/// ends.
///
/// # Errors
/// As PostgreSQL reports.
pub fn lock_stale(transaction: &mut Transaction<'_>, router: &RouterId, scope: &Scope, hold: Duration) -> Result<bool> {
    let peer = scope.neighbour();
    let rows = transaction.query_typed(
        &on(scope.kind, include_str!("../../sql/stale_lock.sql")),
        &[
            (&router.as_str(), Type::TEXT),
            (&scope.name(), Type::TEXT),
            (&peer.map(|of| of.address), Type::INET),
            (&peer.map(|of| of.policy.is_post()), Type::BOOL),
            (&hold.as_secs_f64(), Type::FLOAT8),
        ],
    )?;
    Ok(!rows.is_empty() && rows.iter().all(|row| row.get(0)))
}

/// Tables of the router went down: their rows go. Returns how many.
///
/// # Errors
/// Whatever PostgreSQL says.
pub fn remove(transaction: &mut Transaction<'_>, router: &RouterId, scope: &Scope) -> Result<u64> {
    let neighbour = scope.neighbour();
    Ok(transaction.execute_typed(
        &on(scope.kind, include_str!("../../sql/sync_remove.sql")),
        &[
            (&router.as_str(), Type::TEXT),
            (&scope.name(), Type::TEXT),
            (&neighbour.map(|of| of.address), Type::INET),
            (&neighbour.map(|of| of.policy.is_post()), Type::BOOL),
        ],
    )?)
}

/// The tables of one router that have a row.
pub(super) fn tables_of(transaction: &mut Transaction<'_>, router: &RouterId) -> Result<Vec<TableKey>> {
    let mut tables = Vec::new();
    for kind in RibKind::ALL {
        let rows = transaction.query_typed(
            &on(kind, "SELECT table_name, afi/*adj , peer_address, is_post_policy*/ FROM rib_sync_status WHERE router_id = $1"),
            &[(&router.as_str(), Type::TEXT)],
        )?;
        for row in rows {
            let neighbour =
                || Neighbour { address: row.get(2), policy: if row.get(3) { Policy::Post } else { Policy::Pre } };
            let view = match kind {
                RibKind::LocRib => View::LocRib,
                RibKind::AdjRibIn => View::AdjRibIn(neighbour()),
                RibKind::AdjRibOut => View::AdjRibOut(neighbour()),
            };
            tables.push(TableKey { view, name: row.get::<_, &str>(0).into(), afi: read_afi(row.get(1))? });
        }
    }
    tables.sort();
    Ok(tables)
}

/// The routers with tables whose last owner was `collector`: what has to come back within the hold after a start.
///
/// # Errors
/// Whatever PostgreSQL says.
pub fn owned_routers(client: &mut Client, collector: &str) -> Result<Vec<RouterId>> {
    let rows = client.query_typed(
        "SELECT router_id FROM router_owner o
         WHERE collector_id = $1 AND (EXISTS (SELECT FROM rib_sync_status s WHERE s.router_id = o.router_id)
                                   OR EXISTS (SELECT FROM adj_rib_in_sync_status s WHERE s.router_id = o.router_id)
                                   OR EXISTS (SELECT FROM adj_rib_out_sync_status s WHERE s.router_id = o.router_id))
         ORDER BY router_id",
        &[(&collector, Type::TEXT)],
    )?;
    Ok(rows.iter().map(|row| RouterId::new(row.get(0))).collect())
}

/// Writes a row of `session_events` and notifies the listeners of the channel `rib_session`.
///
/// # Errors
/// Whatever PostgreSQL says.
pub fn insert_event(transaction: &mut Transaction<'_>, router: Option<&RouterId>, event: &SessionEvent) -> Result<()> {
    transaction.query_typed(
        include_str!("../../sql/insert_session_event.sql"),
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
