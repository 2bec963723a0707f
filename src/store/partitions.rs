//! The days of `route_events` and `route_snapshots`: one partition per UTC day, made before it is needed, dropped when it
//! is old.
//!
//! Nothing here makes writers or readers wait: a partition is created on its own and attached, detached CONCURRENTLY
//! and dropped then, and each wait for a lock is short; what could not be had is tried again at the next run.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use postgres::Client;
use postgres::types::Type;

use super::error::{Error, Result};
use crate::model::Timestamp;

/// How long the statements here may wait for a lock.
const LOCK_TIMEOUT: &str = "2s";

/// How long detaching may wait for the readers of the partition.
const DETACH_TIMEOUT: &str = "30s";

/// A table in partitions of one day.
#[derive(Debug)]
pub struct Series {
    /// The partitioned table; a partition's name is this, `_` and the day.
    pub parent: &'static str,
    /// The indexes that each partition has beside those of the parent: what stands behind its name, and the columns.
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

/// `route_snapshots`.
pub const SNAPSHOTS: Series = Series { parent: "route_snapshots", indexes: &[] };

/// The UTC day of an instant.
pub fn day_of(time: Timestamp) -> Date {
    // Timestamps come from the database's clock, which jiff's range covers; an absurd one ends at its border.
    jiff::Timestamp::from_microsecond(time.unix_micros()).unwrap_or(jiff::Timestamp::MAX).to_zoned(TimeZone::UTC).date()
}

/// The name of a day's partition of `route_events`.
pub fn name_of(day: Date) -> String {
    EVENTS.name_of(day)
}

impl Series {
    /// The name of a day's partition.
    pub fn name_of(&self, day: Date) -> String {
        format!("{}_{:04}{:02}{:02}", self.parent, day.year(), day.month(), day.day())
    }
}

/// The day of a partition of this name. `None` for names that do not end in one.
pub fn day_in(name: &str) -> Option<Date> {
    let (_, digits) = name.rsplit_once('_').filter(|(_, rest)| rest.len() == 8)?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Date::new(digits[..4].parse().ok()?, digits[4..6].parse().ok()?, digits[6..].parse().ok()?).ok()
}

/// Today, by the database's clock.
///
/// # Errors
/// Whatever PostgreSQL says.
pub fn today(client: &mut Client) -> Result<Date> {
    Ok(day_of(super::events::clock(client)?))
}

/// Makes the partition of a day of `route_events` if there is none. Whether it made one.
///
/// # Errors
/// As [`ensure_in`].
pub fn ensure(client: &mut Client, day: Date) -> Result<bool> {
    ensure_in(client, &EVENTS, day)
}

/// Makes the partition of a day if there is none. Whether it made one. Where the parent is not partitioned, or by an extension,
/// nothing is to be made.
///
/// # Errors
/// Whatever PostgreSQL says; 55P03 when the lock was not to be had in time.
pub fn ensure_in(client: &mut Client, series: &Series, day: Date) -> Result<bool> {
    let name = series.name_of(day);
    if is_there(client, series, &name)? {
        return Ok(false);
    }
    match create(client, series, day, &name) {
        Ok(()) => Ok(true),
        // Another collector was faster.
        Err(Error::Database(_)) if is_there(client, series, &name)? => Ok(false),
        Err(error) => Err(error),
    }
}

fn create(client: &mut Client, series: &Series, day: Date, name: &str) -> Result<()> {
    let Series { parent, indexes } = series;
    let next = day.tomorrow().map_err(|error| Error::Unexpected(format!("no day follows {day}: {error}")))?;
    let exists =
        client.query_typed_one("SELECT to_regclass($1) IS NOT NULL", &[(&name, Type::TEXT)])?.get::<_, bool>(0);
    let mut transaction = client.transaction()?;
    transaction.batch_execute(&format!("SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))?;
    if !exists {
        transaction.batch_execute(&format!("CREATE TABLE {name} (LIKE {parent} INCLUDING ALL)"))?;
        for (suffix, columns) in *indexes {
            transaction.batch_execute(&format!("CREATE INDEX idx_{name}_{suffix} ON {name} ({columns})"))?;
        }
    }
    // The bounds are read in the session's time zone unless they name one.
    transaction.batch_execute(&format!(
        "ALTER TABLE {parent} ATTACH PARTITION {name} FOR VALUES FROM ('{day} 00:00:00+00') TO ('{next} 00:00:00+00')"
    ))?;
    Ok(transaction.commit()?)
}

fn is_there(client: &mut Client, series: &Series, name: &str) -> Result<bool> {
    let row = client.query_typed_one(
        "SELECT relkind <> 'p' OR EXISTS (SELECT FROM pg_inherits WHERE inhparent = c.oid AND inhrelid = to_regclass($2))
         FROM pg_class c WHERE oid = $1::text::regclass",
        &[(&series.parent, Type::TEXT), (&name, Type::TEXT)],
    )?;
    Ok(row.get(0))
}

/// What retention did.
#[derive(Debug, Default)]
pub struct Retired {
    /// Names of the partitions that went.
    pub dropped: Vec<String>,
    /// Names of those that are due and still here, with the reason.
    pub waiting: Vec<(String, String)>,
}

/// Drops the days before `oldest`, those that an interrupted run left half detached included.
///
/// # Errors
/// Whatever PostgreSQL says while it lists them; what it says about a single one is in [`Retired::waiting`].
pub fn retire(client: &mut Client, series: &Series, oldest: Date) -> Result<Retired> {
    let rows = client.query_typed(include_str!("../../sql/partitions.sql"), &[(&series.parent, Type::TEXT)])?;
    let mut retired = Retired::default();
    for row in rows {
        let name: String = row.get("name");
        if day_in(&name).is_none_or(|day| day >= oldest) {
            continue;
        }
        match drop_partition(client, series, &name, row.get("state")) {
            Ok(()) => retired.dropped.push(name),
            Err(error) if client.is_closed() => return Err(error),
            Err(error) => retired.waiting.push((name, error.to_string())),
        }
    }
    Ok(retired)
}

fn drop_partition(client: &mut Client, series: &Series, name: &str, state: &str) -> Result<()> {
    let parent = series.parent;
    client.batch_execute(&format!("SET lock_timeout = '{DETACH_TIMEOUT}'"))?;
    // Neither form is allowed inside a transaction.
    let detached = match state {
        "attached" => client.batch_execute(&format!("ALTER TABLE {parent} DETACH PARTITION {name} CONCURRENTLY")),
        "detaching" => client.batch_execute(&format!("ALTER TABLE {parent} DETACH PARTITION {name} FINALIZE")),
        // Detached by a run that ended before the DROP.
        _ => Ok(()),
    };
    client.batch_execute(&format!("SET lock_timeout = '{LOCK_TIMEOUT}'"))?;
    detached?;
    Ok(client.batch_execute(&format!("DROP TABLE {name}"))?)
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
        for other in ["route_events", "route_events_default", "route_events_20261301", "route_events_+2611211"] {
            assert_eq!(day_in(other), None, "{other}");
        }
    }
}
