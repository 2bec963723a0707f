//! The data that the `status` command shows.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::SystemTime;

use postgres::types::Type;
use postgres::{Client, Row};
use serde::{Serialize, Serializer};

use super::error::Result;
use super::events::clock;
use super::nlri_pages::{self, NlriStatus};
use super::orphans::{self, Orphans};
use super::pages::{PeerRow, peers};
use super::partitions::{self, EVENTS, Partition};
use super::router_state::{self, RouterStanding};
use super::slice::Slice;
use super::table_columns::read_afi;
use super::time::read_time;
use crate::model::{Afi, RibKind, RouterId, Timestamp};

/// The state of the whole database.
#[derive(Clone, Debug)]
pub struct Status {
    /// The database's clock, the reference for all times here.
    pub now: Timestamp,
    /// All routers: by address, then those whose identifier is not an address.
    pub routers: Vec<RouterStatus>,
    /// The Adj-RIBs of each router, all peers together, in the order of `routers`.
    pub adj_ribs: Vec<AdjRibStatus>,
    /// The tables of other families of each router, all peers together.
    pub nlri_tables: Vec<NlriStatus>,
    /// The days of history, oldest first.
    pub partitions: Vec<Partition>,
    /// Sources refused within the last week, the latest first, at most 100.
    pub refused: Vec<RefusedSource>,
    /// Routers whose collector is not alive.
    pub without_collector: Vec<Orphans>,
}

/// One router.
#[derive(Clone, Debug, Serialize)]
pub struct RouterStatus {
    /// `router_id`.
    pub router_id: String,
    /// The address it connected from.
    #[serde(rename = "router_ip")]
    pub address: Option<IpAddr>,
    /// sysName.
    pub hostname: Option<String>,
    /// Its AS.
    pub as_number: Option<i64>,
    /// sysDescr.
    pub description: Option<String>,
    /// The time at which it was first seen.
    pub first_seen: Timestamp,
    /// The start of its latest session.
    pub last_seen: Timestamp,
    /// The collector that has it.
    pub collector_id: Option<String>,
    /// The collectors that stand by, separated by commas.
    pub standby: Option<String>,
    /// Its state and the reason for it.
    #[serde(flatten)]
    pub(crate) standing: RouterStanding,
    /// The number of its tables, Adj-RIBs and other families included.
    pub table_count: i64,
    /// The number of those whose dump is complete.
    pub synchronized: i64,
    /// The time of the latest message for one of its tables.
    pub last_message: Option<Timestamp>,
    /// The number of its Loc-RIB routes; where it has none, of its Adj-RIB-In routes, each counted in one view only.
    pub routes: i64,
    /// The RIB of these routes.
    #[serde(serialize_with = "rib_name")]
    pub rib: RibKind,
    /// The number of its routes of other families, in all its RIBs.
    pub nlri_routes: i64,
    /// Its Loc-RIB tables, by name and family. Empty if its sessions ended and its stale times are over.
    pub tables: Vec<TableStatus>,
}

fn rib_name<S: Serializer>(rib: &RibKind, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    rib.as_str().serialize(serializer)
}

/// One table of one family.
#[derive(Clone, Debug, Serialize)]
pub struct TableStatus {
    /// `table_name`.
    #[serde(rename = "table_name")]
    pub name: String,
    /// The family.
    pub afi: Afi,
    /// The number of its routes.
    pub routes: i64,
    /// True if this session has sent its End-of-RIB.
    pub eor_seen: bool,
    /// The time of that End-of-RIB.
    pub eor_time: Option<Timestamp>,
    /// The time at which its dump counted as complete, by End-of-RIB or by silence.
    pub synced_at: Option<Timestamp>,
    /// The time since which no session reports it.
    pub stale_since: Option<Timestamp>,
    /// The start of the current dump.
    pub session_start_time: Option<Timestamp>,
    /// The time of the latest message for `current_routes`.
    pub last_parsed_msg_time: Option<Timestamp>,
    /// The time of the latest message for `route_events`.
    pub last_raw_msg_time: Option<Timestamp>,
}

impl TableStatus {
    /// Returns the time of the latest message.
    pub fn last_message(&self) -> Option<Timestamp> {
        self.last_parsed_msg_time.max(self.last_raw_msg_time)
    }
}

/// One Adj-RIB table of one peer and family.
#[derive(Clone, Debug)]
pub struct PeerTableStatus {
    /// `adj-rib-in-pre` and so on.
    pub view: String,
    /// The peer's address.
    pub peer: IpAddr,
    /// The table.
    pub table: TableStatus,
}

