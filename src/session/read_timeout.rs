//! The time that a router has to complete a message.

use std::time::Duration;

use super::end::Cause;

/// A connection on which no message has arrived is closed after this many times the time allowed for one message: a
/// router sends Initiation as soon as it is connected (RFC 7854 section 4.3).
const GREETING_TIMES: u32 = 5;

/// Returns the time that a router has to identify itself, where `message_max` is the time allowed for one message.
pub(super) fn greeting_time(message_max: Duration) -> Duration {
    message_max.saturating_mul(GREETING_TIMES)
}

/// The timer for the first message and for the rest of a message that has begun. Between messages a router may be
/// silent forever. Time in which the collector does not read the socket does not count.
#[derive(Debug)]
pub struct ReadTimeout {
    message_max: Duration,
    waited: Duration,
    expects: Expects,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expects {
    /// The first message.
    Greeting,
    /// The rest of a message.
    Rest,
    /// Nothing: silence is allowed.
    Nothing,
}

impl ReadTimeout {
    /// Returns the timer of a connection on which nothing has arrived yet.
    pub fn new(message_max: Duration) -> ReadTimeout {
        ReadTimeout { message_max, waited: Duration::ZERO, expects: Expects::Greeting }
    }

    /// Notes that this many whole messages arrived, and the beginning of another if `is_inside_message`.
    pub fn met(&mut self, messages: usize, is_inside_message: bool) {
        let expects = match (self.expects, messages) {
            _ if is_inside_message => Expects::Rest,
            (Expects::Greeting, 0) => Expects::Greeting,
            (Expects::Greeting | Expects::Rest | Expects::Nothing, _) => Expects::Nothing,
        };
        if messages > 0 || expects != self.expects {
            self.waited = Duration::ZERO;
        }
        self.expects = expects;
    }

    /// Adds time spent waiting for the socket. Returns why the session ends, if that was too long.
    pub fn waited(&mut self, waited: Duration) -> Option<Cause> {
        self.waited += waited;
        match self.expects {
            Expects::Greeting => (self.waited > greeting_time(self.message_max)).then_some(Cause::Mute),
            Expects::Rest => (self.waited > self.message_max).then_some(Cause::Stalled),
            Expects::Nothing => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::end::SessionEnd;
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Waits a second at a time until the session ends. Returns the number of seconds and the reason.
    fn ends_after(timeout: &mut ReadTimeout) -> (u32, String) {
        (1..1_000)
            .find_map(|i| timeout.waited(SECOND).map(|cause| (i, SessionEnd::from(cause).to_string())))
            .unwrap_or_else(|| (u32::MAX, "forever".to_owned()))
    }

    #[test]
    fn a_dump_that_ends_inside_a_message_is_no_stall() {
        let mut timeout = ReadTimeout::new(60 * SECOND);
        for _ in 0..600 {
            timeout.met(3, true);
            assert!(timeout.waited(SECOND).is_none());
        }
        // One byte per second is a stall: no message is completed.
        timeout.met(1, true);
        for _ in 0..60 {
            assert!(timeout.waited(SECOND).is_none());
            timeout.met(0, true);
        }
        assert!(matches!(timeout.waited(SECOND), Some(Cause::Stalled)));
    }

    #[test]
    fn silence_is_legal_between_messages_only() {
        let mut timeout = ReadTimeout::new(60 * SECOND);
        assert_eq!(ends_after(&mut timeout), (301, "no BMP message received".to_owned()));
        let mut timeout = ReadTimeout::new(60 * SECOND);
        timeout.met(0, true);
        assert_eq!(ends_after(&mut timeout), (61, "stalled inside a message".to_owned()));
        let mut timeout = ReadTimeout::new(60 * SECOND);
        timeout.met(1, false);
        assert_eq!(ends_after(&mut timeout), (u32::MAX, "forever".to_owned()));
        timeout.met(0, true);
        assert_eq!(ends_after(&mut timeout), (61, "stalled inside a message".to_owned()));
    }
}
