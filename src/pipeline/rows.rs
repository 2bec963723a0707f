//! The writing of a batch's rows, and of the changes that go along with them in the transaction of the last rows.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::batch::Batch;
use super::connection::{Failure, PriorCommit};
use super::extras::Extras;
use super::health::Health;
use super::op::Ownership;
use super::refused_rows::{self, Work, Writer, rows_of};
use super::route_rows::{Done, Row, write_rows};
use crate::model::RouterId;
use crate::store::{Error, owner};

/// The rows of a batch, in order, and its extras.
struct Rows<'a> {
    writer: &'a mut Writer,
    batch: Batch,
    /// The extras, once they are separated from the last rows because one of the two is at fault.
    apart: Extras,
}

impl Work for Rows<'_> {
    type Piece = Range<usize>;

    fn write(&mut self, range: &mut Range<usize>, is_last: bool) -> Result<(), Failure> {
        self.writer.write(&mut self.batch, range.clone(), is_last)
    }

    fn resolve(&mut self, range: &mut Range<usize>, is_last: bool, failure: Failure) -> Result<(), Failure> {
        match failure {
            // The session's map was wrong about a key: the rows are written by the statement that checks the table.
            Failure::Duplicate(_) if self.batch.expects_absent(range) => self.batch.expect_stored(range),
            Failure::BadRow(_) | Failure::Duplicate(_) | Failure::RowOrStatement(_) | Failure::TooLong(_)
                if range.len() <= 1 && is_last && !self.batch.extras.is_empty() =>
            {
                self.apart = std::mem::take(&mut self.batch.extras);
            }
            other => return Err(other),
        }
        Ok(())
    }

    fn would_do_canary(&mut self, range: &Range<usize>) -> bool {
        let harmless = [self.batch.rows[range.start].harmless()];
        self.writer.connection.would_do(|transaction| write_rows(transaction, &harmless, &mut Done::default()))
    }

    fn reject(&mut self, range: &Range<usize>, error: Error) {
        for row in &self.batch.rows[range.clone()] {
            self.writer.reject(&row.table.router, row, &error);
        }
    }

    fn wait_after(&mut self, error: &Error) -> Result<(), Failure> {
        self.writer.connection.wait_after(error)
    }
}

/// Extras that are written by themselves.
struct Apart<'a> {
    writer: &'a mut Writer,
    owners: &'a BTreeMap<RouterId, Vec<Arc<Ownership>>>,
}

impl Work for Apart<'_> {
    type Piece = Extras;

    fn write(&mut self, extras: &mut Extras, _: bool) -> Result<(), Failure> {
        let mut batch = Batch::of(self.owners.clone(), Vec::new(), std::mem::take(extras));
        batch.drop_lost();
        let result = self.writer.write(&mut batch, 0..0, true);
        *extras = batch.extras;
        result
    }

    fn would_do_canary(&mut self, extras: &Extras) -> bool {
        let harmless = extras.harmless();
        self.writer.connection.would_do(|transaction| harmless.write(transaction, &mut Done::default()).map(drop))
    }

    fn reject(&mut self, extras: &Extras, error: Error) {
        if let Some(owner) = extras.only_down() {
            self.writer.end_sessions(std::iter::once(owner), "remove tables", &error);
        } else if let Some((router, row)) = extras.only() {
            self.writer.reject(&router, &format_args!("{row:?}"), &error);
        }
    }

    fn wait_after(&mut self, error: &Error) -> Result<(), Failure> {
        self.writer.connection.wait_after(error)
    }
}

impl Writer {
    /// Writes a batch that is in order. Returns whether it is written, or refused and kept elsewhere.
    pub(super) fn write_all(&mut self, batch: Batch) -> bool {
        let all = 0..batch.rows.len();
        let mut rows = Rows { writer: self, batch, apart: Extras::default() };
        let given_up = refused_rows::write_all(&mut rows, vec![all]);
        let Rows { batch, apart, .. } = rows;
        if given_up.is_empty() {
            return self.write_extras(&batch.owners, apart);
        }
        self.give_up(rows_of(&given_up) + batch.extras.len() + apart.len());
        false
    }

    /// Writes extras by themselves. Rows that the database refuses are kept elsewhere. `false`: given up.
    pub(super) fn write_extras(&mut self, owners: &BTreeMap<RouterId, Vec<Arc<Ownership>>>, extras: Extras) -> bool {
        let given_up = refused_rows::write_all(&mut Apart { writer: self, owners }, vec![extras]);
        if !given_up.is_empty() {
            self.give_up(rows_of(&given_up));
        }
        given_up.is_empty()
    }

    /// Writes the rows of `range` in one transaction, and with the last of them the extras.
    fn write(&mut self, batch: &mut Batch, range: Range<usize>, is_last: bool) -> Result<(), Failure> {
        let mut done = Done::default();
        let mut is_sure = false;
        let mut events = Vec::new();
        if range.is_empty() && (!is_last || batch.extras.is_empty()) {
            return Ok(());
        }
        let epochs = batch.epochs();
        let options = Arc::clone(&self.options);
        let mut noted = options.watching.begin();
        noted.push_rows(&batch.rows[range.clone()]);
        if is_last {
            batch.extras.note(&mut noted);
        }
        let lost = self.connection.retry(|client, attempt| {
            (done, is_sure) = (Done::default(), attempt.prior == PriorCommit::No);
            let mut transaction = client.transaction()?;
            let lost = owner::lost(&mut transaction, &epochs)?;
            if !lost.is_empty() {
                return Ok(lost);
            }
            // Sorted, so the rows of each kind of RIB are adjacent.
            for rows in batch.rows[range.clone()].chunk_by(|a, b| a.kind() == b.kind()) {
                write_rows(&mut transaction, rows, &mut done)?;
            }
            if is_last {
                events = batch.extras.write(&mut transaction, &mut done)?;
            }
            noted.write(&mut transaction)?;
            done.counts.write(&mut transaction)?;
            attempt.commit(transaction, lost)
        })?;
        Health::count(&self.health.routes_written, done.written);
        Health::count(&self.health.routes_deleted, done.deleted);
        if lost.is_empty() {
            noted.committed();
            if is_last {
                batch.extras.committed();
            }
            options.notices.push(events);
            if is_sure && done.unexpected > 0 {
                log::warn!("database: {} rows changed outside the collector; verifying table counts", done.unexpected);
                batch.owners.values().flatten().for_each(|owner| owner.set_in_doubt());
            }
            return Ok(());
        }
        // Nothing of this range was written. Its rows are written again from a copy without those of lost routers, so
        // that the ranges that wait stay valid.
        for owner in batch.owners.values().flatten().filter(|owner| lost.contains(&owner.router)) {
            owner.set_lost();
        }
        self.write_without_lost(batch, range, is_last)
    }

    fn write_without_lost(&mut self, batch: &mut Batch, range: Range<usize>, is_last: bool) -> Result<(), Failure> {
        let rows: Vec<Row> = batch.rows[range].to_vec();
        let extras = if is_last { std::mem::take(&mut batch.extras) } else { Extras::default() };
        let mut rest = Batch::of(batch.owners.clone(), rows, extras);
        rest.drop_lost();
        let length = rest.rows.len();
        let result = self.write(&mut rest, 0..length, is_last);
        if is_last {
            batch.extras = rest.extras;
        }
        result
    }
}
