//! Planned changes: `watch.change_windows`, and the state of routers that is compared before and after one.

use std::net::IpAddr;
use std::time::SystemTime;

use postgres::types::Type;
use postgres::{Client, Row, Transaction};
use serde::{Deserialize, Serialize};

use super::error::{Error, Result};
use super::time::read_time;
use crate::model::Timestamp;

/// The largest number of own routes that a window stores.
pub const OWN_ROUTES_MAX: usize = 10_000;

/// The state of routers at the begin of a change.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ChangeState {
    /// Their BGP peers.
    pub peers: Vec<ChangePeer>,
    /// Their numbers of routes.
    pub counts: Vec<RouteCount>,
    /// Their own routes, at most [`OWN_ROUTES_MAX`].
    pub own: Vec<OwnRoute>,
    /// True if there were more of them.
    pub has_more_own: bool,
    /// The conditions and incidents of watches.
    pub troubles: Vec<Trouble>,
    /// Silences that were made for the change.
    #[serde(default)]
    pub silences: Vec<i64>,
}

/// A BGP peer of a router.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "columns of peers")]
pub struct ChangePeer {
    pub router_id: String,
    pub peer_type: String,
    pub distinguisher: String,
    pub address: IpAddr,
    pub asn: i64,
    pub description: Option<String>,
    /// Why it last went down.
    pub reason: Option<String>,
    /// True if a Peer Up of it arrived in the present BMP session.
    pub is_up: bool,
}

/// The number of routes of a table and family.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteCount {
    /// The router.
    pub router_id: String,
    /// The peer, of an Adj-RIB-In.
    pub peer: Option<IpAddr>,
    /// Its AS.
    pub asn: Option<i64>,
    /// True for the view after policy.
    pub is_post_policy: Option<bool>,
    /// The table.
    pub table_name: String,
    /// 4 or 6.
    pub afi: i16,
    /// The number of routes.
    pub routes: i64,
}

/// An own route: of a watched prefix, or originated by the router's AS.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OwnRoute {
    /// The router.
    pub router_id: String,
    /// The table.
    pub table_name: String,
    /// 4 or 6.
    pub afi: i16,
    /// The prefix.
    pub prefix: String,
    /// The set of its paths.
    pub paths: serde_json::Value,
}

/// Something that is wrong with a watch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// Identifies it.
    pub key: String,
    /// Its description.
    pub text: String,
    /// Of an incident; grows as it gets worse.
    pub severity: i32,
}

/// An own route that is not as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedRoute {
    /// The router.
    pub router_id: String,
    /// The table.
    pub table_name: String,
    /// The prefix.
    pub prefix: String,
    /// True if it has no path any more.
    pub is_gone: bool,
    /// The attributes that differ; none where only the number of paths does.
    pub attributes: Vec<String>,
}

/// A planned change.
#[derive(Clone, Debug)]
pub struct ChangeWindow {
    /// When it began.
    pub begun_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Its routers.
    pub scope: Vec<String>,
    /// Their state when it began.
    pub state: ChangeState,
}

/// Reads the present state of routers.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn read_state(transaction: &mut Transaction<'_>, routers: &[String]) -> Result<ChangeState> {
    let mut own = own_routes(transaction, routers)?;
    let has_more_own = own.len() > OWN_ROUTES_MAX;
    own.truncate(OWN_ROUTES_MAX);
    Ok(ChangeState {
        peers: peers(transaction, routers)?,
        counts: counts(transaction, routers)?,
        own,
        has_more_own,
        troubles: troubles(transaction, routers)?,
        silences: Vec::new(),
    })
}

/// Returns the BGP peers of routers.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn peers(transaction: &mut Transaction<'_>, routers: &[String]) -> Result<Vec<ChangePeer>> {
    let sql = include_str!("../../sql/statements/change_peers.sql");
    let rows = transaction.query_typed(sql, &[(&routers, Type::TEXT_ARRAY)])?;
    let read = |row: &Row| ChangePeer {
        router_id: row.get("router_id"),
        peer_type: row.get("peer_type"),
        distinguisher: row.get("distinguisher"),
        address: row.get("peer_address"),
        asn: row.get("peer_asn"),
        description: row.get("description"),
        reason: row.get("last_reason"),
        is_up: row.get("is_up"),
    };
    Ok(rows.iter().map(read).collect())
}

fn counts(transaction: &mut Transaction<'_>, routers: &[String]) -> Result<Vec<RouteCount>> {
    let sql = include_str!("../../sql/statements/change_counts.sql");
    let rows = transaction.query_typed(sql, &[(&routers, Type::TEXT_ARRAY)])?;
    let read = |row: &Row| RouteCount {
        router_id: row.get("router_id"),
        peer: row.get("peer_address"),
        asn: row.get("peer_asn"),
        is_post_policy: row.get("is_post_policy"),
        table_name: row.get("table_name"),
        afi: row.get("afi"),
        routes: row.get("routes"),
    };
    Ok(rows.iter().map(read).collect())
}

