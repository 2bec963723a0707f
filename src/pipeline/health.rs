//! What the writers are doing, in numbers that other threads read, and whether the database takes it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use super::Waiting;
use super::collector_lock::CollectorLock;
use super::outage::{Outage, Waited};
use crate::store;

/// Counters of all writers since the start.
#[derive(Debug, Default)]
pub struct Health {
    failing: AtomicUsize,
    /// The state writers that wait for a history that stands still, and why it does.
    history_stands: Mutex<BTreeMap<String, String>>,
    outage: Outage,
    database: OnceLock<String>,
    /// Whether writers may write as this collector.
    pub lock: CollectorLock,
    /// Changes and events that are in memory because they are not stored.
    pub waiting: Arc<Waiting>,
    /// Bytes in the spool, as last measured.
    pub spooled: AtomicU64,
    /// Batches that state writers wrote.
    pub state_batches: AtomicU64,
    /// Batches that event writers wrote.
    pub history_batches: AtomicU64,
    /// Rows of `current_routes` that were inserted or updated.
    pub routes_written: AtomicU64,
    /// Rows of `current_routes` that were deleted.
    pub routes_deleted: AtomicU64,
    /// Events of routers that another collector took, which could not be stored before that.
    pub events_lost: AtomicU64,
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

    /// Why history stands still, if a state writer waits for it.
    pub fn history_trouble(&self) -> Option<String> {
        self.history_stands().values().next().cloned()
    }

    /// The state writer `who` waits for a history that stands still, for this reason.
    pub(super) fn history_stands_for(&self, who: &str, why: &str) {
        self.history_stands().insert(who.to_owned(), why.to_owned());
    }

    /// It waits no more.
    pub(super) fn history_moves_for(&self, who: &str) {
        self.history_stands().remove(who);
    }

    /// A panic elsewhere leaves this whole.
    fn history_stands(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.history_stands.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread `who` cannot do its work for want of a database. However many say so, one error is logged.
    pub fn database_away(&self, who: &str, error: &store::Error) {
        self.outage.begin(who, self.database.get().map_or("database", String::as_str), error);
    }

    /// What the database is called in the log: `user@host:port/name`. Said once, at the start.
    pub fn name_database(&self, name: String) {
        let _ = self.database.set(name);
    }

    /// Why the database takes nothing, as far as it is known.
    pub fn cause(&self) -> Option<String> {
        self.outage.cause()
    }

    /// Why the thread `who` gets nothing through, as far as it is known.
    pub(super) fn cause_of(&self, who: &str) -> Option<String> {
        self.outage.cause_of(who)
    }

    /// The thread `who` does without the database from here on.
    pub fn leave(&self, who: &str) {
        self.outage.leave(who);
    }

    /// The thread `who` got through. When all have who could not, one line says so, for how long, and what waited.
    pub fn database_back(&self, who: &str) {
        let waited = Waited { changes: self.waiting.count(), spooled: self.spooled.load(Ordering::Relaxed) };
        self.outage.end(who, waited);
    }

    /// Changes whenever a thread got through that could not: it is worth another try for those who still wait.
    pub fn answered(&self) -> u64 {
        self.outage.answered()
    }

    /// Whether what broke a connection of that age may be a trouble that was told and is over.
    pub fn is_told(&self, connected_at: Instant) -> bool {
        self.outage.is_older(connected_at)
    }

    pub(super) fn begin_failing(&self, who: &str, error: &store::Error) {
        self.failing.fetch_add(1, Ordering::AcqRel);
        self.database_away(who, error);
    }

    pub(super) fn end_failing(&self, who: &str) {
        self.failing.fetch_sub(1, Ordering::AcqRel);
        self.database_back(who);
    }

    /// As [`Health::end_failing`], for one that ends without having got through.
    pub(super) fn leave_failing(&self, who: &str) {
        self.failing.fetch_sub(1, Ordering::AcqRel);
        self.outage.leave(who);
    }

    pub(super) fn read(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }

    pub(super) fn count(counter: &AtomicU64, by: u64) {
        counter.fetch_add(by, Ordering::Relaxed);
    }
}
