//! `rib_sync_status`, its like for the Adj-RIBs, and `session_events`: how far each table is, and what happened to it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use postgres::types::Type;
use postgres::{Client, Row, Transaction};

use super::error::Result;
use super::events::system_time;
use super::owner::read_afi;
use super::record::{SessionEvent, cut_reason};
use super::routes::WholeTable;
use super::statement::on;
use super::table_columns::TableColumns;
use super::table_names;
use crate::model::{AdjRibKey, Afi, Policy, RibKind, RouterId, Table, TableKey, Timestamp, View};

/// How long counting one table may take, whatever a writer's other statements may.
const COUNT_TIMEOUT: &str = "10min";

/// Dumps of tables begin, each table once. Has to be committed before the first route of a dump, because the purge compares
/// `updated_at` with this transaction's `now()`.
///
/// # Errors
/// Whatever PostgreSQL says.
pub fn start(transaction: &mut Transaction<'_>, tables: &[&Table]) -> Result<()> {
    on_tables(transaction, include_str!("../../sql/statements/sync_start.sql"), tables)
}

/// End-of-RIB was seen of tables, each table once. Routers send it more than once: the first one of a dump is the time that
/// stays.
///
/// # Errors
/// Whatever PostgreSQL says.
pub fn end_of_rib(transaction: &mut Transaction<'_>, tables: &[&Table]) -> Result<()> {
    on_tables(transaction, include_str!("../../sql/statements/sync_end_of_rib.sql"), tables)
}

/// How many routes of each table are stored, in their order.
///
/// # Errors
/// Whatever PostgreSQL says.
pub fn count(transaction: &mut Transaction<'_>, tables: &[&Table]) -> Result<Vec<u64>> {
    transaction.batch_execute(&format!("SET LOCAL statement_timeout = '{COUNT_TIMEOUT}'"))?;
    transaction.batch_execute(include_str!("../../sql/statements/load_settings.sql"))?;
    let mut counts = vec![0; tables.len()];
    for kind in RibKind::ALL {
        let of_kind: Vec<usize> = (0..tables.len()).filter(|i| tables[*i].view.kind() == kind).collect();
        if of_kind.is_empty() {
            continue;
        }
        let columns = TableColumns::of(of_kind.iter().map(|i| tables[*i]));
        let sql = on(kind, include_str!("../../sql/statements/count_routes.sql"));
        let rows = transaction.query_typed(&sql, &columns.parameters())?;
        for (i, row) in of_kind.into_iter().zip(rows) {
            counts[i] = u64::try_from(row.get::<_, i64>(0)).unwrap_or(0);
        }
    }
    Ok(counts)
}

/// The tables had messages in this batch: `last_parsed_msg_time`.
///
/// # Errors
/// Whatever PostgreSQL says.
pub fn seen(transaction: &mut Transaction<'_>, tables: &[&Table]) -> Result<()> {
    on_tables(transaction, include_str!("../../sql/statements/tables_seen.sql"), tables)
}

/// The history of the tables had messages in this batch: `last_raw_msg_time`, where the table is still there.
///
/// # Errors
/// Whatever PostgreSQL says.
pub fn seen_raw(transaction: &mut Transaction<'_>, tables: &[&Table]) -> Result<()> {
    on_tables(transaction, include_str!("../../sql/statements/tables_seen_raw.sql"), tables)
}

fn on_tables(transaction: &mut Transaction<'_>, sql: &str, tables: &[&Table]) -> Result<()> {
    for kind in RibKind::ALL {
        let mut of_kind: Vec<&Table> = tables.iter().copied().filter(|table| table.view.kind() == kind).collect();
        // No statement may meet a row twice. Who the peer says it is, is no part of a key.
        let key = |table: &Table| (table.view, table.router.clone(), Arc::clone(&table.name), table.afi);
        of_kind.sort_by_cached_key(|table| key(table));
        of_kind.dedup_by(|a, b| key(a) == key(b));
        if !of_kind.is_empty() {
            transaction.execute_typed(&on(kind, sql), &TableColumns::of(of_kind).parameters())?;
        }
    }
    Ok(())
}

