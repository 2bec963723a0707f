//! How long a router may take to say something whole.

use std::time::Duration;

use super::SessionEnd;

/// A connection on which no message has come at all is closed after so many times the time that a message may take:
/// a router says Initiation as soon as it is connected (RFC 7854 section 4.3).
const GREETING_TIMES: u32 = 5;

/// How long a router may take to say who it is, where a message may take `message_max`.
pub(super) fn greeting_time(message_max: Duration) -> Duration {
    message_max.saturating_mul(GREETING_TIMES)
}

/// How long the rest of a message, or the first one, may be waited for. Between messages a router may be silent for
/// ever, and time that passes while we do not read the socket is not the router's.
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
    /// Nothing in particular.
    Nothing,
}

impl ReadTimeout {
    /// A connection that has said nothing yet.
    pub fn new(message_max: Duration) -> ReadTimeout {
        ReadTimeout { message_max, waited: Duration::ZERO, expects: Expects::Greeting }
    }

    /// So many whole messages were met, and perhaps the front of another.
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

    /// The socket was waited for; whether that was too long.
    pub fn waited(&mut self, waited: Duration) -> Option<SessionEnd> {
        self.waited += waited;
        match self.expects {
            Expects::Greeting => (self.waited > greeting_time(self.message_max)).then_some(SessionEnd::Mute),
            Expects::Rest => (self.waited > self.message_max).then_some(SessionEnd::Stalled),
            Expects::Nothing => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Waits a second at a time until it is too much.
    fn bears(patience: &mut ReadTimeout) -> (u32, String) {
        (1..1_000)
            .find_map(|i| patience.waited(SECOND).map(|end| (i, end.to_string())))
            .unwrap_or_else(|| (u32::MAX, "forever".to_owned()))
    }

    #[test]
    fn a_dump_that_always_ends_inside_a_message_is_no_stall() {
        let mut patience = ReadTimeout::new(60 * SECOND);
        for _ in 0..600 {
            patience.met(3, true);
            assert!(patience.waited(SECOND).is_none());
        }
        // One byte a second is one: no message gets whole by it.
        patience.met(1, true);
        for _ in 0..60 {
            assert!(patience.waited(SECOND).is_none());
            patience.met(0, true);
        }
        assert!(matches!(patience.waited(SECOND), Some(SessionEnd::Stalled)));
    }

    #[test]
    fn silence_is_legal_between_messages_only() {
        let mut patience = ReadTimeout::new(60 * SECOND);
        assert_eq!(bears(&mut patience), (301, "no BMP message received".to_owned()));
        let mut patience = ReadTimeout::new(60 * SECOND);
        patience.met(0, true);
        assert_eq!(bears(&mut patience), (61, "stalled inside a message".to_owned()));
        let mut patience = ReadTimeout::new(60 * SECOND);
        patience.met(1, false);
        assert_eq!(bears(&mut patience), (u32::MAX, "forever".to_owned()));
        patience.met(0, true);
        assert_eq!(bears(&mut patience), (61, "stalled inside a message".to_owned()));
    }
}
