//! The facts that the `doctor` command reads from the database about the server, the role and the schema.

use std::time::{Duration, Instant, SystemTime};

use jiff::civil::Date;
use postgres::types::Type;
use postgres::{Client, Row};

use super::error::Result;
use super::lock_waits::{self, LockWait};
use super::orphans::Orphans;
use super::partitions::{EVENTS, NLRI_EVENTS, Partition, PartitionState, SNAPSHOTS, Series, day_of, holes};
use super::router_state::{self, RouterState};
use super::time::read_time;
use super::watch::coverage::{self, Coverage};
use super::{events, migrate, orphans, partitions};
use crate::model::Timestamp;

/// The facts about the server, the role and the schema.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// `server_version_num`: 150004 is 15.4.
    pub version: i32,
    /// The role of this connection.
    pub role: String,
    /// The database of this connection.
    pub database: String,
    /// `server_encoding`.
    pub encoding: String,
    /// The schema in which tables are created: the first one in `search_path` that exists and may be used.
    pub schema: Option<String>,
    /// `search_path` as it is set.
    pub search_path: String,
    /// The first schema named in it.
    pub named_schema: Option<String>,
    /// True if that schema exists.
    pub has_named_schema: bool,
    /// Other schemas with a `schema_migrations` of their own, as SQL reads their names.
    pub other_schemas: Option<String>,
    /// True if the role is a superuser.
    pub is_superuser: bool,
    /// True if the role has CREATE on the database, which the extension needs.
    pub may_create_in_database: bool,
    /// True if the role has TEMP on the database, for the writers' staging tables.
    pub may_create_temporary: bool,
    /// True if the role has CREATE on the first schema, for tables and partitions.
    pub may_create_in_schema: bool,
    /// True if the role may create tables in the schema `watch`; `None`: there is no such schema.
    pub may_create_in_watch: Option<bool>,
    /// True on a standby or with `default_transaction_read_only`.
    pub is_read_only: bool,
    /// True if `btree_gist` is installed.
    pub has_extension: bool,
    /// True if `btree_gist` could be created.
    pub may_have_extension: bool,
    /// The number of tables in the first schema that belong to other roles.
    pub foreign_tables: i64,
    /// One of those other roles.
    pub foreign_owner: Option<String>,
    /// The current number of connections to all databases of the server.
    pub connections: i64,
    /// The number of connections that ordinary roles may have.
    pub connections_max: i32,
    /// The size of the database on disk.
    pub database_bytes: i64,
    /// The server setting `autovacuum`.
    pub autovacuum: bool,
    /// The server setting `fsync`.
    pub fsync: bool,
    /// The server setting `full_page_writes`.
    pub full_page_writes: bool,
    /// The server setting `shared_buffers`, in bytes.
    pub shared_buffers_bytes: i64,
    /// The server setting `max_wal_size`, in bytes.
    pub max_wal_bytes: i64,
    /// The server setting `checkpoint_timeout`, in seconds.
    pub checkpoint_seconds: i64,
    /// Migrations that are not yet applied.
    pub pending: Vec<&'static str>,
    /// The reason why these, or the list of days, could not be read.
    pub unreadable: Option<String>,
    /// Today in UTC, by the database's clock.
    pub today: Date,
    /// The lead of this machine's clock over the database's.
    pub clock_ahead: ClockDifference,
    /// The days of history and of snapshots, including those waiting to be dropped; empty before the migration.
    pub days: Vec<Day>,
    /// Those of today and tomorrow that have times without a partition.
    pub uncovered: Vec<&'static str>,
    /// Problems with partitions that were changed by hand, and the remedy for each.
    pub troubles: Vec<(String, String)>,
    /// Peers whose messages do not carry path identifiers as their capabilities announce; empty before the migration.
    pub add_path: Vec<AddPathDeviation>,
    /// Collectors' threads that wait for a lock.
    pub lock_waits: Vec<LockWait>,
    /// The tables of history on which the role lacks privileges among SELECT and INSERT, each with those. A table that
    /// does not exist lacks none.
    pub history_lacks: Vec<(String, String)>,
    /// The collectors that are alive; empty before the migration.
    pub live_collectors: Vec<String>,
    /// The number of routers in each state that occurs; empty before the migration.
    pub routers: Vec<(RouterState, i64)>,
    /// The coverage of watches; `None`: there is no table of watches.
    pub watch_coverage: Option<Coverage>,
    /// A sentence for each watch that is not judged as it says.
    pub unusable_watches: Vec<String>,
    /// Routers whose collector is not alive; empty before the migration.
    pub orphans: Vec<Orphans>,
}

