//! The advisory lock of a `COLLECTOR_ID`: among processes with the same identifier, the one that has the lock is the
//! collector.
//!
//! The lock belongs to a session of the server, so it has a connection of its own, direct or through a pooler that
//! keeps sessions. When a process is killed, its lock is released once the server notices that the client is gone.

use std::fmt;
use std::time::{Duration, SystemTime};

use postgres::Client;
use postgres::fallible_iterator::FallibleIterator;
use postgres::types::Type;

use super::error::Result;
use super::time::read_time;
use crate::model::Timestamp;

/// The name of the connection in `pg_stat_activity`.
pub(crate) const THREAD: &str = "identity";

/// The longest time a statement on it may take: none of them waits for a row or a disk.
const STATEMENT_TIMEOUT_MS: u32 = 2_000;

/// Opens the connection of the lock. Both sides notice within seconds if it is lost silently.
///
/// # Errors
/// As [`super::connect()`].
pub fn connect(url: &str) -> Result<Client> {
    let mut client = super::connect(url, THREAD)?;
    // By default the server keeps a session for hours after the client's machine vanished. Here it is eleven seconds,
    // longer than the client trusts its last answer.
    client.batch_execute(&format!(
        "SET statement_timeout = {STATEMENT_TIMEOUT_MS}; SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; \
         SET tcp_keepalives_count = 3; SET tcp_user_timeout = 10000"
    ))?;
    Ok(client)
}

/// Takes the lock for the session of `client`. `false` if another session has it.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn take(client: &mut Client, collector: &str) -> Result<bool> {
    let key = key(client, collector)?;
    Ok(client.query_typed_one("SELECT pg_try_advisory_lock($1)", &[(&key, Type::INT8)])?.get(0))
}

/// Describes the session of the server that has the lock. `None` if none has.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn holder(client: &mut Client, collector: &str) -> Result<Option<String>> {
    let key = key(client, collector)?;
    let row = client.query_typed_opt(include_str!("../../sql/statements/lock_holder.sql"), &[(&key, Type::INT8)])?;
    Ok(row.map(|row| row.get(0)))
}

/// Returns the key of the lock, derived from the identifier and the schema.
fn key(client: &mut Client, collector: &str) -> Result<i64> {
    let sql = "SELECT hashtextextended($1, 'collectors'::regclass::oid::bigint)";
    Ok(client.query_typed_one(sql, &[(&collector, Type::TEXT)])?.get(0))
}

/// Checks that the server answers.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn check(client: &mut Client) -> Result<()> {
    Ok(client.batch_execute("SELECT 1")?)
}

/// Returns whether the connection is known to have ended.
pub fn is_gone(client: &mut Client) -> bool {
    // Without a wait, however short, the socket is not asked.
    const MOMENT: Duration = Duration::from_millis(1);
    let asked = client.notifications().timeout_iter(MOMENT).next();
    asked.is_err() || client.is_closed()
}

/// The process that a row of `collectors` describes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its `instance`, a new value at each start.
    pub instance: String,
    /// The time until which it has promised to be alive.
    pub alive_until: Timestamp,
    /// The time of its start.
    pub started_at: Timestamp,
    /// Its version.
    pub version: String,
    /// The machine or container that it runs on.
    pub host: Option<String>,
    /// Its process ID there.
    pub process_id: Option<i64>,
}

/// Returns the process that last ran under the identifier.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn process(client: &mut Client, collector: &str) -> Result<Option<Process>> {
    let row = client.query_typed_opt(
        "SELECT instance::text, alive_until, started_at, version, host, process_id FROM collectors WHERE collector_id = $1",
        &[(&collector, Type::TEXT)],
    )?;
    let read = |row: postgres::Row| {
        Ok(Process {
            instance: row.get(0),
            alive_until: read_time(row.get::<_, SystemTime>(1))?,
            started_at: read_time(row.get::<_, SystemTime>(2))?,
            version: row.get(3),
            host: row.get(4),
            process_id: row.get(5),
        })
    };
    row.map(read).transpose()
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "instance {}", self.instance)?;
        if let Some(host) = &self.host {
            write!(f, " on host {host}")?;
        }
        if let Some(number) = self.process_id {
            write!(f, ", process {number}")?;
        }
        write!(f, ", version {}, started {}", self.version, self.started_at)
    }
}
