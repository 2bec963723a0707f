//! Longest match, for the `lookup` command.

use postgres::types::{ToSql, Type};
use postgres::{Client, Row};

use super::error::Result;
use super::events::read_time;
use crate::model::{Prefix, Timestamp};

/// A row of `current_routes`, `adj_rib_in` or `adj_rib_out`, values as the database writes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookupRow {
    /// `loc-rib`, `adj-rib-in-pre` and so on.
    pub view: String,
    /// The peer's address of an Adj-RIB; `None` for the Loc-RIB.
    pub peer: Option<String>,
    /// The router.
    pub router_id: String,
    /// The table's name.
    pub table_name: String,
    /// 4 or 6.
    pub afi: i16,
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
    /// The last AS of the path.
    pub origin_asn: Option<i64>,
    /// Communities.
    pub communities_std: Option<Vec<String>>,
    /// Extended communities.
    pub communities_ext: Option<Vec<String>>,
    /// Large communities.
    pub communities_large: Option<Vec<String>>,
    /// All other attributes, a JSON object.
    pub attrs: Option<String>,
    /// When the route was first inserted.
    pub first_seen: Timestamp,
    /// When the row was last written.
    pub updated_at: Timestamp,
    /// The whole row as a JSON object, columns in order.
    pub json: String,
}

/// Returns the longest match for `target` (an address is a prefix of full length) in each table of each router, with
/// all its paths; in one view or in all. Ordered by router, view (the Loc-RIB first), table, peer and path.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn lookup(client: &mut Client, target: &Prefix, view: Option<&str>) -> Result<Vec<LookupRow>> {
    let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&target.to_string(), Type::TEXT), (&view, Type::TEXT)];
    let rows = client.query_typed(include_str!("../../sql/statements/lookup.sql"), &parameters)?;
    rows.iter().map(read).collect()
}

fn read(row: &Row) -> Result<LookupRow> {
    Ok(LookupRow {
        view: row.get("view"),
        peer: row.get("peer_address"),
        router_id: row.get("router_id"),
        table_name: row.get("table_name"),
        afi: row.get("afi"),
        prefix: row.get("prefix"),
        path_id: row.get("path_id"),
        nexthop: row.get("nexthop"),
        as_path: row.get("as_path"),
        origin: row.get("origin"),
        localpref: row.get("localpref"),
        med: row.get("med"),
        origin_asn: row.get("origin_asn"),
        communities_std: row.get("communities_std"),
        communities_ext: row.get("communities_ext"),
        communities_large: row.get("communities_large"),
        attrs: row.get("attrs"),
        first_seen: read_time(row.get("first_seen"))?,
        updated_at: read_time(row.get("updated_at"))?,
        json: row.get("json"),
    })
}
