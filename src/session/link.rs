//! The thread of one connection: read, cut, apply, until something ends it.

use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::frame::FrameBuffer;
use super::monitor::Monitor;
use super::registry::Connection;
use super::{SessionEnd, Shared};

/// How long the socket is waited for before the session looks at its timers.
const TICK: Duration = Duration::from_secs(1);

/// A message that began must end within this time; between messages a router may be silent for ever.
const MESSAGE_TIME_MAX: Duration = Duration::from_secs(60);

/// Runs one session to its end. A panic inside costs this session only.
pub fn run(shared: &Arc<Shared>, socket: TcpStream, connection: &Arc<Connection>) {
    let mut monitor = Monitor::new(Arc::clone(shared), Arc::clone(connection));
    let end = catch_unwind(AssertUnwindSafe(|| read(shared, socket, connection, &mut monitor)))
        .unwrap_or(SessionEnd::Panicked);
    monitor.end(&end);
    shared.registry.disconnect(connection);
}

fn read(shared: &Shared, mut socket: TcpStream, connection: &Connection, monitor: &mut Monitor) -> SessionEnd {
    if let Err(error) = socket.set_read_timeout(Some(TICK)) {
        return SessionEnd::Lost(Some(error));
    }
    let mut buffer = FrameBuffer::new(shared.options.message_max);
    let mut message_began: Option<Instant> = None;
    loop {
        if let Err(end) = apply(&mut buffer, monitor, shared).and_then(|()| monitor.flush()) {
            return end;
        }
        message_began = buffer.is_inside_message().then(|| message_began.unwrap_or_else(Instant::now));
        let waiting = Instant::now();
        let end = match buffer.fill(&mut socket) {
            Ok(0) => Some(SessionEnd::Lost(None)),
            Ok(_) => {
                connection.touch();
                None
            }
            Err(error) if is_silence(&error) => None,
            Err(error) => Some(SessionEnd::Lost(Some(error))),
        };
        // A stop and a newer session both show as the end of the stream.
        if connection.is_superseded() {
            return SessionEnd::Superseded;
        }
        if shared.stop.is_stopping() {
            return apply(&mut buffer, monitor, shared).err().unwrap_or(SessionEnd::Stopping);
        }
        if let Some(end) = end {
            return end;
        }
        if message_began.is_some_and(|began| began.elapsed() > MESSAGE_TIME_MAX) {
            return SessionEnd::Stalled;
        }
        if let Err(end) = monitor.idle(waiting.elapsed()) {
            return end;
        }
    }
}

/// Applies every whole message that is here.
fn apply(buffer: &mut FrameBuffer, monitor: &mut Monitor, shared: &Shared) -> Result<(), SessionEnd> {
    while let Some(frame) = buffer.next_message().map_err(SessionEnd::OutOfStep)? {
        monitor.message(&frame)?;
        if shared.stop.is_stopping() {
            return Err(SessionEnd::Stopping);
        }
    }
    Ok(())
}

fn is_silence(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}
