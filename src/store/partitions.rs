//! The days of `route_events`, `nlri_route_events` and `route_snapshots`: one partition per UTC day, created before it is
//! needed and dropped when it is old.
//!
//! Nothing here blocks writers or readers: a partition is created on its own and then attached, or detached
//! CONCURRENTLY and then dropped, and each wait for a lock is short; what fails is retried at the next run.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use postgres::types::Type;
use postgres::{Client, Transaction};

use super::error::{Error, Result};
use crate::model::Timestamp;

/// The longest time the statements here may wait for a lock.
const LOCK_TIMEOUT: &str = "2s";

/// The longest time detaching may wait for the readers of the partition.
const DETACH_TIMEOUT: &str = "30s";

/// A table partitioned by day.
#[derive(Debug)]
pub struct Series {
    /// The partitioned table; a partition's name is this name, `_` and the day.
    pub parent: &'static str,
    /// The indexes of each partition in addition to those of the parent: the suffix of the name, and the columns.
    indexes: &'static [(&'static str, &'static str)],
}

/// `route_events`.
pub const EVENTS: Series = Series {
    parent: "route_events",
    indexes: &[
        ("prefix_history", "router_id, table_name, afi, prefix, ingest_time DESC"),
        ("router_churn", "router_id, table_name, afi, ingest_time DESC"),
    ],
};

/// `nlri_route_events`.
pub const NLRI_EVENTS: Series = Series {
    parent: "nlri_route_events",
    indexes: &[
        ("nlri_history", "router_id, table_name, afi, prefix, ingest_time DESC"),
        ("router_churn", "router_id, table_name, afi, ingest_time DESC"),
        ("nlri_key", "nlri_key, ingest_time DESC"),
    ],
};

/// `route_snapshots`.
pub const SNAPSHOTS: Series = Series { parent: "route_snapshots", indexes: &[] };

/// Returns the UTC day of an instant.
pub fn day_of(time: Timestamp) -> Date {
    // Timestamps come from the database's clock, which jiff's range covers; one beyond the range becomes its last day.
    jiff::Timestamp::from_microsecond(time.unix_micros()).unwrap_or(jiff::Timestamp::MAX).to_zoned(TimeZone::UTC).date()
}

/// Returns the name of a day's partition of `route_events`.
pub fn name_of(day: Date) -> String {
    EVENTS.name_of(day)
}

impl Series {
    /// Returns the name of a day's partition.
    pub fn name_of(&self, day: Date) -> String {
        format!("{}_{:04}{:02}{:02}", self.parent, day.year(), day.month(), day.day())
    }
}

/// Returns the day in a partition's name. `None` for names that do not end in a day.
pub(crate) fn day_in(name: &str) -> Option<Date> {
    let (_, digits) = name.rsplit_once('_').filter(|(_, rest)| rest.len() == 8)?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Date::new(digits[..4].parse().ok()?, digits[4..6].parse().ok()?, digits[6..].parse().ok()?).ok()
}

/// Returns today's date by the database's clock.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn today(client: &mut Client) -> Result<Date> {
    Ok(day_of(super::events::clock(client)?))
}

/// A partition, or a table that retention detached and has not dropped yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    oid: u32,
    /// Its table's name.
    pub name: String,
    /// The name as a statement needs it.
    pub(super) table: String,
    /// The progress of its removal.
    pub state: PartitionState,
    /// True for the DEFAULT partition, which accepts what no other one does.
    pub(crate) is_default: bool,
    /// True if our retention has begun to detach it.
    is_marked: bool,
    /// The first instant that it accepts; `None` if there is none or it is detached.
    pub starts: Option<Timestamp>,
    /// The first instant after its range; `None` if there is none or it is detached.
    pub stops: Option<Timestamp>,
    /// The number of rows as the planner estimates it; 0 before the first ANALYZE.
    pub rows: i64,
    /// The size of the table and its indexes on disk, in bytes.
    pub bytes: i64,
    /// Views that read it by its name.
    dependents: Option<String>,
}

/// The progress of a partition's removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartitionState {
    /// Readers see it.
    Attached,
    /// A `DETACH .. CONCURRENTLY` has begun and is not finished.
    Detaching,
    /// Retention has detached it.
    Detached,
}

