//! Sessions whose router is not identified yet: limits on their memory and time, and their end.
//!
//! Messages that arrive before the router is identified wait in the session's input. When they need too much of it, or
//! take too long, the router is identified by its address, so none of them is lost; but a session that has sent no
//! readable message about a peer ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

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
    pub(super) has_said: bool,
    /// The octets of the messages that wait, and the octet of the input before which they begin.
    pub(super) waiting: usize,
    pub(super) waiting_before: u64,
    /// The session's age at the check after the first one.
    since: Option<Duration>,
    share: Option<Share>,
}

/// A session's share of the budget, which is returned when the session is identified or ends.
struct Share {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Share {
    /// Sets the share of this session. Returns the memory that all sessions use, in bytes.
    fn set(&mut self, bytes: usize) -> usize {
        let held = &self.budget.held;
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
    }

    /// Notes that a message of `bytes` waits, which is after `start` octets of the session's input.
    pub(super) fn wait(&mut self, bytes: usize, start: u64) {
        self.waiting += bytes;
        self.waiting_before = start + 1;
    }

    /// Returns why the session exceeds its limits at this age, if it does; `bytes` is the memory that it uses,
    /// `time_max` the time that it has to identify its router.
    pub(super) fn excess(
        &mut self,
        budget: &Arc<Budget>,
        bytes: usize,
        age: Duration,
        time_max: Duration,
    ) -> Option<String> {
        if self.messages > 0 {
            self.since.get_or_insert(age);
        }
        let share = self.share.get_or_insert_with(|| Share { budget: Arc::clone(budget), bytes: 0 });
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
        let waited = age.saturating_sub(self.since.filter(|_| is_talk)?);
        (waited > time_max).then(|| format!("{messages} messages in {} s name no router", waited.as_secs()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(600);

    fn excess(unnamed: &mut Unnamed, budget: &Arc<Budget>, bytes: usize) -> Option<String> {
        unnamed.excess(budget, bytes, Duration::ZERO, LONG)
    }

    #[test]
    fn one_session_is_bounded_and_so_are_all_together() {
        let budget = Arc::default();
        let mut one = Unnamed::default();
        assert_eq!(excess(&mut one, &budget, SESSION_BYTES_MAX), None);
        assert!(excess(&mut one, &budget, SESSION_BYTES_MAX + 1).unwrap().contains("name no router"));
        drop(one);
        let mut all: Vec<Unnamed> = (0..256).map(|_| Unnamed::default()).collect();
        let refused = all.iter_mut().filter_map(|one| excess(one, &budget, 1 << 20)).count();
        assert_eq!(refused, 256 - 64);
        // A small session is not affected.
        assert_eq!(excess(&mut Unnamed::default(), &budget, SESSION_BYTES_FREE), None);
        all.clear();
        assert_eq!(budget.held.load(Ordering::Relaxed), 0);
        assert_eq!(excess(&mut Unnamed::default(), &budget, 1 << 20), None);
    }

    #[test]
    fn talk_has_a_time_and_silence_has_none() {
        let budget = Arc::default();
        let says = |messages: u64, is_said: bool| {
            let mut unnamed = Unnamed::default();
            (0..messages).for_each(|_| unnamed.count(is_said));
            assert_eq!(unnamed.excess(&budget, 0, Duration::ZERO, LONG), None, "the time begins");
            assert_eq!(unnamed.excess(&budget, 0, LONG, LONG), None);
            unnamed.excess(&budget, 0, LONG + Duration::from_secs(1), LONG).is_some()
        };
        assert!(!says(0, false) && !says(1, false) && !says(MESSAGES_FREE, false));
        assert!(says(MESSAGES_FREE + 1, false) && says(1, true));
    }
}
