//! Sessions whose router is not identified yet: what they may hold, for how long, and how they end.
//!
//! What a session says before its router is known waits in memory, and only there. Where that is too much, or takes too
//! long, the router is identified by its address, so nothing that it said is lost; a session that has said nothing of any
//! peer ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::SessionEnd;
use super::intakes::Intakes;
use super::monitor::Session;
use super::read_timeout;
use crate::pipeline::{Claimed, Refusal};

/// How much memory one session may hold before its router is identified, bytes.
const SESSION_BYTES_MAX: usize = 16 << 20;

/// How much all of them may hold together, bytes.
const ALL_BYTES_MAX: usize = 64 << 20;

/// What each may hold even when all together hold too much: a router that says Initiation and a few Peer Ups needs no
/// more, and must not pay for others. Bytes.
const SESSION_BYTES_FREE: usize = 64 << 10;

/// So many messages a router may send that name nobody, however long it takes. One without peers repeats its Initiation
/// when its name changes, and is silent for weeks in between.
const MESSAGES_FREE: u64 = 16;

/// How long a session that ends with the collector waits for the database to accept its router. Its input goes to the
/// spool if the answer takes longer.
const CLAIM_AT_STOP_MAX: Duration = Duration::from_secs(2);

/// How often it looks for the collector's end meanwhile.
const CLAIM_TICK: Duration = Duration::from_millis(100);

/// The memory that all sessions without a name hold.
#[derive(Debug, Default)]
pub(super) struct Budget {
    held: AtomicUsize,
}

/// What one session has said without saying which router it is.
#[derive(Default)]
pub(super) struct Unnamed {
    messages: u64,
    /// Whether one of them was about a peer and could be read.
    has_said: bool,
    /// When the first one came.
    since: Option<Instant>,
    share: Option<Share>,
}

/// A session's share of the budget, which goes back when the session is identified or ends.
struct Share {
    intakes: Arc<Intakes>,
    bytes: usize,
}

impl Share {
    /// Holds so much from now on. Returns how much all hold.
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
    /// Counts a message; `is_said` is whether it is about a peer and could be read.
    pub(super) fn count(&mut self, is_said: bool) {
        self.messages += 1;
        self.has_said |= is_said;
        self.since.get_or_insert_with(Instant::now);
    }

    /// Why it is too much, if it is, when the session holds so much memory and may talk for so long.
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
    /// Bounds what a session holds whose router is not identified. `held` is how much its input takes, bytes.
    ///
    /// # Errors
    /// The session has to end, or cannot go on.
    pub fn bound_unnamed(&mut self, held: impl FnOnce() -> usize) -> Result<(), SessionEnd> {
        if self.settled.is_some() {
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
        if self.settled.is_some() || !self.has_what_to_apply() {
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

    /// Whether what waits changes anything. The end of a peer or its statistics change nothing of a router that nobody
    /// knows.
    fn has_what_to_apply(&self) -> bool {
        let is_known = || self.shared.registry.absent(self.connection.source).is_some();
        let is_resumed = self.resumed.as_ref().is_some_and(|resumed| resumed.router.is_some());
        self.identity.has_peers_or_routes() || self.unnamed.has_said && (is_resumed || is_known())
    }

    /// The writer's answer to a claim.
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
        // A small one is none of the trouble.
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
