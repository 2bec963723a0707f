//! One session's input: from the socket to its thread, and through the spool when that thread is busy for too long.
//!
//! ```text
//!  socket --> buffer --> chunks --------------------------------> the session's thread
//!                          \--> stream on disk, read in order --/
//! ```
//!
//! Chunks that the thread was given are kept until the writers have stored what they changed: in memory, or on disk
//! once there is a stream. So at any moment everything that is not stored can be brought to the disk, and no process
//! that comes after this one misses any of it.
//!
//! When the thread has not come back for [`stall`](super::Options::stall), the spooler reads the socket in its place
//! and appends to the stream. The thread then reads the stream to its end before it touches the socket again: nothing
//! overtakes anything. There is one lock; the thread holds it while it waits for the socket, when the spooler is not
//! needed.

mod losses;

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::end::SessionEnd;
use super::frame::FrameBuffer;
use super::other_protocol::{NotBmp, OtherProtocol};
use super::preamble::Preamble;
use super::read_timeout::ReadTimeout;
use super::standing::Standing;
use crate::model::Timestamp;
use crate::spool::{Chunk, Context, Piece, Spool, SpoolError, Stream, Taken};
use crate::wire::bmp::{self, FrameError};

/// The maximum input that is not stored and kept in memory before it goes to the spool, bytes.
const WINDOW_BYTES_MAX: usize = 32 << 20;

/// The memory of a chunk besides its octets: itself, its place in the window and the allocator's share, bytes.
const CHUNK_OVERHEAD: usize = 128;

/// The maximum that the spooler reads from one socket before it turns to the next one, bytes.
const TURN_BYTES: usize = 4 << 20;

/// Where a session's bytes come from.
pub trait Source: Read + Send {
    /// Sets whether reading returns at once when nothing is there; otherwise it waits for about a second.
    ///
    /// # Errors
    /// When the system refuses.
    fn set_nonblocking(&self, on: bool) -> io::Result<()>;

    /// Ends it for both sides.
    fn close(&self);
}

/// One session's input, shared by its thread and the spooler.
pub struct Intake {
    /// That of the session, which is its stream's as well.
    number: u64,
    source_address: IpAddr,
    standing: Arc<Standing>,
    born: Instant,
    /// Milliseconds from `born` to when the thread went away with a chunk; [`ATTENDED`] while it is here.
    away_since: AtomicU64,
    inner: Mutex<Inner>,
}

const ATTENDED: u64 = u64::MAX;

struct Inner {
    /// `None` when there is no more to come from it.
    source: Option<Box<dyn Source>>,
    buffer: FrameBuffer,
    message_max: usize,
    read_timeout: ReadTimeout,
    /// The number of the last chunk that was cut.
    cut: u64,
    /// Time of receipt of the first chunk.
    began: Option<Timestamp>,
    /// Chunks that the thread was given and that are not stored, unless the stream has them.
    window: VecDeque<Arc<Chunk>>,
    /// The memory that they take.
    window_bytes: usize,
    /// The messages that stay valid, of the chunks up to `remembered`.
    preamble: Preamble,
    /// The last chunk that the preamble knows. Not after `stored`; the stream is asked for what is between.
    remembered: u64,
    stored: u64,
    stream: Option<Stream>,
    /// True if an earlier process left it.
    is_replay: bool,
    /// The lost part of the input, if any.
    lost: Option<String>,
    /// Why nothing more comes, once everything was given to the thread.
    end: Option<SessionEnd>,
    fate: Fate,
}

/// The fate of input that is not stored when the session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// The session's thread is at it.
    Open,
    /// The thread is done; what is not stored yet is waited for, or spooled at the stop.
    Left,
    /// All of it is on the way: when that is stored, nothing is left.
    Complete,
    /// It is not wanted.
    Dropped,
}

/// The result of [`Intake::next`].
pub enum Next {
    /// Messages, after so long a wait for the socket.
    Chunk(Arc<Chunk>, Duration),
    /// Nothing came for so long.
    Silence(Duration),
    /// Some of an earlier process's spool cannot be read; the text says how much.
    Damaged(String),
    /// Nothing more will come.
    End(SessionEnd),
}

