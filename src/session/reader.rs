//! The thread that reads a session's socket. It waits for nothing but the socket and the journal.

use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use super::connection::Connection;
use super::end::{Cause, SessionEnd};
use super::frame::FrameBuffer;
use super::input::Input;
use super::other_protocol::{NotBmp, OtherProtocol};
use super::read_timeout::ReadTimeout;
use super::stream::RouterStream;
use crate::model::Timestamp;
use crate::wire::bmp::FrameError;

/// The reading side of one session.
pub(super) struct Reader {
    input: Arc<Input>,
    connection: Arc<Connection>,
    source: RouterStream,
    buffer: FrameBuffer,
    read_timeout: ReadTimeout,
    /// True until a whole message has arrived.
    is_first: bool,
}

impl Reader {
    pub(super) fn new(
        input: &Arc<Input>,
        connection: &Arc<Connection>,
        source: RouterStream,
        message_max: usize,
        read_timeout: ReadTimeout,
    ) -> Reader {
        let buffer = FrameBuffer::new(message_max);
        Reader {
            input: Arc::clone(input),
            connection: Arc::clone(connection),
            source,
            buffer,
            read_timeout,
            is_first: true,
        }
    }

    /// Reads until the connection or the session ends.
    pub(super) fn run(mut self) {
        let (input, connection) = (Arc::clone(&self.input), Arc::clone(&self.connection));
        let end = catch_unwind(AssertUnwindSafe(|| self.read())).unwrap_or_else(|_| Some(Cause::Panicked.into()));
        if let Some(end) = end {
            input.close(end);
        }
        connection.close();
    }

    /// Returns why nothing more comes; `None` if nothing more is wanted.
    fn read(&mut self) -> Option<SessionEnd> {
        loop {
            let (bytes, messages) = match self.buffer.take_whole() {
                Ok(whole) => whole,
                Err(error) => return Some(self.refuse(error)),
            };
            self.read_timeout.met(messages, self.buffer.is_inside_message());
            if !bytes.is_empty() {
                self.is_first = false;
                if !self.input.append(Timestamp::now(), bytes) {
                    return None;
                }
            }
            let waiting = Instant::now();
            match self.buffer.fill(&mut self.source) {
                Ok(0) => return Some(Cause::Closed.into()),
                Ok(_) => self.input.set_buffered(self.buffer.extra()),
                Err(error) if is_silence(&error) && self.input.is_wanted() => {}
                Err(error) if is_silence(&error) => return None,
                Err(error) => return Some(SessionEnd::new(Cause::Lost, error)),
            }
            if let Some(cause) = self.read_timeout.waited(waiting.elapsed()) {
                return Some(cause.into());
            }
        }
    }

    fn refuse(&self, error: FrameError) -> SessionEnd {
        let protocol = self.is_first.then(|| OtherProtocol::of(self.buffer.rest())).flatten();
        SessionEnd::new(Cause::OutOfStep, NotBmp { error, protocol })
    }
}

/// Returns whether nothing has come for now.
pub(super) fn is_silence(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}
