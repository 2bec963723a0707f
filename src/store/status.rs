//! What the `status` command shows.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::SystemTime;

use postgres::types::Type;
use postgres::{Client, Row};

use super::error::Result;
use super::events::{clock, read_time};
use super::orphans::{self, Orphans};
use super::owner::read_afi;
use super::pages::{PeerRow, Slice, peers};
use super::partitions::{self, EVENTS, Partition};
use super::router_state::{self, RouterStanding};
use crate::model::{Afi, Timestamp};

/// The state of the whole database.
#[derive(Clone, Debug)]
pub struct Status {
    /// The database's clock, to which all times here compare.
    pub now: Timestamp,
    /// All routers: by address, then those whose identifier is none.
    pub routers: Vec<RouterStatus>,
    /// The Adj-RIBs of each router, all peers together, routers in the same order.
    pub adj_ribs: Vec<AdjRibStatus>,
    /// The days of history, oldest first.
    pub partitions: Vec<Partition>,
    /// Sources refused within the last week, the latest first, 100 at most.
    pub refused: Vec<RefusedSource>,
    /// Routers whose collector is not alive.
    pub without_collector: Vec<Orphans>,
}

/// One router.
#[derive(Clone, Debug)]
pub struct RouterStatus {
    /// `router_id`.
    pub router_id: String,
    /// The address it connected from.
    pub address: Option<IpAddr>,
    /// sysName.
    pub hostname: Option<String>,
    /// Its AS.
    pub as_number: Option<i64>,
    /// sysDescr.
    pub description: Option<String>,
    /// When it was first observed.
    pub first_seen: Timestamp,
    /// When its latest session began.
    pub last_seen: Timestamp,
    /// The collector that took it last.
    pub collector_id: Option<String>,
    /// Whether it is connected.
    pub standing: RouterStanding,
    /// Its tables, by name and family. None: its sessions ended and its holds are over.
    pub tables: Vec<TableStatus>,
}

/// One table of one family.
#[derive(Clone, Debug)]
pub struct TableStatus {
    /// `table_name`.
    pub name: String,
    /// The family.
    pub afi: Afi,
    /// Rows in `current_routes`, counted now.
    pub routes: i64,
    /// Whether this session has sent its End-of-RIB.
    pub eor_seen: bool,
    /// When it did.
    pub eor_time: Option<Timestamp>,
    /// When its dump counted as complete, by End-of-RIB or by quiet.
    pub synced_at: Option<Timestamp>,
    /// Since when no session speaks of it.
    pub stale_since: Option<Timestamp>,
    /// When the current dump began.
    pub session_start_time: Option<Timestamp>,
    /// When `current_routes` last took a message.
    pub last_parsed_msg_time: Option<Timestamp>,
    /// When `route_events` last took a message.
    pub last_raw_msg_time: Option<Timestamp>,
}

/// One view of a router's peers, one table and family of it, over all of them.
#[derive(Clone, Debug)]
pub struct AdjRibStatus {
    /// `router_id`.
    pub router_id: String,
    /// `adj-rib-in-pre` and so on.
    pub view: String,
    /// `table_name`.
    pub name: String,
    /// The family.
    pub afi: Afi,
    /// How many peers have it.
    pub peers: i64,
    /// Of how many the session has sent the End-of-RIB.
    pub synchronized: i64,
    /// Rows, counted now.
    pub routes: i64,
    /// When it last took a message.
    pub last_parsed_msg_time: Option<Timestamp>,
}

/// Someone who is not let in.
#[derive(Clone, Debug)]
pub struct RefusedSource {
    /// From where.
    pub address: IpAddr,
    /// How often within the last week.
    pub times: i64,
    /// When last.
    pub last_time: Timestamp,
    /// Why, the last time.
    pub reason: Option<String>,
}

/// One BMP session.
#[derive(Clone, Debug)]
pub struct SessionStatus {
    /// The collector that has or had it.
    pub collector_id: String,
    /// Address that the router connected from.
    pub source: Option<IpAddr>,
    /// As in `bmp_sessions`, or `no collector`.
    pub state: String,
    /// Start of that state.
    pub since: Timestamp,
    /// Why.
    pub reason: Option<String>,
}

/// One router in full.
#[derive(Clone, Debug)]
pub struct RouterDetail {
    /// What stands in the list of all.
    pub router: RouterStatus,
    /// Its Adj-RIBs, all peers together.
    pub adj_ribs: Vec<AdjRibStatus>,
    /// Its sessions, the latest first, [`DETAILS_MAX`] at most.
    pub sessions: Vec<SessionStatus>,
    /// Its peers, those that are down first, [`DETAILS_MAX`] at most.
    pub peers: Vec<PeerRow>,
}