fn own_routes(transaction: &mut Transaction<'_>, routers: &[String]) -> Result<Vec<OwnRoute>> {
    let limit = i64::try_from(OWN_ROUTES_MAX).unwrap_or(i64::MAX).saturating_add(1);
    let sql = include_str!("../../sql/statements/change_own.sql");
    let rows = transaction.query_typed(sql, &[(&routers, Type::TEXT_ARRAY), (&limit, Type::INT8)])?;
    let read = |row: &Row| {
        Ok(OwnRoute {
            router_id: row.get("router_id"),
            table_name: row.get("table_name"),
            afi: row.get("afi"),
            prefix: row.get("prefix"),
            paths: json(row.get("paths"))?,
        })
    };
    rows.iter().map(read).collect()
}

fn troubles(transaction: &mut Transaction<'_>, routers: &[String]) -> Result<Vec<Trouble>> {
    let sql = include_str!("../../sql/statements/change_troubles.sql");
    let rows = transaction.query_typed(sql, &[(&routers, Type::TEXT_ARRAY)])?;
    Ok(rows
        .iter()
        .map(|row| Trouble { key: row.get("key"), text: row.get("text"), severity: row.get("severity") })
        .collect())
}

/// Returns those of these own routes that are not as they were.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn changed_own_routes(transaction: &mut Transaction<'_>, own: &[OwnRoute]) -> Result<Vec<ChangedRoute>> {
    let before = text(&own)?;
    let sql = include_str!("../../sql/statements/change_own_now.sql");
    let rows = transaction.query_typed(sql, &[(&before, Type::TEXT)])?;
    let read = |row: &Row| ChangedRoute {
        router_id: row.get("router_id"),
        table_name: row.get("table_name"),
        prefix: row.get("prefix"),
        is_gone: row.get("is_gone"),
        attributes: row.get("attributes"),
    };
    Ok(rows.iter().map(read).collect())
}

/// Stores a window that begins now. Returns false if one of this name has not ended.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn insert(client: &mut Client, name: &str, scope: &[String], state: &ChangeState) -> Result<bool> {
    let state = text(state)?;
    let stored = client.execute_typed(
        include_str!("../../sql/statements/change_insert.sql"),
        &[(&name, Type::TEXT), (&scope, Type::TEXT_ARRAY), (&state, Type::TEXT)],
    )?;
    Ok(stored > 0)
}

/// Stores which silences were made for a window.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn set_silences(client: &mut Client, name: &str, silences: &[i64]) -> Result<()> {
    let silences = text(&silences)?;
    client.execute_typed(
        "UPDATE watch.change_windows SET state = jsonb_set(state, '{silences}', $2::text::jsonb) WHERE name = $1",
        &[(&name, Type::TEXT), (&silences, Type::TEXT)],
    )?;
    Ok(())
}

/// Returns the window of this name.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn find(client: &mut Client, name: &str) -> Result<Option<ChangeWindow>> {
    let row = client.query_typed_opt(
        "SELECT begun_at, ended_at, scope, state::text AS state FROM watch.change_windows WHERE name = $1",
        &[(&name, Type::TEXT)],
    )?;
    let read = |row: Row| {
        Ok(ChangeWindow {
            begun_at: read_time(row.get("begun_at"))?,
            ended_at: row.get::<_, Option<SystemTime>>("ended_at").map(read_time).transpose()?,
            scope: row.get("scope"),
            state: json(row.get("state"))?,
        })
    };
    row.map(read).transpose()
}

/// Returns the names of windows that have not ended.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn names(client: &mut Client) -> Result<Vec<String>> {
    let open = "SELECT name FROM watch.change_windows WHERE ended_at IS NULL ORDER BY name";
    Ok(client.query_typed(open, &[])?.iter().map(|row| row.get(0)).collect())
}

/// A change as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedWindow {
    /// Its name.
    pub name: String,
    /// When it began.
    pub begun_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Its routers.
    pub routers: Vec<String>,
}

/// Returns the windows that have not ended, or all of them, the newest first.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn list(client: &mut Client, is_all: bool) -> Result<Vec<ListedWindow>> {
    let rows = client.query_typed(
        "SELECT name, begun_at, ended_at, scope FROM watch.change_windows WHERE $1 OR ended_at IS NULL ORDER BY begun_at DESC, name",
        &[(&is_all, Type::BOOL)],
    )?;
    let read = |row: &Row| {
        Ok(ListedWindow {
            name: row.get("name"),
            begun_at: read_time(row.get("begun_at"))?,
            ended_at: row.get::<_, Option<SystemTime>>("ended_at").map(read_time).transpose()?,
            routers: row.get("scope"),
        })
    };
    rows.iter().map(read).collect()
}

/// Ends a window. Returns false if it had ended.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn end(client: &mut Client, name: &str) -> Result<bool> {
    let ended = client.execute_typed(
        "UPDATE watch.change_windows SET ended_at = now() WHERE name = $1 AND ended_at IS NULL",
        &[(&name, Type::TEXT)],
    )?;
    Ok(ended > 0)
}

fn json<T: for<'a> Deserialize<'a>>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| Error::Unexpected(format!("watch.change_windows: {error}")))
}

fn text<T: Serialize + ?Sized>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::Local(format!("state of routers: {error}")))
}