/// One page of the Adj-RIB tables of a router.
#[derive(Clone, Debug, Default)]
pub struct PeerTables {
    /// The rows of the page, by peer.
    pub rows: Vec<PeerTableStatus>,
    /// The number of all tables.
    pub tables: i64,
    /// The number of those whose dump is complete.
    pub synchronized: i64,
}

/// One view, table and family of a router, over all its peers.
#[derive(Clone, Debug, Serialize)]
pub struct AdjRibStatus {
    /// `router_id`.
    pub router_id: String,
    /// `adj-rib-in-pre` and so on.
    pub view: String,
    /// `table_name`.
    #[serde(rename = "table_name")]
    pub name: String,
    /// The family.
    pub afi: Afi,
    /// The number of peers that have it.
    pub peers: i64,
    /// The number of those whose dump counts as complete, by End-of-RIB or by silence.
    pub synchronized: i64,
    /// The number of rows, counted now.
    pub routes: i64,
    /// The time of its latest message.
    pub last_parsed_msg_time: Option<Timestamp>,
}

/// A source whose connections were refused.
#[derive(Clone, Debug, Serialize)]
pub struct RefusedSource {
    /// Its address.
    pub address: IpAddr,
    /// The number of refusals within the last week.
    pub times: i64,
    /// The time of the latest one.
    pub(crate) last_time: Timestamp,
    /// The reason for the latest one.
    pub reason: Option<String>,
}

/// One BMP session.
#[derive(Clone, Debug, Serialize)]
pub struct SessionStatus {
    /// The collector that has or had the session.
    pub collector_id: String,
    /// The address that the router connected from.
    pub source: Option<IpAddr>,
    /// As in `bmp_sessions`, or `no collector`.
    pub state: String,
    /// The start of that state.
    pub since: Timestamp,
    /// The reason for that state.
    pub reason: Option<String>,
    /// The time of the latest message, if it stands by and keeps what it hears.
    pub heard_until: Option<Timestamp>,
    /// The age of the oldest message that it has not applied then, seconds.
    pub lag_secs: Option<f64>,
    /// The octets of these messages.
    pub waiting_octets: Option<i64>,
}

/// One router in detail.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RouterDetail {
    /// The same as in the list of all routers.
    #[serde(flatten)]
    pub router: RouterStatus,
    /// Its Adj-RIBs, all peers together.
    pub adj_ribs: Vec<AdjRibStatus>,
    /// Its tables of other families, all peers together.
    pub nlri_tables: Vec<NlriStatus>,
    /// Its sessions, the latest first, at most [`DETAILS_MAX`].
    pub sessions: Vec<SessionStatus>,
    /// Its peers, those that are down first, at most [`DETAILS_MAX`].
    pub peers: Vec<PeerRow>,
}

/// The number of sessions and of peers of a router that are read at most.
pub(crate) const DETAILS_MAX: i64 = 10_000;

/// Reads the whole state.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn read(client: &mut Client) -> Result<Status> {
    let now = clock(client)?;
    let mut routers = routers(client, None, None)?;
    add_tables(client, &mut routers, None, None)?;
    let partitions = partitions(client)?;
    let refused = refused(client)?;
    let adj_ribs = adj_ribs(client, None)?;
    let nlri_tables = nlri_pages::status(client, None)?;
    let without_collector = orphans::read(client)?;
    Ok(Status { now, routers, adj_ribs, nlri_tables, partitions, refused, without_collector })
}

/// Returns the time of the database's clock, all routers without their tables, and those that are not connected with
/// theirs.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn read_down(client: &mut Client) -> Result<(Timestamp, Vec<RouterStatus>, Vec<RouterStatus>)> {
    let now = clock(client)?;
    let all = routers(client, None, None)?;
    let is_down = |router: &&RouterStatus| !router.standing.state.is_connected();
    let mut down: Vec<RouterStatus> = all.iter().filter(is_down).cloned().collect();
    let named: Vec<String> = down.iter().map(|router| router.router_id.clone()).collect();
    add_tables(client, &mut down, Some(&named), None)?;
    Ok((now, all, down))
}

