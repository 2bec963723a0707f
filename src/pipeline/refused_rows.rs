//! Rows that the database refuses: found by halving, and kept as one line of text each in the rejected file of their
//! router.
//!
//! All writers share one loop, [`write_all`]. A piece of work is written in one transaction; if a row of it may be at
//! fault, or it takes too long, its halves are written. A row that fails alone is rejected, except where the statement
//! may be at fault instead: then a canary, which cannot be refused for its values, is tried first. Everything that
//! passes by itself is waited for.

use std::fmt::Display;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::connection::{Failure, RetryingClient};
use super::health::Health;
use super::options::PipelineOptions;
use crate::model::{RouterId, Timestamp};
use crate::quarantine::RejectedFile;
use crate::stop::Stop;
use crate::store::Error;

/// The work of a writer, as far as it differs from that of the others.
pub(super) trait Work {
    /// The rows of one transaction.
    type Piece: Piece;

    /// Writes a piece. `is_last`: no other piece waits, so whatever belongs to all of them is written too.
    fn write(&mut self, piece: &mut Self::Piece, is_last: bool) -> Result<(), Failure>;

    /// Removes the cause of a failure by other means than halving; then the piece is tried again.
    ///
    /// # Errors
    /// The failure, where there are none.
    fn resolve(&mut self, _piece: &mut Self::Piece, _is_last: bool, failure: Failure) -> Result<(), Failure> {
        Err(failure)
    }

    /// Returns whether the statements that refused a row accept a canary.
    fn would_do_canary(&mut self, piece: &Self::Piece) -> bool;

    /// Drops a row that is at fault.
    fn reject(&mut self, piece: &Self::Piece, error: Error);

    /// Pauses before a piece is tried again.
    ///
    /// # Errors
    /// The shutdown grace period is over.
    fn wait_after(&mut self, error: &Error) -> Result<(), Failure>;
}

/// Rows that can be halved.
pub(super) trait Piece: Sized {
    /// Returns the number of rows.
    fn rows(&self) -> usize;

    /// Splits two or more rows into two pieces, of which the first is written first.
    fn halve(self) -> (Self, Self);
}

impl Piece for Range<usize> {
    fn rows(&self) -> usize {
        self.len()
    }

    fn halve(self) -> (Range<usize>, Range<usize>) {
        let middle = self.start + self.len() / 2;
        (self.start..middle, middle..self.end)
    }
}

/// Writes the pieces in order. Returns those that were given up because the shutdown grace period is over.
pub(super) fn write_all<W: Work>(work: &mut W, pieces: Vec<W::Piece>) -> Vec<W::Piece> {
    // The last one is the next.
    let mut waiting = pieces;
    waiting.reverse();
    // True if the statements that refused the next row have accepted a canary since.
    let mut is_tried = false;
    while let Some(mut piece) = waiting.pop() {
        let is_last = waiting.is_empty();
        let done = match work.write(&mut piece, is_last) {
            Ok(()) => {
                is_tried = false;
                continue;
            }
            Err(failure) => work.resolve(&mut piece, is_last, failure),
        };
        let passing = match done {
            Ok(()) => {
                waiting.push(piece);
                continue;
            }
            Err(Failure::BadRow(_) | Failure::Duplicate(_) | Failure::RowOrStatement(_) | Failure::TooLong(_))
                if piece.rows() > 1 =>
            {
                let (first, second) = piece.halve();
                waiting.extend([second, first]);
                continue;
            }
            Err(Failure::RowOrStatement(error)) if piece.rows() == 0 => Some(error),
            Err(Failure::RowOrStatement(error)) if !is_tried => {
                is_tried = work.would_do_canary(&piece);
                if is_tried { None } else { Some(error) }
            }
            Err(Failure::BadRow(error) | Failure::Duplicate(error) | Failure::RowOrStatement(error)) => {
                is_tried = false;
                work.reject(&piece, error);
                continue;
            }
            Err(Failure::TooLong(error) | Failure::NoPartition(error)) => Some(error),
            Err(Failure::GaveUp) => {
                waiting.push(piece);
                break;
            }
        };
        waiting.push(piece);
        if passing.is_some_and(|error| work.wait_after(&error).is_err()) {
            break;
        }
    }
    waiting.reverse();
    waiting
}

