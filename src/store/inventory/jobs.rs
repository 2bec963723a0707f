//! The jobs of this program: imports and evaluations.

use postgres::types::Type;
use postgres::{Client, GenericClient};

use super::super::error::Result;

/// The end of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JobEnd {
    /// It did what it was to do.
    Success,
    /// It did nothing.
    Failure,
}

/// Records a job with its messages. Returns its number.
///
/// # Errors
/// When the statement fails or the connection is lost.
pub(crate) fn record(
    client: &mut impl GenericClient,
    name: &str,
    resource: &str,
    end: JobEnd,
    messages: &[String],
) -> Result<i32> {
    let status = match end {
        JobEnd::Success => "success",
        JobEnd::Failure => "failure",
    };
    let row = client.query_typed(
        include_str!("../../../sql/statements/inventory_add_job.sql"),
        &[(&name, Type::TEXT), (&resource, Type::TEXT), (&status, Type::TEXT), (&messages, Type::TEXT_ARRAY)],
    )?;
    Ok(row.first().map_or(0, |row| row.get(0)))
}

/// Records an import. The containers that no job has brought are those that it has.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn record_import(client: &mut Client, source: &str, end: JobEnd, messages: &[String]) -> Result<()> {
    let mut transaction = client.transaction()?;
    let job = record(&mut transaction, "import", source, end, messages)?;
    if end == JobEnd::Success {
        transaction.execute_typed(
            "UPDATE inventory.containers SET creation_job_id = $1 WHERE creation_job_id IS NULL",
            &[(&job, Type::INT4)],
        )?;
    }
    transaction.commit()?;
    Ok(())
}
