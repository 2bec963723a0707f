//! The heartbeat of a thread. A thread that waits for input is idle, possibly forever; one that works must make
//! progress.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The value of [`Heartbeat::moved`] for a thread that waits for its input.
const IDLE: u64 = u64::MAX;

/// One thread's heartbeat.
#[derive(Debug)]
pub struct Heartbeat {
    name: String,
    limit: Duration,
    born: Instant,
    /// Milliseconds from `born` to the last progress, or [`IDLE`].
    moved: AtomicU64,
}

impl Heartbeat {
    /// Creates the heartbeat of an idle thread.
    pub fn new(name: &str, limit: Duration) -> Heartbeat {
        Heartbeat { name: name.to_owned(), limit, born: Instant::now(), moved: AtomicU64::new(IDLE) }
    }

    /// Returns the thread's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Records that the thread works and has just made progress.
    pub fn progress(&self) {
        let millis = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(IDLE - 1);
        self.moved.store(millis, Ordering::Relaxed);
    }

    /// Records that the thread waits for its input.
    pub fn idle(&self) {
        self.moved.store(IDLE, Ordering::Relaxed);
    }

    /// Returns whether the thread has worked for longer than its limit without progress.
    pub(crate) fn is_stuck(&self) -> bool {
        self.stalled_for() > self.limit
    }

    /// Returns the time for which the thread has worked without progress; zero if it is idle.
    pub(crate) fn stalled_for(&self) -> Duration {
        match self.moved.load(Ordering::Relaxed) {
            IDLE => Duration::ZERO,
            moved => self.born.elapsed().saturating_sub(Duration::from_millis(moved)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_work_without_progress_is_stuck() {
        let mut heartbeat = Heartbeat::new("state-0", Duration::from_secs(60));
        assert_eq!(heartbeat.stalled_for(), Duration::ZERO);
        heartbeat.progress();
        heartbeat.born = heartbeat.born.checked_sub(Duration::from_secs(100)).unwrap();
        assert!(heartbeat.stalled_for() >= Duration::from_secs(99) && heartbeat.is_stuck());
        heartbeat.progress();
        assert!(heartbeat.stalled_for() < Duration::from_secs(50) && !heartbeat.is_stuck());
        heartbeat.idle();
        assert_eq!(heartbeat.stalled_for(), Duration::ZERO);
    }
}