/// Returns the number of rows of all pieces.
pub(super) fn rows_of<P: Piece>(pieces: &[P]) -> usize {
    pieces.iter().map(Piece::rows).sum()
}

/// The minimum time between two log lines about refused rows.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// The common part of all writers: the connection, and the rows that it could not store.
pub(super) struct Writer {
    pub(super) options: Arc<PipelineOptions>,
    pub(super) connection: RetryingClient,
    pub(super) health: Arc<Health>,
    rejected: RejectedRows,
    given_up: u64,
}

impl Writer {
    /// Creates a writer that connects at its first attempt.
    pub(super) fn new(options: Arc<PipelineOptions>, thread: &str, stop: Stop) -> Writer {
        let health = Arc::clone(&options.health);
        let connection = RetryingClient::new(&options, thread, stop, Arc::clone(&health));
        let rejected = RejectedRows::new(&options.state_dir);
        Writer { options, connection, health, rejected, given_up: 0 }
    }

    /// Counts a row that the database refuses and keeps it in the rejected file.
    pub(super) fn reject(&mut self, router: &RouterId, row: &dyn Display, error: &Error) {
        Health::count(&self.health.rows_rejected, 1);
        self.rejected.keep(router, row, error);
    }

    /// Counts rows that are given up because the shutdown grace period is over.
    pub(super) fn give_up(&mut self, rows: usize) {
        let rows = u64::try_from(rows).unwrap_or(u64::MAX);
        self.given_up += rows;
        Health::count(&self.health.given_up, rows);
    }

    /// Returns the number of rows given up.
    pub(super) fn given_up(&self) -> u64 {
        self.given_up
    }
}

/// One writer's access to the rejected files.
#[derive(Debug)]
struct RejectedRows {
    folder: PathBuf,
    warned: Option<Instant>,
    silent: u64,
}

impl RejectedRows {
    /// Creates a writer of rejected files below `state_dir`, which need not exist yet.
    fn new(state_dir: &Path) -> RejectedRows {
        RejectedRows { folder: state_dir.join("rejected"), warned: None, silent: 0 }
    }

