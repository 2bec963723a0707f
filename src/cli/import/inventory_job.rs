//! The record of an import in the inventory's own table of jobs.

use crate::cli::command::CommandError;
use crate::store::Client;
use crate::store::imports::TableDifferences;
use crate::store::inventory::jobs::{JobEnd, record_import};

/// Records what an import has changed, or why it was refused. One that changed nothing leaves no trace.
pub(super) fn record(
    client: &mut Client,
    source: &str,
    result: &Result<Vec<TableDifferences>, CommandError>,
) -> Result<(), CommandError> {
    let (end, messages) = match result {
        Ok(tables) => {
            let changed = tables.iter().filter(|table| table.added + table.changed + table.removed > 0);
            let message = |table: &TableDifferences| {
                let TableDifferences { table, added, changed, removed, .. } = table;
                format!("{table}: {added} added, {changed} changed, {removed} removed")
            };
            (JobEnd::Success, changed.map(message).collect::<Vec<_>>())
        }
        Err(error) => (JobEnd::Failure, error.lines().to_vec()),
    };
    if !messages.is_empty() {
        record_import(client, source, end, &messages)?;
    }
    Ok(())
}
