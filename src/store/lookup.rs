//! Longest match, for the `lookup` command and the status page.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use postgres::types::Type;
use postgres::{Client, Row};
use serde::Serialize;

use super::error::Result;
use super::names::{self, Names, asns_of};
use super::prepared::Statements;
use super::rpki::{OriginPair, OriginState, origin_states};
use super::slice::Slice;
use super::time::read_time;
use crate::model::community::readable;
use crate::model::{Prefix, Timestamp};

/// One path of the longest match in a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookupRow {
    /// `loc-rib`, `adj-rib-in-pre` and so on.
    pub view: String,
    /// The peer's address of an Adj-RIB; `None` for the Loc-RIB.
    pub peer: Option<IpAddr>,
    /// The router.
    pub router_id: String,
    /// Its sysName.
    pub hostname: Option<String>,
    /// The table's name.
    pub table_name: String,
    /// The matching prefix.
    pub prefix: String,
    /// 0 without Add-Path.
    pub path_id: i64,
    /// The next hop's address.
    pub nexthop: Option<String>,
    /// The AS path; empty for the router's own routes.
    pub as_path: Option<String>,
    /// `IGP`, `EGP` or `INCOMPLETE`.
    pub origin: Option<String>,
    /// LOCAL_PREF.
    pub localpref: Option<i64>,
    /// MULTI_EXIT_DISC.
    pub med: Option<i64>,
    /// The origin (RFC 6811 section 2), the router's own AS where it is the router's own route, 0 for an AS_SET; `None`:
    /// it cannot be known.
    pub route_origin: Option<i64>,
    /// The verdict of the VRPs on prefix and origin; `None`: no set was ever taken, or the role may not read it.
    pub rpki: Option<Arc<OriginState>>,
    /// Communities, followed by large and extended ones, as people read them.
    pub communities: Vec<String>,
    /// When the row was last written.
    pub updated_at: Timestamp,
    /// The whole row as a JSON object; for an Adj-RIB with its view. With `rov`, the state by the VRPs, and
    /// `rov_reason`, the VRPs that decided, where a set of them was ever taken; with `names`, those of its ASes and
    /// communities, where any has one.
    pub json: String,
}

/// The tables that are asked; `None`: all.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LookupScope<'a> {
    /// `loc-rib`, `adj-rib-in-pre` and so on.
    pub(crate) view: Option<&'a str>,
    /// Identifiers of routers.
    pub(crate) routers: Option<&'a [String]>,
    /// The table's name.
    pub(crate) table_name: Option<&'a str>,
}

/// One page of the paths of the longest match in all tables.
#[derive(Clone, Debug, Default)]
pub struct Matches {
    /// The rows of the page: Loc-RIBs first, by router, table, peer and path.
    pub rows: Vec<LookupRow>,
    /// The number of all paths.
    pub paths: i64,
    /// The number of routers that have them.
    pub routers: i64,
    /// The prefixes that match, unordered.
    pub prefixes: Vec<String>,
    /// The names of the ASes and communities of the rows.
    pub names: Names,
}

/// Returns the longest match for `target` (an address is a prefix of full length) in each table of each router, with
/// all its paths; in one view or in all.
///
/// # Errors
/// When the query fails or takes too long, or the connection is lost.
pub fn longest_match(client: &mut Client, target: &Prefix, view: Option<&str>, slice: Slice) -> Result<Matches> {
    let scope = LookupScope { view, ..LookupScope::default() };
    longest_match_in(client, &mut Statements::default(), target, &scope, slice)
}

