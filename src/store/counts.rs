//! `route_counts`: how many routes each table has, so that nobody has to count a million rows to show a number; and
//! `peer_route_counts`: how many each peer had over time. Routes of other families have `nlri_route_counts` and
//! `peer_nlri_counts`.
//!
//! Every function that inserts or deletes routes adds to [`CountChanges`] what it did, and the transaction stores that
//! as its last statement. Changes by hand are found by [`correct`].

use std::collections::HashMap;
use std::sync::Arc;

use postgres::types::Type;
use postgres::{Client, Row, Transaction};

use super::error::Result;
use super::statement::PerRib;
use super::table_columns::read_afi;
use super::table_columns::{TableColumns, read_view};
use super::time::system_time;
use crate::model::{Afi, RibKind, RouterId, Table, TableKey, Timestamp, View};

static ADD: PerRib = PerRib::new(include_str!("../../sql/statements/counts_add.sql"));

/// The rows that a transaction inserted into tables, less those that it deleted.
#[derive(Clone, Debug, Default)]
pub struct CountChanges(HashMap<(RouterId, TableKey), i64>);

impl CountChanges {
    /// Notes the insertion of routes.
    pub(super) fn inserted(&mut self, table: &Table, routes: u64) {
        let key = TableKey { view: table.view, name: Arc::clone(&table.name), afi: table.afi };
        self.add(table.router.clone(), key, i64::try_from(routes).unwrap_or(i64::MAX));
    }

    /// Notes the deletion of routes of a table in one family.
    pub(super) fn deleted(&mut self, (router, view, name): (&RouterId, View, &str), afi: Afi, routes: i64) {
        self.add(router.clone(), TableKey { view, name: name.into(), afi }, -routes);
    }

    /// Notes rows of a statement that says of how many routes it inserted, or deleted, in its column `routes`. Returns
    /// their sum.
    pub(super) fn take(&mut self, kind: RibKind, rows: &[Row], sign: i64) -> Result<u64> {
        let mut all = 0;
        for row in rows {
            let afi = read_afi(row.get("afi"))?;
            let key = TableKey { view: read_view(kind, row), name: row.get::<_, &str>("table_name").into(), afi };
            let routes: i64 = row.get("routes");
            all += u64::try_from(routes).unwrap_or(0);
            self.add(RouterId::new(row.get("router_id")), key, sign * routes);
        }
        Ok(all)
    }

    fn add(&mut self, router: RouterId, table: TableKey, routes: i64) {
        if routes != 0 {
            *self.0.entry((router, table)).or_default() += routes;
        }
    }

    /// Stores the changes: the last statements of their transaction, one for each of both tables.
    ///
    /// # Errors
    /// When a statement fails or the connection is lost.
    pub fn write(&self, transaction: &mut Transaction<'_>) -> Result<()> {
        self.write_to(transaction, RibKind::LocRib)?;
        self.write_to(transaction, RibKind::NlriLocRib)
    }

    /// Stores the changes of the tables whose numbers are where those of `kind` are.
    fn write_to(&self, transaction: &mut Transaction<'_>, kind: RibKind) -> Result<()> {
        let is_of_kind = |table: &TableKey| table.view.is_nlri() == kind.is_nlri();
        let changed: Vec<_> = self.0.iter().filter(|((_, table), change)| **change != 0 && is_of_kind(table)).collect();
        if changed.is_empty() {
            return Ok(());
        }
        let tables = TableColumns::of_keys(changed.iter().map(|((router, table), _)| (router, table)));
        let ribs: Vec<&str> = changed.iter().map(|((_, table), _)| table.view.kind().as_str()).collect();
        let changes: Vec<i64> = changed.iter().map(|(_, change)| **change).collect();
        let [routers, names, afis, addresses, policies] = tables.parameters();
        let (ribs, changes) = ((&ribs as _, Type::TEXT_ARRAY), (&changes as _, Type::INT8_ARRAY));
        transaction.execute_typed(ADD.on(kind), &[routers, names, afis, addresses, policies, ribs, changes])?;
        Ok(())
    }
}

