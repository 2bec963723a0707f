//! Queries of the metrics and the status page: cheap and bounded, on a connection of their own.

use std::net::IpAddr;
use std::time::SystemTime;

use postgres::types::Type;
use postgres::{Client, Row};

use super::error::{Error, Result};
use super::events::{clock, read_time};
use super::router_state::{self, RouterStanding};
use crate::model::Timestamp;

/// The disk space in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// The number of partitions of `route_events`.
    pub partitions: u64,
    /// Their size with indexes, in bytes.
    pub partition_bytes: u64,
    /// The size of the whole database, in bytes.
    pub database_bytes: u64,
}

/// One router in the list of all routers.
#[derive(Clone, Debug)]
pub struct RouterRow {
    /// `router_id`.
    pub router_id: String,
    /// The address it connected from.
    pub address: Option<IpAddr>,
    /// sysName.
    pub hostname: Option<String>,
    /// Its AS.
    pub as_number: Option<i64>,
    /// The collector that owns it.
    pub collector_id: Option<String>,
    /// Its state and the reason for it.
    pub standing: RouterStanding,
    /// The number of its tables, Adj-RIBs included.
    pub tables: i64,
    /// The number of those whose dump is complete.
    pub synchronized: i64,
    /// The time of the latest message for one of its tables.
    pub last_message: Option<Timestamp>,
    /// The number of routes according to `route_summary`.
    pub routes: i64,
}

/// One router in detail.
#[derive(Clone, Debug)]
pub struct RouterDetail {
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
    /// The time at which it was first seen.
    pub first_seen: Timestamp,
    /// The start of its latest session.
    pub last_seen: Timestamp,
    /// The collector that owns it.
    pub collector_id: Option<String>,
    /// Its state and the reason for it.
    pub standing: RouterStanding,
    /// Its tables, by name and family.
    pub tables: Vec<TableRow>,
    /// Its session events, the latest first.
    pub events: Vec<SessionEventRow>,
}

/// One table of one family.
#[derive(Clone, Debug)]
pub struct TableRow {
    /// `table_name`.
    pub name: String,
    /// 4 or 6.
    pub afi: i16,
    /// True if this session has sent its End-of-RIB.
    pub eor_seen: bool,
    /// The time of that End-of-RIB.
    pub eor_time: Option<Timestamp>,
    /// The time at which its dump counted as complete.
    pub synced_at: Option<Timestamp>,
    /// The start of the current dump.
    pub session_start_time: Option<Timestamp>,
    /// The time of its latest message.
    pub last_message: Option<Timestamp>,
    /// The number of routes according to `route_summary`.
    pub routes: i64,
}

/// One row of `session_events`.
#[derive(Clone, Debug)]
pub struct SessionEventRow {
    /// The time of the event.
    pub time: Timestamp,
    /// The router, if the event is about one.
    pub router_id: Option<String>,
    /// Its sysName.
    pub hostname: Option<String>,
    /// The table, if the event is about one.
    pub table_name: Option<String>,
    /// The peer, or the address of a refused connection.
    pub peer_address: Option<String>,
    /// 4 or 6.
    pub afi: Option<i16>,
    /// The kind of the event.
    pub kind: String,
    /// The reason.
    pub reason: Option<String>,
    /// The number of routes involved.
    pub routes: Option<i64>,
}

/// Returns the sizes of the history and of the database.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn sizes(client: &mut Client) -> Result<Sizes> {
    let row = client.query_typed_one(include_str!("../../sql/statements/sizes.sql"), &[])?;
    let number = |name: &str| {
        u64::try_from(row.get::<_, i64>(name)).map_err(|_| Error::Unexpected(format!("{name} is below zero")))
    };
    Ok(Sizes {
        partitions: number("partitions")?,
        partition_bytes: number("partition_bytes")?,
        database_bytes: number("database_bytes")?,
    })
}

/// Returns at most `limit` routers by identifier, and the time of the database's clock.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn routers(client: &mut Client, limit: i64) -> Result<(Timestamp, Vec<RouterRow>)> {
    let now = clock(client)?;
    let rows =
        client.query_typed(include_str!("../../sql/statements/overview_routers.sql"), &[(&limit, Type::INT8)])?;
    let routers = rows.iter().map(|row| {
        Ok(RouterRow {
            router_id: row.get("router_id"),
            address: row.get("router_ip"),
            hostname: row.get("hostname"),
            as_number: row.get("as_number"),
            collector_id: row.get("collector_id"),
            standing: router_state::read(row)?,
            tables: row.get("tables"),
            synchronized: row.get("synchronized"),
            last_message: time(row, "last_message")?,
            routes: row.get("routes"),
        })
    });
    Ok((now, routers.collect::<Result<_>>()?))
}

/// Returns one router with at most `limit` tables and at most `limit` session events.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn router(client: &mut Client, router_id: &str, limit: i64) -> Result<Option<RouterDetail>> {
    let id = (&router_id as &(dyn postgres::types::ToSql + Sync), Type::TEXT);
    let limit = (&limit as &(dyn postgres::types::ToSql + Sync), Type::INT8);
    let Some(row) =
        client.query_typed_opt(include_str!("../../sql/statements/overview_router.sql"), std::slice::from_ref(&id))?
    else {
        return Ok(None);
    };
    let tables = client.query_typed(include_str!("../../sql/statements/overview_tables.sql"), &[id, limit])?;
    Ok(Some(RouterDetail {
        router_id: row.get("router_id"),
        address: row.get("router_ip"),
        hostname: row.get("hostname"),
        as_number: row.get("as_number"),
        description: row.get("description"),
        first_seen: read_time(row.get("first_seen"))?,
        last_seen: read_time(row.get("last_seen"))?,
        collector_id: row.get("collector_id"),
        standing: router_state::read(&row)?,
        tables: tables.iter().map(table).collect::<Result<_>>()?,
        events: session_events(client, Some(router_id), 40)?,
    }))
}

fn table(row: &Row) -> Result<TableRow> {
    Ok(TableRow {
        name: row.get("table_name"),
        afi: row.get("afi"),
        eor_seen: row.get("eor_seen"),
        eor_time: time(row, "eor_time")?,
        synced_at: time(row, "synced_at")?,
        session_start_time: time(row, "session_start_time")?,
        last_message: time(row, "last_message")?,
        routes: row.get("routes"),
    })
}

/// Returns at most `limit` of the latest session events, of one router or of all.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn session_events(client: &mut Client, router_id: Option<&str>, limit: i64) -> Result<Vec<SessionEventRow>> {
    let rows = client.query_typed(
        include_str!("../../sql/statements/overview_session_events.sql"),
        &[(&router_id, Type::TEXT), (&limit, Type::INT8)],
    )?;
    let events = rows.iter().map(|row| {
        Ok(SessionEventRow {
            time: read_time(row.get("event_time"))?,
            router_id: row.get("router_id"),
            hostname: row.get("hostname"),
            table_name: row.get("table_name"),
            peer_address: row.get("peer_address"),
            afi: row.get("afi"),
            kind: row.get("kind"),
            reason: row.get("reason"),
            routes: row.get("routes"),
        })
    });
    events.collect()
}

fn time(row: &Row, column: &str) -> Result<Option<Timestamp>> {
    row.get::<_, Option<SystemTime>>(column).map(read_time).transpose()
}
