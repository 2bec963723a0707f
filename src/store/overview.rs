//! What the metrics and the status page ask: cheap questions on a connection of their own.

use postgres::Client;

use super::error::{Error, Result};

/// Disk space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Partitions of `route_events`.
    pub partitions: u64,
    /// Their bytes with indexes.
    pub partition_bytes: u64,
    /// Bytes of the whole database.
    pub database_bytes: u64,
}

/// How large the history and the database are.
///
/// # Errors
/// Whatever PostgreSQL says.
pub fn sizes(client: &mut Client) -> Result<Sizes> {
    let row = client.query_typed_one(include_str!("../../sql/sizes.sql"), &[])?;
    let number = |name: &str| {
        u64::try_from(row.get::<_, i64>(name)).map_err(|_| Error::Unexpected(format!("{name} is below zero")))
    };
    Ok(Sizes {
        partitions: number("partitions")?,
        partition_bytes: number("partition_bytes")?,
        database_bytes: number("database_bytes")?,
    })
}
