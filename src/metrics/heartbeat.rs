//! The heartbeat of a thread. A thread that waits for input is at rest, possibly forever; one that works must beat.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The value of [`Heartbeat::moved`] for a thread that waits for its input.
const AT_REST: u64 = u64::MAX;

/// One thread's heartbeat.
#[derive(Debug)]
pub struct Heartbeat {
    name: String,
    limit: Duration,
    born: Instant,
    /// Milliseconds from `born` to the last beat, or [`AT_REST`].
    moved: AtomicU64,
}

impl Heartbeat {
    /// Creates the heartbeat of a thread at rest.
    pub fn new(name: &str, limit: Duration) -> Heartbeat {
        Heartbeat { name: name.to_owned(), limit, born: Instant::now(), moved: AtomicU64::new(AT_REST) }
    }

    /// Returns the thread's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Records that the thread works and has just made progress.
    pub fn beat(&self) {
        let millis = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(AT_REST - 1);
        self.moved.store(millis, Ordering::Relaxed);
    }

    /// Records that the thread waits for its input.
    pub fn rest(&self) {
        self.moved.store(AT_REST, Ordering::Relaxed);
    }

    /// Returns whether the thread has worked for longer than its limit without progress.
    pub(crate) fn is_stuck(&self) -> bool {
        self.stalled_for() > self.limit
    }

    /// Returns the time for which the thread has worked without progress; zero at rest.
    pub(crate) fn stalled_for(&self) -> Duration {
        match self.moved.load(Ordering::Relaxed) {
            AT_REST => Duration::ZERO,
            moved => self.born.elapsed().saturating_sub(Duration::from_millis(moved)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_work_without_a_beat_stands_still() {
        let mut pulse = Heartbeat::new("state-0", Duration::from_secs(60));
        assert_eq!(pulse.stalled_for(), Duration::ZERO);
        pulse.beat();
        pulse.born = pulse.born.checked_sub(Duration::from_secs(100)).unwrap();
        assert!(pulse.stalled_for() >= Duration::from_secs(99) && pulse.is_stuck());
        pulse.beat();
        assert!(pulse.stalled_for() < Duration::from_secs(50) && !pulse.is_stuck());
        pulse.rest();
        assert_eq!(pulse.stalled_for(), Duration::ZERO);
    }
}
