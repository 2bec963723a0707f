//! Queries of single pages: the history of a prefix, peers and sessions of a router, and where an AS is seen.
//!
//! Lists are returned in pages ([`Slice`]) with their total, so that no page grows with the amount of stored data.

use postgres::types::{ToSql, Type};
use postgres::{Client, Row};
use serde::{Serialize, Serializer};

use super::error::Result;
use super::lookup::adj_rib;
use super::slice::Slice;
use super::time::read_time;
use crate::model::{Prefix, Timestamp};

/// The largest number of routes and peers that are counted for an AS.
pub const COUNTED_MAX: i64 = 10_000;

/// The maximum number of events of a prefix that are read of one table.
pub const EVENTS_PER_TABLE: i64 = 50;

/// One BGP peer of a router.
#[derive(Clone, Debug, Serialize)]
pub struct PeerRow {
    /// Its address.
    pub address: String,
    /// Its AS.
    pub asn: i64,
    /// The distinguisher of its VRF; empty outside of VRFs.
    #[serde(serialize_with = "null_if_empty")]
    pub distinguisher: String,
    /// `up`, `down` or `unknown`.
    pub state: String,
    /// The start of that state.
    pub since: Timestamp,
    /// The reason why it was last down.
    pub last_reason: Option<String>,
    /// The number of times it went down.
    pub flaps: i64,
    /// The router's description of it.
    pub description: Option<String>,
    /// The number of its routes before policy; `None` where none are stored.
    pub pre_policy_routes: Option<i64>,
    /// The number of its routes after policy; `None` where none are stored.
    pub post_policy_routes: Option<i64>,
}

fn null_if_empty<S: Serializer>(text: &str, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    (!text.is_empty()).then_some(text).serialize(serializer)
}

/// One page of a router's peers.
#[derive(Clone, Debug, Default)]
pub struct PeerPage {
    /// The rows of the page, peers that are down first.
    pub rows: Vec<PeerRow>,
    /// The number of all peers.
    pub peers: i64,
    /// The number of peers that are up.
    pub up: i64,
    /// The number of peers that are down.
    pub down: i64,
}

/// One event of a prefix.
#[derive(Clone, Debug)]
pub struct HistoryRow {
    /// The router.
    pub router_id: String,
    /// Its sysName.
    pub hostname: Option<String>,
    /// The table.
    pub table_name: String,
    /// `ingest_time`.
    pub time: Timestamp,
    /// The Add-Path path identifier.
    pub path_id: Option<i64>,
    /// True if announced, false if withdrawn.
    pub is_announce: bool,
    /// The next hop's address.
    pub nexthop: Option<String>,
    /// The AS path.
    pub as_path: Option<String>,
    /// LOCAL_PREF.
    pub localpref: Option<i64>,
    /// MULTI_EXIT_DISC.
    pub med: Option<i64>,
    /// The Adj-RIB in words; empty for the Loc-RIB.
    pub view: String,
    /// The reason for a withdrawal that the router did not send.
    pub reason: Option<String>,
}

/// One prefix that an AS originates.
#[derive(Clone, Debug)]
pub struct OriginRow {
    /// The prefix.
    pub prefix: String,
    /// The number of routers that have it in a Loc-RIB or in an Adj-RIB.
    pub routers: i64,
    /// The number of paths in Loc-RIBs.
    pub loc_rib: i64,
    /// The number of paths in Adj-RIBs-In.
    pub received: i64,
    /// The number of paths in Adj-RIBs-Out.
    pub sent: i64,
}

/// One page of the prefixes that an AS originates.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    /// The rows of the page, by prefix.
    pub rows: Vec<OriginRow>,
    /// The number of all prefixes that were counted.
    pub prefixes: i64,
    /// True if the limit was reached, so that there may be more routes than were counted.
    pub is_cut: bool,
}

/// One peer of some router.
#[derive(Clone, Debug)]
pub struct PeerOfAsRow {
    /// The router.
    pub router_id: String,
    /// Its sysName.
    pub hostname: Option<String>,
    /// The peer's address.
    pub address: String,
    /// `up`, `down` or `unknown`.
    pub state: String,
    /// The start of that state.
    pub since: Timestamp,
    /// The router's description of it.
    pub description: Option<String>,
}

/// One page of the peers that are in an AS.
#[derive(Clone, Debug, Default)]
pub struct PeersOfAs {
    /// The rows of the page, peers that are down first.
    pub rows: Vec<PeerOfAsRow>,
    /// The number of all peers that were counted.
    pub peers: i64,
    /// True if the limit was reached, so that there may be more peers than were counted.
    pub is_cut: bool,
}

