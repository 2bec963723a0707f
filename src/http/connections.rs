//! All connections of the HTTP port, served by one thread that never waits for any single one of them.
//!
//! Sockets are non-blocking: data that a client has not sent or received yet waits in its connection until the
//! deadline, while others are read and answered. Other threads make pages and answers of the API and return them here to
//! be written, whole or in pieces. When
//! there are too many connections, one that is answered already is closed, else the one that has been reading the
//! longest, so that a health check, which sends its request immediately, is always answered.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, TcpStream};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, TryRecvError};
use log::debug;
use nix::poll::PollFlags;
use socket2::SockRef;

use super::problem::Problem;
use super::request::{self, HEAD_BYTES_MAX, Parsed, Refused, Request};
use super::response::Response;
use super::stream::Piece;

/// The maximum number of connections.
pub(super) const CONNECTIONS_MAX: usize = 256;

/// The longest time that a client may take to send its request.
const READ_TIME_MAX: Duration = Duration::from_secs(5);

/// The longest time that a client waits for a page.
const PAGE_TIME_MAX: Duration = Duration::from_secs(30);

/// The longest time that a client may take to receive its answer.
const WRITE_TIME_MAX: Duration = Duration::from_secs(15);

/// The longest time that a client may take to receive one piece of a stream.
const PIECE_TIME_MAX: Duration = Duration::from_secs(15);

/// The number of pieces of one stream that are sent before other clients have their turn.
const STEPS_MAX: usize = 4;

/// The longest time for which a stream may have nothing to send.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// The longest time for which data sent after the request is read, so that the kernel does not discard the answer (TCP
/// reset).
const LINGER_TIME_MAX: Duration = Duration::from_secs(1);

/// One client connection.
pub(super) struct HttpConnection {
    pub(super) id: u64,
    pub(super) socket: TcpStream,
    /// True if the client connected over a loopback address of this machine.
    pub(super) is_loopback: bool,
    /// The client's address.
    pub(super) client: IpAddr,
    /// True if the client takes an answer in chunks.
    pub(super) takes_chunks: bool,
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
    /// Streaming: the answer arrives in pieces.
    Streaming(Streaming),
    /// Everything is sent; the rest of the client's data is read and discarded.
    Lingering,
}

/// An answer that another thread makes meanwhile.
struct Streaming {
    pieces: Receiver<Piece>,
    /// The bytes to send next, framed, and how many of them are sent.
    framed: Vec<u8>,
    sent: usize,
    is_chunked: bool,
    /// True if nothing follows.
    is_last: bool,
}

