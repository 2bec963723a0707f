//! Events on their way into files, and the record of the files that hold them.

use std::ops::ControlFlow;
use std::time::SystemTime;

use jiff::civil::Date;
use postgres::types::Type;
use postgres::{Client, Row};

use super::error::{Error, Result};
use super::partitions::{EVENTS, NLRI_EVENTS, Partition, Series, midnight};
use super::portal::each_row;
use super::time::{read_time, system_time};
use crate::model::RouterId;

/// The key of the advisory lock under which one collector or command writes files: "ribarchv" in ASCII.
const LOCK: i64 = 0x7269_6261_7263_6876;

/// The longest time from one event to the next: between two that are far from each other all that a large file has there
/// is read and written.
const IDLE_TIMEOUT: &str = "30min";

/// A history whose days go into files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum History {
    /// `route_events`.
    Routes,
    /// `nlri_events`, the view on `nlri_route_events`.
    OtherFamilies,
}

impl History {
    /// All of them.
    pub(crate) const ALL: [History; 2] = [History::Routes, History::OtherFamilies];

    /// Returns the days that it has.
    pub(crate) fn series(self) -> &'static Series {
        match self {
            History::Routes => &EVENTS,
            History::OtherFamilies => &NLRI_EVENTS,
        }
    }

    /// Returns its name for readers: that of the folder of its files, and in `archives`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            History::Routes => "route_events",
            History::OtherFamilies => "nlri_events",
        }
    }

    fn events(self) -> &'static str {
        match self {
            History::Routes => include_str!("../../sql/statements/archive_events.sql"),
            History::OtherFamilies => include_str!("../../sql/statements/archive_nlri_events.sql"),
        }
    }
}

/// One value of an event.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Cell {
    /// No value.
    Null,
    /// `BOOLEAN`.
    Flag(bool),
    /// `SMALLINT` and `INTEGER`.
    Int(i32),
    /// `BIGINT`, and `TIMESTAMPTZ` as microseconds since 1970.
    Long(i64),
    /// `TEXT` and `BYTEA`.
    Octets(Vec<u8>),
    /// `TEXT[]`.
    Texts(Vec<Vec<u8>>),
    /// A list of numbers.
    Numbers(Vec<u32>),
}

/// The events of a router on one day that are in a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) day: Date,
    pub(crate) router: RouterId,
    /// The number of events.
    pub(crate) rows: u64,
    /// The number of events in the file; `None`: no file is recorded.
    pub(crate) archived: Option<u64>,
}

/// A file that was read back.
#[derive(Debug)]
pub(crate) struct Verified {
    /// The number of events.
    pub(crate) rows: u64,
    /// SHA-256 over their identifiers.
    pub(crate) hash: [u8; 32],
}

/// Tries to take the lock of the archive. Returns whether it got the lock.
///
/// # Errors
/// When the statement fails or the connection is lost.
pub(crate) fn begin(client: &mut Client) -> Result<bool> {
    Ok(client.query_typed_one("SELECT pg_try_advisory_lock($1)", &[(&LOCK, Type::INT8)])?.get(0))
}

/// Releases the lock.
///
/// # Errors
/// When the statement fails or the connection is lost.
pub(crate) fn end(client: &mut Client) -> Result<()> {
    client.query_typed("SELECT pg_advisory_unlock($1)", &[(&LOCK, Type::INT8)])?;
    Ok(())
}

/// Returns whether files are recorded whose paths begin so.
///
/// # Errors
/// When the statement fails or the connection is lost.
pub(crate) fn has_files(client: &mut Client, prefix: &str) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT FROM archives WHERE starts_with(file, $1))";
    Ok(client.query_typed_one(sql, &[(&prefix, Type::TEXT)])?.get(0))
}

/// Returns whether a partition has an event of a day of which no file is recorded whose path begins with `prefix`: by its
/// first event.
///
/// # Errors
/// When the statement fails or the connection is lost.
pub(crate) fn is_without_files(client: &mut Client, partition: &Partition, prefix: &str) -> Result<bool> {
    let sql = format!(
        "SELECT NOT EXISTS (SELECT FROM archives a
                            WHERE a.day = (e.ingest_time AT TIME ZONE 'UTC')::date AND starts_with(a.file, $1))
         FROM {} e LIMIT 1",
        partition.table
    );
    Ok(client.query_typed(&sql, &[(&prefix, Type::TEXT)])?.first().is_some_and(|row| row.get(0)))
}

