//! Sessions whose router is not identified yet: limits on their memory and time, and their end.
//!
//! Messages that arrive before the router is identified wait in memory only. When they need too much memory, or take
//! too long, the router is identified by its address, so none of them is lost; but a session that has sent no readable
//! message about a peer ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::SessionEnd;
use super::intakes::Intakes;
use super::messages::Session;
use super::read_timeout;
use crate::pipeline::{Claimed, Refusal};

/// The memory that one session may use before its router is identified, in bytes.
const SESSION_BYTES_MAX: usize = 16 << 20;

/// The memory that all such sessions may use together, in bytes.
const ALL_BYTES_MAX: usize = 64 << 20;

/// The memory that each session may use even when all together use too much, in bytes: a router that sends Initiation
/// and a few Peer Ups needs no more, and must not suffer from others.
const SESSION_BYTES_FREE: usize = 64 << 10;

/// The number of messages that a router may send without being identified and without time limit. A router without
/// peers repeats its Initiation when its name changes, and is silent for weeks in between.
const MESSAGES_FREE: u64 = 16;

/// The time that a session waits for the database to accept its router while the collector stops. If the answer takes
/// longer, its input goes to the spool.
const CLAIM_AT_STOP_MAX: Duration = Duration::from_secs(2);

/// The interval at which it checks in the meantime whether the collector stops.
const CLAIM_TICK: Duration = Duration::from_millis(100);

/// The memory used by all sessions whose router is not identified.
#[derive(Debug, Default)]
pub(super) struct Budget {
    held: AtomicUsize,
}

/// The messages of one session before its router is identified.
#[derive(Default)]
pub(super) struct Unnamed {
    messages: u64,
    /// True if one of them was about a peer and could be decoded.
    has_said: bool,
    /// The time when the first one arrived.
    since: Option<Instant>,
    share: Option<Share>,
}

/// A session's share of the budget, which is returned when the session is identified or ends.
struct Share {
    intakes: Arc<Intakes>,
    bytes: usize,
}

impl Share {
    /// Sets the share of this session. Returns the memory that all sessions use, in bytes.
    fn set(&mut self, bytes: usize) -> usize {
        let held = &self.intakes.unnamed.held;
        let before = held.fetch_sub(self.bytes, Ordering::AcqRel) - self.bytes;
        held.fetch_add(bytes, Ordering::AcqRel);
        self.bytes = bytes;
        before + bytes
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
    }
}

impl Unnamed {
    /// Counts a message; `is_said` is true if it is about a peer and could be decoded.
    pub(super) fn count(&mut self, is_said: bool) {
        self.messages += 1;
        self.has_said |= is_said;
        self.since.get_or_insert_with(Instant::now);
    }

    /// Returns why the session exceeds its limits, if it does; `bytes` is the memory that it uses, `time_max` the time
    /// that it has to identify its router.
    fn excess(&mut self, intakes: &Arc<Intakes>, bytes: usize, time_max: Duration) -> Option<String> {
        let share = self.share.get_or_insert_with(|| Share { intakes: Arc::clone(intakes), bytes: 0 });
        let all = share.set(bytes);
        let messages = self.messages;
        if bytes > SESSION_BYTES_MAX {
            return Some(format!("{messages} messages hold {bytes} bytes and name no router"));
        }
        if all > ALL_BYTES_MAX && bytes > SESSION_BYTES_FREE {
            return Some(format!(
                "{messages} messages hold {bytes} bytes and name no router, and all such sessions hold {all} bytes"
            ));
        }
        let is_talk = self.has_said || messages > MESSAGES_FREE;
        let since = self.since.filter(|since| is_talk && since.elapsed() > time_max)?;
        Some(format!("{messages} messages in {} s name no router", since.elapsed().as_secs()))
    }
}

