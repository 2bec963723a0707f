//! What the `status` command shows.

use std::net::IpAddr;
use std::time::SystemTime;

use postgres::{Client, Row};

use super::error::Result;
use super::events::{clock, read_time};
use super::owner::read_afi;
use super::partitions::{self, EVENTS, Partition};
use crate::model::{Afi, Timestamp};

/// The state of the whole database.
#[derive(Clone, Debug)]
pub struct Status {
    /// The database's clock, to which all times here compare.
    pub now: Timestamp,
    /// All routers, by identifier.
    pub routers: Vec<RouterStatus>,
    /// The Adj-RIBs of each router, all neighbours together.
    pub adj_ribs: Vec<AdjRibStatus>,
    /// The days of history, oldest first.
    pub partitions: Vec<Partition>,
    /// Sources refused within the last week, the latest first, 100 at most.
    pub refused: Vec<RefusedSource>,
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
    /// State of its latest session as in `bmp_sessions`, or `no collector` where that one's collector is not alive. `None`:
    /// no session within the last day.
    pub session_state: Option<String>,
    /// Start of that state.
    pub session_since: Option<Timestamp>,
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
    /// When the current dump began.
    pub session_start_time: Option<Timestamp>,
    /// When `current_routes` last took a message.
    pub last_parsed_msg_time: Option<Timestamp>,
    /// When `route_events` last took a message.
    pub last_raw_msg_time: Option<Timestamp>,
}

/// One view of a router's neighbours, one table and family of it, over all of them.
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
    /// How many neighbours have it.
    pub neighbours: i64,
    /// Of how many the session has sent the End-of-RIB.
    pub synchronised: i64,
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

/// Reads all of it.
///
/// # Errors
/// Whatever PostgreSQL says.
pub fn read(client: &mut Client) -> Result<Status> {
    let now = clock(client)?;
    let mut routers = client
        .query_typed(include_str!("../../sql/statements/status_routers.sql"), &[])?
        .iter()
        .map(read_router)
        .collect::<Result<Vec<_>>>()?;
    // By bytes, whatever the database's collation.
    routers.sort_by(|a, b| a.router_id.cmp(&b.router_id));
    for row in client.query_typed(include_str!("../../sql/statements/status_tables.sql"), &[])? {
        let router_id: &str = row.get("router_id");
        // A table of a router that was removed from routers by hand has no place here.
        if let Ok(i) = routers.binary_search_by(|router| router.router_id.as_str().cmp(router_id)) {
            routers[i].tables.push(read_table(&row)?);
        }
    }
    let partitions = partitions(client)?;
    let refused = refused(client)?;
    let adj_ribs = client.query_typed(include_str!("../../sql/statements/status_adj_ribs.sql"), &[])?;
    let adj_ribs = adj_ribs.iter().map(read_adj_rib).collect::<Result<Vec<_>>>()?;
    Ok(Status { now, routers, adj_ribs, partitions, refused })
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
        session_state: row.get("session_state"),
        session_since: row.get::<_, Option<SystemTime>>("session_since").map(read_time).transpose()?,
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
        neighbours: row.get("neighbours"),
        synchronised: row.get("synchronised"),
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