impl Intake {
    /// The input of a router that has just connected.
    pub fn new(
        connection: &Connection,
        source: Box<dyn Source>,
        message_max: usize,
        read_timeout: ReadTimeout,
        standing: Arc<Standing>,
    ) -> Intake {
        let inner = Inner { source: Some(source), ..Inner::new(message_max, read_timeout) };
        Intake::with(connection.number(), connection.source, inner, standing)
    }

    /// Takes up what an earlier process left of a session.
    pub fn replay(stream: Stream, message_max: usize, standing: Arc<Standing>) -> Intake {
        let mut inner = Inner::new(message_max, ReadTimeout::new(Duration::MAX));
        let context = stream.context();
        (inner.cut, inner.stored, inner.began) = (context.behind, context.behind, Some(context.began));
        inner.remembered = context.behind;
        inner.lost.clone_from(&context.lost);
        for_each_frame(&context.preamble, message_max, |frame| inner.preamble.take(frame));
        let (number, address) = (stream.number(), context.source);
        (inner.end, inner.is_replay) = (Some(SessionEnd::SpoolRead), true);
        inner.stream = Some(stream);
        Intake::with(number, address, inner, standing)
    }

    fn with(number: u64, source_address: IpAddr, inner: Inner, standing: Arc<Standing>) -> Intake {
        let (born, away_since, inner) = (Instant::now(), AtomicU64::new(ATTENDED), Mutex::new(inner));
        Intake { number, source_address, standing, born, away_since, inner }
    }

    /// Returns what comes next, for the session's thread. Waits for the socket about a second at most.
    pub fn next(&self, spool: &Arc<Spool>) -> Next {
        self.away_since.store(ATTENDED, Ordering::Release);
        let mut inner = self.lock();
        self.forget_stored(&mut inner);
        let next = inner.next(self, spool);
        let millis = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.away_since.store(millis, Ordering::Release);
        next
    }

    /// Reads the socket into the spool if the session's thread has left it alone for `stall`, and lets go of what is
    /// stored. Whether there is nothing to be done here ever again.
    pub(crate) fn relieve(&self, spool: &Arc<Spool>, stall: Duration) -> bool {
        let mut inner = match self.inner.try_lock() {
            Ok(inner) => inner,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // The thread is here.
            Err(TryLockError::WouldBlock) => return false,
        };
        self.forget_stored(&mut inner);
        let since = self.away_since.load(Ordering::Acquire);
        let is_away = since != ATTENDED && self.born.elapsed() >= Duration::from_millis(since) + stall;
        let has_unread = inner.stream.as_ref().is_some_and(|stream| stream.unread() > 0);
        let is_open = inner.fate == Fate::Open && inner.end.is_none();
        // What a session without a name says goes nowhere: it is bounded, and its thread never waits.
        if is_open && (is_away || has_unread) && self.standing.is_identified() && !spool.is_off() {
            inner.relieve(self, spool);
        }
        inner.fate != Fate::Open && inner.stream.is_none() && inner.window.is_empty()
    }

    /// The session's thread is done. What it has sent is waited for.
    pub fn leave(&self) {
        self.end(Fate::Left);
    }

    fn end(&self, fate: Fate) {
        let mut inner = self.lock();
        inner.close();
        inner.fate = fate;
        self.forget_stored(&mut inner);
    }

    /// The session is over, and all that its input changed is on the way to the writers.
    pub fn complete(&self) {
        match self.standing.owner() {
            Some(owner) => {
                owner.progress.set_processed(self.lock().cut);
                self.end(Fate::Complete);
            }
            // It was never given its router, and changed nothing.
            None => self.discard(),
        }
    }

    /// The session's thread is done, and what is not stored is not wanted.
    pub(crate) fn discard(&self) {
        let mut inner = self.lock();
        inner.close();
        inner.fate = Fate::Dropped;
        inner.window.clear();
        inner.drop_stream();
    }

