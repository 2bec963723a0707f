//! What the metrics and the status page ask: cheap questions, each with a bound, on a connection of their own.

use std::net::IpAddr;
use std::time::SystemTime;

use postgres::types::Type;
use postgres::{Client, Row};

use super::error::{Error, Result};
use super::events::{clock, read_time};
use super::router_state::{self, RouterStanding};
use crate::model::{Prefix, Timestamp};

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
    pub synchronised: i64,
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

/// One path to a prefix, in any kind of RIB.
#[derive(Clone, Debug)]
pub struct PathRow {
    /// Empty for the Loc-RIB, else which Adj-RIB, in words.
    pub view: String,
    /// The router.
    pub router_id: String,
    /// The table.
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
    /// Communities, large and extended ones behind the others.
    pub communities: Vec<String>,
    /// When the row was last written.
    pub updated_at: Timestamp,
}

/// One BGP neighbour of a router.
#[derive(Clone, Debug)]
pub struct PeerRow {
    /// Its address.
    pub address: String,
    /// Its AS.
    pub asn: i64,
    /// `up`, `down` or `unknown`.
    pub state: String,
    /// Since when.
    pub since: Timestamp,
    /// Why it was last down.
    pub last_reason: Option<String>,
    /// How often it went down.
    pub flaps: i64,
    /// What the router calls it.
    pub description: Option<String>,
}

/// One event of a prefix.
#[derive(Clone, Debug)]
pub struct HistoryRow {
    /// The router.
    pub router_id: String,
    /// The table.
    pub table_name: String,
    /// `ingest_time`.
    pub time: Timestamp,
    /// The Add-Path identifier.
    pub path_id: Option<i64>,
    /// Announced; otherwise withdrawn.
    pub is_announce: bool,
    /// The next hop's address.
    pub nexthop: Option<String>,
    /// The AS path.
    pub as_path: Option<String>,
    /// LOCAL_PREF.
    pub localpref: Option<i64>,
    /// MULTI_EXIT_DISC.
    pub med: Option<i64>,
    /// Empty for the Loc-RIB, else which Adj-RIB, in words.
    pub view: String,
    /// Why a withdrawn one went, unless the router said so.
    pub reason: Option<String>,
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
            synchronised: row.get("synchronised"),
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

/// At most `limit` of the latest events of a prefix within so many hours, the latest first.
///
/// # Errors
/// Whatever PostgreSQL says.
pub fn history(client: &mut Client, prefix: &Prefix, hours: i32, limit: i64) -> Result<Vec<HistoryRow>> {
    let (afi, text) = (prefix.afi().column(), prefix.to_string());
    let rows = client.query_typed(
        include_str!("../../sql/statements/prefix_history.sql"),
        &[(&afi, Type::INT2), (&text, Type::TEXT), (&hours, Type::INT4), (&limit, Type::INT8)],
    )?;
    let events = rows.iter().map(|row| {
        Ok(HistoryRow {
            router_id: row.get("router_id"),
            table_name: row.get("table_name"),
            time: read_time(row.get("ingest_time"))?,
            path_id: row.get("path_id"),
            is_announce: row.get::<_, &str>("action") == "A",
            nexthop: row.get("nexthop"),
            as_path: row.get("as_path"),
            localpref: row.get("localpref"),
            med: row.get("med"),
            view: match row.get("rib") {
                Some("adj-rib-in") => view(row, "in"),
                Some("adj-rib-out") => view(row, "out"),
                Some(_) | None => String::new(),
            },
            reason: row.get("reason"),
        })
    });
    events.collect()
}

/// At most `limit` paths of the longest match for `target` in every table of every router, Loc-RIBs first.
///
/// # Errors
/// Whatever PostgreSQL says.
pub fn paths(client: &mut Client, target: &Prefix, limit: i64) -> Result<Vec<PathRow>> {
    let (afi, text) = (target.afi().column(), target.to_string());
    let rows = client.query_typed(
        include_str!("../../sql/statements/page_paths.sql"),
        &[(&afi, Type::INT2), (&text, Type::TEXT), (&limit, Type::INT8)],
    )?;
    let paths = rows.iter().map(|row| {
        let communities = ["communities_std", "communities_large", "communities_ext"];
        let communities = communities.map(|column| row.get::<_, Option<Vec<String>>>(column));
        Ok(PathRow {
            view: view(row, row.get("direction")),
            router_id: row.get("router_id"),
            table_name: row.get("table_name"),
            prefix: row.get("prefix"),
            path_id: row.get("path_id"),
            nexthop: row.get("nexthop"),
            as_path: row.get("as_path"),
            origin: row.get("origin"),
            localpref: row.get("localpref"),
            med: row.get("med"),
            communities: communities.into_iter().flatten().flatten().collect(),
            updated_at: read_time(row.get("updated_at"))?,
        })
    });
    paths.collect()
}

/// `in-post of 192.0.2.1`; empty for the Loc-RIB.
fn view(row: &Row, direction: &str) -> String {
    let (peer, is_post): (Option<String>, Option<bool>) = (row.get("peer_address"), row.get("is_post_policy"));
    match peer {
        Some(peer) if !direction.is_empty() => {
            let policy = if is_post == Some(true) { "post" } else { "pre" };
            format!("{direction}-{policy} of {peer}")
        }
        Some(_) | None => String::new(),
    }
}

/// At most `limit` neighbours of a router, those that are down first.
///
/// # Errors
/// Whatever PostgreSQL says.
pub fn peers(client: &mut Client, router_id: &str, limit: i64) -> Result<Vec<PeerRow>> {
    let rows = client.query_typed(
        include_str!("../../sql/statements/page_peers.sql"),
        &[(&router_id, Type::TEXT), (&limit, Type::INT8)],
    )?;
    let peers = rows.iter().map(|row| {
        Ok(PeerRow {
            address: row.get::<_, Option<String>>("peer_address").unwrap_or_default(),
            asn: row.get("peer_asn"),
            state: row.get("state"),
            since: read_time(row.get("since"))?,
            last_reason: row.get("last_reason"),
            flaps: row.get("flap_count"),
            description: row.get("description"),
        })
    });
    peers.collect()
}

fn time(row: &Row, column: &str) -> Result<Option<Timestamp>> {
    row.get::<_, Option<SystemTime>>(column).map(read_time).transpose()
}
