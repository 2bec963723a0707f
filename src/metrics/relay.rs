//! One station that sessions are relayed to.

use std::sync::Mutex;

use super::number::{Counter, Gauge, lock};

/// Counters of one station.
#[derive(Debug, Default)]
pub struct RelayMeter {
    /// 1 if it can be reached.
    pub is_up: Gauge,
    /// Sessions that it is being sent.
    pub sessions: Gauge,
    /// Sessions that it has missed.
    pub missed: Gauge,
    /// Octets of these sessions that it has not taken.
    pub lag: Gauge,
    /// Octets that it took since the start.
    pub octets: Counter,
    /// The number of times that it was too slow for a session.
    pub dropped: Counter,
    /// Sessions that were closed for a new dump.
    pub dumps: Counter,
    trouble: Mutex<Option<String>>,
}

impl RelayMeter {
    /// Sets why it cannot be reached; `None`: it can.
    pub fn set_trouble(&self, trouble: Option<String>) {
        *lock(&self.trouble) = trouble;
    }

    /// Returns why it cannot be reached.
    pub fn trouble(&self) -> Option<String> {
        lock(&self.trouble).clone()
    }
}
