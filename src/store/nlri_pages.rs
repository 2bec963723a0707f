//! Queries of the pages and of `status` about other families: tables with their numbers of routes, and the routes of one.

use std::time::SystemTime;

use postgres::Client;
use postgres::types::Type;
use serde::Serialize;

use super::error::Result;
use super::slice::Slice;
use super::time::read_time;
use crate::model::Timestamp;

/// One view and table of another family of a router, over all its peers.
#[derive(Clone, Debug, Serialize)]
pub struct NlriStatus {
    /// `router_id`.
    pub router_id: String,
    /// `loc-rib`, `adj-rib-in-pre` and so on.
    pub view: String,
    /// `table_name`, which ends in the family.
    pub table_name: String,
    /// The address family by its IANA number.
    pub afi: Option<i32>,
    /// The subsequent address family by its IANA number.
    pub safi: Option<i16>,
    /// The number of peers that have it; 0 for a Loc-RIB.
    pub peers: i64,
    /// The number of its tables: one for each peer, or that of a Loc-RIB.
    pub tables: i64,
    /// The number of those whose dump counts as complete, by End-of-RIB or by silence.
    pub synchronized: i64,
    /// The number of those that no session reports.
    pub stale: i64,
    /// The number of its routes, all paths counted.
    pub routes: i64,
    /// The time of its latest message.
    pub last_parsed_msg_time: Option<Timestamp>,
}

/// Returns the tables of other families of these routers, or of all, by router.
///
/// # Errors
/// When the query fails or takes too long, or the connection is lost.
pub(super) fn status(client: &mut Client, named: Option<&[String]>) -> Result<Vec<NlriStatus>> {
    let rows =
        client.query_typed(include_str!("../../sql/statements/status_nlri.sql"), &[(&named, Type::TEXT_ARRAY)])?;
    let status = rows.iter().map(|row| {
        let last: Option<SystemTime> = row.get("last_parsed_msg_time");
        Ok(NlriStatus {
            router_id: row.get("router_id"),
            view: row.get("view"),
            table_name: row.get("table_name"),
            afi: row.get("afi"),
            safi: row.get("safi"),
            peers: row.get("peers"),
            tables: row.get("tables"),
            synchronized: row.get("synchronized"),
            stale: row.get("stale"),
            routes: row.get("routes"),
            last_parsed_msg_time: last.map(read_time).transpose()?,
        })
    });
    status.collect()
}

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