/// Dumps of tables count as complete though no End-of-RIB came.
///
/// # Errors
/// As PostgreSQL reports.
pub fn complete(transaction: &mut Transaction<'_>, tables: &[&Table]) -> Result<()> {
    on_tables(transaction, include_str!("../../sql/statements/sync_complete.sql"), tables)
}

/// The sessions of these tables ended without saying so: they are stale, their rows stay.
///
/// # Errors
/// As PostgreSQL reports.
pub fn mark_stale(transaction: &mut Transaction<'_>, tables: &[(&RouterId, &TableKey)]) -> Result<()> {
    for kind in RibKind::ALL {
        let of_kind: Vec<_> = tables.iter().filter(|(_, table)| table.view.kind() == kind).copied().collect();
        if !of_kind.is_empty() {
            let sql = on(kind, include_str!("../../sql/statements/sync_stale.sql"));
            transaction.execute_typed(&sql, &TableColumns::of_keys(of_kind).parameters())?;
        }
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

/// Whether a table has been stale for at least `stale_time` in all its families. Who begins it has to wait until the transaction
/// ends.
///
/// # Errors
/// As PostgreSQL reports.
pub fn lock_stale(transaction: &mut Transaction<'_>, table: WholeTable<'_>, stale_time: Duration) -> Result<bool> {
    let (router, view, name) = table;
    let peer = view.peer();
    let rows = transaction.query_typed(
        &on(view.kind(), include_str!("../../sql/statements/stale_lock.sql")),
        &[
            (&router.as_str(), Type::TEXT),
            (&name, Type::TEXT),
            (&peer.map(|of| of.address), Type::INET),
            (&peer.map(|of| of.policy.is_post()), Type::BOOL),
            (&stale_time.as_secs_f64(), Type::FLOAT8),
        ],
    )?;
    Ok(!rows.is_empty() && rows.iter().all(|row| row.get(0)))
}

/// Tables went down: their rows go, in all their families. Returns how many.
///
/// # Errors
/// Whatever PostgreSQL says.
pub fn remove(transaction: &mut Transaction<'_>, tables: &[WholeTable<'_>]) -> Result<u64> {
    let mut removed = 0;
    for kind in RibKind::ALL {
        let of_kind: Vec<_> = tables.iter().filter(|(_, view, _)| view.kind() == kind).copied().collect();
        if !of_kind.is_empty() {
            let sql = on(kind, include_str!("../../sql/statements/sync_remove.sql"));
            let columns = TableColumns::of_all_families(of_kind.iter().copied());
            removed += transaction.execute_typed(&sql, &columns.parameters_of_all_families())?;
            table_names::forget(transaction, kind, &of_kind)?;
        }
    }
    Ok(removed)
}

/// The router is not expected any more: the rows of all its tables go. Returns how many.
///
/// # Errors
/// Whatever PostgreSQL says.
pub fn remove_router(transaction: &mut Transaction<'_>, router: &RouterId) -> Result<u64> {
    let mut removed = 0;
    for kind in RibKind::ALL {
        let sql = on(kind, include_str!("../../sql/statements/sync_remove_router.sql"));
        removed += transaction.execute_typed(&sql, &[(&router.as_str(), Type::TEXT)])?;
    }
    Ok(removed)
}

/// The tables of one router that are stored and that no session has begun.
pub(super) fn stale_tables_of(transaction: &mut Transaction<'_>, router: &RouterId) -> Result<Vec<TableKey>> {
    let mut tables = Vec::new();
    for kind in RibKind::ALL {
        let rows = transaction.query_typed(
            &on(kind, "SELECT table_name, afi/*adj , peer_address, is_post_policy*/ FROM rib_sync_status WHERE router_id = $1 AND stale_since IS NOT NULL"),
            &[(&router.as_str(), Type::TEXT)],
        )?;
        for row in rows {
            let peer =
                || AdjRibKey { address: row.get(2), policy: if row.get(3) { Policy::Post } else { Policy::Pre } };
            let view = match kind {
                RibKind::LocRib => View::LocRib,
                RibKind::AdjRibIn => View::AdjRibIn(peer()),
                RibKind::AdjRibOut => View::AdjRibOut(peer()),
            };
            tables.push(TableKey { view, name: row.get::<_, &str>(0).into(), afi: read_afi(row.get(1))? });
        }
    }
    tables.sort();
    Ok(tables)
}

/// A router that a collector took last.
#[derive(Clone, Debug)]
pub struct OwnedRouter {
    /// `router_id`.
    pub router: RouterId,
    /// sysName.
    pub hostname: Option<String>,
    /// The address it connected from.
    pub address: Option<IpAddr>,
    /// Whether a table of it is stored: after a start it has to come back within the stale time.
    pub has_tables: bool,
}

/// At most `limit` routers whose last owner is `collector`, connected or not, those first that connected last.
///
/// # Errors
/// Whatever PostgreSQL says.
pub fn owned_routers(client: &mut Client, collector: &str, limit: usize) -> Result<Vec<OwnedRouter>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = client.query_typed(
        include_str!("../../sql/statements/owned_routers.sql"),
        &[(&collector, Type::TEXT), (&limit, Type::INT8)],
    )?;
    let router = |row: &Row| OwnedRouter {
        router: RouterId::new(row.get("router_id")),
        hostname: row.get("hostname"),
        address: row.get("router_ip"),
        has_tables: row.get("has_tables"),
    };
    Ok(rows.iter().map(router).collect())
}

