//! The lag from the socket to the commit.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::number::lock;

/// Upper bounds of the histogram's buckets, in seconds: the default batch age is 0.2 s, a database restart takes
/// seconds, and from minutes on it is an outage.
pub(crate) const LAG_BUCKETS: [f64; 8] = [0.05, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0];

/// The lag from one router to one kind of writer.
#[derive(Debug, Default)]
pub struct Lag {
    /// The time at which the oldest message with uncommitted changes was read.
    since: Mutex<Option<Instant>>,
    buckets: [AtomicU64; LAG_BUCKETS.len()],
    count: AtomicU64,
    sum_micros: AtomicU64,
    last_micros: AtomicU64,
}

/// The values of a [`Lag`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LagCounts {
    /// The number of batches that took at most as many seconds as the bound in [`LAG_BUCKETS`], cumulative.
    pub(crate) buckets: [u64; LAG_BUCKETS.len()],
    /// The number of batches.
    pub count: u64,
    /// The sum of their times.
    pub sum: Duration,
    /// The time of the last batch.
    pub last: Duration,
}

impl Lag {
    /// Records that changes of a message read at `read_at` have reached the writer.
    pub fn arrived(&self, read_at: Instant) {
        lock(&self.since).get_or_insert(read_at);
    }

    /// Records that all changes that have arrived are committed, or no longer need to be.
    pub fn committed(&self) {
        if let Some(since) = lock(&self.since).take() {
            self.observe(since.elapsed());
        }
    }

    /// Returns the time for which the oldest change has been waiting for its commit.
    pub fn waiting(&self) -> Duration {
        lock(&self.since).map_or(Duration::ZERO, |since| since.elapsed())
    }

    fn observe(&self, lag: Duration) {
        let micros = u64::try_from(lag.as_micros()).unwrap_or(u64::MAX);
        if let Some(bucket) = LAG_BUCKETS.iter().position(|bound| lag.as_secs_f64() <= *bound) {
            self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        self.sum_micros.fetch_add(micros, Ordering::Relaxed);
        self.last_micros.store(micros, Ordering::Relaxed);
    }

    /// Returns the counts so far.
    pub fn counts(&self) -> LagCounts {
        let mut below = 0;
        let buckets = std::array::from_fn(|i| {
            below += self.buckets[i].load(Ordering::Relaxed);
            below
        });
        LagCounts {
            buckets,
            // A batch may be counted between two loads: the total is never less than the sum of its parts.
            count: self.count.load(Ordering::Relaxed).max(below),
            sum: Duration::from_micros(self.sum_micros.load(Ordering::Relaxed)),
            last: Duration::from_micros(self.last_micros.load(Ordering::Relaxed)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_change_counts_and_a_commit_ends_it() {
        let lag = Lag::default();
        lag.committed();
        assert_eq!(lag.counts(), LagCounts::default());
        let read_at = Instant::now().checked_sub(Duration::from_secs(10)).unwrap();
        lag.arrived(read_at);
        lag.arrived(Instant::now());
        assert!(lag.waiting() >= Duration::from_secs(10));
        lag.committed();
        assert_eq!(lag.waiting(), Duration::ZERO);
        let counts = lag.counts();
        assert_eq!((counts.count, counts.buckets), (1, [0, 0, 0, 0, 0, 1, 1, 1]));
        assert!(counts.sum >= Duration::from_secs(10) && counts.sum == counts.last);
    }

    #[test]
    fn what_is_slower_than_every_bucket_is_in_the_count() {
        let lag = Lag::default();
        lag.observe(Duration::from_secs(301));
        assert_eq!((lag.counts().count, lag.counts().buckets[7]), (1, 0));
    }
}
