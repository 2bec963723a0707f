//! Signals to threads that the collector stops.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

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
    pub fn is_stopping(&self) -> bool {
        self.phase.load(Ordering::Acquire) >= STOPPING
    }

    /// Returns whether waiting for the database is no longer allowed.
    pub fn is_giving_up(&self) -> bool {
        self.phase.load(Ordering::Acquire) >= GIVING_UP
    }
}