    /// Appends `row` to the router's rejected file, with the reason why it is not in the database.
    fn keep(&mut self, router: &RouterId, row: &dyn Display, reason: &dyn Display) {
        let line = format!("{} {reason}: {row}\n", Timestamp::now());
        let kept = RejectedFile::new(&self.folder, router.as_str(), "rows").append(line.as_bytes());
        if self.warned.is_none_or(|at| at.elapsed() >= WARN_EVERY) {
            let more = if self.silent > 0 { format!(", and {} more rows before", self.silent) } else { String::new() };
            let place = match kept {
                Ok(true) => "kept in the rejected file".to_owned(),
                Ok(false) => "not kept, there is no room in the rejected folder".to_owned(),
                Err(error) => format!("not kept: {error}"),
            };
            log::warn!("router {router}: the database refused a row ({place}{more}): {row}: {reason}");
            (self.warned, self.silent) = (Some(Instant::now()), 0);
        } else {
            self.silent += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The verdict about a row of [`Rows`] that is tried for the given time.
    type Judge = fn(row: usize, tries: usize) -> Option<fn(Error) -> Failure>;

    /// Rows without a database: a transaction fails if the judge fails one of its rows.
    struct Rows {
        judge: Judge,
        tries: [usize; 8],
        canaries: bool,
        /// The number of pauses until the grace period is over.
        pauses_left: usize,
        log: Vec<String>,
    }

    impl Work for Rows {
        type Piece = Range<usize>;

        fn write(&mut self, piece: &mut Range<usize>, is_last: bool) -> Result<(), Failure> {
            for row in piece.clone() {
                self.tries[row] += 1;
                if let Some(failure) = (self.judge)(row, self.tries[row]) {
                    return Err(failure(Error::InDoubt));
                }
            }
            let last = if is_last { " last" } else { "" };
            self.log.push(format!("{piece:?}{last}"));
            Ok(())
        }

        fn resolve(&mut self, piece: &mut Range<usize>, _: bool, failure: Failure) -> Result<(), Failure> {
            match failure {
                Failure::NoPartition(_) if self.tries[piece.start] == 1 => {
                    self.log.push("resolved".to_owned());
                    Ok(())
                }
                other => Err(other),
            }
        }

        fn would_do_canary(&mut self, piece: &Range<usize>) -> bool {
            self.log.push(format!("canary for {piece:?}"));
            self.canaries
        }

        fn reject(&mut self, piece: &Range<usize>, _: Error) {
            self.log.push(format!("{piece:?} rejected"));
        }

        fn wait_after(&mut self, _: &Error) -> Result<(), Failure> {
            self.log.push("pause".to_owned());
            self.pauses_left = self.pauses_left.checked_sub(1).ok_or(Failure::GaveUp)?;
            Ok(())
        }
    }

    #[track_caller]
    fn check(judge: Judge, canaries: bool, want: &str, given_up: Range<usize>) {
        let mut rows = Rows { judge, tries: [0; 8], canaries, pauses_left: 2, log: Vec::new() };
        let left = write_all(&mut rows, vec![0..4, 4..6]);
        assert_eq!((rows.log.join(", ").as_str(), rows_of(&left)), (want, given_up.len()));
        assert_eq!(left.first().map_or(6, |first| first.start), given_up.start);
    }

    #[test]
    fn good_rows_are_written_in_order() {
        check(|_, _| None, true, "0..4, 4..6 last", 6..6);
    }

    #[test]
    fn a_bad_row_is_rejected_alone() {
        let bad = |row, _| (row == 2).then_some(Failure::BadRow as fn(Error) -> Failure);
        check(bad, true, "0..2, 2..3 rejected, 3..4, 4..6 last", 6..6);
        let taken = |row, _| (row == 0).then_some(Failure::Duplicate as fn(Error) -> Failure);
        check(taken, true, "0..1 rejected, 1..2, 2..4, 4..6 last", 6..6);
    }

    #[test]
    fn a_canary_tells_a_row_from_a_statement() {
        let limit = |row, _| (row == 1).then_some(Failure::RowOrStatement as fn(Error) -> Failure);
        check(limit, true, "0..1, canary for 1..2, 1..2 rejected, 2..4, 4..6 last", 6..6);
        // As long as the canary fails as well, no row is rejected.
        let statement = |row, tries| (row == 1 && tries < 5).then_some(Failure::RowOrStatement as fn(Error) -> Failure);
        let want = "0..1, canary for 1..2, pause, canary for 1..2, pause, 1..2, 2..4, 4..6 last";
        check(statement, false, want, 6..6);
    }

    #[test]
    fn a_long_statement_is_halved_and_never_rejected() {
        let long = |row, tries| (row == 3 && tries < 5).then_some(Failure::TooLong as fn(Error) -> Failure);
        check(long, true, "0..2, 2..3, pause, pause, 3..4, 4..6 last", 6..6);
    }

    #[test]
    fn what_is_given_up_is_returned() {
        let lasting = |row, _| (row == 3).then_some(Failure::TooLong as fn(Error) -> Failure);
        check(lasting, true, "0..2, 2..3, pause, pause, pause", 3..6);
        let over = |row, _| (row == 4).then_some((|_| Failure::GaveUp) as fn(Error) -> Failure);
        check(over, true, "0..4", 4..6);
    }

    #[test]
    fn work_may_know_a_better_way() {
        let missing = |row, tries| (row == 0 && tries < 3).then_some(Failure::NoPartition as fn(Error) -> Failure);
        check(missing, true, "resolved, pause, 0..4, 4..6 last", 6..6);
    }
}
