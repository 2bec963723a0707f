//! The progress of one session: how much of its input is in the database.
//!
//! A session cuts its input into numbered chunks. Their changes are sent to two writers in pieces; each piece names the
//! last chunk whose changes are all in it or in pieces before it. A writer acknowledges a piece when it has stored it.
//! State waits for the history of the same input (`lead`), so both count pieces.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// The number of changes and events of all sessions that are on their way to the database.
#[derive(Debug, Default)]
pub struct InFlight {
    /// Changes and events in front of a writer.
    queued: AtomicU64,
    /// Changes and events that a writer has taken, and that are not stored.
    taken: AtomicU64,
}

impl InFlight {
    /// Counts changes or events that are about to be sent.
    pub fn add(&self, count: usize) {
        add(&self.queued, count);
    }

    /// Counts those that a writer has taken from its queue.
    pub fn take(&self, count: usize) {
        subtract(&self.queued, count);
        add(&self.taken, count);
    }

    /// Removes those that are stored, refused or given up.
    pub fn remove(&self, count: usize) {
        subtract(&self.taken, count);
    }

    /// Returns the number on the way, taken by a writer or not.
    pub fn count(&self) -> u64 {
        self.queued() + self.taken.load(Ordering::Relaxed)
    }

    /// Returns the number that no writer has taken yet.
    pub(crate) fn queued(&self) -> u64 {
        self.queued.load(Ordering::Relaxed)
    }
}

fn add(counter: &AtomicU64, count: usize) {
    counter.fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
}

fn subtract(counter: &AtomicU64, count: usize) {
    let count = u64::try_from(count).unwrap_or(u64::MAX);
    let _ = counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |all| Some(all.saturating_sub(count)));
}

/// Counters of the session, and of the two writers of its router.
#[derive(Debug, Default)]
pub struct Progress {
    /// The octets of input whose changes have all been sent.
    processed: AtomicU64,
    /// The lane to the state writer.
    pub state: Lane,
    /// The lane to the event writer.
    pub events: Lane,
}

/// The counters of one of the two ways from a session to a writer.
#[derive(Debug, Default)]
pub struct Lane {
    sent: AtomicU64,
    stored: AtomicU64,
    upto: AtomicU64,
    /// True once nothing more of the session is stored this way.
    is_off: AtomicBool,
    is_off_told: AtomicBool,
    /// The position in `journal_positions` that the writer's last transaction has committed.
    pub(super) committed: Arc<AtomicU64>,
    /// Locked briefly by the thread that acknowledges and by one that is about to wait, so that no wait begins after
    /// its end.
    turn: Mutex<()>,
    news: Condvar,
}

impl Progress {
    /// Notes that the session has sent all changes of its input up to this octet.
    pub fn set_processed(&self, octet: u64) {
        self.processed.store(octet, Ordering::Release);
    }

    /// Returns the octets of input whose changes have all been sent.
    pub(crate) fn processed(&self) -> u64 {
        self.processed.load(Ordering::Acquire)
    }

    /// Returns how far the state writer and the event writer have said that everything is stored.
    pub(crate) fn acknowledged(&self) -> [u64; 2] {
        [&self.state, &self.events].map(|lane| lane.upto.load(Ordering::Acquire))
    }

    /// Returns the octets of input up to which everything is stored.
    pub fn stored(&self) -> u64 {
        // Read first: pieces that are sent in between then make the lanes seem late, never early.
        let processed = self.processed();
        self.state.stored(processed).min(self.events.stored(processed))
    }
}

impl Lane {
    /// Counts a piece that is about to be sent.
    pub fn count_sent(&self) {
        self.sent.fetch_add(1, Ordering::AcqRel);
    }

    /// Returns the number of pieces sent.
    pub fn count_of_sent(&self) -> u64 {
        self.sent.load(Ordering::Acquire)
    }

    /// Returns the number of pieces stored.
    pub fn count_stored(&self) -> u64 {
        self.stored.load(Ordering::Acquire)
    }

    /// Returns whether the first `pieces` pieces are stored, or will never be.
    pub fn has_stored(&self, pieces: u64) -> bool {
        self.count_stored() >= pieces || self.is_off()
    }

    /// Nothing more of the session is stored this way, whatever was sent.
    pub(crate) fn set_off(&self) {
        self.is_off.store(true, Ordering::Release);
        drop(self.turn.lock().unwrap_or_else(PoisonError::into_inner));
        self.news.notify_all();
    }

    /// Returns once that nothing more of the session is stored this way.
    pub(super) fn take_news_of_off(&self) -> bool {
        self.is_off() && !self.is_off_told.swap(true, Ordering::AcqRel)
    }

    /// Returns whether nothing more of the session is stored this way.
    pub(crate) fn is_off(&self) -> bool {
        self.is_off.load(Ordering::Acquire)
    }

    /// Waits until the first `pieces` pieces are stored, for at most `longest`.
    pub fn wait(&self, pieces: u64, longest: Duration) {
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        // The waiter checks for itself whether they are.
        drop(self.news.wait_timeout_while(turn, longest, |()| !self.has_stored(pieces)));
    }

    /// Notes that a piece is stored, or was refused and kept elsewhere; `upto` is the octet of input that it completes.
    pub(crate) fn acknowledge(&self, upto: u64) {
        self.upto.fetch_max(upto, Ordering::AcqRel);
        self.stored.fetch_add(1, Ordering::AcqRel);
        drop(self.turn.lock().unwrap_or_else(PoisonError::into_inner));
        self.news.notify_all();
    }

    fn stored(&self, processed: u64) -> u64 {
        let stored = self.stored.load(Ordering::Acquire);
        let is_all = self.is_off() || self.sent.load(Ordering::Acquire) == stored;
        if is_all { processed } else { self.upto.load(Ordering::Acquire) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_stored_when_both_ways_are_done_with_it() {
        let progress = Progress::default();
        progress.set_processed(3);
        assert_eq!(progress.stored(), 3, "nothing of it had to be sent");
        // In the middle of chunk 4.
        progress.state.count_sent();
        assert_eq!(progress.stored(), 0);
        progress.state.acknowledge(3);
        progress.events.count_sent();
        progress.set_processed(4);
        progress.events.count_sent();
        progress.events.acknowledge(3);
        assert_eq!(progress.stored(), 3);
        progress.events.acknowledge(3);
        assert_eq!(progress.stored(), 4);
    }

    #[test]
    fn who_waits_for_a_piece_is_woken_when_it_is_stored() {
        let lane = Lane::default();
        lane.wait(1, Duration::from_millis(1));
        assert!(!lane.has_stored(1), "the wait has an end of its own");
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                while !lane.has_stored(2) {
                    lane.wait(2, Duration::from_secs(3600));
                }
            });
            lane.acknowledge(0);
            lane.acknowledge(0);
            waiter.join().unwrap();
        });
        lane.wait(2, Duration::from_secs(3600));
    }
}