impl Session {
    /// Enforces the limits of a session whose router is not identified. `held` returns the memory that its input uses,
    /// in bytes.
    ///
    /// # Errors
    /// The session exceeds the limits and has sent no readable message about a peer, or its router cannot be identified
    /// or written.
    pub fn bound_unnamed(&mut self, held: impl FnOnce() -> usize) -> Result<(), SessionEnd> {
        if self.identified.is_some() {
            return Ok(());
        }
        let bytes = held() + self.waiting.size();
        let time_max = read_timeout::greeting_time(self.shared.options.message_time_max);
        let Some(why) = self.unnamed.excess(&self.shared.intakes, bytes, time_max) else { return Ok(()) };
        if !self.unnamed.has_said {
            return Err(SessionEnd::Unnamed(why));
        }
        log::warn!("{}: {why}: identified by its address", self.subject());
        self.identify().and_then(|()| self.flush())
    }

    /// Identifies the router at the end of the input by the messages that have arrived, and applies them. Returns why
    /// the session ends.
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
            // Nothing has arrived, or this session may not write.
            SessionEnd::Mute
            | SessionEnd::Unnamed(_)
            | SessionEnd::AddPath(_)
            | SessionEnd::Superseded
            | SessionEnd::Refused(_)
            | SessionEnd::OwnershipLost
            | SessionEnd::DatabaseDiffers
            | SessionEnd::DatabaseRefused(_)
            | SessionEnd::Drift(_)
            | SessionEnd::WritersGone
            | SessionEnd::Panicked => return end,
        }
        if self.identified.is_some() || !self.has_what_to_apply() {
            return end;
        }
        match self.identify().and_then(|()| self.flush()) {
            Ok(()) => {
                self.end_chunk(self.chunk);
                end
            }
            Err(other) => other,
        }
    }

    /// Returns whether the waiting messages change anything. A Peer Down or statistics change nothing for a router that
    /// is not known.
    fn has_what_to_apply(&self) -> bool {
        let is_known = || self.shared.registry.absent(self.connection.source).is_some();
        let is_resumed = self.resumed.as_ref().is_some_and(|resumed| resumed.router.is_some());
        self.identity.has_peers_or_routes() || self.unnamed.has_said && (is_resumed || is_known())
    }

    /// Waits for the writer's answer to a claim.
    pub(super) fn claimed(&self, answer: &Receiver<Result<Claimed, Refusal>>) -> Result<Claimed, SessionEnd> {
        let mut stopping_since = None;
        loop {
            match answer.recv_timeout(CLAIM_TICK) {
                Ok(claimed) => return claimed.map_err(|refusal| SessionEnd::DatabaseRefused(refusal.0)),
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

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(600);

    fn excess(unnamed: &mut Unnamed, intakes: &Arc<Intakes>, bytes: usize) -> Option<String> {
        unnamed.excess(intakes, bytes, LONG)
    }

    #[test]
    fn one_session_is_bounded_and_so_are_all_together() {
        let intakes = Arc::default();
        let mut one = Unnamed::default();
        assert_eq!(excess(&mut one, &intakes, SESSION_BYTES_MAX), None);
        assert!(excess(&mut one, &intakes, SESSION_BYTES_MAX + 1).unwrap().contains("name no router"));
        drop(one);
        let mut all: Vec<Unnamed> = (0..256).map(|_| Unnamed::default()).collect();
        let refused = all.iter_mut().filter_map(|one| excess(one, &intakes, 1 << 20)).count();
        assert_eq!(refused, 256 - 64);
        // A small session is not affected.
        assert_eq!(excess(&mut Unnamed::default(), &intakes, SESSION_BYTES_FREE), None);
        all.clear();
        assert_eq!(intakes.unnamed.held.load(Ordering::Relaxed), 0);
        assert_eq!(excess(&mut Unnamed::default(), &intakes, 1 << 20), None);
    }

    #[test]
    fn talk_has_a_time_and_silence_has_none() {
        let intakes = Arc::default();
        let says = |messages: u64, is_said: bool| {
            let mut unnamed = Unnamed::default();
            (0..messages).for_each(|_| unnamed.count(is_said));
            unnamed.excess(&intakes, 0, Duration::ZERO).is_some()
        };
        assert!(!says(0, false) && !says(1, false) && !says(MESSAGES_FREE, false));
        assert!(says(MESSAGES_FREE + 1, false) && says(1, true));
    }
}
