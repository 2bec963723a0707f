//! The size of a writer's batches: small and written early while the writers keep up, larger and later while they do
//! not and it saves rows.
//!
//! A route that changes repeatedly is one row however often it changed within a batch, so the larger the batch, the
//! fewer rows a storm costs. A first dump has each route once: there a longer batch saves nothing, and the writer would
//! be idle while it is gathered and while it waits for the history of all of it. This is for state only: each event is
//! a row of its own, and events in larger batches were not written any faster.

use std::time::Duration;

use super::options::PipelineOptions;

/// The maximum growth: a batch has at most this many times [`PipelineOptions::batch_routes`], and is gathered for at
/// most this many times `flush`. Its bytes have a limit of their own.
const GROWTH_MAX: u32 = 32;

/// The longest time that a batch is gathered, unless `flush` is longer: readers wait this long when history cannot keep
/// up.
const GATHER_MAX: Duration = Duration::from_secs(6);

/// Batches are gathered for longer while at least one in this many changes is replaced by a later one of its batch.
const MERGED_MIN: usize = 8;

/// A batch whose history is stored has at most this many times [`PipelineOptions::batch_routes`]: as many parts for
/// helpers.
const STORED_MAX: usize = 4;

/// The current batch size of one writer.
#[derive(Debug)]
pub(super) struct BatchSizer {
    flush: Duration,
    changes: usize,
    /// With more changes than this in front of all writers, they do not keep up: a full batch for each.
    queued_max: u64,
    growth: u32,
    /// Changes gathered since the queues were last measured, and the rows that were left of them.
    gathered: usize,
    rows: usize,
}

impl BatchSizer {
    pub(super) fn new(options: &PipelineOptions) -> BatchSizer {
        let writers = options.state_writers + options.history_writers;
        BatchSizer {
            flush: options.flush,
            changes: options.batch_routes,
            queued_max: u64::try_from(options.batch_routes.saturating_mul(writers)).unwrap_or(u64::MAX),
            growth: 1,
            gathered: 0,
            rows: 0,
        }
    }

    /// Returns the time that changes are gathered, from the first one on.
    pub(super) fn gather(&self) -> Duration {
        self.flush.saturating_mul(self.growth).min(GATHER_MAX).max(self.flush)
    }

    /// Returns the number of changes that fill a batch.
    pub(super) fn changes(&self) -> usize {
        self.changes.saturating_mul(usize::try_from(self.growth).unwrap_or(usize::MAX))
    }

    /// Returns the number of changes that fill a batch whose history is stored.
    pub(super) fn stored(&self) -> usize {
        self.changes.saturating_mul(STORED_MAX)
    }

    /// Returns whether batches are larger than usual.
    pub(super) fn is_merging(&self) -> bool {
        self.growth > 1
    }

    /// Counts changes, and the rows that were left of them.
    pub(super) fn coalesced(&mut self, changes: usize, rows: usize) {
        self.gathered += changes;
        self.rows += rows;
    }

    /// Adapts the size after a batch is written, with `queued` changes now in front of the writers.
    pub(super) fn written(&mut self, queued: u64) {
        let (gathered, rows) = (std::mem::take(&mut self.gathered), std::mem::take(&mut self.rows));
        let does_merge = gathered > 0 && (gathered - rows) * MERGED_MIN >= gathered;
        self.growth = if queued > self.queued_max && does_merge {
            (self.growth * 2).min(GROWTH_MAX)
        } else {
            (self.growth / 2).max(1)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(flush: Duration) -> BatchSizer {
        BatchSizer { flush, changes: 100, queued_max: 300, growth: 1, gathered: 0, rows: 0 }
    }

    #[test]
    fn it_grows_under_backlog_and_shrinks_without() {
        let flush = Duration::from_millis(20);
        let mut pace = pace(flush);
        let mut after = |queued| {
            pace.coalesced(80, 70);
            pace.written(queued);
            (pace.changes(), pace.gather())
        };
        assert_eq!(after(300), (100, flush), "a batch for each writer is no backlog");
        assert_eq!(after(301), (200, 2 * flush));
        assert_eq!(after(u64::MAX), (400, 4 * flush));
        assert_eq!(after(0), (200, 2 * flush));
        assert_eq!((0..9).map(|_| after(301)).last(), Some((3200, 32 * flush)));
        assert_eq!((0..9).map(|_| after(300)).last(), Some((100, flush)));
    }

    #[test]
    fn it_does_not_grow_where_nothing_merges() {
        let mut pace = pace(Duration::from_millis(20));
        let mut after = |changes, rows| {
            pace.coalesced(changes, rows);
            pace.written(u64::MAX);
            (pace.changes(), pace.is_merging())
        };
        assert_eq!(after(80, 71), (100, false), "one in nine");
        assert_eq!(after(80, 70), (200, true));
        assert_eq!(after(0, 0), (100, false));
    }

    #[test]
    fn nobody_waits_longer_than_is_useful() {
        for (flush, longest) in
            [(200, 6_000), (60_000, 60_000)].map(|(a, b)| (Duration::from_millis(a), Duration::from_millis(b)))
        {
            let mut pace = pace(flush);
            (0..9).for_each(|_| {
                pace.coalesced(2, 1);
                pace.written(u64::MAX);
            });
            assert_eq!(pace.gather(), longest);
        }
    }
}