impl Partition {
    /// Returns whether it ends at or before the beginning of this UTC day.
    pub(crate) fn is_before(&self, day: Date) -> bool {
        match (self.stops, self.state) {
            (Some(stops), _) => stops <= midnight(day),
            // A detached table no longer has bounds.
            (None, PartitionState::Detached) => true,
            (None, PartitionState::Attached | PartitionState::Detaching) => false,
        }
    }

    /// Returns whether its events can go into files: it ends at or before the beginning of this UTC day, and no one else has
    /// detached it.
    pub(crate) fn is_archivable(&self, day: Date) -> bool {
        self.state != PartitionState::Detaching && !self.is_default && self.is_before(day)
    }

    /// Returns the UTC day that it covers, if it covers exactly one.
    pub fn day(&self) -> Option<Date> {
        match (self.starts, self.stops) {
            (Some(starts), Some(stops)) => {
                let day = day_of(starts);
                let is_whole = midnight(day) == starts && day.tomorrow().is_ok_and(|next| midnight(next) == stops);
                is_whole.then_some(day)
            }
            _ => day_in(&self.name).filter(|_| self.state == PartitionState::Detached),
        }
    }

    /// Describes its range: a day, two times, or all the rest.
    pub fn describe(&self) -> String {
        if self.is_default {
            return "DEFAULT: rows that fit no other partition".to_owned();
        }
        if let Some(day) = self.day() {
            return day.to_string();
        }
        let second = |time: Timestamp| time.to_string().replace(".000000Z", "Z");
        let end = |time: Option<Timestamp>| time.map_or_else(|| "without end".to_owned(), second);
        format!("{} to {}", end(self.starts), end(self.stops))
    }

    /// Returns a problem that has to be fixed by hand, and the remedy, each in one line.
    pub fn trouble(&self, parent: &str) -> Option<(String, String)> {
        let Partition { name, table, .. } = self;
        if self.is_default {
            return Some((
                format!("{name} is a DEFAULT partition of {parent}: a day of which it has rows cannot be made"),
                format!("ALTER TABLE {parent} DETACH PARTITION {table}; then insert its rows into {parent} again"),
            ));
        }
        if self.state == PartitionState::Detaching && !self.is_marked {
            return Some((
                format!("{name} is half detached from {parent} by someone else"),
                format!("ALTER TABLE {parent} DETACH PARTITION {table} FINALIZE; the table is yours to keep or drop"),
            ));
        }
        None
    }
}

/// Returns the beginning of a UTC day.
pub(super) fn midnight(day: Date) -> Timestamp {
    let micros = day.to_zoned(TimeZone::UTC).map_or(i64::MAX, |zoned| zoned.timestamp().as_microsecond());
    Timestamp::from_unix_micros(micros)
}

/// Returns all partitions, oldest first, and the tables that retention has detached.
///
/// # Errors
/// When a statement fails or the connection is lost; 42P01 before the migration.
pub fn list(client: &mut Client, series: &Series) -> Result<Vec<Partition>> {
    let rows =
        client.query_typed(include_str!("../../sql/statements/partitions.sql"), &[(&series.parent, Type::TEXT)])?;
    let time = |micros: Option<i64>| micros.map(Timestamp::from_unix_micros);
    let partitions = rows.iter().map(|row| Partition {
        oid: row.get("oid"),
        name: row.get("name"),
        table: row.get("table"),
        state: match row.get("state") {
            "attached" => PartitionState::Attached,
            "detaching" => PartitionState::Detaching,
            _ => PartitionState::Detached,
        },
        is_default: row.get("is_default"),
        is_marked: row.get("is_marked"),
        starts: time(row.get("starts")),
        stops: time(row.get("stops")),
        rows: row.get("rows"),
        bytes: row.get("bytes"),
        dependents: row.get("dependents"),
    });
    Ok(partitions.collect())
}

/// Returns the parts of a UTC day that no partition covers, other than a DEFAULT one.
pub(crate) fn holes(partitions: &[Partition], day: Date) -> Vec<(Timestamp, Timestamp)> {
    let Ok(next) = day.tomorrow() else { return Vec::new() };
    let (mut from, end) = (midnight(day), midnight(next));
    let mut taken: Vec<(Timestamp, Timestamp)> = partitions
        .iter()
        .filter(|partition| partition.state == PartitionState::Attached && !partition.is_default)
        .map(|partition| {
            let starts = partition.starts.unwrap_or(Timestamp::from_unix_micros(i64::MIN));
            (starts, partition.stops.unwrap_or(Timestamp::from_unix_micros(i64::MAX)))
        })
        .collect();
    taken.sort_unstable();
    let mut holes = Vec::new();
    for (starts, stops) in taken {
        if starts >= end {
            break;
        }
        if starts > from {
            holes.push((from, starts));
        }
        from = from.max(stops);
    }
    if from < end {
        holes.push((from, end));
    }
    holes
}

