//! All connections of the HTTP port, served by one thread that never waits for a single one.
//!
//! Sockets do not block: what a client has not sent yet, or does not take yet, waits in its connection until its deadline,
//! while others are read and answered. Pages are made by another thread and come back here to be written. When there are too
//! many connections, the one that has been reading the longest makes room, so that a health check, which says what it wants
//! at once, is always heard.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use log::debug;
use rustix::event::PollFlags;

use super::request::{self, HEAD_BYTES_MAX, Request};
use super::response::Response;

/// How many connections there may be.
pub(super) const CONNECTIONS_MAX: usize = 128;

/// How long a client may take to say what it wants.
const READ_TIME_MAX: Duration = Duration::from_secs(5);

/// How long it may wait for a page.
const PAGE_TIME_MAX: Duration = Duration::from_secs(30);

/// How long it may take to receive its answer.
const WRITE_TIME_MAX: Duration = Duration::from_secs(15);

/// How long what it sends behind its request is read, so that the system does not throw the answer away.
const LINGER_TIME_MAX: Duration = Duration::from_secs(1);

/// One client.
pub(super) struct Connection {
    pub(super) id: u64,
    pub(super) socket: TcpStream,
    /// It came over a loopback address of this machine.
    pub(super) is_loopback: bool,
    state: State,
    deadline: Instant,
}

enum State {
    /// What came of the request so far.
    Reading(Vec<u8>),
    /// Its page is being made; this is the answer if that takes too long.
    Waiting(Response),
    /// The answer, and how much of it is sent.
    Writing(Vec<u8>, usize),
    /// All is sent.
    Lingering,
}

/// What reading came to.
pub(super) enum Heard {
    /// More has to come.
    Nothing,
    /// A request.
    Request(Request),
    /// Something that is answered with this.
    Bad(Response),
    /// The client is gone, or too late.
    Gone,
}

impl Connection {
    pub(super) fn new(id: u64, socket: TcpStream) -> io::Result<Connection> {
        socket.set_nonblocking(true)?;
        let is_loopback = socket.local_addr()?.ip().to_canonical().is_loopback();
        let (state, deadline) = (State::Reading(Vec::new()), Instant::now() + READ_TIME_MAX);
        Ok(Connection { id, socket, is_loopback, state, deadline })
    }

    /// What to wake up for; `None`: for nothing of the socket's.
    pub(super) fn interest(&self) -> Option<PollFlags> {
        match self.state {
            State::Reading(_) | State::Lingering => Some(PollFlags::IN),
            State::Writing(..) => Some(PollFlags::OUT),
            State::Waiting(_) => None,
        }
    }

    pub(super) fn is_reading(&self) -> bool {
        matches!(self.state, State::Reading(_))
    }

    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.state, State::Waiting(_))
    }

    /// What goes first to make room: who reads, then who writes, the oldest of them.
    pub(super) fn precedence(&self) -> (u8, Instant) {
        let rank = match self.state {
            State::Lingering => 0,
            State::Reading(_) => 1,
            State::Writing(..) => 2,
            State::Waiting(_) => 3,
        };
        (rank, self.deadline)
    }

    /// Whether its time is over; a page that takes too long is answered so.
    pub(super) fn is_over(&mut self, now: Instant) -> bool {
        if now < self.deadline {
            return false;
        }
        if let State::Waiting(late) = &self.state {
            self.state = State::Writing(late.bytes(true), 0);
            self.deadline = now + WRITE_TIME_MAX;
            return false;
        }
        true
    }

    /// Reads what has come of the request.
    pub(super) fn hear(&mut self) -> Heard {
        let State::Reading(head) = &mut self.state else { return Heard::Nothing };
        let mut piece = [0; 2048];
        loop {
            match self.socket.read(&mut piece) {
                Ok(0) => return Heard::Gone,
                Ok(length) => head.extend_from_slice(&piece[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Heard::Nothing,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    debug!("http: nothing to answer: {error}");
                    return Heard::Gone;
                }
            }
            match request::parse(head) {
                Ok(Some(request)) => return Heard::Request(request),
                Ok(None) if head.len() > HEAD_BYTES_MAX => {
                    return Heard::Bad(Response::text(431, "the request is too long\n"));
                }
                Ok(None) => {}
                Err(response) => return Heard::Bad(response),
            }
        }
    }

    /// Its page is being made from here on; `late` is the answer if that takes too long.
    pub(super) fn wait(&mut self, late: Response) {
        self.state = State::Waiting(late);
        self.deadline = Instant::now() + PAGE_TIME_MAX;
    }

    /// Begins to send an answer, its head alone unless `has_body`.
    pub(super) fn answer(&mut self, response: &Response, has_body: bool) {
        self.state = State::Writing(response.bytes(has_body), 0);
        self.deadline = Instant::now() + WRITE_TIME_MAX;
    }

    /// Goes on as far as the socket lets it. Whether there is anything left to do.
    pub(super) fn go_on(&mut self) -> bool {
        match &mut self.state {
            State::Reading(_) | State::Waiting(_) => true,
            State::Writing(bytes, sent) => match send(&mut self.socket, bytes, sent) {
                Ok(false) => true,
                Ok(true) => {
                    self.state = State::Lingering;
                    self.deadline = Instant::now() + LINGER_TIME_MAX;
                    self.socket.shutdown(Shutdown::Write).is_ok()
                }
                Err(error) => {
                    debug!("http: answer not taken: {error}");
                    false
                }
            },
            State::Lingering => {
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

/// Sends what the socket takes. Whether that was all.
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