/// A table whose kept number of routes was not that of its routes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Corrected {
    /// The table, in words.
    pub table: String,
    /// The routes that were stored beyond the number that was kept.
    pub difference: i64,
}

/// Compares the kept numbers of these routers, or of all, with their routes and corrects them. Returns the tables that
/// differed, the largest difference first. Reads the key of each of their routes.
///
/// # Errors
/// When the statement fails or the connection is lost.
pub fn correct(client: &mut Client, routers: Option<&[RouterId]>) -> Result<Vec<Corrected>> {
    let routers: Option<Vec<&str>> = routers.map(|routers| routers.iter().map(RouterId::as_str).collect());
    let correct = include_str!("../../sql/statements/counts_correct.sql");
    let rows = client.query_typed(correct, &[(&routers, Type::TEXT_ARRAY)])?;
    let corrected = |row: &Row| {
        let (router, rib, table, afi): (&str, &str, &str, i16) =
            (row.get("router_id"), row.get("rib"), row.get("table_name"), row.get("afi"));
        let peer = row.get::<_, Option<&str>>("peer_address").map(|peer| format!(" peer {peer}")).unwrap_or_default();
        // The name of a table of another family ends in its family.
        let family = if rib.starts_with("nlri-") { String::new() } else { format!(" IPv{afi}") };
        Corrected { table: format!("{router} {rib}{peer} {table}{family}"), difference: row.get("difference") }
    };
    Ok(rows.iter().map(corrected).collect())
}

/// Returns the routers and how many routes each has by the kept numbers.
///
/// # Errors
/// When the statement fails or the connection is lost.
pub(crate) fn of_routers(client: &mut Client) -> Result<Vec<(RouterId, u64)>> {
    let rows = client.query_typed(include_str!("../../sql/statements/counts_kept.sql"), &[])?;
    let of_router = |row: &Row| {
        let routes: i64 = row.get("routes");
        (RouterId::new(row.get("router_id")), u64::try_from(routes).unwrap_or(0))
    };
    Ok(rows.iter().map(of_router).collect())
}

/// Returns how many routes a router has by the kept numbers.
///
/// # Errors
/// When the statement fails or the connection is lost.
pub(super) fn of_router(transaction: &mut Transaction<'_>, router: &RouterId) -> Result<i64> {
    let sum = "SELECT COALESCE(sum(routes), 0)::bigint
               FROM (SELECT routes FROM route_counts WHERE router_id = $1
                     UNION ALL SELECT routes FROM nlri_route_counts WHERE router_id = $1) AS kept";
    Ok(transaction.query_typed_one(sum, &[(&router.as_str(), Type::TEXT)])?.get(0))
}

/// Notes how many routes each peer has now. Returns the number of rows.
///
/// # Errors
/// When the statement fails or the connection is lost.
pub(crate) fn sample(client: &mut Client) -> Result<u64> {
    let rows = client.execute_typed(include_str!("../../sql/statements/counts_sample.sql"), &[])?;
    Ok(rows + client.execute_typed(include_str!("../../sql/statements/counts_sample_nlri.sql"), &[])?)
}

/// Deletes what was noted more than `days` days before this time, and all but one an hour of what was noted more than
/// 2 days before.
///
/// # Errors
/// When the statement fails or the connection is lost.
pub(crate) fn forget(client: &mut Client, now: Timestamp, days: u32) -> Result<()> {
    let days = i32::try_from(days).unwrap_or(i32::MAX);
    let sql = include_str!("../../sql/statements/counts_forget.sql");
    client.execute_typed(sql, &[(&days, Type::INT4), (&system_time(now), Type::TIMESTAMPTZ)])?;
    Ok(())
}
