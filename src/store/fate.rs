//! Whether a transaction was committed, asked of the database after the connection broke behind its COMMIT.

use postgres::types::Type;
use postgres::{Client, Transaction};

use super::error::{Error, Result};

/// The identifier of a transaction, wide enough never to come round again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionId(String);

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
    Ok(TransactionId(transaction.query_typed_one("SELECT pg_current_xact_id()::text", &[])?.get(0)))
}

/// What became of a transaction.
///
/// # Errors
/// [`Error::InDoubt`] while its server process has not noticed yet that we are gone; whatever PostgreSQL says.
pub fn outcome_of(client: &mut Client, id: &TransactionId) -> Result<Outcome> {
    let row = match client.query_typed_one("SELECT pg_xact_status($1::xid8)", &[(&id.0, Type::TEXT)]) {
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
