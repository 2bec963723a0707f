//! The pace of messages to a receiver, and the pauses between tries.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::{Duration, Instant};

/// The pause after the first failure; it doubles.
const RETRY_MIN: Duration = Duration::from_secs(5);

/// The longest pause.
const RETRY_MAX: Duration = Duration::from_secs(60 * 60);

/// Returns the pause after `failures` failures before this one, at least `asked`, with up to a fifth more or less so
/// that receivers are not tried in step.
pub(super) fn retry_pause(failures: i32, asked: Option<Duration>) -> Duration {
    let doublings = u32::try_from(failures).unwrap_or(0).min(16);
    let pause = RETRY_MIN.saturating_mul(2_u32.saturating_pow(doublings)).min(RETRY_MAX);
    let percent = 80 + u32::try_from(RandomState::new().hash_one(()) % 41).unwrap_or(20);
    (pause * percent / 100).max(asked.unwrap_or_default())
}

/// The messages that a receiver takes now: in no minute more than its maximum.
#[derive(Debug)]
pub(super) struct Allowance {
    /// Messages that may be sent at once: half of the maximum.
    burst: f64,
    /// The rest comes evenly.
    per_second: f64,
    messages: f64,
    counted_at: Instant,
}

impl Allowance {
    pub(super) fn new(max_per_minute: i32, now: Instant) -> Allowance {
        let max = f64::from(max_per_minute.max(1));
        let burst = (max / 2.0).floor().max(1.0);
        Allowance { burst, per_second: (max - burst).max(1.0) / 60.0, messages: burst, counted_at: now }
    }

    /// Returns the number of messages that may be sent now.
    pub(super) fn available(&mut self, now: Instant) -> usize {
        let elapsed = now.saturating_duration_since(self.counted_at).as_secs_f64();
        self.messages = (self.messages + elapsed * self.per_second).min(self.burst);
        self.counted_at = now;
        let mut whole = 0;
        while f64::from(whole) + 1.0 <= self.messages {
            whole += 1;
        }
        usize::try_from(whole).unwrap_or(0)
    }

    /// Counts messages that are sent.
    pub(super) fn take(&mut self, messages: usize) {
        self.messages -= f64::from(u32::try_from(messages).unwrap_or(u32::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_an_hour() {
        let within = |failures, asked, low, high| {
            let pause = retry_pause(failures, asked).as_secs_f64();
            assert!(pause >= low && pause <= high, "{failures}: {pause}");
        };
        within(0, None, 4.0, 6.0);
        within(1, None, 8.0, 12.0);
        within(3, None, 32.0, 48.0);
        within(30, None, 2_880.0, 4_320.0);
        within(0, Some(Duration::from_secs(7_200)), 7_200.0, 7_200.0);
    }

    #[test]
    fn no_minute_has_more_than_the_maximum() {
        for max in [1, 2, 3, 10, 60] {
            let start = Instant::now();
            let mut allowance = Allowance::new(max, start);
            let mut sent = Vec::new();
            for tick in 0_u64..1_200 {
                let now = start + Duration::from_millis(tick * 250);
                let messages = allowance.available(now);
                allowance.take(messages);
                sent.extend(std::iter::repeat_n(tick, messages));
            }
            let most =
                (0..1_200_u64).map(|from| sent.iter().filter(|at| (from..from + 240).contains(at)).count()).max();
            assert!(most.unwrap() <= usize::try_from(max).unwrap(), "{max}: {most:?}");
            assert!(sent.len() >= 4, "{max}: {}", sent.len());
        }
    }
}
