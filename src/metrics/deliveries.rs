//! Deliveries to callbacks, as counted and measured by the process that sends them.

use std::sync::Mutex;

use super::number::{Counter, Gauge, lock};

/// Counters of deliveries.
#[derive(Debug, Default)]
pub struct DeliveryMeter {
    /// Deliveries that a receiver accepted since the start.
    pub delivered: Counter,
    /// Tries that failed since the start.
    pub failed: Counter,
    /// Deliveries that were given up since the start.
    pub given_up: Counter,
    /// Deliveries that wait.
    pub pending: Gauge,
    /// Deliveries that were given up, as long as they are kept.
    pub dead: Gauge,
    /// The seconds for which the oldest delivery has waited.
    pub(crate) oldest_secs: Gauge,
    failing: Mutex<Vec<(String, u64)>>,
}

impl DeliveryMeter {
    /// Sets the callbacks that fail, and for how many seconds each has.
    pub(crate) fn set_failing(&self, failing: Vec<(String, u64)>) {
        *lock(&self.failing) = failing;
    }

    /// Returns the callbacks that fail, and for how many seconds each has.
    pub fn failing(&self) -> Vec<(String, u64)> {
        lock(&self.failing).clone()
    }
}