/// The difference of two clocks, as precisely as one round trip can measure it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClockDifference {
    /// This machine's time minus the database's.
    pub micros: i64,
    /// The time until the answer arrived; the difference is accurate to half of it.
    pub round_trip: Duration,
}

/// One partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Day {
    /// Its table's name.
    pub name: String,
    /// The UTC day on which it begins.
    pub day: Date,
    /// The last day of which it accepts rows.
    pub last: Date,
    /// The size of the table and its indexes on disk.
    pub bytes: i64,
    /// True if readers see it.
    pub is_attached: bool,
}

/// A router some of whose messages do not carry path identifiers as the capabilities announce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddPathDeviation {
    /// The router.
    pub router: String,
    /// True if they carry some that were not announced; false if they lack some that were.
    pub is_sent: bool,
    /// The peers, RIBs and families in words; not all of them.
    pub places: String,
    /// The number of all of them.
    pub count: i64,
}

/// Reads all facts.
///
/// # Errors
/// When a statement fails or the connection is lost. A database without our schema is no error, and anything in it that
/// the role may not read is reported in [`Facts::unreadable`].
pub fn read(client: &mut Client) -> Result<Facts> {
    let clock_ahead = compare_clocks(client)?;
    let mut unreadable = None;
    let lock_waits = or_none(lock_waits::of_threads(client, ""), &mut unreadable);
    // A lock in the way is reported by name, so it is not waited for here.
    client.batch_execute("SET lock_timeout = '2s'")?;
    let pending = or_none(migrate::missing(client), &mut unreadable);
    let row = client.query_typed_one(include_str!("../../sql/statements/doctor_facts.sql"), &[])?;
    let today = day_of(events::clock(client)?);
    let history = or_none(list_if_there(client, &EVENTS), &mut unreadable);
    let snapshots = or_none(list_if_there(client, &SNAPSHOTS), &mut unreadable);
    let others = or_none(list_if_there(client, &NLRI_EVENTS), &mut unreadable);
    let partitions = || {
        let all = [(&EVENTS, &history), (&NLRI_EVENTS, &others), (&SNAPSHOTS, &snapshots)];
        all.into_iter().flat_map(|(series, list)| list.iter().map(move |one| (series, one)))
    };
    let coming = [("today", Some(today)), ("tomorrow", today.tomorrow().ok())];
    let (watch_coverage, unusable_watches) = or_none(watches_if_there(client), &mut unreadable);
    let is_uncovered = |day: Option<Date>| day.is_some_and(|day| !holes(&history, day).is_empty());
    Ok(Facts {
        lock_waits,
        pending,
        today,
        clock_ahead,
        days: partitions().filter_map(|(_, one)| as_day(one)).collect(),
        troubles: partitions().filter_map(|(series, one)| one.trouble(series.parent)).collect(),
        uncovered: coming.into_iter().filter(|(_, day)| is_uncovered(*day)).map(|(name, _)| name).collect(),
        add_path: or_none(add_path_deviations(client), &mut unreadable),
        orphans: or_none(orphans::read(client), &mut unreadable),
        live_collectors: or_none(live_collectors(client), &mut unreadable),
        routers: or_none(routers(client), &mut unreadable),
        watch_coverage,
        unusable_watches,
        // The last one: what was read before it may have set it.
        unreadable,
        ..of_server(&row)
    })
}

/// Returns what was read, or nothing; `unreadable` keeps the first reason.
fn or_none<T: Default>(read: Result<T>, unreadable: &mut Option<String>) -> T {
    read.unwrap_or_else(|error| {
        unreadable.get_or_insert(error.to_string());
        T::default()
    })
}

