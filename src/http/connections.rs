//! All connections of the HTTP port, served by one thread that never waits for any single one of them.
//!
//! Sockets are non-blocking: data that a client has not sent or received yet waits in its connection until the
//! deadline, while others are read and answered. Another thread renders pages and returns them here to be written. When
//! there are too many connections, one that is answered already is closed, else the one that has been reading the
//! longest, so that a health check, which sends its request immediately, is always answered.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use log::debug;
use nix::poll::PollFlags;

use super::request::{self, HEAD_BYTES_MAX, Request};
use super::response::Response;

/// The maximum number of connections.
pub(super) const CONNECTIONS_MAX: usize = 128;

/// The longest time that a client may take to send its request.
const READ_TIME_MAX: Duration = Duration::from_secs(5);

/// The longest time that a client waits for a page.
const PAGE_TIME_MAX: Duration = Duration::from_secs(30);

/// The longest time that a client may take to receive its answer.
const WRITE_TIME_MAX: Duration = Duration::from_secs(15);

/// The longest time for which data sent after the request is read, so that the kernel does not discard the answer (TCP
/// reset).
const LINGER_TIME_MAX: Duration = Duration::from_secs(1);

/// One client connection.
pub(super) struct HttpConnection {
    pub(super) id: u64,
    pub(super) socket: TcpStream,
    /// True if the client connected over a loopback address of this machine.
    pub(super) is_loopback: bool,
    state: Phase,
    deadline: Instant,
}

enum Phase {
    /// Reading: the bytes of the request so far.
    Reading(Vec<u8>),
    /// Waiting for the page; these are the bytes of the answer if rendering takes too long.
    Waiting(Vec<u8>),
    /// Writing: the answer, and how many of its bytes are sent.
    Writing(Vec<u8>, usize),
    /// Everything is sent; the rest of the client's data is read and discarded.
    Lingering,
}

/// The outcome of reading from a connection.
pub(super) enum ReadOutcome {
    /// The request is incomplete.
    Nothing,
    /// A complete request.
    Request(Request),
    /// An invalid request, and its answer.
    Bad(Response),
    /// The client has closed the connection or failed.
    Gone,
}

impl HttpConnection {
    pub(super) fn new(id: u64, socket: TcpStream) -> io::Result<HttpConnection> {
        socket.set_nonblocking(true)?;
        let is_loopback = socket.local_addr()?.ip().to_canonical().is_loopback();
        let (state, deadline) = (Phase::Reading(Vec::new()), Instant::now() + READ_TIME_MAX);
        Ok(HttpConnection { id, socket, is_loopback, state, deadline })
    }

    /// Returns the socket events to wait for; `None` while a page is being rendered.
    pub(super) fn interest(&self) -> Option<PollFlags> {
        match self.state {
            Phase::Reading(_) | Phase::Lingering => Some(PollFlags::POLLIN),
            Phase::Writing(..) => Some(PollFlags::POLLOUT),
            Phase::Waiting(_) => None,
        }
    }

    pub(super) fn is_reading(&self) -> bool {
        matches!(self.state, Phase::Reading(_))
    }

    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.state, Phase::Waiting(_))
    }

    /// Returns the order of eviction, smallest first: lingering, reading, writing, waiting; by earliest deadline within
    /// each.
    pub(super) fn precedence(&self) -> (u8, Instant) {
        let rank = match self.state {
            Phase::Lingering => 0,
            Phase::Reading(_) => 1,
            Phase::Writing(..) => 2,
            Phase::Waiting(_) => 3,
        };
        (rank, self.deadline)
    }

    /// Returns whether the deadline has passed; a client that waits for a page then gets the answer for a late page
    /// instead.
    pub(super) fn is_over(&mut self, now: Instant) -> bool {
        if now < self.deadline {
            return false;
        }
        if let Phase::Waiting(late) = &mut self.state {
            self.state = Phase::Writing(std::mem::take(late), 0);
            self.deadline = now + WRITE_TIME_MAX;
            return false;
        }
        true
    }

    /// Reads the available bytes of the request.
    pub(super) fn hear(&mut self) -> ReadOutcome {
        let Phase::Reading(head) = &mut self.state else { return ReadOutcome::Nothing };
        let mut piece = [0; 2048];
        loop {
            match self.socket.read(&mut piece) {
                Ok(0) => return ReadOutcome::Gone,
                Ok(length) => head.extend_from_slice(&piece[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return ReadOutcome::Nothing,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    debug!("http: nothing to answer: {error}");
                    return ReadOutcome::Gone;
                }
            }
            match request::parse(head) {
                Ok(Some(request)) => return ReadOutcome::Request(request),
                Ok(None) if head.len() > HEAD_BYTES_MAX => {
                    return ReadOutcome::Bad(Response::text(431, "the request is too long\n"));
                }
                Ok(None) => {}
                Err(response) => return ReadOutcome::Bad(response),
            }
        }
    }

    /// Waits for the page; `late` is the answer if rendering takes too long.
    pub(super) fn wait(&mut self, late: &Response, has_body: bool) {
        self.state = Phase::Waiting(late.bytes(has_body));
        self.deadline = Instant::now() + PAGE_TIME_MAX;
    }

    /// Begins to send an answer, its head alone unless `has_body`.
    pub(super) fn answer(&mut self, response: &Response, has_body: bool) {
        self.state = Phase::Writing(response.bytes(has_body), 0);
        self.deadline = Instant::now() + WRITE_TIME_MAX;
    }

    /// Continues as far as the socket allows. Returns whether the connection stays open.
    pub(super) fn go_on(&mut self) -> bool {
        match &mut self.state {
            Phase::Reading(_) | Phase::Waiting(_) => true,
            Phase::Writing(bytes, sent) => match send(&mut self.socket, bytes, sent) {
                Ok(false) => true,
                Ok(true) => {
                    self.state = Phase::Lingering;
                    self.deadline = Instant::now() + LINGER_TIME_MAX;
                    self.socket.shutdown(Shutdown::Write).is_ok()
                }
                Err(error) => {
                    debug!("http: answer not taken: {error}");
                    false
                }
            },
            Phase::Lingering => {
                let mut piece = [0; 2048];
                match self.socket.read(&mut piece) {
                    Ok(0) => false,
                    Ok(_) => true,
                    Err(error) => error.kind() == io::ErrorKind::WouldBlock,
                }
            }
        }
    }
}

/// Sends as many bytes as the socket accepts. Returns whether all of them are sent.
fn send(socket: &mut TcpStream, bytes: &[u8], sent: &mut usize) -> io::Result<bool> {
    while *sent < bytes.len() {
        match socket.write(&bytes[*sent..]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(length) => *sent += length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}
