//! How much of one session's input is in the database.
//!
//! A session cuts its input into numbered chunks. What they change goes to two writers in pieces; each piece says up to
//! which chunk everything is in it or in pieces before it. When a writer has stored a piece it acknowledges it. State waits
//! for the history of the same input (`lead`), so both count pieces.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How many changes and events of all sessions are on their way to the database.
#[derive(Debug, Default)]
pub struct Waiting {
    /// In front of a writer.
    queued: AtomicU64,
    /// A writer has them, and they are not stored.
    taken: AtomicU64,
}

impl Waiting {
    /// So many more are about to be sent.
    pub fn add(&self, count: usize) {
        add(&self.queued, count);
    }

    /// A writer has taken so many.
    pub fn take(&self, count: usize) {
        subtract(&self.queued, count);
        add(&self.taken, count);
    }

    /// So many are stored, refused or given up.
    pub fn remove(&self, count: usize) {
        subtract(&self.taken, count);
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.queued() + self.taken.load(Ordering::Relaxed)
    }

    /// How many of them no writer has taken yet.
    pub fn queued(&self) -> u64 {
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

/// Counted by the session and by the two writers of its router.
#[derive(Debug, Default)]
pub struct Progress {
    /// The last chunk whose changes are all on the way.
    processed: AtomicU64,
    /// The way to the state writer.
    pub state: Lane,
    /// The way to the event writer.
    pub events: Lane,
}

/// One of the two ways.
#[derive(Debug, Default)]
pub struct Lane {
    sent: AtomicU64,
    stored: AtomicU64,
    upto: AtomicU64,
    /// Taken for a moment by whoever stores and by whoever is about to wait, so that no wait begins behind its end.
    turn: Mutex<()>,
    news: Condvar,
}

impl Progress {
    /// The session has sent everything that the chunks up to this one changed.
    pub fn set_processed(&self, chunk: u64) {
        self.processed.store(chunk, Ordering::Release);
    }

    /// The last chunk whose changes are all on the way.
    pub fn processed(&self) -> u64 {
        self.processed.load(Ordering::Acquire)
    }

    /// The last chunk up to which everything is stored.
    pub fn stored(&self) -> u64 {
        // Read first: pieces that are sent in between then make the lanes look behind, never ahead.
        let processed = self.processed();
        self.state.stored(processed).min(self.events.stored(processed))
    }
}

impl Lane {
    /// A piece is about to be sent.
    pub fn count_sent(&self) {
        self.sent.fetch_add(1, Ordering::AcqRel);
    }

    /// How many pieces were sent.
    pub fn count_of_sent(&self) -> u64 {
        self.sent.load(Ordering::Acquire)
    }

    /// How many pieces are stored.
    pub fn count_stored(&self) -> u64 {
        self.stored.load(Ordering::Acquire)
    }

    /// Whether the first `pieces` pieces are stored.
    pub fn has_stored(&self, pieces: u64) -> bool {
        self.count_stored() >= pieces
    }

    /// Waits until the first `pieces` pieces are stored, for so long at most.
    pub fn wait(&self, pieces: u64, longest: Duration) {
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        // What came of it is asked for by whoever waits.
        drop(self.news.wait_timeout_while(turn, longest, |()| !self.has_stored(pieces)));
    }

    /// A piece is stored, or was refused and kept elsewhere; `upto` is what it said.
    pub fn acknowledge(&self, upto: u64) {
        self.upto.fetch_max(upto, Ordering::AcqRel);
        self.stored.fetch_add(1, Ordering::AcqRel);
        drop(self.turn.lock().unwrap_or_else(PoisonError::into_inner));
        self.news.notify_all();
    }

    fn stored(&self, processed: u64) -> u64 {
        let stored = self.stored.load(Ordering::Acquire);
        if self.sent.load(Ordering::Acquire) == stored { processed } else { self.upto.load(Ordering::Acquire) }
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