/// So many sessions and peers of a router are read.
pub const DETAILS_MAX: i64 = 10_000;

/// Reads all of it.
///
/// # Errors
/// Whatever PostgreSQL says.
pub fn read(client: &mut Client) -> Result<Status> {
    let now = clock(client)?;
    let mut routers = routers(client, None)?;
    add_tables(client, &mut routers, None)?;
    let partitions = partitions(client)?;
    let refused = refused(client)?;
    let adj_ribs = adj_ribs(client, None)?;
    let without_collector = orphans::read(client)?;
    Ok(Status { now, routers, adj_ribs, partitions, refused, without_collector })
}

/// All routers without their tables, and those that are not connected with them.
///
/// # Errors
/// Whatever PostgreSQL says.
pub fn read_down(client: &mut Client) -> Result<(Timestamp, Vec<RouterStatus>, Vec<RouterStatus>)> {
    let now = clock(client)?;
    let all = routers(client, None)?;
    let is_down = |router: &&RouterStatus| !router.standing.state.is_connected();
    let mut down: Vec<RouterStatus> = all.iter().filter(is_down).cloned().collect();
    let named: Vec<String> = down.iter().map(|router| router.router_id.clone()).collect();
    add_tables(client, &mut down, Some(&named))?;
    Ok((now, all, down))
}

/// Everything about the routers that are called `name`: an identifier, a name or an address. Several routers may have one name.
///
/// # Errors
/// Whatever PostgreSQL says.
pub fn read_named(client: &mut Client, name: &str) -> Result<(Timestamp, Vec<RouterDetail>)> {
    let now = clock(client)?;
    let address: Option<IpAddr> = name.parse().ok();
    let named = include_str!("../../sql/statements/status_named.sql");
    let named = client.query_typed(named, &[(&name, Type::TEXT), (&address, Type::INET)])?;
    let named: Vec<String> = named.iter().map(|row| row.get("router_id")).collect();
    let mut found = routers(client, Some(&named))?;
    add_tables(client, &mut found, Some(&named))?;
    let mut adj_ribs = adj_ribs(client, Some(&named))?;
    let details = found.into_iter().map(|router| {
        let id = router.router_id.as_str();
        let own = adj_ribs.extract_if(.., |one| one.router_id == id).collect();
        Ok(RouterDetail {
            sessions: sessions(client, id, DETAILS_MAX)?,
            peers: peers(client, id, Slice { size: DETAILS_MAX, page: 0 })?.rows,
            adj_ribs: own,
            router,
        })
    });
    Ok((now, details.collect::<Result<_>>()?))
}

/// Addresses as numbers, IPv4 first, before what is no address.
fn as_address(router_id: &str) -> (bool, Option<IpAddr>, &str) {
    let address = router_id.parse().ok();
    (address.is_none(), address, router_id)
}

fn routers(client: &mut Client, named: Option<&[String]>) -> Result<Vec<RouterStatus>> {
    let rows =
        client.query_typed(include_str!("../../sql/statements/status_routers.sql"), &[(&named, Type::TEXT_ARRAY)])?;
    let mut routers = rows.iter().map(read_router).collect::<Result<Vec<_>>>()?;
    routers.sort_by(|a, b| as_address(&a.router_id).cmp(&as_address(&b.router_id)));
    Ok(routers)
}

fn add_tables(client: &mut Client, routers: &mut [RouterStatus], named: Option<&[String]>) -> Result<()> {
    let rows =
        client.query_typed(include_str!("../../sql/statements/status_tables.sql"), &[(&named, Type::TEXT_ARRAY)])?;
    let mut tables: BTreeMap<&str, Vec<TableStatus>> = BTreeMap::new();
    for row in &rows {
        tables.entry(row.get("router_id")).or_default().push(read_table(row)?);
    }
    for router in routers {
        // A table of a router that was removed from routers by hand has no place here.
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

/// At most `limit` of the latest BMP sessions of a router, those that last first.
///
/// # Errors
/// When the database does not answer in time.
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
        })
    });
    sessions.collect()
}

/// The partitions of history, oldest first.
///
/// # Errors
/// Whatever PostgreSQL says.
pub fn partitions(client: &mut Client) -> Result<Vec<Partition>> {
    partitions::list(client, &EVENTS)
}

/// Sources refused within the last week, the latest first, 100 at most.
///
/// # Errors
/// Whatever PostgreSQL says.
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
        standing: router_state::read(row)?,
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
