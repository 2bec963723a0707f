//! What the `doctor` command asks the database about itself.

use std::time::{Duration, Instant, SystemTime};

use jiff::civil::Date;
use postgres::Client;
use postgres::types::Type;

use super::error::Result;
use super::lock_waits::{self, LockWait};
use super::orphans::Orphans;
use super::partitions::{EVENTS, Partition, SNAPSHOTS, Series, State, day_of, holes};
use super::router_state::{self, RouterState};
use super::{events, migrate, orphans, partitions};
use crate::model::Timestamp;

/// The server, the role, the schema.
#[derive(Clone, Debug)]
pub struct Facts {
    /// `server_version_num`: 150004 is 15.4.
    pub version: i32,
    /// The role that asks.
    pub role: String,
    /// The database that it asks.
    pub database: String,
    /// `server_encoding`.
    pub encoding: String,
    /// Where tables are made: the first schema of `search_path` that is there and may be used.
    pub schema: Option<String>,
    /// `search_path`, as it is set.
    pub search_path: String,
    /// The first schema that it names.
    pub named_schema: Option<String>,
    /// Whether that one is there.
    pub has_named_schema: bool,
    /// Other schemas with a `schema_migrations` of theirs.
    pub other_schemas: Option<String>,
    /// Whether it may do everything.
    pub is_superuser: bool,
    /// CREATE on the database, for the extension.
    pub may_create_in_database: bool,
    /// CREATE on the first schema, for tables and partitions.
    pub may_create_in_schema: bool,
    /// A standby, or `default_transaction_read_only`.
    pub is_read_only: bool,
    /// `btree_gist` is there.
    pub has_extension: bool,
    /// `btree_gist` could be made.
    pub may_have_extension: bool,
    /// Tables of the first schema that belong to others.
    pub foreign_tables: i64,
    /// One of those others.
    pub foreign_owner: Option<String>,
    /// Connections now, to the whole server.
    pub connections: i64,
    /// Connections that ordinary roles may have.
    pub connections_max: i32,
    /// The database on disk.
    pub database_bytes: i64,
    /// The server setting of this name.
    pub autovacuum: bool,
    /// The server setting of this name.
    pub fsync: bool,
    /// The server setting of this name.
    pub full_page_writes: bool,
    /// The server setting of this name.
    pub shared_buffers_bytes: i64,
    /// The server setting of this name.
    pub max_wal_bytes: i64,
    /// The server setting of this name.
    pub checkpoint_seconds: i64,
    /// Migrations that are not applied yet.
    pub pending: Vec<&'static str>,
    /// Why that, or the list of days, could not be read.
    pub unreadable: Option<String>,
    /// Today in UTC, by the database's clock.
    pub today: Date,
    /// How far this machine's clock is ahead of the database's.
    pub clock_ahead: ClockDifference,
    /// The days of history and of snapshots, those that wait to be dropped included; empty before the migration.
    pub days: Vec<Day>,
    /// Which of today and tomorrow has times without a partition.
    pub uncovered: Vec<&'static str>,
    /// What somebody made of the partitions, and what to do about it.
    pub troubles: Vec<(String, String)>,
    /// Peers whose messages do not carry path identifiers as their capabilities say; empty before the migration.
    pub add_path: Vec<AddPathDeviation>,
    /// Threads of collectors that wait for a lock.
    pub lock_waits: Vec<LockWait>,
    /// What of SELECT and INSERT on `route_events` the role lacks; `None`: nothing, or there is no such table.
    pub history_lacks: Option<String>,
    /// The collectors that are alive; empty before the migration.
    pub live_collectors: Vec<String>,
    /// How many routers are in each state that one is in; empty before the migration.
    pub routers: Vec<(RouterState, i64)>,
    /// Routers whose collector is not alive; empty before the migration.
    pub orphans: Vec<Orphans>,
}

