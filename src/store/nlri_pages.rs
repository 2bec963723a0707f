//! Queries of the pages about other families: a router's tables with their numbers of routes, and the routes of one.

use postgres::Client;
use postgres::types::Type;

use super::error::Result;
use super::slice::Slice;
use super::time::read_time;
use crate::model::Timestamp;

/// A table of another family.
#[derive(Clone, Debug)]
pub(crate) struct NlriTable {
    /// `loc-rib`, `adj-rib-in-pre` and so on.
    pub(crate) view: String,
    /// The peer's address; empty for a Loc-RIB.
    pub(crate) peer: String,
    pub(crate) name: String,
    /// True if no session reports it.
    pub(crate) is_stale: bool,
    /// True if its dump is over.
    pub(crate) is_complete: bool,
    /// The number of its routes, all paths counted.
    pub(crate) routes: i64,
}

/// A route of such a table.
#[derive(Clone, Debug)]
pub(crate) struct NlriRoute {
    pub(crate) key: String,
    /// The Add-Path identifier, 0 without Add-Path.
    pub(crate) path_id: i64,
    pub(crate) nexthop: Option<String>,
    pub(crate) as_path: Option<String>,
    pub(crate) updated_at: Timestamp,
}

/// Returns a page of the tables of a router, Loc-RIBs first, and the number of all.
///
/// # Errors
/// When the query fails or takes too long, or the connection is lost.
pub(crate) fn tables(client: &mut Client, router: &str, slice: Slice) -> Result<(Vec<NlriTable>, i64)> {
    let rows = client.query_typed(
        include_str!("../../sql/statements/page_nlri_tables.sql"),
        &[(&router, Type::TEXT), (&slice.size, Type::INT8), (&slice.page, Type::INT8)],
    )?;
    let tables = rows.iter().map(|row| NlriTable {
        view: row.get("view"),
        peer: row.get("peer"),
        name: row.get("table_name"),
        is_stale: row.get("is_stale"),
        is_complete: row.get("is_complete"),
        routes: row.get("routes"),
    });
    Ok((tables.collect(), rows.first().map_or(0, |row| row.get("tables"))))
}

/// Returns a page of the routes of one table by key, and the number of all. `peer` is empty for a Loc-RIB.
///
/// # Errors
/// When the query fails or takes too long, or the connection is lost.
pub(crate) fn routes(
    client: &mut Client,
    [router, view, peer, table]: [&str; 4],
    slice: Slice,
) -> Result<(Vec<NlriRoute>, i64)> {
    let rows = client.query_typed(
        include_str!("../../sql/statements/page_nlri_routes.sql"),
        &[
            (&router, Type::TEXT),
            (&view, Type::TEXT),
            (&peer, Type::TEXT),
            (&table, Type::TEXT),
            (&slice.size, Type::INT8),
            (&slice.page, Type::INT8),
        ],
    )?;
    let routes = rows.iter().map(|row| {
        Ok(NlriRoute {
            key: row.get("nlri_key"),
            path_id: row.get("path_id"),
            nexthop: row.get("nexthop"),
            as_path: row.get("as_path"),
            updated_at: read_time(row.get("updated_at"))?,
        })
    });
    Ok((routes.collect::<Result<_>>()?, rows.first().map_or(0, |row| row.get("total"))))
}