/// The outcome of a step of a stream.
enum Step {
    /// The client takes no more for now, or nothing is there to send.
    Pause,
    /// The next piece is there.
    Next,
    /// All of it is sent.
    Done,
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
        // A client that has gone already has no address.
        let client = socket.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip().to_canonical());
        let (state, deadline) = (Phase::Reading(Vec::new()), Instant::now() + READ_TIME_MAX);
        Ok(HttpConnection { id, socket, is_loopback, client, takes_chunks: false, state, deadline })
    }

    /// Returns the socket events to wait for; `None` while there is nothing to send.
    pub(super) fn interest(&self) -> Option<PollFlags> {
        match &self.state {
            Phase::Reading(_) | Phase::Lingering => Some(PollFlags::POLLIN),
            Phase::Writing(..) => Some(PollFlags::POLLOUT),
            Phase::Streaming(stream) => (stream.sent < stream.framed.len()).then_some(PollFlags::POLLOUT),
            Phase::Waiting(_) => None,
        }
    }

    pub(super) fn is_reading(&self) -> bool {
        matches!(self.state, Phase::Reading(_))
    }

    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.state, Phase::Waiting(_))
    }

    /// Returns the number of bytes that wait to be sent.
    pub(super) fn waiting_bytes(&self) -> usize {
        match &self.state {
            Phase::Writing(bytes, _) | Phase::Waiting(bytes) => bytes.len(),
            Phase::Streaming(stream) => stream.framed.len(),
            Phase::Reading(_) | Phase::Lingering => 0,
        }
    }

    /// Returns the order of eviction, smallest first: lingering, reading, writing, streaming, waiting; by earliest
    /// deadline within each.
    pub(super) fn precedence(&self) -> (u8, Instant) {
        let rank = match self.state {
            Phase::Lingering => 0,
            Phase::Reading(_) => 1,
            Phase::Writing(..) => 2,
            Phase::Streaming(_) => 3,
            Phase::Waiting(_) => 4,
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
                Ok(Parsed::Request(request)) => return ReadOutcome::Request(request),
                Ok(Parsed::Head) if head.len() > HEAD_BYTES_MAX => {
                    return ReadOutcome::Bad(refused(head, (431, "the request is too long".to_owned())));
                }
                Ok(Parsed::Head | Parsed::Body) => {}
                Err(why) => return ReadOutcome::Bad(refused(head, why)),
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

    /// Begins to send an answer whose body comes in pieces, in chunks if the client takes them.
    pub(super) fn stream(&mut self, head: &Response, pieces: Receiver<Piece>) {
        let is_chunked = self.takes_chunks;
        let framed = head.stream_head(is_chunked);
        self.state = Phase::Streaming(Streaming { pieces, framed, sent: 0, is_chunked, is_last: false });
        self.deadline = Instant::now() + PIECE_TIME_MAX;
    }

    /// Continues as far as the socket allows. Returns whether the connection stays open.
    pub(super) fn go_on(&mut self) -> bool {
        match &mut self.state {
            Phase::Reading(_) | Phase::Waiting(_) => true,
            Phase::Writing(bytes, sent) => match send(&mut self.socket, bytes, sent) {
                Ok(false) => true,
                Ok(true) => self.linger(),
                Err(error) => {
                    debug!("http: answer not taken: {error}");
                    false
                }
            },
            Phase::Streaming(stream) => match stream.go_on(&mut self.socket, &mut self.deadline) {
                Ok(true) => self.linger(),
                Ok(false) => true,
                Err(error) => {
                    debug!("http: stream cut: {error}");
                    // A reset: without chunks the client could take an orderly end for that of the answer.
                    let _ = SockRef::from(&self.socket).set_linger(Some(Duration::ZERO));
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

    /// Reads what the client still sends, after everything is sent to it.
    fn linger(&mut self) -> bool {
        self.state = Phase::Lingering;
        self.deadline = Instant::now() + LINGER_TIME_MAX;
        self.socket.shutdown(Shutdown::Write).is_ok()
    }
}

impl Streaming {
    /// Sends as much as there is and the socket accepts, but leaves time for others. Returns whether all of it is sent.
    fn go_on(&mut self, socket: &mut TcpStream, deadline: &mut Instant) -> io::Result<bool> {
        for _ in 0..STEPS_MAX {
            match self.step(socket, deadline)? {
                Step::Pause => return Ok(false),
                Step::Next => {}
                Step::Done => return Ok(true),
            }
        }
        Ok(false)
    }

    fn step(&mut self, socket: &mut TcpStream, deadline: &mut Instant) -> io::Result<Step> {
        if self.sent < self.framed.len() {
            if !send(socket, &self.framed, &mut self.sent)? {
                return Ok(Step::Pause);
            }
            // Nothing is kept for a client that waits for what comes next.
            (self.framed, self.sent) = (Vec::new(), 0);
            *deadline = Instant::now() + SILENCE_MAX;
        }
        if self.is_last {
            return Ok(Step::Done);
        }
        match self.pieces.try_recv() {
            Ok(Piece::Data(data)) => self.framed = if self.is_chunked { chunk(&data) } else { data },
            Ok(Piece::End) if self.is_chunked => (self.framed, self.is_last) = (b"0\r\n\r\n".to_vec(), true),
            Ok(Piece::End) => return Ok(Step::Done),
            Err(TryRecvError::Empty) => return Ok(Step::Pause),
            Err(TryRecvError::Disconnected) => return Err(io::Error::other("it was not completed")),
        }
        *deadline = Instant::now() + PIECE_TIME_MAX;
        Ok(Step::Next)
    }
}

/// Returns data as one chunk (RFC 9112 section 7.1).
fn chunk(data: &[u8]) -> Vec<u8> {
    let mut framed = format!("{:x}\r\n", data.len()).into_bytes();
    framed.reserve_exact(data.len() + 2);
    framed.extend_from_slice(data);
    framed.extend_from_slice(b"\r\n");
    framed
}

/// Returns the answer to bytes that are not a request; the API answers in JSON.
fn refused(bytes: &[u8], (status, why): Refused) -> Response {
    if request::is_for_api(bytes) {
        Problem::new(status, why).response()
    } else {
        Response::text(status, &format!("{why}\n"))
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