/// Two clocks, as well as a question and its answer can compare them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockDifference {
    /// This machine's time less the database's.
    pub micros: i64,
    /// The answer took so long; the difference is right to half of it.
    pub round_trip: Duration,
}

/// One partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Day {
    /// Its table's name.
    pub name: String,
    /// The UTC day in which it begins.
    pub day: Date,
    /// The last one of which it takes anything.
    pub last: Date,
    /// Table and indexes on disk.
    pub bytes: i64,
    /// Whether readers see it.
    pub is_attached: bool,
    /// Of `route_events` rather than `route_snapshots`.
    pub is_history: bool,
}

/// A router some of whose messages do not carry path identifiers as the capabilities say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddPathDeviation {
    /// The router.
    pub router: String,
    /// Whether they carry some that were not announced; else they lack some that were.
    pub is_sent: bool,
    /// The peers, RIBs and families, some of them, in words.
    pub places: String,
    /// How many of them there are.
    pub count: i64,
}

/// Asks everything.
///
/// # Errors
/// Whatever PostgreSQL says of itself and the role; a database without our schema is no error, and what the role may not read
/// of it is in [`Facts::unreadable`].
pub fn read(client: &mut Client) -> Result<Facts> {
    let clock_ahead = compare_clocks(client)?;
    let mut unreadable = None;
    let lock_waits = lock_waits::of_threads(client, "").unwrap_or_else(|error| {
        unreadable.get_or_insert(error.to_string());
        Vec::new()
    });
    // What is locked is in the way of others, and is named; here it is not waited for.
    client.batch_execute("SET lock_timeout = '2s'")?;
    let pending = migrate::missing(client).unwrap_or_else(|error| {
        unreadable.get_or_insert(error.to_string());
        Vec::new()
    });
    let row = client.query_typed_one(include_str!("../../sql/statements/doctor_facts.sql"), &[])?;
    let today = day_of(events::clock(client)?);
    let mut partitions = Vec::new();
    for series in [&EVENTS, &SNAPSHOTS] {
        let listed = list_if_there(client, series).unwrap_or_else(|error| {
            unreadable.get_or_insert(error.to_string());
            Vec::new()
        });
        partitions.push((series, listed));
    }
    let days = partitions.iter().flat_map(|(series, listed)| listed.iter().filter_map(|one| as_day(series, one)));
    let troubles = partitions.iter().flat_map(|(series, all)| all.iter().filter_map(|one| one.trouble(series.parent)));
    let (_, history) = &partitions[0];
    let coming = [("today", Some(today)), ("tomorrow", today.tomorrow().ok())];
    let is_uncovered = |day: Option<Date>| day.is_some_and(|day| !holes(history, day).is_empty());
    let uncovered = coming.into_iter().filter(|(_, day)| is_uncovered(*day)).map(|(name, _)| name).collect();
    let (days, troubles) = (days.collect(), troubles.collect());
    let add_path = add_path_deviations(client).unwrap_or_else(|error| {
        unreadable.get_or_insert(error.to_string());
        Vec::new()
    });
    let orphans = orphans::read(client).unwrap_or_else(|error| {
        unreadable.get_or_insert(error.to_string());
        Vec::new()
    });
    let live_collectors = live_collectors(client).unwrap_or_else(|error| {
        unreadable.get_or_insert(error.to_string());
        Vec::new()
    });
    let routers = routers(client).unwrap_or_else(|error| {
        unreadable.get_or_insert(error.to_string());
        Vec::new()
    });
    Ok(Facts {
        lock_waits,
        history_lacks: row.get("history_lacks"),
        add_path,
        live_collectors,
        routers,
        orphans,
        database: row.get("database"),
        encoding: row.get("encoding"),
        schema: row.get("schema"),
        search_path: row.get("search_path"),
        named_schema: row.get("named_schema"),
        has_named_schema: row.get("has_named_schema"),
        other_schemas: row.get("other_schemas"),
        foreign_owner: row.get("foreign_owner"),
        unreadable,
        version: row.get("version"),
        role: row.get("role"),
        is_superuser: row.get("is_superuser"),
        may_create_in_database: row.get("may_create_in_database"),
        may_create_in_schema: row.get("may_create_in_schema"),
        is_read_only: row.get("is_read_only"),
        has_extension: row.get("has_extension"),
        may_have_extension: row.get("may_have_extension"),
        foreign_tables: row.get("foreign_tables"),
        connections: row.get("connections"),
        connections_max: row.get("connections_max"),
        database_bytes: row.get("database_bytes"),
        autovacuum: row.get("autovacuum"),
        fsync: row.get("fsync"),
        full_page_writes: row.get("full_page_writes"),
        shared_buffers_bytes: row.get("shared_buffers_bytes"),
        max_wal_bytes: row.get("max_wal_bytes"),
        checkpoint_seconds: row.get("checkpoint_seconds"),
        pending,
        today,
        uncovered,
        troubles,
        clock_ahead,
        days,
    })
}