    /// Where it comes from.
    pub(crate) fn source_address(&self) -> IpAddr {
        self.source_address
    }

    /// The collector ends: brings what is not stored to the spool. Whether there was anything.
    ///
    /// # Errors
    /// It does not fit, or the file system says no.
    pub(crate) fn park(&self, spool: &Arc<Spool>) -> Result<bool, SpoolError> {
        let mut inner = self.lock();
        inner.close();
        self.forget_stored(&mut inner);
        let has_input = inner.stream.is_some() || !inner.window.is_empty();
        if inner.fate == Fate::Dropped || !has_input || !self.standing.is_identified() {
            return Ok(false);
        }
        inner.remember()?;
        let (stored, began) = (inner.stored, inner.began);
        let mut context = context_at(self.source_address, &self.standing, began, stored, &inner.preamble);
        context.lost.clone_from(&inner.lost);
        inner.begin_stream(self, spool)?;
        if let Some(stream) = &mut inner.stream {
            stream.store_context(context)?;
        }
        Ok(true)
    }

    /// Returns how much memory the input takes, beside what every session has, bytes.
    pub fn held(&self) -> usize {
        let inner = self.lock();
        inner.window_bytes + inner.preamble.size() + inner.buffer.extra()
    }

    /// Lets go of what the database has.
    fn forget_stored(&self, inner: &mut Inner) {
        let Some(owner) = self.standing.owner() else { return };
        let stored = owner.progress.stored().min(inner.cut.max(inner.stored));
        if stored > inner.stored {
            self.standing.forget(stored);
            inner.forget(stored);
        }
        let Some(stream) = &inner.stream else { return };
        // What comes after the end that a session had is not its input any more.
        let is_read = stream.unread() == 0 || inner.fate == Fate::Complete;
        if is_read && stored >= stream.taken() {
            // A session that is over needs no preamble any more.
            if inner.fate == Fate::Open
                && let Err(error) = inner.remember()
            {
                log::error!("spool: Peer Ups of a session cannot be read back: {error}");
            }
            inner.drop_stream();
        } else if stream.has_done(inner.stored)
            && let Err(error) = inner.release(self)
        {
            log::error!("spool: {}: {error}", stream_folder(inner));
        }
    }

    /// A panic elsewhere ends the session, and its input is then discarded.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn context_at(
    source: IpAddr,
    standing: &Standing,
    began: Option<Timestamp>,
    behind: u64,
    preamble: &Preamble,
) -> Context {
    let (tables, ids) = (standing.stored_tables(), standing.stored_ids());
    let router = standing.router();
    let began = began.unwrap_or_else(Timestamp::now);
    Context { source, router, began, behind, tables, ids, preamble: preamble.to_bytes(), lost: None }
}

impl Inner {
    fn new(message_max: usize, read_timeout: ReadTimeout) -> Inner {
        Inner {
            source: None,
            buffer: FrameBuffer::new(message_max),
            message_max,
            read_timeout,
            cut: 0,
            began: None,
            window: VecDeque::new(),
            window_bytes: 0,
            preamble: Preamble::default(),
            remembered: 0,
            stored: 0,
            stream: None,
            is_replay: false,
            lost: None,
            end: None,
            fate: Fate::Open,
        }
    }