/// Returns the routers called `name`, with their host names: by identifier, host name, the name that operators gave, or
/// address. Several routers may have the same name.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn named(client: &mut Client, name: &str) -> Result<Vec<(RouterId, Option<String>)>> {
    let address: Option<IpAddr> = name.parse().ok();
    let rows = client.query_typed(
        include_str!("../../sql/statements/status_named.sql"),
        &[(&name, Type::TEXT), (&address, Type::INET)],
    )?;
    Ok(rows.iter().map(|row| (RouterId::new(row.get("router_id")), row.get("hostname"))).collect())
}

/// Reads the details of the routers that are [`named`] so.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn read_named(client: &mut Client, name: &str) -> Result<(Timestamp, Vec<RouterDetail>)> {
    let now = clock(client)?;
    let named: Vec<String> = named(client, name)?.into_iter().map(|(router, _)| router.as_str().to_owned()).collect();
    let mut found = routers(client, Some(&named), None)?;
    add_tables(client, &mut found, Some(&named), None)?;
    let mut adj_ribs = adj_ribs(client, Some(&named))?;
    let mut nlri_tables = nlri_pages::status(client, Some(&named))?;
    let details = found.into_iter().map(|router| {
        let id = router.router_id.as_str();
        let own = adj_ribs.extract_if(.., |one| one.router_id == id).collect();
        Ok(RouterDetail {
            sessions: sessions(client, id, DETAILS_MAX)?,
            peers: peers(client, id, Slice { size: DETAILS_MAX, page: 0 })?.rows,
            adj_ribs: own,
            nlri_tables: nlri_tables.extract_if(.., |one| one.router_id == id).collect(),
            router,
        })
    });
    Ok((now, details.collect::<Result<_>>()?))
}

/// Returns a sort key: addresses as numbers, IPv4 first, before identifiers that are not addresses.
fn as_address(router_id: &str) -> (bool, Option<IpAddr>, &str) {
    let address = router_id.parse().ok();
    (address.is_none(), address, router_id)
}

/// Returns one router with at most `limit` tables.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn router(client: &mut Client, router_id: &str, limit: i64) -> Result<Option<RouterStatus>> {
    let named = [router_id.to_owned()];
    let mut found = routers(client, Some(&named), None)?;
    add_tables(client, &mut found, Some(&named), Some(limit))?;
    Ok(found.pop())
}

/// Returns routers without their tables: all or those named, at most `limit`.
///
/// # Errors
/// When the statement fails or the connection is lost.
pub(crate) fn routers(client: &mut Client, named: Option<&[String]>, limit: Option<i64>) -> Result<Vec<RouterStatus>> {
    let rows = client.query_typed(
        include_str!("../../sql/statements/status_routers.sql"),
        &[(&named, Type::TEXT_ARRAY), (&limit, Type::INT8)],
    )?;
    let mut routers = rows.iter().map(read_router).collect::<Result<Vec<_>>>()?;
    routers.sort_by(|a, b| as_address(&a.router_id).cmp(&as_address(&b.router_id)));
    Ok(routers)
}

fn add_tables(
    client: &mut Client,
    routers: &mut [RouterStatus],
    named: Option<&[String]>,
    limit: Option<i64>,
) -> Result<()> {
    let rows = client.query_typed(
        include_str!("../../sql/statements/status_tables.sql"),
        &[(&named, Type::TEXT_ARRAY), (&limit, Type::INT8)],
    )?;
    let mut tables: BTreeMap<&str, Vec<TableStatus>> = BTreeMap::new();
    for row in &rows {
        tables.entry(row.get("router_id")).or_default().push(read_table(row)?);
    }
    for router in routers {
        // Tables of a router that was deleted from routers by hand are left out.
        router.tables = tables.remove(router.router_id.as_str()).unwrap_or_default();
    }
    Ok(())
}

fn adj_ribs(client: &mut Client, named: Option<&[String]>) -> Result<Vec<AdjRibStatus>> {
    let rows =
        client.query_typed(include_str!("../../sql/statements/status_adj_ribs.sql"), &[(&named, Type::TEXT_ARRAY)])?;
    let mut adj_ribs = rows.iter().map(read_adj_rib).collect::<Result<Vec<_>>>()?;
    adj_ribs.sort_by(|a, b| as_address(&a.router_id).cmp(&as_address(&b.router_id)));
    Ok(adj_ribs)
}