/// Writes rows of `session_events` in their order and notifies the listeners of the channel `rib_session`.
///
/// # Errors
/// Whatever PostgreSQL says.
pub fn insert_events(transaction: &mut Transaction<'_>, events: &[(Option<&RouterId>, &SessionEvent)]) -> Result<()> {
    if events.is_empty() {
        return Ok(());
    }
    let routers: Vec<Option<&str>> = events.iter().map(|(router, _)| router.map(RouterId::as_str)).collect();
    let tables: Vec<Option<&str>> = events.iter().map(|(_, event)| event.table_name.as_deref()).collect();
    let addresses: Vec<_> = events.iter().map(|(_, event)| event.peer_address).collect();
    let afis: Vec<_> = events.iter().map(|(_, event)| event.afi.map(Afi::column)).collect();
    let kinds: Vec<&str> = events.iter().map(|(_, event)| event.kind.as_str()).collect();
    let reasons: Vec<Option<&str>> = events.iter().map(|(_, event)| event.reason.as_deref().map(cut_reason)).collect();
    let routes: Vec<Option<i64>> = events.iter().map(|(_, event)| event.routes).collect();
    transaction.query_typed(
        include_str!("../../sql/statements/insert_session_events.sql"),
        &[
            (&routers, Type::TEXT_ARRAY),
            (&tables, Type::TEXT_ARRAY),
            (&addresses, Type::INET_ARRAY),
            (&afis, Type::INT2_ARRAY),
            (&kinds, Type::TEXT_ARRAY),
            (&reasons, Type::TEXT_ARRAY),
            (&routes, Type::INT8_ARRAY),
        ],
    )?;
    Ok(())
}

/// Writes that events of a router are lost, from when on.
///
/// # Errors
/// Whatever PostgreSQL says.
pub fn insert_gap(client: &mut Client, router: &RouterId, from: Timestamp, reason: &str, events: usize) -> Result<()> {
    client.query_typed(
        include_str!("../../sql/statements/insert_history_gap.sql"),
        &[
            (&router.as_str(), Type::TEXT),
            (&system_time(from), Type::TIMESTAMPTZ),
            (&cut_reason(reason), Type::TEXT),
            (&i64::try_from(events).unwrap_or(i64::MAX), Type::INT8),
        ],
    )?;
    Ok(())
}