/// Counts the events of a partition, each router and day by itself, beside those of the files whose paths begin with
/// `prefix`.
///
/// # Errors
/// When the statement fails or the connection is lost.
pub(crate) fn tally(client: &mut Client, partition: &Partition, prefix: &str) -> Result<Vec<Tally>> {
    let text = of(History::Routes, include_str!("../../sql/statements/archive_tally.sql"), partition);
    let rows = client.query_typed(&text, &[(&prefix, Type::TEXT)])?;
    let number = |number: i64| u64::try_from(number).unwrap_or(0);
    let tally = rows.iter().map(|row| {
        let day: &str = row.get("day");
        Ok(Tally {
            day: day.parse().map_err(|_| Error::Unexpected(format!("an event of the day {day}")))?,
            router: RouterId::new(row.get("router_id")),
            rows: number(row.get("rows")),
            archived: row.get::<_, Option<i64>>("archived").map(number),
        })
    });
    tally.collect()
}

/// Calls `take` with each event of a router and day in a partition, in the order of their keys, until it breaks off.
/// The memory that this takes does not grow with their number.
///
/// # Errors
/// When the query fails or takes too long, or the connection is lost.
pub(crate) fn events(
    client: &mut Client,
    (history, partition): (History, &Partition),
    (router, day): (&RouterId, Date),
    with_raw: bool,
    take: &mut dyn FnMut(Vec<Cell>) -> ControlFlow<()>,
) -> Result<()> {
    let next = day.tomorrow().map_err(|_| Error::Unexpected(format!("no day comes after {day}")))?;
    let (from, to) = (system_time(midnight(day)), system_time(midnight(next)));
    let text = of(history, history.events(), partition);
    let mut transaction = client.transaction()?;
    transaction.batch_execute(&format!("SET LOCAL idle_in_transaction_session_timeout = '{IDLE_TIMEOUT}'"))?;
    let router = router.as_str();
    let parameters = vec![
        (&router as _, Type::TEXT),
        (&from as _, Type::TIMESTAMPTZ),
        (&to as _, Type::TIMESTAMPTZ),
        (&with_raw as _, Type::BOOL),
    ];
    let _ = each_row(&mut transaction, &text, parameters, &mut |row| Ok(take(cells(row)?)))?;
    Ok(transaction.commit()?)
}

/// Records that a file was read back.
///
/// # Errors
/// When the statement fails or the connection is lost.
pub(crate) fn record(
    client: &mut Client,
    (history, router, day): (History, &RouterId, Date),
    file: &str,
    verified: &Verified,
) -> Result<()> {
    let rows = i64::try_from(verified.rows).unwrap_or(i64::MAX);
    client.execute_typed(
        "INSERT INTO archives (day, router_id, file, history, rows, hash) VALUES ($1::text::date, $2, $3, $6, $4, $5)
         ON CONFLICT (day, router_id, file)
         DO UPDATE SET rows = excluded.rows, hash = excluded.hash, verified_at = excluded.verified_at",
        &[
            (&day.to_string(), Type::TEXT),
            (&router.as_str(), Type::TEXT),
            (&file, Type::TEXT),
            (&rows, Type::INT8),
            (&verified.hash.as_slice(), Type::BYTEA),
            (&history.name(), Type::TEXT),
        ],
    )?;
    Ok(())
}

/// Returns a statement about all of a history as one about a partition, which may be detached.
fn of(history: History, statement: &str, partition: &Partition) -> String {
    let all = format!("FROM {} e\n", history.series().parent);
    statement.replace(&all, &format!("FROM {} e\n", partition.table))
}

fn cells(row: &Row) -> Result<Vec<Cell>> {
    (0..row.len()).map(|place| cell(row, place)).collect()
}

fn cell(row: &Row, place: usize) -> Result<Cell> {
    let kind = row.columns()[place].type_();
    let cell = match *kind {
        Type::BOOL => row.get::<_, Option<bool>>(place).map(Cell::Flag),
        Type::INT2 => row.get::<_, Option<i16>>(place).map(|number| Cell::Int(number.into())),
        Type::INT4 => row.get::<_, Option<i32>>(place).map(Cell::Int),
        Type::INT8 => row.get::<_, Option<i64>>(place).map(Cell::Long),
        Type::TEXT => row.get::<_, Option<&str>>(place).map(|text| Cell::Octets(text.as_bytes().to_vec())),
        Type::BYTEA => row.get::<_, Option<&[u8]>>(place).map(|octets| Cell::Octets(octets.to_vec())),
        Type::TEXT_ARRAY => {
            let texts = row.try_get::<_, Option<Vec<&str>>>(place)?;
            texts.map(|texts| Cell::Texts(texts.into_iter().map(|text| text.as_bytes().to_vec()).collect()))
        }
        Type::TIMESTAMPTZ => match row.try_get::<_, Option<SystemTime>>(place)? {
            Some(time) => Some(Cell::Long(read_time(time)?.unix_micros())),
            None => None,
        },
        _ => return Err(Error::Unexpected(format!("a column of type {kind}"))),
    };
    Ok(cell.unwrap_or(Cell::Null))
}