    fn next(&mut self, intake: &Intake, spool: &Arc<Spool>) -> Next {
        let is_replay = matches!(self.end, Some(SessionEnd::SpoolRead));
        if let Some(stream) = &mut self.stream {
            match stream.next_piece() {
                Ok(Piece::Chunk(chunk)) => {
                    if is_replay {
                        self.cut = chunk.number;
                    }
                    return Next::Chunk(Arc::new(chunk), Duration::ZERO);
                }
                Ok(Piece::Damaged(bytes)) if is_replay => {
                    return Next::Damaged(self.set_damage_aside(intake, spool, bytes));
                }
                Ok(Piece::Damaged(bytes)) => {
                    log::error!("{}: {}", intake.subject(), self.set_damage_aside(intake, spool, bytes));
                    return Next::End(self.lose(intake, spool, SessionEnd::SpoolDamaged(bytes)));
                }
                Ok(Piece::End) => {}
                Err(error) => {
                    return Next::End(self.lose(intake, spool, SessionEnd::Spool(SpoolError::Io(error))));
                }
            }
        }
        if let Some(end) = self.end.take() {
            return Next::End(end);
        }
        let waiting = Instant::now();
        // What follows the last message of the buffer may be no message at all.
        let chunk = self.cut_chunk().or_else(|| {
            self.read_once();
            self.cut_chunk()
        });
        let waited = waiting.elapsed();
        let Some(chunk) = chunk else {
            if let Some(end) = self.end.take() {
                return Next::End(end);
            }
            return match self.read_timeout.waited(waited) {
                Some(end) => self.end_by(end),
                None => Next::Silence(waited),
            };
        };
        let is_identified = intake.standing.is_identified();
        if is_identified || says_of_peers(&chunk.bytes, self.message_max) {
            self.window_bytes += memory_of(&chunk);
            self.window.push_back(Arc::clone(&chunk));
        } else {
            // Nothing is ever stored of it; its Initiation goes in front of what will be.
            remember(&mut self.preamble, &chunk, self.message_max);
        }
        if self.window_bytes > WINDOW_BYTES_MAX
            && is_identified
            && !spool.is_off()
            && let Err(error) = self.begin_stream(intake, spool)
        {
            self.end = Some(self.lose(intake, spool, SessionEnd::Spool(error)));
        }
        Next::Chunk(chunk, waited)
    }

    fn end_by(&mut self, end: SessionEnd) -> Next {
        self.close();
        Next::End(end)
    }

    /// One read of the socket into the buffer; its end becomes the session's.
    fn read_once(&mut self) -> usize {
        let Some(source) = &mut self.source else { return 0 };
        match self.buffer.fill(source) {
            Ok(0) => self.end = Some(SessionEnd::Lost(None)),
            Ok(count) => return count,
            Err(error) if is_silence(&error) => {}
            Err(error) => self.end = Some(SessionEnd::Lost(Some(error))),
        }
        0
    }

    /// The whole messages of the buffer, numbered.
    fn cut_chunk(&mut self) -> Option<Arc<Chunk>> {
        let (bytes, messages) = match self.buffer.take_whole() {
            Ok(whole) => whole,
            Err(error) => {
                self.refuse(error);
                return None;
            }
        };
        self.read_timeout.met(messages, self.buffer.is_inside_message());
        if bytes.is_empty() {
            return None;
        }
        self.cut += 1;
        let chunk = Arc::new(Chunk { number: self.cut, received_at: Timestamp::now(), bytes });
        self.began.get_or_insert(chunk.received_at);
        Some(chunk)
    }

    fn refuse(&mut self, error: FrameError) {
        self.close();
        let is_first = self.cut == 0;
        let protocol = is_first.then(|| OtherProtocol::of(self.buffer.rest())).flatten();
        self.end = Some(SessionEnd::OutOfStep(NotBmp { error, protocol }));
    }

    fn forget(&mut self, stored: u64) {
        self.stored = stored;
        if self.window.front().is_none_or(|chunk| chunk.number > stored) {
            return;
        }
        // Chunks of the stream come before those of the window.
        if let Err(error) = self.remember() {
            log::error!("spool: Peer Ups of a session cannot be read back: {error}");
        }
        while let Some(chunk) = self.window.front().filter(|chunk| chunk.number <= stored) {
            self.window_bytes -= memory_of(chunk);
            remember(&mut self.preamble, chunk, self.message_max);
            self.window.pop_front();
        }
    }

    /// Brings the preamble to the last chunk that is stored, as far as the stream has it.
    fn remember(&mut self) -> io::Result<()> {
        let Inner { preamble, remembered, stored, stream, message_max, .. } = self;
        if let Some(stream) = stream {
            stream.reread(*remembered, *stored, |chunk| remember(preamble, chunk, *message_max))?;
        }
        *remembered = *stored;
        Ok(())
    }

