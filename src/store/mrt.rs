//! Tables and events to be written as MRT: read row by row, from one state of the database.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::ControlFlow;
use std::time::SystemTime;

use postgres::types::{ToSql, Type};
use postgres::{Row, Transaction};

use super::error::{Error, Result};
use super::portal::each_row;
use super::table_columns::read_afi;
use super::time::{read_time, system_time};
use crate::model::{Afi, Prefix, RouteColumns, Timestamp};

/// A router as the peer of its own Loc-RIB.
#[derive(Clone, Debug)]
pub(crate) struct MrtRouter {
    /// Its address; `None` if unknown.
    pub(crate) address: Option<IpAddr>,
    /// Its AS; zero if unknown.
    pub(crate) asn: u32,
}

/// The RIB that is exported.
#[derive(Clone, Debug)]
pub(crate) struct MrtRib {
    pub(crate) router: String,
    /// Of an Adj-RIB-In: whether it is the view after policy.
    pub(crate) is_post_policy: Option<bool>,
}

/// A peer of an Adj-RIB-In.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct MrtPeer {
    pub(crate) address: IpAddr,
    pub(crate) asn: u32,
    /// Zero if unknown.
    pub(crate) bgp_id: Ipv4Addr,
}

/// One route.
#[derive(Debug)]
pub(crate) struct MrtRoute<'a> {
    /// `None` in a Loc-RIB.
    pub(crate) peer: Option<MrtPeer>,
    pub(crate) prefix: Prefix,
    /// 0 where Add-Path is not in use.
    pub(crate) path_id: u32,
    /// The last change.
    pub(crate) time: Timestamp,
    pub(crate) columns: RouteColumns<'a>,
}

/// One event.
#[derive(Debug)]
pub(crate) struct MrtEvent<'a> {
    /// When the collector read the message.
    pub(crate) time: Timestamp,
    /// `None` for the Loc-RIB.
    pub(crate) peer: Option<MrtPeer>,
    /// The name of the route's table; `None` of a change of state.
    pub(crate) table: Option<&'a str>,
    pub(crate) kind: MrtEventKind<'a>,
}

/// The content of an event.
#[derive(Debug)]
pub(crate) enum MrtEventKind<'a> {
    Up,
    Down,
    Announced { prefix: Prefix, path_id: Option<u32>, columns: RouteColumns<'a> },
    Withdrawn { prefix: Prefix, path_id: Option<u32> },
}

/// The families of which a route has a path identifier, and the peers.
#[derive(Clone, Debug, Default)]
pub(crate) struct MrtOutline {
    pub(crate) add_path: Vec<Afi>,
    /// The peers of an Adj-RIB-In that have routes.
    pub(crate) peers: Vec<MrtPeer>,
    /// False if routes may be missing, because the history is incomplete.
    pub(crate) is_complete: bool,
}

type Parameters<'a> = Vec<(&'a (dyn ToSql + Sync), Type)>;

/// Returns the router.
///
/// # Errors
/// When the query fails or the connection is lost.
pub(crate) fn router(transaction: &mut Transaction<'_>, router: &str) -> Result<MrtRouter> {
    let row = transaction
        .query_typed(include_str!("../../sql/statements/mrt_router.sql"), &[(&router, Type::TEXT)])?
        .into_iter()
        .next();
    let asn = row.as_ref().and_then(|row| row.get::<_, Option<i64>>("as_number"));
    Ok(MrtRouter { address: row.and_then(|row| row.get("router_ip")), asn: unsigned(asn.unwrap_or(0)) })
}

/// Returns the tables that a RIB has or had.
///
/// # Errors
/// When the query fails or takes too long, or the connection is lost.
pub(crate) fn tables(transaction: &mut Transaction<'_>, rib: &MrtRib) -> Result<Vec<String>> {
    let parameters: Parameters<'_> = vec![(&rib.router, Type::TEXT), (&rib.is_post_policy, Type::BOOL)];
    let rows = transaction.query_typed(include_str!("../../sql/statements/mrt_parts.sql"), &parameters)?;
    Ok(rows.iter().map(|row| row.get("table_name")).collect())
}

/// A table of the RIB.
#[derive(Clone, Debug)]
pub(crate) struct MrtTable {
    pub(crate) name: String,
    /// The name of the unicast table beside it.
    pub(crate) unicast: String,
}

