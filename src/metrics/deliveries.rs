//! Deliveries to callbacks, as counted and measured by the process that sends them.

use std::sync::Mutex;

use super::number::{Number, lock};

/// Counters of deliveries.
#[derive(Debug, Default)]
pub struct DeliveryMeter {
    /// Deliveries that a receiver accepted since the start.
    pub delivered: Number,
    /// Tries that failed since the start.
    pub failed: Number,
    /// Deliveries that were given up since the start.
    pub given_up: Number,
    /// Deliveries that wait.
    pub pending: Number,
    /// Deliveries that were given up, as long as they are kept.
    pub dead: Number,
    /// The seconds for which the oldest delivery has waited.
    pub(crate) oldest_secs: Number,
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
