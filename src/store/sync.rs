//! `rib_sync_status`, its counterparts for the Adj-RIBs, and `session_events`: how far each table is synchronized, and
//! its events.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use postgres::types::Type;
use postgres::{Client, GenericClient, Row, Transaction};

use super::error::Result;
use super::routes::WholeTable;
use super::statement::PerRib;
use super::table_columns::read_afi;
use super::table_columns::{TableColumns, read_view};
use super::table_names;
use super::time::system_time;
use crate::model::{Afi, RibKind, RouterId, SessionEvent, Table, TableKey, Timestamp, cut_reason};

/// The longest time counting one table may take, independent of the limit for a writer's other statements.
const COUNT_TIMEOUT: &str = "10min";

static START: PerRib = PerRib::new(include_str!("../../sql/statements/sync_start.sql"));
static END_OF_RIB: PerRib = PerRib::new(include_str!("../../sql/statements/sync_end_of_rib.sql"));
static SEEN: PerRib = PerRib::new(include_str!("../../sql/statements/tables_seen.sql"));
static SEEN_RAW: PerRib = PerRib::new(include_str!("../../sql/statements/tables_seen_raw.sql"));
static COMPLETE: PerRib = PerRib::new(include_str!("../../sql/statements/sync_complete.sql"));
static COUNT: PerRib = PerRib::new(include_str!("../../sql/statements/count_routes.sql"));
static STALE: PerRib = PerRib::new(include_str!("../../sql/statements/sync_stale.sql"));
static ALL_STALE: PerRib = PerRib::new(
    "UPDATE {sync} SET stale_since = now(), synced_at = NULL, updated_at = now()
     WHERE router_id = $1 AND stale_since IS NULL",
);
static STALE_TABLES: PerRib =
    PerRib::new("SELECT {peer}table_name, afi FROM {sync} WHERE router_id = $1 AND stale_since IS NOT NULL");
static LOCK_STALE: PerRib = PerRib::new(include_str!("../../sql/statements/stale_lock.sql"));
static REMOVE: PerRib = PerRib::new(include_str!("../../sql/statements/sync_remove.sql"));
static REMOVE_ROUTER: PerRib = PerRib::new(include_str!("../../sql/statements/sync_remove_router.sql"));

/// Begins the dumps of tables, each table once. Must be committed before the first route of a dump, because the purge
/// compares `updated_at` with this transaction's `now()`.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn start(transaction: &mut Transaction<'_>, tables: &[&Table]) -> Result<()> {
    on_tables(transaction, &START, tables)
}

/// Records the End-of-RIB of tables, each table once. Routers send it more than once: the time of the first one of a
/// dump is kept.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn end_of_rib(transaction: &mut Transaction<'_>, tables: &[&Table]) -> Result<()> {
    on_tables(transaction, &END_OF_RIB, tables)
}

/// Returns the number of stored routes of each table, in the same order.
///
/// # Errors
/// When a statement fails or the connection is lost.
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
        let sql = COUNT.on(kind);
        let rows = transaction.query_typed(sql, &columns.parameters())?;
        for (i, row) in of_kind.into_iter().zip(rows) {
            counts[i] = u64::try_from(row.get::<_, i64>(0)).unwrap_or(0);
        }
    }
    Ok(counts)
}

/// Records that the tables had messages in this batch: `last_parsed_msg_time`.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn seen(transaction: &mut Transaction<'_>, tables: &[&Table]) -> Result<()> {
    on_tables(transaction, &SEEN, tables)
}

/// Records that the history of the tables had messages in this batch: `last_raw_msg_time`, if the table still exists.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn seen_raw(transaction: &mut Transaction<'_>, tables: &[&Table]) -> Result<()> {
    on_tables(transaction, &SEEN_RAW, tables)
}

fn on_tables(transaction: &mut Transaction<'_>, statement: &PerRib, tables: &[&Table]) -> Result<()> {
    for kind in RibKind::ALL {
        let mut of_kind: Vec<&Table> = tables.iter().copied().filter(|table| table.view.kind() == kind).collect();
        // No statement may meet a row twice. The peer's AS and BGP identifier are not part of a key.
        let key = |table: &Table| (table.view, table.router.clone(), Arc::clone(&table.name), table.afi);
        of_kind.sort_by_cached_key(|table| key(table));
        of_kind.dedup_by(|a, b| key(a) == key(b));
        if !of_kind.is_empty() {
            transaction.execute_typed(statement.on(kind), &TableColumns::of(of_kind).parameters())?;
        }
    }
    Ok(())
}

/// Records that dumps of tables count as complete although no End-of-RIB arrived.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn complete(transaction: &mut Transaction<'_>, tables: &[&Table]) -> Result<()> {
    on_tables(transaction, &COMPLETE, tables)
}

/// Marks these tables as stale, because their sessions ended without a Termination: their rows stay.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn mark_stale(transaction: &mut Transaction<'_>, tables: &[(&RouterId, &TableKey)]) -> Result<()> {
    for kind in RibKind::ALL {
        let of_kind: Vec<_> = tables.iter().filter(|(_, table)| table.view.kind() == kind).copied().collect();
        if !of_kind.is_empty() {
            let sql = STALE.on(kind);
            transaction.execute_typed(sql, &TableColumns::of_keys(of_kind).parameters())?;
        }
    }
    Ok(())
}

/// Marks all tables of the router as stale. Their `eor_seen` stays: nothing is known to be lost.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn mark_all_stale(transaction: &mut Transaction<'_>, router: &RouterId) -> Result<()> {
    for kind in RibKind::ALL {
        transaction.execute_typed(ALL_STALE.on(kind), &[(&router.as_str(), Type::TEXT)])?;
    }
    Ok(())
}