/// Creates the partition of a day of `route_events` if there is none. Returns whether it created one.
///
/// # Errors
/// As [`fill`].
pub fn ensure(client: &mut Client, day: Date) -> Result<bool> {
    ensure_in(client, &EVENTS, day)
}

/// Creates the partition of a day if there is none. Returns whether it created one.
///
/// # Errors
/// As [`fill`].
pub fn ensure_in(client: &mut Client, series: &Series, day: Date) -> Result<bool> {
    Ok(!fill(client, series, day)?.is_empty())
}

/// Creates partitions for the parts of a day that have none: one for a whole day, or smaller ones beside partitions
/// that someone else created with other bounds. Returns their names; none if the parent is not partitioned, or is
/// partitioned by an extension.
///
/// # Errors
/// When a statement fails or the connection is lost; 55P03 if the lock was not granted in time.
pub fn fill(client: &mut Client, series: &Series, day: Date) -> Result<Vec<String>> {
    if !is_partitioned(client, series)? {
        return Ok(Vec::new());
    }
    let mut made = Vec::new();
    let missing = holes(&list(client, series)?, day);
    for hole in missing {
        let name = free_name(client, &series.name_of(day))?;
        match create(client, series, hole, &name) {
            Ok(()) => made.push(name),
            // Another collector was faster.
            Err(Error::Database(_)) if !holes(&list(client, series)?, day).contains(&hole) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(made)
}

/// Returns whether the parent is partitioned by PostgreSQL itself; false if an extension does it, or nobody.
///
/// # Errors
/// When the statement fails or the connection is lost.
pub(crate) fn is_partitioned(client: &mut Client, series: &Series) -> Result<bool> {
    let kind = "SELECT relkind = 'p' FROM pg_class WHERE oid = $1::text::regclass";
    Ok(client.query_typed_one(kind, &[(&series.parent, Type::TEXT)])?.get(0))
}

/// Returns this name, or the name with a number appended if a table has it: a detached partition belongs to someone.
fn free_name(client: &mut Client, name: &str) -> Result<String> {
    const TRIES: usize = 100;
    let names = (1..=TRIES).map(|number| if number == 1 { name.to_owned() } else { format!("{name}_{number}") });
    for name in names {
        let taken = client.query_typed_one("SELECT to_regclass($1) IS NOT NULL", &[(&name, Type::TEXT)])?;
        if !taken.get::<_, bool>(0) {
            return Ok(name);
        }
    }
    Err(Error::Unexpected(format!("{TRIES} tables are called {name}")))
}

fn create(client: &mut Client, series: &Series, (from, to): (Timestamp, Timestamp), name: &str) -> Result<()> {
    let Series { parent, indexes } = series;
    let mut transaction = client.transaction()?;
    transaction.batch_execute(&format!("SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))?;
    transaction.batch_execute(&format!("CREATE TABLE {name} (LIKE {parent} INCLUDING ALL)"))?;
    for (suffix, columns) in *indexes {
        transaction.batch_execute(&format!("CREATE INDEX idx_{name}_{suffix} ON {name} ({columns})"))?;
    }
    // With the time zone: bounds without one are read in the session's.
    transaction.batch_execute(&format!(
        "ALTER TABLE {parent} ATTACH PARTITION {name} FOR VALUES FROM ('{from}') TO ('{to}')"
    ))?;
    Ok(transaction.commit()?)
}

/// Says whether a partition may go: asked before it is detached, and again before its table is dropped, when no writer can
/// reach it any more. An error keeps it.
pub(crate) type Gate<'a> = &'a mut dyn FnMut(&mut Client, &Partition) -> Result<()>;

/// The result of [`retire`].
#[derive(Debug, Default)]
pub(crate) struct Retired {
    /// The names of the dropped partitions.
    pub dropped: Vec<String>,
    /// The names of partitions that are due but still exist, with the reason.
    pub waiting: Vec<(String, String)>,
}

/// Drops the partitions that end before `oldest`, including those that an interrupted run of ours left half detached or
/// detached. A table that someone else detached is left alone.
///
/// # Errors
/// When listing the partitions fails or the connection is lost; the error of a single partition is in
/// [`Retired::waiting`].
pub(crate) fn retire(client: &mut Client, series: &Series, oldest: Date, gate: Gate<'_>) -> Result<Retired> {
    let mut retired = Retired::default();
    if !is_partitioned(client, series)? {
        return Ok(retired);
    }
    forget_marks(client)?;
    let partitions = list(client, series)?;
    // While a DEFAULT partition or a half-detached one exists, another one can be detached only under a lock on all.
    let is_alone = |partition: &Partition| partition.is_default || partition.state == PartitionState::Detaching;
    for partition in partitions.iter().filter(|partition| partition.is_before(oldest)) {
        let others = partitions.iter().any(|other| other.oid != partition.oid && is_alone(other));
        match retire_one(client, series, partition, (others, gate)) {
            Ok(()) => retired.dropped.push(partition.name.clone()),
            Err(error) if client.is_closed() => return Err(error),
            Err(error) => {
                let holders = if is_lock_timeout(&error) { holders(client, series, partition)? } else { None };
                let held = holders.map_or_else(String::new, |who| format!("; held by {who}: it has to end first"));
                retired.waiting.push((partition.name.clone(), format!("{error}{held}")));
            }
        }
    }
    Ok(retired)
}

/// Deletes marks without meaning: of tables that are gone or renamed, and of partitions that were not detached after
/// all.
fn forget_marks(client: &mut Client) -> Result<()> {
    Ok(client.batch_execute(
        "DELETE FROM detached_partitions d
         WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = d.oid AND c.relname = d.name)
            OR EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = d.oid AND NOT i.inhdetachpending)",
    )?)
}

fn is_lock_timeout(error: &Error) -> bool {
    matches!(error.code(), Some("55P03" | "57014"))
}

fn holders(client: &mut Client, series: &Series, partition: &Partition) -> Result<Option<String>> {
    let parent: u32 = client.query_typed_one("SELECT $1::text::regclass::oid", &[(&series.parent, Type::TEXT)])?.get(0);
    let tables = format!("{},{parent}", partition.oid);
    let row =
        client.query_typed_one(include_str!("../../sql/statements/partition_holders.sql"), &[(&tables, Type::TEXT)])?;
    Ok(row.get(0))
}

fn retire_one(
    client: &mut Client,
    series: &Series,
    partition: &Partition,
    (has_others, gate): (bool, Gate<'_>),
) -> Result<()> {
    let (parent, table) = (series.parent, partition.table.as_str());
    if let Some(views) = &partition.dependents {
        return Err(Error::Locked(format!("{views} reads it by name: DROP VIEW {views}, or make it of {parent}")));
    }
    if partition.state == PartitionState::Attached {
        gate(client, partition)?;
    }
    match partition.state {
        PartitionState::Attached if has_others => {
            // A short lock on all partitions, with the mark in the same transaction.
            let mut transaction = client.transaction()?;
            transaction.batch_execute(&format!("SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))?;
            mark(&mut transaction, partition)?;
            transaction.batch_execute(&format!("ALTER TABLE {parent} DETACH PARTITION {table}"))?;
            transaction.commit()?;
        }
        PartitionState::Attached => {
            let mut transaction = client.transaction()?;
            mark(&mut transaction, partition)?;
            transaction.commit()?;
            let detach = format!("ALTER TABLE {parent} DETACH PARTITION {table} CONCURRENTLY");
            if let Err(error) = detach_within(client, &detach) {
                // If detaching did not even begin, the table is not ours to drop when someone else detaches it.
                if !client.is_closed() {
                    forget_marks(client)?;
                }
                return Err(error);
            }
        }
        PartitionState::Detaching if !partition.is_marked => {
            let (found, remedy) = partition.trouble(parent).unwrap_or_default();
            return Err(Error::Locked(format!("{found}: {remedy}")));
        }
        PartitionState::Detaching => {
            detach_within(client, &format!("ALTER TABLE {parent} DETACH PARTITION {table} FINALIZE"))?;
        }
        PartitionState::Detached => {}
    }
    gate(client, partition)?;
    let mut transaction = client.transaction()?;
    transaction.batch_execute(&format!("SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'; DROP TABLE {table}"))?;
    transaction.execute_typed("DELETE FROM detached_partitions WHERE oid = $1", &[(&partition.oid, Type::OID)])?;
    Ok(transaction.commit()?)
}

fn mark(transaction: &mut Transaction<'_>, partition: &Partition) -> Result<()> {
    transaction.execute_typed(
        "INSERT INTO detached_partitions (oid, name) VALUES ($1, $2)
         ON CONFLICT (oid) DO UPDATE SET name = excluded.name, detached_at = excluded.detached_at",
        &[(&partition.oid, Type::OID), (&partition.name, Type::TEXT)],
    )?;
    Ok(())
}

/// Runs a DETACH with its own lock timeout. Neither form is allowed inside a transaction.
fn detach_within(client: &mut Client, statement: &str) -> Result<()> {
    client.batch_execute(&format!("SET lock_timeout = '{DETACH_TIMEOUT}'"))?;
    let detached = client.batch_execute(statement);
    client.batch_execute(&format!("SET lock_timeout = '{LOCK_TIMEOUT}'"))?;
    Ok(detached?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_names() {
        let day = day_of(Timestamp::from_unix_micros(1_795_219_199_999_999));
        assert_eq!((day.to_string().as_str(), name_of(day).as_str()), ("2026-11-20", "route_events_20261120"));
        let next = day_of(Timestamp::from_unix_micros(1_795_219_200_000_000));
        assert_eq!(name_of(next), "route_events_20261121");
        assert_eq!(day_in("route_events_20261121"), Some(next));
        assert_eq!(midnight(next), Timestamp::from_unix_micros(1_795_219_200_000_000));
        for other in ["route_events", "route_events_default", "route_events_20261301", "route_events_+2611211"] {
            assert_eq!(day_in(other), None, "{other}");
        }
    }

    fn partition(starts: i64, stops: i64) -> Partition {
        let hour = |hour: i64| midnight(jiff::civil::date(2026, 11, 21)).unix_micros() + hour * 3_600_000_000;
        Partition {
            oid: 1,
            name: "p".to_owned(),
            table: "p".to_owned(),
            state: PartitionState::Attached,
            is_default: false,
            is_marked: false,
            starts: Some(Timestamp::from_unix_micros(hour(starts))),
            stops: Some(Timestamp::from_unix_micros(hour(stops))),
            rows: 0,
            bytes: 0,
            dependents: None,
        }
    }

    #[test]
    fn bounds_are_compared_and_holes_are_found() {
        let day = jiff::civil::date(2026, 11, 21);
        let hour = |time: Timestamp| (time.unix_micros() - midnight(day).unix_micros()) / 3_600_000_000;
        let check = |partitions: &[Partition], expected: &[(i64, i64)]| {
            let found: Vec<(i64, i64)> =
                holes(partitions, day).into_iter().map(|(from, to)| (hour(from), hour(to))).collect();
            assert_eq!(found, expected);
        };
        check(&[], &[(0, 24)]);
        check(&[partition(0, 24)], &[]);
        check(&[partition(-480, 240)], &[]);
        // In local time, an hour ahead of UTC: yesterday's and today's partition.
        check(&[partition(-25, -1), partition(-1, 23)], &[(23, 24)]);
        check(&[partition(23, 47), partition(2, 5), partition(-25, -1)], &[(0, 2), (5, 23)]);
        check(&[Partition { is_default: true, starts: None, stops: None, ..partition(0, 24) }], &[(0, 24)]);
        check(&[Partition { state: PartitionState::Detaching, ..partition(0, 24) }], &[(0, 24)]);
        check(&[Partition { starts: None, ..partition(0, 12) }, Partition { stops: None, ..partition(12, 24) }], &[]);
        assert_eq!((partition(0, 24).day(), partition(-1, 23).day()), (Some(day), None));
        assert!(
            partition(0, 24).is_before(day.tomorrow().unwrap()) && !partition(0, 25).is_before(day.tomorrow().unwrap())
        );
        assert_eq!(partition(-1, 23).describe(), "2026-11-20T23:00:00Z to 2026-11-21T23:00:00Z");
    }
}