/// The same in a part of all tables, with the statements that the connection has prepared.
///
/// # Errors
/// As [`longest_match`].
pub(crate) fn longest_match_in(
    client: &mut Client,
    statements: &mut Statements,
    target: &Prefix,
    scope: &LookupScope<'_>,
    slice: Slice,
) -> Result<Matches> {
    let (afi, text) = (target.afi().column(), target.to_string());
    let mut transaction = client.transaction()?;
    transaction.batch_execute(include_str!("../../sql/statements/longest_match_settings.sql"))?;
    let rows = statements.query(
        &mut transaction,
        include_str!("../../sql/statements/longest_match.sql"),
        &[
            (&afi, Type::INT2),
            (&text, Type::TEXT),
            (&slice.size, Type::INT8),
            (&slice.page, Type::INT8),
            (&scope.view, Type::TEXT),
            (&scope.routers, Type::TEXT_ARRAY),
            (&scope.table_name, Type::TEXT),
        ],
    )?;
    let Some(first) = rows.first() else { return Ok(Matches::default()) };
    let (paths, routers, prefixes) = (first.get("paths"), first.get("routers"), first.get("prefixes"));
    let mut rows: Vec<LookupRow> = rows.iter().map(read).collect::<Result<_>>()?;
    let pairs: BTreeSet<OriginPair> = rows.iter().map(LookupRow::pair).collect();
    let states = origin_states(&mut transaction, &pairs.into_iter().collect::<Vec<_>>())?;
    let asns = rows.iter().filter_map(|row| row.as_path.as_deref()).flat_map(asns_of).collect();
    let communities = rows.iter().flat_map(|row| &row.communities).map(String::as_str).collect();
    let names = names::names(&mut transaction, &asns, &communities)?;
    transaction.commit()?;
    for row in &mut rows {
        row.validate(&states);
        row.name(&names);
    }
    Ok(Matches { rows, paths, routers, prefixes, names })
}

fn read(row: &Row) -> Result<LookupRow> {
    let communities = ["communities_std", "communities_large", "communities_ext"];
    let communities = communities.map(|column| row.get::<_, Option<Vec<String>>>(column));
    Ok(LookupRow {
        view: row.get("view"),
        peer: row.get("peer_address"),
        router_id: row.get("router_id"),
        hostname: row.get("hostname"),
        table_name: row.get("table_name"),
        prefix: row.get("prefix"),
        path_id: row.get("path_id"),
        nexthop: row.get("nexthop"),
        as_path: row.get("as_path"),
        origin: row.get("origin"),
        localpref: row.get("localpref"),
        med: row.get("med"),
        route_origin: row.get("route_origin"),
        rpki: None,
        communities: communities.into_iter().flatten().flatten().map(|text| readable(&text).to_owned()).collect(),
        updated_at: read_time(row.get("updated_at"))?,
        json: row.get("json"),
    })
}

impl LookupRow {
    /// Returns the Adj-RIB in words such as `in-post of 192.0.2.1`; nothing for the Loc-RIB.
    pub fn adj_rib(&self) -> String {
        adj_rib(&self.view, self.peer)
    }

    fn pair(&self) -> OriginPair {
        (self.prefix.clone(), self.route_origin)
    }

    /// Notes the state of the route, also in its JSON object.
    fn validate(&mut self, states: &HashMap<OriginPair, Arc<OriginState>>) {
        let Some(found) = states.get(&self.pair()) else { return };
        self.add_to_json("rov", &found.state);
        self.add_to_json("rov_reason", &found.vrps);
        self.rpki = Some(Arc::clone(found));
    }

    /// Notes the names of its ASes and communities in its JSON object, if there are any.
    fn name(&mut self, names: &Names) {
        let within = names.within(self.as_path.as_deref(), &self.communities);
        if !within.is_empty() {
            self.add_to_json("names", &within);
        }
    }

    fn add_to_json(&mut self, key: &str, value: &impl Serialize) {
        if self.json.ends_with('}') {
            self.json.pop();
            self.json.push_str(&format!(",\"{key}\":{}}}", serde_json::json!(value)));
        }
    }
}

/// Returns an Adj-RIB in words such as `in-post of 192.0.2.1`; nothing for the Loc-RIB.
pub(super) fn adj_rib(view: &str, peer: Option<IpAddr>) -> String {
    match (view.strip_prefix("adj-rib-"), peer) {
        (Some(view), Some(peer)) => format!("{view} of {peer}"),
        (None, _) | (_, None) => String::new(),
    }
}
