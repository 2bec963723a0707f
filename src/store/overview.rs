//! Queries of the metrics and the status page: cheap and bounded, on a connection of their own.

use std::collections::HashMap;
use std::time::SystemTime;

use postgres::types::Type;
use postgres::{Client, Row};

use super::error::{Error, Result};
use super::events::read_time;
use super::status::{self, RouterStatus};
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
    /// The router, without its tables.
    pub router: RouterStatus,
    /// The number of its tables, Adj-RIBs included.
    pub tables: i64,
    /// The number of those whose dump is complete.
    pub synchronized: i64,
    /// The time of the latest message for one of its tables.
    pub last_message: Option<Timestamp>,
    /// The number of its Loc-RIB routes.
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

/// Returns at most `limit` routers.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn routers(client: &mut Client, limit: i64) -> Result<Vec<RouterRow>> {
    let rows = client.query_typed(include_str!("../../sql/statements/overview_counts.sql"), &[])?;
    let counts: HashMap<&str, &Row> = rows.iter().map(|row| (row.get("router_id"), row)).collect();
    let routers = status::routers(client, None, Some(limit))?.into_iter().map(|router| {
        let row = counts.get(router.router_id.as_str());
        let count = |column| row.map_or(0, |row| row.get(column));
        let last_message = row.and_then(|row| row.get::<_, Option<SystemTime>>("last_message"));
        Ok(RouterRow {
            tables: count("tables"),
            synchronized: count("synchronized"),
            routes: count("routes"),
            last_message: last_message.map(read_time).transpose()?,
            router,
        })
    });
    routers.collect()
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
