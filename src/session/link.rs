//! The thread of one connection: read, cut, apply, until something ends it.

use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ServerConnection;

use super::frame::FrameBuffer;
use super::monitor::Monitor;
use super::registry::Connection;
use super::stream::RouterStream;
use super::{SessionEnd, Shared};

/// How long the socket is waited for before the session looks at its timers.
const TICK: Duration = Duration::from_secs(1);

/// A connection on which no message has come at all is closed after so many times the time that a message may take:
/// a router says Initiation as soon as it is connected (RFC 7854 section 4.3).
const GREETING_TIMES: u32 = 5;

/// Runs one session to its end, in `tls` if there is any. A panic inside costs this session only.
pub fn run(shared: &Arc<Shared>, connection: &Arc<Connection>, tls: Option<ServerConnection>) {
    let mut monitor = Monitor::new(Arc::clone(shared), Arc::clone(connection));
    let end =
        catch_unwind(AssertUnwindSafe(|| read(shared, connection, tls, &mut monitor))).unwrap_or(SessionEnd::Panicked);
    monitor.end(&end);
    shared.registry.disconnect(connection);
}

fn read(shared: &Shared, connection: &Connection, tls: Option<ServerConnection>, monitor: &mut Monitor) -> SessionEnd {
    let socket = connection.socket();
    let mut stream = match socket.set_read_timeout(Some(TICK)).and_then(|()| RouterStream::new(socket, tls)) {
        Ok(stream) => stream,
        Err(error) => return SessionEnd::Lost(Some(error)),
    };
    let mut buffer = FrameBuffer::new(shared.options.message_max);
    let mut patience = Patience::new(shared.options.message_time_max);
    loop {
        match apply(&mut buffer, monitor, shared) {
            Ok(messages) => patience.met(messages, buffer.is_inside_message()),
            Err(end) => return end,
        }
        if let Err(end) = monitor.flush() {
            return end;
        }
        let waiting = Instant::now();
        let end = match buffer.fill(&mut stream) {
            Ok(0) => Some(SessionEnd::Lost(None)),
            Ok(_) => {
                connection.touch();
                None
            }
            Err(error) if is_silence(&error) => None,
            Err(error) => Some(SessionEnd::Lost(Some(error))),
        };
        let waited = waiting.elapsed();
        // A stop and a newer session both show as the end of the stream.
        if connection.is_superseded() {
            return SessionEnd::Superseded;
        }
        if shared.stop.is_stopping() {
            return apply(&mut buffer, monitor, shared).err().unwrap_or(SessionEnd::Stopping);
        }
        if let Some(end) = end.or_else(|| patience.waited(waited)) {
            return end;
        }
        if let Err(end) = monitor.idle(waited) {
            return end;
        }
    }
}

/// How long the rest of a message, or the first one, may be waited for. Between messages a router may be silent for
/// ever, and time that passes while we do not read the socket is not the router's.
#[derive(Debug)]
struct Patience {
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

impl Patience {
    fn new(message_max: Duration) -> Patience {
        Patience { message_max, waited: Duration::ZERO, expects: Expects::Greeting }
    }

    /// So many whole messages were met, and perhaps the front of another.
    fn met(&mut self, messages: usize, is_inside_message: bool) {
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
    fn waited(&mut self, waited: Duration) -> Option<SessionEnd> {
        self.waited += waited;
        match self.expects {
            Expects::Greeting => (self.waited > self.message_max * GREETING_TIMES).then_some(SessionEnd::Mute),
            Expects::Rest => (self.waited > self.message_max).then_some(SessionEnd::Stalled),
            Expects::Nothing => None,
        }
    }
}

/// Applies every whole message that is here; how many.
fn apply(buffer: &mut FrameBuffer, monitor: &mut Monitor, shared: &Shared) -> Result<usize, SessionEnd> {
    let mut messages = 0;
    while let Some(frame) = buffer.next_message().map_err(SessionEnd::OutOfStep)? {
        monitor.message(&frame)?;
        if shared.stop.is_stopping() {
            return Err(SessionEnd::Stopping);
        }
        messages += 1;
    }
    Ok(messages)
}

fn is_silence(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Waits a second at a time until it is too much.
    fn bears(patience: &mut Patience) -> (u32, String) {
        (1..1_000)
            .find_map(|i| patience.waited(SECOND).map(|end| (i, end.to_string())))
            .unwrap_or_else(|| (u32::MAX, "for ever".to_owned()))
    }

    #[test]
    fn a_dump_that_always_ends_inside_a_message_is_no_stall() {
        let mut patience = Patience::new(60 * SECOND);
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
        let mut patience = Patience::new(60 * SECOND);
        assert_eq!(bears(&mut patience), (301, "connected and said nothing".to_owned()));
        let mut patience = Patience::new(60 * SECOND);
        patience.met(0, true);
        assert_eq!(bears(&mut patience), (61, "stalled inside a message".to_owned()));
        let mut patience = Patience::new(60 * SECOND);
        patience.met(1, false);
        assert_eq!(bears(&mut patience), (u32::MAX, "for ever".to_owned()));
        patience.met(0, true);
        assert_eq!(bears(&mut patience), (61, "stalled inside a message".to_owned()));
    }
}