/// Returns the facts about the server and the role.
fn of_server(row: &Row) -> Facts {
    Facts {
        version: row.get("version"),
        role: row.get("role"),
        database: row.get("database"),
        encoding: row.get("encoding"),
        schema: row.get("schema"),
        search_path: row.get("search_path"),
        named_schema: row.get("named_schema"),
        has_named_schema: row.get("has_named_schema"),
        other_schemas: row.get("other_schemas"),
        is_superuser: row.get("is_superuser"),
        may_create_in_database: row.get("may_create_in_database"),
        may_create_temporary: row.get("may_create_temporary"),
        may_create_in_schema: row.get("may_create_in_schema"),
        may_create_in_watch: row.get("may_create_in_watch"),
        is_read_only: row.get("is_read_only"),
        has_extension: row.get("has_extension"),
        may_have_extension: row.get("may_have_extension"),
        foreign_tables: row.get("foreign_tables"),
        foreign_owner: row.get("foreign_owner"),
        connections: row.get("connections"),
        connections_max: row.get("connections_max"),
        database_bytes: row.get("database_bytes"),
        autovacuum: row.get("autovacuum"),
        fsync: row.get("fsync"),
        full_page_writes: row.get("full_page_writes"),
        shared_buffers_bytes: row.get("shared_buffers_bytes"),
        max_wal_bytes: row.get("max_wal_bytes"),
        checkpoint_seconds: row.get("checkpoint_seconds"),
        history_lacks: row.get::<_, Vec<&str>>("history_lacks").into_iter().filter_map(lack).collect(),
        ..Facts::default()
    }
}

/// Returns what watches can see, and which of them are not judged as they say, if their table exists.
fn watches_if_there(client: &mut Client) -> Result<(Option<Coverage>, Vec<String>)> {
    let row = client.query_typed_one(
        "SELECT to_regclass('watch.watches') IS NOT NULL AND to_regclass('collectors') IS NOT NULL",
        &[],
    )?;
    if !row.get::<_, bool>(0) {
        return Ok((None, Vec::new()));
    }
    Ok((Some(coverage::coverage(client)?), coverage::unusable(client)?))
}

/// Compares the clocks with a second query: the first one on a connection takes longer than a round trip.
fn compare_clocks(client: &mut Client) -> Result<ClockDifference> {
    events::clock(client)?;
    let (begin, asked) = (Instant::now(), SystemTime::now());
    let theirs = events::clock(client)?;
    let round_trip = begin.elapsed();
    let ours: Timestamp = read_time(asked + round_trip / 2)?;
    Ok(ClockDifference { micros: ours.unix_micros() - theirs.unix_micros(), round_trip })
}

fn add_path_deviations(client: &mut Client) -> Result<Vec<AddPathDeviation>> {
    if !is_there(client, "add_path_evidence")? {
        return Ok(Vec::new());
    }
    let rows = client.query_typed(include_str!("../../sql/statements/add_path_deviations.sql"), &[])?;
    let read = |row: &Row| AddPathDeviation {
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

/// Splits a table from the privileges that are missing on it.
fn lack(text: &str) -> Option<(String, String)> {
    text.split_once(' ').map(|(table, privileges)| (table.to_owned(), privileges.to_owned()))
}

/// Returns the partitions; none if the schema is missing or older.
fn list_if_there(client: &mut Client, series: &Series) -> Result<Vec<Partition>> {
    let is_there = "SELECT to_regclass($1) IS NOT NULL AND to_regclass('detached_partitions') IS NOT NULL";
    match client.query_typed_one(is_there, &[(&series.parent, Type::TEXT)])?.get(0) {
        true => partitions::list(client, series),
        false => Ok(Vec::new()),
    }
}

fn as_day(partition: &Partition) -> Option<Day> {
    let day = partition.starts.map(day_of).or_else(|| partition.day())?;
    let before = |stops: Timestamp| day_of(Timestamp::from_unix_micros(stops.unix_micros() - 1));
    Some(Day {
        day,
        last: partition.stops.map_or(day, before),
        name: partition.name.clone(),
        bytes: partition.bytes,
        is_attached: partition.state == PartitionState::Attached,
    })
}
