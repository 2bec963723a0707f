//! Threads of ours that wait for locks, and the processes that block them.

use std::fmt;

use postgres::Client;
use postgres::types::Type;

use super::error::Result;

/// The remedy for a wait that lasts.
pub(crate) const LOCK_REMEDY: &str = "if it lasts, end what holds it: SELECT pg_terminate_backend(PROCESS)";

/// A thread of a collector that waits for a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockWait {
    /// Its name as in `pg_stat_activity`, without `rib-ingester/`.
    pub thread: String,
    /// The tables; `None` if the lock is not on a table.
    pub relations: Option<String>,
    /// The server processes that hold the lock or are ahead in the queue; `None` if it was released just now.
    pub(crate) holders: Option<String>,
}

impl fmt::Display for LockWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} waits for a lock", self.thread)?;
        self.relations.iter().try_for_each(|relations| write!(f, " on {relations}"))?;
        self.holders.iter().try_for_each(|holders| write!(f, ", held by {holders}"))
    }
}

/// Returns the waits of threads whose names begin with `names`.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn of_threads(client: &mut Client, names: &str) -> Result<Vec<LockWait>> {
    let begins = format!("rib-ingester/{names}");
    let rows = client.query_typed(include_str!("../../sql/statements/lock_waits.sql"), &[(&begins, Type::TEXT)])?;
    let read = |row: &postgres::Row| LockWait {
        thread: row.get("thread"),
        relations: row.get("relations"),
        holders: row.get("holders"),
    };
    Ok(rows.iter().map(read).collect())
}

/// Returns the same for a caller that must not be kept waiting: within two seconds, and leaving no transaction open.
///
/// # Errors
/// When a statement fails or the connection is lost; the connection is of no more use then.
pub(crate) fn of_threads_at_once(client: &mut Client, names: &str) -> Result<Vec<LockWait>> {
    client.batch_execute("BEGIN; SET LOCAL statement_timeout = '2s'")?;
    let waits = of_threads(client, names)?;
    client.batch_execute("ROLLBACK")?;
    Ok(waits)
}