/// Returns at most `limit` events of a prefix within the last `hours` hours, the latest first; of one table at most
/// [`EVENTS_PER_TABLE`].
///
/// # Errors
/// When the query fails or takes too long, or the connection is lost.
pub fn history(client: &mut Client, prefix: &Prefix, hours: i32, limit: i64) -> Result<Vec<HistoryRow>> {
    let (afi, text) = (prefix.afi().column(), prefix.to_string());
    let rows = client.query_typed(
        include_str!("../../sql/statements/prefix_history.sql"),
        &[
            (&afi, Type::INT2),
            (&text, Type::TEXT),
            (&hours, Type::INT4),
            (&limit, Type::INT8),
            (&EVENTS_PER_TABLE, Type::INT8),
        ],
    )?;
    let events = rows.iter().map(|row| {
        Ok(HistoryRow {
            router_id: row.get("router_id"),
            hostname: row.get("hostname"),
            table_name: row.get("table_name"),
            time: read_time(row.get("ingest_time"))?,
            path_id: row.get("path_id"),
            is_announce: row.get::<_, &str>("action") == "A",
            nexthop: row.get("nexthop"),
            as_path: row.get("as_path"),
            localpref: row.get("localpref"),
            med: row.get("med"),
            view: adj_rib(row.get("view"), row.get("peer_address")),
            reason: row.get("reason"),
        })
    });
    events.collect()
}

/// Returns a page of the peers of a router, those that are down first.
///
/// # Errors
/// When the query fails or takes too long, or the connection is lost.
pub fn peers(client: &mut Client, router_id: &str, slice: Slice) -> Result<PeerPage> {
    let rows = client.query_typed(
        include_str!("../../sql/statements/page_peers.sql"),
        &[(&router_id, Type::TEXT), (&slice.size, Type::INT8), (&slice.page, Type::INT8)],
    )?;
    let Some(first) = rows.first() else { return Ok(PeerPage::default()) };
    let (peers, up, down) = (first.get("peers"), first.get("up"), first.get("down"));
    let rows = rows.iter().filter_map(|row| {
        let address = row.get::<_, Option<String>>("peer_address")?;
        Some(read_time(row.get("since")).map(|since| PeerRow {
            address,
            asn: row.get("peer_asn"),
            distinguisher: row.get("distinguisher"),
            state: row.get("state"),
            since,
            last_reason: row.get("last_reason"),
            flaps: row.get("flap_count"),
            description: row.get("description"),
            pre_policy_routes: row.get("pre"),
            post_policy_routes: row.get("post"),
        }))
    });
    Ok(PeerPage { rows: rows.collect::<Result<_>>()?, peers, up, down })
}

/// Returns a page of the prefixes that an AS originates; at most [`COUNTED_MAX`] routes of each kind of RIB are
/// counted.
///
/// # Errors
/// When the query fails or takes too long, or the connection is lost.
pub fn origins(client: &mut Client, asn: u32, slice: Slice) -> Result<Origins> {
    let rows = of_as(client, include_str!("../../sql/statements/page_origin.sql"), asn, slice)?;
    let Some(first) = rows.first() else { return Ok(Origins::default()) };
    let (prefixes, is_cut) = (first.get("prefixes"), first.get("is_cut"));
    let rows = rows.iter().map(|row| OriginRow {
        prefix: row.get("prefix"),
        routers: row.get("routers"),
        loc_rib: row.get("loc_rib"),
        received: row.get("received"),
        sent: row.get("sent"),
    });
    Ok(Origins { rows: rows.collect(), prefixes, is_cut })
}

/// Returns a page of the peers in an AS on all routers, those that are down first; at most [`COUNTED_MAX`] are counted.
///
/// # Errors
/// When the query fails or takes too long, or the connection is lost.
pub fn peers_of_as(client: &mut Client, asn: u32, slice: Slice) -> Result<PeersOfAs> {
    let rows = of_as(client, include_str!("../../sql/statements/page_peers_of_as.sql"), asn, slice)?;
    let Some(first) = rows.first() else { return Ok(PeersOfAs::default()) };
    let (peers, is_cut) = (first.get("peers"), first.get("is_cut"));
    let rows = rows.iter().map(|row| {
        Ok(PeerOfAsRow {
            router_id: row.get("router_id"),
            hostname: row.get("hostname"),
            address: row.get("peer_address"),
            state: row.get("state"),
            since: read_time(row.get("since"))?,
            description: row.get("description"),
        })
    });
    Ok(PeersOfAs { rows: rows.collect::<Result<_>>()?, peers, is_cut })
}

fn of_as(client: &mut Client, sql: &str, asn: u32, slice: Slice) -> Result<Vec<Row>> {
    let asn = i64::from(asn);
    let parameters: [(&(dyn ToSql + Sync), Type); 4] =
        [(&asn, Type::INT8), (&COUNTED_MAX, Type::INT8), (&slice.size, Type::INT8), (&slice.page, Type::INT8)];
    Ok(client.query_typed(sql, &parameters)?)
}
