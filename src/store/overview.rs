//! What the metrics and the status page ask: cheap questions, each with a bound, on a connection of their own.

use std::net::IpAddr;
use std::time::SystemTime;

use postgres::types::Type;
use postgres::{Client, Row};

use super::error::{Error, Result};
use super::events::{clock, read_time};
use super::router_state::{self, RouterStanding};
use crate::model::Timestamp;

/// Disk space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Partitions of `route_events`.
    pub partitions: u64,
    /// Their bytes with indexes.
    pub partition_bytes: u64,
    /// Bytes of the whole database.
    pub database_bytes: u64,
}

/// One router in the list of all.
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
    /// Who writes it.
    pub collector_id: Option<String>,
    /// Whether it is connected.
    pub standing: RouterStanding,
    /// Its tables, Adj-RIBs too.
    pub tables: i64,
    /// Of those: whose dump is complete.
    pub synchronized: i64,
    /// When one of its tables last had a message.
    pub last_message: Option<Timestamp>,
    /// Routes by `route_summary`.
    pub routes: i64,
}

/// One router by itself.
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
    /// When it was first observed.
    pub first_seen: Timestamp,
    /// When its latest session began.
    pub last_seen: Timestamp,
    /// Who writes it.
    pub collector_id: Option<String>,
    /// Whether it is connected.
    pub standing: RouterStanding,
    /// Its tables, by name and family.
    pub tables: Vec<TableRow>,
    /// What happened to it, the latest first.
    pub events: Vec<SessionEventRow>,
}

/// One table of one family.
#[derive(Clone, Debug)]
pub struct TableRow {
    /// `table_name`.
    pub name: String,
    /// 4 or 6.
    pub afi: i16,
    /// Whether this session has sent its End-of-RIB.
    pub eor_seen: bool,
    /// When it did.
    pub eor_time: Option<Timestamp>,
    /// When its dump counted as complete.
    pub synced_at: Option<Timestamp>,
    /// When the current dump began.
    pub session_start_time: Option<Timestamp>,
    /// When it last had a message.
    pub last_message: Option<Timestamp>,
    /// Routes by `route_summary`.
    pub routes: i64,
}

/// One row of `session_events`.
#[derive(Clone, Debug)]
pub struct SessionEventRow {
    /// When.
    pub time: Timestamp,
    /// The router, if it was about one.
    pub router_id: Option<String>,
    /// Its sysName.
    pub hostname: Option<String>,
    /// The table, if it was about one.
    pub table_name: Option<String>,
    /// The peer, or the address of one that was refused.
    pub peer_address: Option<String>,
    /// 4 or 6.
    pub afi: Option<i16>,
    /// What.
    pub kind: String,
    /// Why.
    pub reason: Option<String>,
    /// How many routes it was about.
    pub routes: Option<i64>,
}

/// How large the history and the database are.
///
/// # Errors
/// Whatever PostgreSQL says.
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

/// At most `limit` routers by identifier, and the database's clock.
///
/// # Errors
/// Whatever PostgreSQL says.
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

/// One router with at most `limit` tables and so many session events.
///
/// # Errors
/// Whatever PostgreSQL says.
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

/// At most `limit` of the latest session events, of one router or of all.
///
/// # Errors
/// Whatever PostgreSQL says.
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
