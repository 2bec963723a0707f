//! Threads of ours that wait for locks, and who is in their way.

use std::fmt;

use postgres::Client;
use postgres::types::Type;

use super::error::Result;

/// What to do about one that lasts.
pub const LOCK_REMEDY: &str = "if it lasts, end what holds it: SELECT pg_terminate_backend(PROCESS)";

/// A thread of a collector that waits for a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockWait {
    /// As in `pg_stat_activity` behind `rib-ingester/`.
    pub thread: String,
    /// The tables; `None`: it is no table's lock.
    pub relations: Option<String>,
    /// The server's processes that hold it or stand in front of the queue; `None`: it was let go just now.
    pub holders: Option<String>,
}

impl fmt::Display for LockWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} waits for a lock", self.thread)?;
        self.relations.iter().try_for_each(|relations| write!(f, " on {relations}"))?;
        self.holders.iter().try_for_each(|holders| write!(f, ", held by {holders}"))
    }
}

/// Those of the threads whose names begin so.
///
/// # Errors
/// Whatever PostgreSQL says.
pub fn of_threads(client: &mut Client, names: &str) -> Result<Vec<LockWait>> {
    let begins = format!("rib-ingester/{names}");
    let rows = client.query_typed(include_str!("../../sql/statements/lock_waits.sql"), &[(&begins, Type::TEXT)])?;
    let read = |row: &postgres::Row| LockWait {
        thread: row.get("thread"),
        relations: row.get("relations"),
        holders: row.get("holders"),
    };
    Ok(rows.iter().map(read).collect())
}

/// The same for who must not be kept waiting: within two seconds, and without a transaction that stays open.
///
/// # Errors
/// Whatever PostgreSQL says; the connection is of no more use then.
pub fn of_threads_at_once(client: &mut Client, names: &str) -> Result<Vec<LockWait>> {
    client.batch_execute("BEGIN; SET LOCAL statement_timeout = '2s'")?;
    let waits = of_threads(client, names)?;
    client.batch_execute("ROLLBACK")?;
    Ok(waits)
}
