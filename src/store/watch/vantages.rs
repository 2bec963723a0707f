//! Vantages: which routers and tables are known, and since when.

use postgres::types::Type;
use postgres::{Row, Transaction};

use super::super::error::Result;
use super::evaluate::{asn, time};
use crate::model::{Afi, Asn, RibKind, RouterId, Timestamp};

/// A router, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouterRow {
    /// The router.
    pub router: RouterId,
    /// Its name for people.
    pub name: Option<String>,
    /// Its AS.
    pub asn: Option<Asn>,
    /// When its live BMP session began; `None`: there is none.
    pub began: Option<Timestamp>,
    /// When all dumps of that session were complete.
    pub complete: Option<Timestamp>,
    /// Since when it has no live session.
    pub lost: Option<Timestamp>,
    /// The state of its session, as in `router_states`.
    pub state: Option<String>,
    /// The collector of that session.
    pub collector: Option<String>,
}

/// Returns all routers.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn routers(transaction: &mut Transaction<'_>) -> Result<Vec<RouterRow>> {
    let rows = transaction.query_typed(include_str!("../../../sql/statements/watch_routers.sql"), &[])?;
    let router = |row: &Row| RouterRow {
        router: RouterId::new(row.get(0)),
        name: row.get(1),
        asn: row.get::<_, Option<i64>>(2).and_then(asn),
        began: time(row, 3),
        complete: time(row, 4),
        lost: time(row, 5),
        state: row.get(6),
        collector: row.get(7),
    };
    Ok(rows.iter().map(router).collect())
}

/// One family of one router's table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableRow {
    /// The router.
    pub router: RouterId,
    /// The table.
    pub table: String,
    /// The Loc-RIB, or Adj-RIBs-In together.
    pub rib: RibKind,
    /// The family.
    pub afi: Afi,
    /// True if routes after the policy are stored.
    pub has_post_policy: bool,
    /// When the first of its dumps was complete.
    pub synced: Option<Timestamp>,
    /// True if no session reports a part of it.
    pub is_stale: bool,
    /// True if a dump is not complete.
    pub is_dumping: bool,
    /// When the first of its dumps began.
    pub began: Option<Timestamp>,
}

/// Returns the tables of all routers.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn tables(transaction: &mut Transaction<'_>) -> Result<Vec<TableRow>> {
    let rows = transaction.query_typed(include_str!("../../../sql/statements/watch_tables.sql"), &[])?;
    let table = |row: &Row| TableRow {
        router: RouterId::new(row.get(0)),
        table: row.get(1),
        rib: if row.get::<_, &str>(2) == RibKind::LocRib.as_str() { RibKind::LocRib } else { RibKind::AdjRibIn },
        afi: if row.get::<_, i16>(3) == Afi::Ipv4.column() { Afi::Ipv4 } else { Afi::Ipv6 },
        has_post_policy: row.get(4),
        synced: time(row, 5),
        is_stale: row.get(6),
        is_dumping: row.get(7),
        began: time(row, 8),
    };
    Ok(rows.iter().map(table).collect())
}

/// A row of `watch.vantages`. The router as a whole has an empty table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VantageRow {
    /// The router.
    pub router: RouterId,
    /// Its table.
    pub table: String,
    /// `loc-rib`, `adj-rib-in` or `router`.
    pub rib: String,
    /// True if what is stored of it counts.
    pub is_known: bool,
    /// Since when.
    pub since: Timestamp,
}

/// Returns the vantages as they were left.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn vantages(transaction: &mut Transaction<'_>) -> Result<Vec<VantageRow>> {
    let rows = transaction.query_typed(
        "SELECT router_id, table_name, rib, known, (extract(epoch FROM since) * 1000000)::bigint FROM watch.vantages",
        &[],
    )?;
    let vantage = |row: &Row| VantageRow {
        router: RouterId::new(row.get(0)),
        table: row.get(1),
        rib: row.get(2),
        is_known: row.get(3),
        since: Timestamp::from_unix_micros(row.get(4)),
    };
    Ok(rows.iter().map(vantage).collect())
}

/// Stores changed vantages. Where one became unknown, the routes of watches are noted as last seen now.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn set_vantages(transaction: &mut Transaction<'_>, changed: &[&VantageRow]) -> Result<()> {
    let routers: Vec<&str> = changed.iter().map(|row| row.router.as_str()).collect();
    let tables: Vec<&str> = changed.iter().map(|row| row.table.as_str()).collect();
    let ribs: Vec<&str> = changed.iter().map(|row| row.rib.as_str()).collect();
    let known: Vec<bool> = changed.iter().map(|row| row.is_known).collect();
    let since: Vec<i64> = changed.iter().map(|row| row.since.unix_micros()).collect();
    transaction.execute_typed(
        include_str!("../../../sql/statements/watch_set_vantages.sql"),
        &[
            (&routers, Type::TEXT_ARRAY),
            (&tables, Type::TEXT_ARRAY),
            (&ribs, Type::TEXT_ARRAY),
            (&known, Type::BOOL_ARRAY),
            (&since, Type::INT8_ARRAY),
        ],
    )?;
    Ok(())
}

/// Deletes the vantages of routers that are forgotten, with what was seen and found there.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn forget_vantages(transaction: &mut Transaction<'_>, gone: &[&RouterId]) -> Result<()> {
    let routers: Vec<&str> = gone.iter().map(|router| router.as_str()).collect();
    for statement in [
        "DELETE FROM watch.vantages WHERE router_id = ANY ($1)",
        "DELETE FROM watch.seen WHERE router_id = ANY ($1)",
        "DELETE FROM watch.conditions WHERE router_id = ANY ($1)",
    ] {
        transaction.execute_typed(statement, &[(&routers, Type::TEXT_ARRAY)])?;
    }
    Ok(())
}
