//! Signals to threads that the collector stops, and the pauses of threads that may have to end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The interval at which a waiting thread checks whether its wait is over.
const POLL: Duration = Duration::from_millis(50);

/// A shared, one-way switch: running, stopping, giving up.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    phase: Arc<AtomicU8>,
}

const STOPPING: u8 = 1;
const GIVING_UP: u8 = 2;

impl Stop {
    /// Returns a switch in the phase "running".
    pub fn new() -> Stop {
        Stop::default()
    }

    /// Begins the stop: threads stop accepting and reading, and write the messages read so far.
    pub fn begin(&self) {
        self.phase.fetch_max(STOPPING, Ordering::AcqRel);
    }

    /// Ends the grace period: writers end even if the database does not accept their rows.
    pub fn give_up(&self) {
        self.phase.fetch_max(GIVING_UP, Ordering::AcqRel);
    }

    /// Returns whether the collector is stopping or giving up.
    pub(crate) fn is_stopping(&self) -> bool {
        self.phase.load(Ordering::Acquire) >= STOPPING
    }

    /// Returns whether waiting for the database is no longer allowed.
    pub(crate) fn is_giving_up(&self) -> bool {
        self.phase.load(Ordering::Acquire) >= GIVING_UP
    }

    /// Waits until `end`, until `is_over` returns true, or until the collector stops.
    pub fn wait(&self, end: Instant, mut is_over: impl FnMut() -> bool) {
        wait_until(end, || self.is_stopping() || is_over());
    }

    /// As [`Stop::wait`], but a stop ends the wait only when its grace period is over: then it returns false.
    pub(crate) fn wait_to_write(&self, end: Instant, mut is_over: impl FnMut() -> bool) -> bool {
        wait_until(end, || self.is_giving_up() || is_over());
        !self.is_giving_up()
    }
}

/// Waits until `end`, or until `is_over`, which is called several times a second, returns true.
pub(crate) fn wait_until(end: Instant, mut is_over: impl FnMut() -> bool) {
    while !is_over() {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        thread::sleep(left.min(POLL));
    }
}

/// Pauses between attempts, each twice as long as the one before.
#[derive(Debug)]
pub(crate) struct Backoff {
    min: Duration,
    max: Duration,
    next: Duration,
}

impl Backoff {
    /// Creates pauses of at least `min` and at most `max`.
    pub fn new(min: Duration, max: Duration) -> Backoff {
        Backoff { min, max, next: min }
    }

    /// Returns the next pause.
    pub fn next(&self) -> Duration {
        self.next
    }

    /// Returns the next pause and doubles the one after it.
    pub fn take(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.max);
        pause
    }

    /// Begins again after a success.
    pub fn reset(&mut self) {
        self.next = self.min;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit() {
        let second = Duration::from_secs(1);
        let mut backoff = Backoff::new(second, 5 * second);
        assert_eq!([(); 5].map(|()| backoff.take().as_secs()), [1, 2, 4, 5, 5]);
        backoff.reset();
        assert_eq!(backoff.next(), second);
    }

    #[test]
    fn a_wait_ends_for_each_of_its_reasons() {
        let (stop, hour) = (Stop::new(), Duration::from_secs(3600));
        stop.wait(Instant::now(), || false);
        stop.wait(Instant::now() + hour, || true);
        stop.begin();
        stop.wait(Instant::now() + hour, || false);
        assert!(stop.wait_to_write(Instant::now(), || false), "the grace period has begun");
        stop.give_up();
        assert!(!stop.wait_to_write(Instant::now() + hour, || false));
    }
}