/// The statements about a table: as it is, and as it was at a moment.
struct Texts {
    adj_rib_in: &'static str,
    adj_rib_in_at: &'static str,
    loc_rib: &'static str,
    loc_rib_at: &'static str,
}

/// Returns the statement about a table, as it is or as it was `at` a moment, and its parameters.
fn of_table<'a>(
    rib: &'a MrtRib,
    table: &'a MrtTable,
    at: &'a Option<SystemTime>,
    texts: &Texts,
) -> (&'static str, Parameters<'a>) {
    let mut parameters: Parameters<'a> = vec![(&rib.router, Type::TEXT), (&table.name, Type::TEXT)];
    let text = match (&rib.is_post_policy, at) {
        (Some(is_post_policy), None) => {
            parameters.push((is_post_policy, Type::BOOL));
            texts.adj_rib_in
        }
        (Some(is_post_policy), Some(at)) => {
            parameters.push((is_post_policy, Type::BOOL));
            parameters.extend([(at as _, Type::TIMESTAMPTZ), (&table.unicast as _, Type::TEXT)]);
            texts.adj_rib_in_at
        }
        (None, Some(at)) => {
            parameters.push((at, Type::TIMESTAMPTZ));
            texts.loc_rib_at
        }
        (None, None) => texts.loc_rib,
    };
    (text, parameters)
}

/// Returns the peers of a table, and which of its families have path identifiers: as it is, or as it was `at` a moment.
///
/// # Errors
/// When the query fails or takes too long, or the connection is lost.
pub(crate) fn outline(
    transaction: &mut Transaction<'_>,
    rib: &MrtRib,
    table: &MrtTable,
    at: Option<Timestamp>,
) -> Result<MrtOutline> {
    let mut outline = MrtOutline { is_complete: true, ..MrtOutline::default() };
    let at = at.map(system_time);
    let texts = Texts {
        adj_rib_in: include_str!("../../sql/statements/mrt_adj_rib_in_peers.sql"),
        adj_rib_in_at: include_str!("../../sql/statements/mrt_adj_rib_in_at_peers.sql"),
        loc_rib: include_str!("../../sql/statements/mrt_loc_rib_families.sql"),
        loc_rib_at: include_str!("../../sql/statements/mrt_at_families.sql"),
    };
    let (text, parameters) = of_table(rib, table, &at, &texts);
    for row in transaction.query_typed(text, &parameters)? {
        if at.is_some() {
            outline.is_complete &= row.get::<_, bool>("is_complete");
        }
        if row.get::<_, bool>("has_path_ids") {
            outline.add_path.push(read_afi(row.get("afi"))?);
        }
        if rib.is_post_policy.is_some() {
            outline.peers.extend(read_peer(&row));
        }
    }
    Ok(outline)
}

/// Calls `take` with the routes of a table by prefix, as they are, or as they were `at` a moment, until it breaks off.
///
/// # Errors
/// When the query fails or takes too long, or the connection is lost.
pub(crate) fn each_route(
    transaction: &mut Transaction<'_>,
    rib: &MrtRib,
    table: &MrtTable,
    at: Option<Timestamp>,
    take: &mut dyn FnMut(&MrtRoute<'_>) -> ControlFlow<()>,
) -> Result<()> {
    let at = at.map(system_time);
    let texts = Texts {
        adj_rib_in: include_str!("../../sql/statements/mrt_adj_rib_in.sql"),
        adj_rib_in_at: include_str!("../../sql/statements/mrt_adj_rib_in_at.sql"),
        loc_rib: include_str!("../../sql/statements/mrt_loc_rib.sql"),
        loc_rib_at: include_str!("../../sql/statements/mrt_at.sql"),
    };
    let (text, parameters) = of_table(rib, table, &at, &texts);
    each_row(transaction, text, parameters, &mut |row| {
        let route = MrtRoute {
            peer: read_peer(row),
            prefix: read_prefix(row)?,
            path_id: unsigned(row.get("path_id")),
            time: read_time(row.get("time"))?,
            columns: read_columns(row),
        };
        Ok(take(&route))
    })
    .map(|_| ())
}

/// Returns the peers that were down at the beginning of a span and came up in it; `None` is the Loc-RIB. A row that says so
/// is written after events of routes that came later.
///
/// # Errors
/// When the query fails or takes too long, or the connection is lost.
pub(crate) fn down_at_first(
    transaction: &mut Transaction<'_>,
    rib: &MrtRib,
    tables: &[String],
    (from, to): (Timestamp, Timestamp),
) -> Result<Vec<Option<IpAddr>>> {
    let (from, to) = (system_time(from), system_time(to));
    let parameters: Parameters<'_> = vec![
        (&rib.router, Type::TEXT),
        (&tables, Type::TEXT_ARRAY),
        (&from, Type::TIMESTAMPTZ),
        (&to, Type::TIMESTAMPTZ),
        (&rib.is_post_policy, Type::BOOL),
    ];
    let rows = transaction.query_typed(include_str!("../../sql/statements/mrt_first_states.sql"), &parameters)?;
    Ok(rows.iter().map(|row| row.get("peer_address")).collect())
}

