//! The events of a file and those of the database, in one order, each once.

use std::cmp::Ordering;
use std::iter::Peekable;

use super::failure::Failure;
use super::reader::Events;
use super::schema::{BMP_RAW, Row, compare};
use crate::store::archive::Cell;

/// The origin of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The file has all of it.
    File,
    /// Only the database has it, or its BMP message.
    Database,
}

/// Merges as the events of the database come.
pub(super) struct Merge<T> {
    file: Option<Peekable<Events>>,
    /// The last event that came, to see that they come in their order.
    last: Option<Row>,
    into: T,
}

impl<T: FnMut(Row, Origin) -> Result<(), Failure>> Merge<T> {
    /// Begins with the file, if there is one; each event of both goes `into`.
    pub(super) fn new(file: Option<Events>, into: T) -> Merge<T> {
        Merge { file: file.map(Iterator::peekable), last: None, into }
    }

    /// Takes the next event of the database.
    ///
    /// # Errors
    /// The file cannot be read, the events are in another order than files are, or `into` fails.
    pub(super) fn take(&mut self, row: Row) -> Result<(), Failure> {
        if self.last.as_ref().is_some_and(|last| compare(last, &row) != Ordering::Less) {
            return Err(Failure::Content("the database has its events in another order than files have".to_owned()));
        }
        while let Some(next) = self.file.as_mut().and_then(Peekable::peek) {
            let order = match next {
                Ok(next) => compare(next, &row),
                Err(_) => Ordering::Less,
            };
            if order == Ordering::Greater {
                break;
            }
            let Some(next) = self.file.as_mut().and_then(Iterator::next) else { break };
            let next = next?;
            if order == Ordering::Less {
                (self.into)(next, Origin::File)?;
                continue;
            }
            // An event never changes; only the message may be missing in one of them.
            let is_more = next[BMP_RAW] == Cell::Null && row[BMP_RAW] != Cell::Null;
            self.last = Some(key_of(&row));
            return if is_more { (self.into)(row, Origin::Database) } else { (self.into)(next, Origin::File) };
        }
        self.last = Some(key_of(&row));
        (self.into)(row, Origin::Database)
    }

    /// Passes on what is left of the file.
    ///
    /// # Errors
    /// The file cannot be read, or `into` fails.
    pub(super) fn finish(mut self) -> Result<(), Failure> {
        for row in self.file.into_iter().flatten() {
            (self.into)(row?, Origin::File)?;
        }
        Ok(())
    }
}

/// Returns the part of an event that `compare` reads.
fn key_of(row: &Row) -> Row {
    row[..=super::schema::FIRST].to_vec()
}
