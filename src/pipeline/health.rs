//! What the writers are doing, in numbers that other threads read.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Counters of all writers since the start.
#[derive(Debug, Default)]
pub struct Health {
    failing: AtomicUsize,
    /// Batches that state writers wrote.
    pub state_batches: AtomicU64,
    /// Batches that event writers wrote.
    pub history_batches: AtomicU64,
    /// Rows of `current_routes` that were inserted or updated.
    pub routes_written: AtomicU64,
    /// Rows of `current_routes` that were deleted.
    pub routes_deleted: AtomicU64,
    /// Rows of `route_events` that were inserted.
    pub events_written: AtomicU64,
    /// Rows that the database refused and that went to the rejected file.
    pub rows_rejected: AtomicU64,
    /// Attempts that failed and were repeated.
    pub retries: AtomicU64,
    /// Operations and events that were not written when the grace at the stop was over.
    pub given_up: AtomicU64,
}

impl Health {
    /// Whether every writer's last attempt reached the database.
    pub fn is_ready(&self) -> bool {
        self.failing.load(Ordering::Acquire) == 0
    }

    pub(super) fn begin_failing(&self) {
        self.failing.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn end_failing(&self) {
        self.failing.fetch_sub(1, Ordering::AcqRel);
    }

    pub(super) fn count(counter: &AtomicU64, by: u64) {
        counter.fetch_add(by, Ordering::Relaxed);
    }
}
