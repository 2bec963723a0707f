//! The state of the writers in counters that other threads read, and whether the database accepts their work.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use super::collector_lock::CollectorLock;
use super::lease::Lease;
use super::outage::{Outage, Waited};
use super::progress::InFlight;
use crate::store;

/// Counters of all writers since the start.
#[derive(Debug, Default)]
pub struct Health {
    failing: AtomicUsize,
    /// The state writers that wait for a stalled history, and event writers whose history is suspended, with the reasons.
    history_stands: Mutex<BTreeMap<String, String>>,
    outage: Outage,
    database: OnceLock<String>,
    /// The lock that decides whether writers may write as this collector.
    pub lock: CollectorLock,
    /// Says if the leases of other collectors count.
    pub lease: Lease,
    /// Changes and events that are in memory because they are not stored yet.
    pub waiting: Arc<InFlight>,
    /// Bytes of input that the database does not have, as last measured.
    pub unstored: AtomicU64,
    /// Batches that state writers wrote.
    pub state_batches: AtomicU64,
    /// Batches that event writers wrote.
    pub(crate) history_batches: AtomicU64,
    /// Rows of `current_routes` that were inserted or updated.
    pub(crate) routes_written: AtomicU64,
    /// Rows of `current_routes` that were deleted.
    pub(crate) routes_deleted: AtomicU64,
    /// Events of routers that another collector took, which were not stored before its claim.
    pub events_lost: AtomicU64,
    /// Rows of `route_events` that were inserted.
    pub events_written: AtomicU64,
    /// Rows and commands that the database refused; the rows are kept in the rejected file.
    pub(crate) rows_rejected: AtomicU64,
    /// Attempts that failed and were repeated.
    pub retries: AtomicU64,
    /// Operations and events that were not written when the shutdown grace period was over.
    pub given_up: AtomicU64,
}

impl Health {
    /// Returns whether every writer's last attempt reached the database.
    pub fn is_ready(&self) -> bool {
        self.failing.load(Ordering::Acquire) == 0
    }

    /// Returns why history is stalled, if a state writer waits for it, or suspended.
    pub(crate) fn history_trouble(&self) -> Option<String> {
        self.history_stands().values().next().cloned()
    }

    /// Notes that the state writer `who` waits for a stalled history, and why.
    pub(super) fn history_stands_for(&self, who: &str, why: &str) {
        self.history_stands().insert(who.to_owned(), why.to_owned());
    }

    /// Notes that `who` no longer waits.
    pub(super) fn history_moves_for(&self, who: &str) {
        self.history_stands().remove(who);
    }

    /// Returns whether the history of the event writer `who` is suspended.
    pub(super) fn is_history_suspended(&self, who: &str) -> bool {
        self.history_stands().contains_key(who)
    }

    /// Locks the map, which a panic elsewhere leaves consistent.
    fn history_stands(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.history_stands.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the thread `who` cannot work because the database is unavailable. One error is logged, however many
    /// threads report it.
    pub(crate) fn database_away(&self, who: &str, error: &store::Error) {
        self.outage.begin(who, self.database.get().map_or("database", String::as_str), error);
    }

    /// Sets the name of the database for the log: `user@host:port/name`. Called once, at the start.
    pub(crate) fn name_database(&self, name: String) {
        let _ = self.database.set(name);
    }

    /// Returns why the database accepts nothing, as far as it is known.
    pub fn cause(&self) -> Option<String> {
        self.outage.cause()
    }

    /// Returns why the thread `who` cannot get its work done, as far as it is known.
    pub(super) fn cause_of(&self, who: &str) -> Option<String> {
        self.outage.cause_of(who)
    }

    /// Returns the SQLSTATE of the last error of the thread `who`, until it succeeds.
    pub(super) fn code_of(&self, who: &str) -> Option<String> {
        self.outage.code_of(who)
    }

    /// Notes that the thread `who` no longer needs the database.
    pub fn leave(&self, who: &str) {
        self.outage.leave(who);
    }

    /// Notes that the thread `who` succeeded. When all failing threads have, one line reports it, with the duration and
    /// the work that waited.
    pub(crate) fn database_back(&self, who: &str) {
        let waited = Waited { changes: self.waiting.count(), unstored: self.unstored.load(Ordering::Relaxed) };
        self.outage.end(who, waited);
    }

    /// Returns a number that changes whenever a failing thread succeeds: then another try is worthwhile for those that
    /// still wait.
    pub fn answered(&self) -> u64 {
        self.outage.answered()
    }

    /// Returns whether a connection made at `connected_at` may be broken by an outage that was reported and is over.
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

    /// As [`Health::end_failing`], for a thread that ends without having succeeded.
    pub(super) fn leave_failing(&self, who: &str) {
        self.failing.fetch_sub(1, Ordering::AcqRel);
        self.outage.leave(who);
    }

    pub(super) fn count(counter: &AtomicU64, by: u64) {
        counter.fetch_add(by, Ordering::Relaxed);
    }
}

impl store::Outages for Health {
    fn begin(&self, who: &str, error: &store::Error) {
        self.database_away(who, error);
    }

    fn end(&self, who: &str) {
        self.database_back(who);
    }

    fn leave(&self, who: &str) {
        self.outage.leave(who);
    }

    fn is_told(&self, connected_at: Instant) -> bool {
        self.outage.is_older(connected_at)
    }
}
