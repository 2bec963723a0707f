//! Queries of the metrics and the status page: cheap and bounded, on a connection of their own.

use postgres::Client;
use postgres::types::Type;

use super::error::{Error, Result};
use super::time::read_time;
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
