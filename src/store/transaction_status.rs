//! The outcome of a transaction, queried after the connection broke during its COMMIT.

use postgres::types::Type;
use postgres::{Client, Transaction};

use super::error::{Error, Result};

/// The identifier of a transaction, wide enough never to repeat on one timeline. A promoted standby begins a new
/// timeline, on which numbers that it has not received are assigned again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionId {
    number: String,
    timeline: String,
}

/// The server and its timeline: the first eight digits of a WAL file's name are the timeline.
const TIMELINE: &str = "system_identifier || '/' || left(pg_walfile_name(pg_current_wal_lsn()), 8)";

/// The outcome of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All of it is stored.
    Committed,
    /// Nothing of it is stored.
    RolledBack,
    /// This server does not know: the transaction is too old, or ran on another server.
    Unknown,
}

/// Returns the identifier of the open transaction.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn id_of(transaction: &mut Transaction<'_>) -> Result<TransactionId> {
    let sql = format!("SELECT pg_current_xact_id()::text, {TIMELINE} FROM pg_control_system()");
    let row = transaction.query_typed_one(&sql, &[])?;
    Ok(TransactionId { number: row.get(0), timeline: row.get(1) })
}

/// Returns the outcome of a transaction.
///
/// # Errors
/// [`Error::InDoubt`] while its server process has not noticed that its client is gone; otherwise when a statement
/// fails or the connection is lost.
pub fn outcome_of(client: &mut Client, id: &TransactionId) -> Result<Outcome> {
    let timeline: String = client.query_typed_one(&format!("SELECT {TIMELINE} FROM pg_control_system()"), &[])?.get(0);
    if timeline != id.timeline {
        return Ok(Outcome::Unknown);
    }
    let row = match client.query_typed_one("SELECT pg_xact_status($1::xid8)", &[(&id.number, Type::TEXT)]) {
        Ok(row) => row,
        // An identifier of the future: the server was restored or failed over without our last transactions.
        Err(error) if error.code().is_some_and(|code| code.code() == "22023") => return Ok(Outcome::Unknown),
        Err(error) => return Err(error.into()),
    };
    match row.get::<_, Option<&str>>(0) {
        Some("committed") => Ok(Outcome::Committed),
        Some("aborted") => Ok(Outcome::RolledBack),
        Some("in progress") => Err(Error::InDoubt),
        Some(other) => Err(Error::Unexpected(format!("transaction status {other}"))),
        None => Ok(Outcome::Unknown),
    }
}