/// The second question: the first one on a connection takes longer than the way there and back.
fn compare_clocks(client: &mut Client) -> Result<ClockDifference> {
    events::clock(client)?;
    let (begin, asked) = (Instant::now(), SystemTime::now());
    let theirs = events::clock(client)?;
    let round_trip = begin.elapsed();
    let ours: Timestamp = events::read_time(asked + round_trip / 2)?;
    Ok(ClockDifference { micros: ours.unix_micros() - theirs.unix_micros(), round_trip })
}

fn add_path_deviations(client: &mut Client) -> Result<Vec<AddPathDeviation>> {
    if !is_there(client, "add_path_evidence")? {
        return Ok(Vec::new());
    }
    let rows = client.query_typed(include_str!("../../sql/statements/add_path_deviations.sql"), &[])?;
    let read = |row: &postgres::Row| AddPathDeviation {
        router: row.get("router_id"),
        is_sent: row.get("is_sent"),
        places: row.get("places"),
        count: row.get("count"),
    };
    Ok(rows.iter().map(read).collect())
}

fn live_collectors(client: &mut Client) -> Result<Vec<String>> {
    if !is_there(client, "collectors")? {
        return Ok(Vec::new());
    }
    let live = "SELECT collector_id FROM collectors WHERE alive_until > now() ORDER BY collector_id";
    Ok(client.query_typed(live, &[])?.iter().map(|row| row.get(0)).collect())
}

fn routers(client: &mut Client) -> Result<Vec<(RouterState, i64)>> {
    if !is_there(client, "router_states")? {
        return Ok(Vec::new());
    }
    let rows = client.query_typed(include_str!("../../sql/statements/doctor_routers.sql"), &[])?;
    rows.iter().map(|row| Ok((router_state::read_state(row)?, row.get("routers")))).collect()
}

fn is_there(client: &mut Client, relation: &str) -> Result<bool> {
    Ok(client.query_typed_one("SELECT to_regclass($1) IS NOT NULL", &[(&relation, Type::TEXT)])?.get(0))
}

/// The partitions, unless the schema is not there or older.
fn list_if_there(client: &mut Client, series: &Series) -> Result<Vec<Partition>> {
    let is_there = "SELECT to_regclass($1) IS NOT NULL AND to_regclass('detached_partitions') IS NOT NULL";
    match client.query_typed_one(is_there, &[(&series.parent, Type::TEXT)])?.get(0) {
        true => partitions::list(client, series),
        false => Ok(Vec::new()),
    }
}

fn as_day(series: &Series, partition: &Partition) -> Option<Day> {
    let day = partition.starts.map(day_of).or_else(|| partition.day())?;
    let before = |stops: Timestamp| day_of(Timestamp::from_unix_micros(stops.unix_micros() - 1));
    Some(Day {
        day,
        last: partition.stops.map_or(day, before),
        name: partition.name.clone(),
        bytes: partition.bytes,
        is_attached: partition.state == State::Attached,
        is_history: series.parent == EVENTS.parent,
    })
}