/// Returns whether a table has been stale for at least `stale_time` in all its families. A session that begins it has
/// to wait until the transaction ends.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn lock_stale(
    transaction: &mut Transaction<'_>,
    table: WholeTable<'_>,
    stale_time: Duration,
) -> Result<bool> {
    let (router, view, name) = table;
    let peer = view.peer();
    let rows = transaction.query_typed(
        LOCK_STALE.on(view.kind()),
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

/// Deletes the status rows of tables that went down, in all their families. Returns their number.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn remove(transaction: &mut Transaction<'_>, tables: &[WholeTable<'_>]) -> Result<u64> {
    let mut removed = 0;
    for kind in RibKind::ALL {
        let of_kind: Vec<_> = tables.iter().filter(|(_, view, _)| view.kind() == kind).copied().collect();
        if !of_kind.is_empty() {
            let sql = REMOVE.on(kind);
            let columns = TableColumns::of_all_families(of_kind.iter().copied());
            removed += transaction.execute_typed(sql, &columns.parameters_of_all_families())?;
            table_names::forget(transaction, kind, &of_kind)?;
        }
    }
    Ok(removed)
}

/// Deletes the status rows of all tables of a router that is no longer expected. Returns their number.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn remove_router(transaction: &mut Transaction<'_>, router: &RouterId) -> Result<u64> {
    let mut removed = 0;
    for kind in RibKind::ALL {
        let sql = REMOVE_ROUTER.on(kind);
        removed += transaction.execute_typed(sql, &[(&router.as_str(), Type::TEXT)])?;
    }
    Ok(removed)
}

/// Returns the tables of one router that are stored and that no session has begun.
pub(super) fn stale_tables_of(transaction: &mut Transaction<'_>, router: &RouterId) -> Result<Vec<TableKey>> {
    let mut tables = Vec::new();
    for kind in RibKind::ALL {
        let rows = transaction.query_typed(STALE_TABLES.on(kind), &[(&router.as_str(), Type::TEXT)])?;
        for row in rows {
            let view = read_view(kind, &row);
            tables.push(TableKey {
                view,
                name: row.get::<_, &str>("table_name").into(),
                afi: read_afi(row.get("afi"))?,
            });
        }
    }
    tables.sort();
    Ok(tables)
}

/// A router that a collector claimed last.
#[derive(Clone, Debug)]
pub(crate) struct OwnedRouter {
    /// `router_id`.
    pub router: RouterId,
    /// sysName.
    pub hostname: Option<String>,
    /// The address it connected from.
    pub address: Option<IpAddr>,
    /// True if a table of it is stored: after a start it has to come back within the stale time.
    pub(crate) has_tables: bool,
}

/// Returns at most `limit` routers whose last owner is `collector`, connected or not, the last to connect first.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn owned_routers(client: &mut Client, collector: &str, limit: usize) -> Result<Vec<OwnedRouter>> {
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

/// Inserts rows of `session_events` in their order. Returns their numbers, for [`notify`] after the commit.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn insert_events(
    transaction: &mut Transaction<'_>,
    events: &[(Option<&RouterId>, &SessionEvent)],
) -> Result<Vec<i64>> {
    insert_events_at(transaction, events, None)
}

/// Does it at the time `at`, or now.
fn insert_events_at(
    transaction: &mut Transaction<'_>,
    events: &[(Option<&RouterId>, &SessionEvent)],
    at: Option<SystemTime>,
) -> Result<Vec<i64>> {
    if events.is_empty() {
        return Ok(Vec::new());
    }
    let routers: Vec<Option<&str>> = events.iter().map(|(router, _)| router.map(RouterId::as_str)).collect();
    let tables: Vec<Option<&str>> = events.iter().map(|(_, event)| event.table_name.as_deref()).collect();
    let addresses: Vec<_> = events.iter().map(|(_, event)| event.peer_address).collect();
    let afis: Vec<_> = events.iter().map(|(_, event)| event.afi.map(Afi::column)).collect();
    let kinds: Vec<&str> = events.iter().map(|(_, event)| event.kind.as_str()).collect();
    let reasons: Vec<Option<&str>> = events.iter().map(|(_, event)| event.reason.as_deref().map(cut_reason)).collect();
    let routes: Vec<Option<i64>> = events.iter().map(|(_, event)| event.routes).collect();
    let rows = transaction.query_typed(
        include_str!("../../sql/statements/insert_session_events.sql"),
        &[
            (&routers, Type::TEXT_ARRAY),
            (&tables, Type::TEXT_ARRAY),
            (&addresses, Type::INET_ARRAY),
            (&afis, Type::INT2_ARRAY),
            (&kinds, Type::TEXT_ARRAY),
            (&reasons, Type::TEXT_ARRAY),
            (&routes, Type::INT8_ARRAY),
            (&at, Type::TIMESTAMPTZ),
        ],
    )?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Notifies the listeners of the channel `rib_session` of rows of `session_events`, each by its number alone. Not in
/// the transactions of writers: the server commits those that notify one after the other.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn notify(client: &mut impl GenericClient, events: &[i64]) -> Result<()> {
    client.query_typed(
        "SELECT pg_notify('rib_session', id::text) FROM unnest($1::bigint[]) AS of (id)",
        &[(&events, Type::INT8_ARRAY)],
    )?;
    Ok(())
}

/// Stores a row of `session_events` about a router, dated `at` or now. Returns the numbers of the rows.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn insert_event(
    client: &mut Client,
    router: &RouterId,
    event: &SessionEvent,
    at: Option<Timestamp>,
) -> Result<Vec<i64>> {
    let mut transaction = client.transaction()?;
    let rows = insert_events_at(&mut transaction, &[(Some(router), event)], at.map(system_time))?;
    transaction.commit()?;
    Ok(rows)
}