/// Returns a page of the Adj-RIB tables of a router, one for each peer, view, table and family.
///
/// # Errors
/// When the query fails or takes too long, or the connection is lost.
pub fn peer_tables(client: &mut Client, router_id: &str, slice: Slice) -> Result<PeerTables> {
    let rows = client.query_typed(
        include_str!("../../sql/statements/page_adj_ribs.sql"),
        &[(&router_id, Type::TEXT), (&slice.size, Type::INT8), (&slice.page, Type::INT8)],
    )?;
    let Some(first) = rows.first() else { return Ok(PeerTables::default()) };
    let (tables, synchronized) = (first.get("tables"), first.get("synchronized"));
    let read = |row: &Row| {
        Ok(PeerTableStatus { view: row.get("view"), peer: row.get("peer_address"), table: read_table(row)? })
    };
    Ok(PeerTables { rows: rows.iter().map(read).collect::<Result<_>>()?, tables, synchronized })
}

/// Returns at most `limit` of the latest BMP sessions of a router, those that are not over first.
///
/// # Errors
/// When the query fails or takes too long, or the connection is lost.
pub fn sessions(client: &mut Client, router_id: &str, limit: i64) -> Result<Vec<SessionStatus>> {
    let rows = client.query_typed(
        include_str!("../../sql/statements/status_sessions.sql"),
        &[(&router_id, Type::TEXT), (&limit, Type::INT8)],
    )?;
    let sessions = rows.iter().map(|row| {
        Ok(SessionStatus {
            collector_id: row.get("collector_id"),
            source: row.get("source"),
            state: row.get("state"),
            since: read_time(row.get("since"))?,
            reason: row.get("reason"),
            heard_until: row.get::<_, Option<SystemTime>>("heard_until").map(read_time).transpose()?,
            lag_secs: row.get("lag_secs"),
            waiting_octets: row.get("waiting_octets"),
        })
    });
    sessions.collect()
}

/// Returns the partitions of history, oldest first.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn partitions(client: &mut Client) -> Result<Vec<Partition>> {
    partitions::list(client, &EVENTS)
}

/// Returns the sources refused within the last week, the latest first, at most 100.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn refused(client: &mut Client) -> Result<Vec<RefusedSource>> {
    client.query_typed(include_str!("../../sql/statements/status_refused.sql"), &[])?.iter().map(read_refused).collect()
}

fn read_router(row: &Row) -> Result<RouterStatus> {
    Ok(RouterStatus {
        router_id: row.get("router_id"),
        address: row.get("router_ip"),
        hostname: row.get("hostname"),
        as_number: row.get("as_number"),
        description: row.get("description"),
        first_seen: read_time(row.get("first_seen"))?,
        last_seen: read_time(row.get("last_seen"))?,
        collector_id: row.get("collector_id"),
        standby: row.get("standby"),
        standing: router_state::read(row)?,
        table_count: row.get("tables"),
        synchronized: row.get("synchronized"),
        last_message: row.get::<_, Option<SystemTime>>("last_message").map(read_time).transpose()?,
        routes: row.get::<_, Option<i64>>("routes").unwrap_or(0),
        nlri_routes: row.get("nlri_routes"),
        rib: if row.get("is_adj_rib_in") { RibKind::AdjRibIn } else { RibKind::LocRib },
        tables: Vec::new(),
    })
}

fn read_table(row: &Row) -> Result<TableStatus> {
    let time = |column| row.get::<_, Option<SystemTime>>(column).map(read_time).transpose();
    Ok(TableStatus {
        name: row.get("table_name"),
        afi: read_afi(row.get("afi"))?,
        routes: row.get("routes"),
        eor_seen: row.get("eor_seen"),
        eor_time: time("eor_time")?,
        synced_at: time("synced_at")?,
        stale_since: time("stale_since")?,
        session_start_time: time("session_start_time")?,
        last_parsed_msg_time: time("last_parsed_msg_time")?,
        last_raw_msg_time: time("last_raw_msg_time")?,
    })
}

fn read_adj_rib(row: &Row) -> Result<AdjRibStatus> {
    Ok(AdjRibStatus {
        router_id: row.get("router_id"),
        view: row.get("view"),
        name: row.get("table_name"),
        afi: read_afi(row.get("afi"))?,
        peers: row.get("peers"),
        synchronized: row.get("synchronized"),
        routes: row.get("routes"),
        last_parsed_msg_time: row.get::<_, Option<SystemTime>>("last_parsed_msg_time").map(read_time).transpose()?,
    })
}

fn read_refused(row: &Row) -> Result<RefusedSource> {
    Ok(RefusedSource {
        address: row.get("peer_address"),
        times: row.get("times"),
        last_time: read_time(row.get("last_time"))?,
        reason: row.get("reason"),
    })
}