    /// Lets go of the segments of the stream that the database has.
    fn release(&mut self, intake: &Intake) -> Result<(), SpoolError> {
        self.remember()?;
        let (stored, began) = (self.stored, self.began);
        let context = || context_at(intake.source_address, &intake.standing, began, stored, &self.preamble);
        self.stream.as_mut().map_or(Ok(()), |stream| stream.release(stored, context))
    }

    /// Reads the socket for the thread, which is busy, and appends to the stream.
    fn relieve(&mut self, intake: &Intake, spool: &Arc<Spool>) {
        if let Err(error) = self.source.as_ref().map_or(Ok(()), |source| source.set_nonblocking(true)) {
            log::debug!("router at {}: socket not read into the spool: {error}", intake.source_address);
            return;
        }
        let mut turn = 0;
        while turn < TURN_BYTES && self.end.is_none() {
            let count = self.read_once();
            turn += count;
            if let Some(chunk) = self.cut_chunk()
                && let Err(error) = self.spool(intake, spool, &chunk)
            {
                self.end = Some(self.lose(intake, spool, SessionEnd::Spool(error)));
            }
            if count == 0 {
                break;
            }
        }
        if let Some(Err(error)) = self.source.as_ref().map(|source| source.set_nonblocking(false)) {
            self.close();
            self.end = Some(SessionEnd::Lost(Some(error)));
        }
    }

    fn spool(&mut self, intake: &Intake, spool: &Arc<Spool>, chunk: &Chunk) -> Result<(), SpoolError> {
        self.begin_stream(intake, spool)?;
        self.stream.as_mut().expect("just begun").append(chunk, Taken::No)
    }

    /// Brings what is kept in memory to the stream, which is made if there is none.
    fn begin_stream(&mut self, intake: &Intake, spool: &Arc<Spool>) -> Result<(), SpoolError> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => {
                if self.preamble.is_cut() {
                    return Err(SpoolError::Preamble);
                }
                let source = intake.source_address;
                let context = context_at(source, &intake.standing, self.began, self.stored, &self.preamble);
                log::info!("router at {source}: writing its input to the spool until the database catches up");
                none.insert(Stream::create(spool, intake.number, context)?)
            }
        };
        while let Some(chunk) = self.window.front() {
            stream.append(chunk, Taken::Yes)?;
            self.window_bytes -= memory_of(chunk);
            self.window.pop_front();
        }
        Ok(())
    }

    fn drop_stream(&mut self) {
        if let Some(stream) = self.stream.take() {
            stream.remove();
        }
    }

    fn close(&mut self) {
        if let Some(source) = self.source.take() {
            source.close();
        }
    }
}

/// Every message of a chunk.
pub(crate) fn for_each_frame(bytes: &[u8], message_max: usize, mut each: impl FnMut(&bmp::Frame<'_>)) {
    let mut rest = bytes;
    while let Ok(Some(frame)) = bmp::next_frame(rest, message_max) {
        each(&frame);
        rest = &rest[frame.bytes.len()..];
    }
}

/// Returns whether a message is about a peer, its routes or its statistics: only those have to wait for the router's
/// name.
pub(super) fn is_of_peer(frame: &bmp::Frame<'_>) -> bool {
    matches!(frame.type_code, 0..=3)
}

fn says_of_peers(bytes: &[u8], message_max: usize) -> bool {
    let mut found = false;
    for_each_frame(bytes, message_max, |frame| found |= is_of_peer(frame));
    found
}

/// Takes in the messages of a chunk that stay valid.
fn remember(preamble: &mut Preamble, chunk: &Chunk, message_max: usize) {
    for_each_frame(&chunk.bytes, message_max, |frame| preamble.take(frame));
}

fn memory_of(chunk: &Chunk) -> usize {
    chunk.bytes.len() + CHUNK_OVERHEAD
}

fn stream_folder(inner: &Inner) -> String {
    inner.stream.as_ref().map_or_else(String::new, |stream| stream.folder().display().to_string())
}

fn is_silence(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}
