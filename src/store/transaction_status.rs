//! Whether a transaction was committed, asked of the database after the connection broke behind its COMMIT.

use postgres::types::Type;
use postgres::{Client, Transaction};

use super::error::{Error, Result};

/// The identifier of a transaction, wide enough never to come round again on one timeline. A standby that is promoted
/// begins a new one, on which numbers that it has not heard of are given once more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionId {
    number: String,
    timeline: String,
}

/// The server and its timeline: the front of a WAL file's name is the latter.
const TIMELINE: &str = "system_identifier || '/' || left(pg_walfile_name(pg_current_wal_lsn()), 8)";

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All of it is stored.
    Committed,
    /// Nothing of it is stored.
    RolledBack,
    /// This server does not know: too long ago, or another server than the one it was on.
    Unknown,
}

/// The identifier of the transaction that is open.
///
/// # Errors
/// Whatever PostgreSQL says.
pub fn id_of(transaction: &mut Transaction<'_>) -> Result<TransactionId> {
    let sql = format!("SELECT pg_current_xact_id()::text, {TIMELINE} FROM pg_control_system()");
    let row = transaction.query_typed_one(&sql, &[])?;
    Ok(TransactionId { number: row.get(0), timeline: row.get(1) })
}

/// What became of a transaction.
///
/// # Errors
/// [`Error::InDoubt`] while its server process has not noticed yet that we are gone; whatever PostgreSQL says.
pub fn outcome_of(client: &mut Client, id: &TransactionId) -> Result<Outcome> {
    let timeline: String = client.query_typed_one(&format!("SELECT {TIMELINE} FROM pg_control_system()"), &[])?.get(0);
    if timeline != id.timeline {
        return Ok(Outcome::Unknown);
    }
    let row = match client.query_typed_one("SELECT pg_xact_status($1::xid8)", &[(&id.number, Type::TEXT)]) {
        Ok(row) => row,
        // An identifier of the future: a server that was restored or failed over without our last transactions.
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
