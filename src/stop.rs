//! How threads learn that the collector stops.

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
    /// A switch that says "running".
    pub fn new() -> Stop {
        Stop::default()
    }

    /// Stop accepting and reading; write what was read.
    pub fn begin(&self) {
        self.phase.fetch_max(STOPPING, Ordering::AcqRel);
    }

    /// The grace is over: writers end even if the database does not take their rows.
    pub fn give_up(&self) {
        self.phase.fetch_max(GIVING_UP, Ordering::AcqRel);
    }

    /// Whether the collector stops.
    pub fn is_stopping(&self) -> bool {
        self.phase.load(Ordering::Acquire) >= STOPPING
    }

    /// Whether waiting for the database is no longer allowed.
    pub fn is_giving_up(&self) -> bool {
        self.phase.load(Ordering::Acquire) >= GIVING_UP
    }
}
