//! The writing of a batch's rows: copied where nothing is stored, upserted or deleted otherwise.

use super::batch::Row;
use super::op::Existing;
use crate::store::{self, Transaction, routes};

/// The numbers of rows that one transaction changed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Done {
    pub(super) written: u64,
    pub(super) deleted: u64,
    /// Rows that were missing where one was to be changed or deleted.
    pub(super) unexpected: u64,
}

/// Writes rows of one kind of RIB, and adds the numbers to `done`.
pub(super) fn write_rows(transaction: &mut Transaction<'_>, rows: &[Row], done: &mut Done) -> store::Result<()> {
    let Some(kind) = rows.first().map(Row::kind) else { return Ok(()) };
    let of = |was| rows.iter().filter_map(move |row| Some((row.key(), row.route_if(was)?)));
    let mut inserts = of(Existing::No).peekable();
    let mut upserts = of(Existing::Maybe).peekable();
    let mut deletes = rows.iter().filter(|row| row.route.is_none()).map(Row::key).peekable();
    if inserts.peek().is_some() {
        done.written += routes::insert(transaction, kind, inserts)?;
    }
    if upserts.peek().is_some() {
        let upserted = routes::upsert(transaction, kind, upserts)?;
        done.written += upserted.written;
        done.unexpected += upserted.new;
    }
    if deletes.peek().is_some() {
        let expected = rows.iter().filter(|row| row.route.is_none() && row.was == Existing::Maybe).count();
        let deleted = routes::delete(transaction, kind, deletes)?;
        done.deleted += deleted;
        done.unexpected += u64::try_from(expected).unwrap_or(0).saturating_sub(deleted);
    }
    Ok(())
}