/// Calls `take` with the events of tables within a span of `ingest_time`, until it breaks off.
///
/// # Errors
/// When the query fails or takes too long, or the connection is lost.
pub(crate) fn each_event(
    transaction: &mut Transaction<'_>,
    rib: &MrtRib,
    tables: &[String],
    (from, to): (Timestamp, Timestamp),
    take: &mut dyn FnMut(&MrtEvent<'_>) -> ControlFlow<()>,
) -> Result<()> {
    let (from, to) = (system_time(from), system_time(to));
    let parameters: Parameters<'_> = vec![
        (&rib.router, Type::TEXT),
        (&tables, Type::TEXT_ARRAY),
        (&from, Type::TIMESTAMPTZ),
        (&to, Type::TIMESTAMPTZ),
        (&rib.is_post_policy, Type::BOOL),
    ];
    let text = include_str!("../../sql/statements/mrt_events.sql");
    each_row(transaction, text, parameters, &mut |row| {
        let path_id = || row.get::<_, Option<i64>>("path_id").map(unsigned);
        let kind = match row.get("action") {
            "U" => MrtEventKind::Up,
            "N" => MrtEventKind::Down,
            "A" => {
                MrtEventKind::Announced { prefix: read_prefix(row)?, path_id: path_id(), columns: read_columns(row) }
            }
            _ => MrtEventKind::Withdrawn { prefix: read_prefix(row)?, path_id: path_id() },
        };
        let time = read_time(row.get::<_, SystemTime>("time"))?;
        Ok(take(&MrtEvent { time, peer: read_peer(row), table: row.get("table_name"), kind }))
    })
    .map(|_| ())
}

/// Returns an unsigned number of 32 bits, which the columns hold in 64.
fn unsigned(value: i64) -> u32 {
    u32::try_from(value).unwrap_or(0)
}

fn read_peer(row: &Row) -> Option<MrtPeer> {
    let address: IpAddr = row.get::<_, Option<IpAddr>>("peer_address")?;
    let asn = unsigned(row.get::<_, Option<i64>>("peer_asn").unwrap_or(0));
    let bgp_id = row.get::<_, Option<&str>>("peer_bgp_id").and_then(|id| id.parse().ok());
    Some(MrtPeer { address, asn, bgp_id: bgp_id.unwrap_or(Ipv4Addr::UNSPECIFIED) })
}

fn read_prefix(row: &Row) -> Result<Prefix> {
    let network: IpAddr = row.get("network");
    let length = u8::try_from(row.get::<_, i32>("length")).unwrap_or(u8::MAX);
    let prefix = match network {
        IpAddr::V4(address) => Prefix::new(Afi::Ipv4, &address.octets(), length),
        IpAddr::V6(address) => Prefix::new(Afi::Ipv6, &address.octets(), length),
    };
    prefix.map_err(|error| Error::Unexpected(format!("prefix {network}/{length}: {error}")))
}

fn read_columns(row: &Row) -> RouteColumns<'_> {
    RouteColumns {
        nexthop: row.get("nexthop"),
        as_path: row.get("as_path"),
        origin: row.get("origin"),
        localpref: row.get("localpref"),
        med: row.get("med"),
        communities_std: row.get("communities_std"),
        communities_ext: row.get("communities_ext"),
        communities_large: row.get("communities_large"),
        attrs: row.get("attrs"),
    }
}
