//! The routes that watches ask for, in sets.

use std::net::IpAddr;

use postgres::types::Type;
use postgres::{Row, Transaction};

use super::super::error::Result;
use super::evaluate::{asn, prefix_of};
use crate::model::watch::WatchId;
use crate::model::{Asn, Prefix, RouterId};

/// Routes of one prefix in one table that differ in nothing that watches ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteRow {
    /// The router.
    pub router: RouterId,
    /// The table.
    pub table: String,
    /// The prefix.
    pub prefix: Prefix,
    /// The column `origin_asn`.
    pub origin: Option<Asn>,
    /// An AS path of them; `None`: they have none.
    pub path: Option<String>,
    /// True if one is in the Loc-RIB.
    pub in_loc_rib: bool,
    /// True if one is in an Adj-RIB-In after the policy.
    pub after_policy: bool,
    /// True if one is in an Adj-RIB-In before the policy.
    pub before_policy: bool,
    /// A peer that sent one.
    pub peer: Option<IpAddr>,
    /// The communities of theirs, with spaces between, by which they ask to be dropped, drained or diverted.
    pub mitigation: Option<String>,
}

fn route_row(row: &Row) -> Result<RouteRow> {
    let told_path: Option<String> = row.get(4);
    Ok(RouteRow {
        router: RouterId::new(row.get(0)),
        table: row.get(1),
        prefix: prefix_of(row.get(2))?,
        origin: row.get::<_, Option<i64>>(3).and_then(asn),
        path: told_path.or_else(|| row.get(5)),
        in_loc_rib: row.get(6),
        after_policy: row.get(7),
        before_policy: row.get(8),
        peer: row.get(9),
        mitigation: row.get(10),
    })
}

/// The properties besides the origin that separate routes.
#[derive(Clone, Copy, Debug)]
pub struct Separation<'a> {
    /// True if each path is a row of its own.
    pub paths: bool,
    /// The communities that say that a route is mitigated.
    pub mitigation: &'a [String],
}

/// Returns the routes of exactly these prefixes at these routers.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn routes_of(
    transaction: &mut Transaction<'_>,
    cells: &[(&RouterId, Prefix)],
    separation: Separation<'_>,
) -> Result<Vec<RouteRow>> {
    let routers: Vec<&str> = cells.iter().map(|(router, _)| router.as_str()).collect();
    let prefixes: Vec<String> = cells.iter().map(|(_, prefix)| prefix.to_string()).collect();
    let rows = transaction.query_typed(
        include_str!("../../../sql/statements/watch_routes_of.sql"),
        &[
            (&separation.paths, Type::BOOL),
            (&routers, Type::TEXT_ARRAY),
            (&prefixes, Type::TEXT_ARRAY),
            (&separation.mitigation, Type::TEXT_ARRAY),
        ],
    )?;
    rows.iter().map(route_row).collect()
}

/// Returns the routes of the prefixes of these watches and those inside them, at these routers or at all. Routes inside
/// with an expected origin are left out where no watch judges them.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn routes_in(
    transaction: &mut Transaction<'_>,
    watches: &[WatchId],
    routers: Option<&[&RouterId]>,
    separation: Separation<'_>,
) -> Result<Vec<RouteRow>> {
    let ids: Vec<i64> = watches.iter().map(|id| id.0).collect();
    let routers: Option<Vec<&str>> = routers.map(|all| all.iter().map(|router| router.as_str()).collect());
    prefer_order(transaction)?;
    let rows = transaction.query_typed(
        include_str!("../../../sql/statements/watch_routes_in.sql"),
        &[
            (&separation.paths, Type::BOOL),
            (&ids, Type::INT8_ARRAY),
            (&routers, Type::TEXT_ARRAY),
            (&separation.mitigation, Type::TEXT_ARRAY),
        ],
    )?;
    transaction.batch_execute("SET LOCAL enable_sort = on")?;
    rows.iter().map(route_row).collect()
}

/// Makes rows come in their order from the index that has it. Without statistics, as after a first dump, the planner
/// believes that it may as well sort what GiST finds.
///
/// # Errors
/// When the statement fails or the connection is lost.
pub fn prefer_order(transaction: &mut Transaction<'_>) -> Result<()> {
    Ok(transaction.batch_execute("SET LOCAL enable_sort = off")?)
}

/// The questions of a watch of an AS.
#[derive(Clone, Debug)]
pub struct AskedOrigin {
    /// The watch.
    pub watch: WatchId,
    /// An expression for paths with an expected AS before the origin; `None`: any is.
    pub fine_paths: Option<String>,
    /// An expression for paths with an AS after the watched one that is not expected; `None`: any is.
    pub odd_paths: Option<String>,
    /// True if it judges prefixes that were not accepted.
    pub for_new: bool,
    /// True if it judges other origins of accepted prefixes.
    pub for_origin: bool,
    /// True if it judges the state of routes by the VRPs.
    pub for_rpki: bool,
}

/// Returns the routes that watches of ASes have to judge, at these routers or all. Most that are as they should be are
/// left out.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn routes_from(
    transaction: &mut Transaction<'_>,
    asked: &[AskedOrigin],
    routers: Option<&[&RouterId]>,
    separation: Separation<'_>,
) -> Result<Vec<RouteRow>> {
    let routers: Option<Vec<&str>> = routers.map(|all| all.iter().map(|router| router.as_str()).collect());
    let rows = transaction.query_typed(
        include_str!("../../../sql/statements/watch_routes_from.sql"),
        &[
            (&separation.paths, Type::BOOL),
            (&asked.iter().map(|one| one.watch.0).collect::<Vec<_>>(), Type::INT8_ARRAY),
            (&routers, Type::TEXT_ARRAY),
            (&separation.mitigation, Type::TEXT_ARRAY),
            (&asked.iter().map(|one| one.fine_paths.as_deref()).collect::<Vec<_>>(), Type::TEXT_ARRAY),
            (&asked.iter().map(|one| one.odd_paths.as_deref()).collect::<Vec<_>>(), Type::TEXT_ARRAY),
            (&asked.iter().map(|one| one.for_new).collect::<Vec<_>>(), Type::BOOL_ARRAY),
            (&asked.iter().map(|one| one.for_origin).collect::<Vec<_>>(), Type::BOOL_ARRAY),
            (&asked.iter().map(|one| one.for_rpki).collect::<Vec<_>>(), Type::BOOL_ARRAY),
        ],
    )?;
    rows.iter().map(route_row).collect()
}

/// Returns the routes that cover these addresses at these routers.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn routes_over(
    transaction: &mut Transaction<'_>,
    asked: &[(&RouterId, IpAddr)],
    separation: Separation<'_>,
) -> Result<Vec<RouteRow>> {
    let routers: Vec<&str> = asked.iter().map(|(router, _)| router.as_str()).collect();
    let addresses: Vec<IpAddr> = asked.iter().map(|(_, address)| *address).collect();
    let rows = transaction.query_typed(
        include_str!("../../../sql/statements/watch_routes_over.sql"),
        &[
            (&false, Type::BOOL),
            (&routers, Type::TEXT_ARRAY),
            (&addresses, Type::INET_ARRAY),
            (&separation.mitigation, Type::TEXT_ARRAY),
        ],
    )?;
    rows.iter().map(route_row).collect()
}
