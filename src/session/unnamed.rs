//! Sessions whose router is not identified yet, and how they end.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::SessionEnd;
use super::monitor::Monitor;
use crate::pipeline::Claimed;

/// How long a session that ends with the collector waits for the database to accept its router. Its input goes to the
/// spool if the answer takes longer.
const CLAIM_AT_STOP_MAX: Duration = Duration::from_secs(2);

/// How often it looks for the collector's end meanwhile.
const CLAIM_TICK: Duration = Duration::from_millis(100);

impl Monitor {
    /// The input is over: identifies the router by what has come, and applies it. Returns why the session ends.
    pub fn settle_at_end(&mut self, end: SessionEnd) -> SessionEnd {
        match end {
            SessionEnd::Termination { .. }
            | SessionEnd::Lost(_)
            | SessionEnd::Stalled
            | SessionEnd::OutOfStep(_)
            | SessionEnd::Stopping
            | SessionEnd::Spool(_)
            | SessionEnd::SpoolDamaged(_)
            | SessionEnd::SpoolRead => {}
            // Nothing has come, or this session may not write.
            SessionEnd::Mute
            | SessionEnd::TooManyTables(_)
            | SessionEnd::Superseded
            | SessionEnd::Refused(_)
            | SessionEnd::OwnershipLost
            | SessionEnd::DatabaseDiffers
            | SessionEnd::Drift(_)
            | SessionEnd::WritersGone
            | SessionEnd::Panicked => return end,
        }
        if self.settled.is_some() || !self.identity.has_peers_or_routes() {
            return end;
        }
        match self.settle().and_then(|()| self.flush()) {
            Ok(()) => {
                self.end_chunk(self.chunk);
                end
            }
            Err(other) => other,
        }
    }

    /// The writer's answer to a claim.
    pub(super) fn claimed(&self, answer: &Receiver<Claimed>) -> Result<Claimed, SessionEnd> {
        let mut stopping_since = None;
        loop {
            match answer.recv_timeout(CLAIM_TICK) {
                Ok(claimed) => return Ok(claimed),
                Err(RecvTimeoutError::Disconnected) => return Err(self.no_answer()),
                Err(RecvTimeoutError::Timeout) if self.shared.stop.is_stopping() => {
                    if stopping_since.get_or_insert_with(Instant::now).elapsed() >= CLAIM_AT_STOP_MAX {
                        return Err(SessionEnd::Stopping);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}
