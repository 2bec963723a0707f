//! One session's input, between the thread that reads its socket and the one that applies its messages.
//!
//! ```text
//!  socket --> [read-..] --> journal --> memory, or from the journal again --> [bmp-..]
//! ```
//!
//! Every chunk is in the journal before it is applied. The newest chunks are taken from memory, up to
//! `WAITING_MAX`; older ones are read from the journal. Without a journal, or while its disk refuses, chunks are kept
//! in memory until the database has what they changed.

mod journaling;
mod losses;
mod standing_by;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::end::{Cause, SessionEnd};
use crate::journal::{Checkpoint, Chunk, Feed, Journal, JournalError, LossNote, Piece, Stream};
use crate::model::{RouterId, Timestamp, new_uuid};
use crate::pipeline::Ownership;
use crate::wire::bmp;

/// The most input of a session that waits in memory for its thread, bytes. What comes after that is read from the
/// journal.
const WAITING_MAX: usize = 1 << 20;

/// The most input of a session that is kept in memory where the journal does not have it, bytes. Without a journal the
/// socket is not read until there is room again.
const KEPT_MAX: usize = 32 << 20;

/// The memory of a chunk besides its octets: itself, its place in a queue and the allocator's share, bytes.
const CHUNK_OVERHEAD: usize = 128;

/// The time after which a segment whose input is stored gives way to an empty one.
const SEGMENT_AGE_MAX: Duration = Duration::from_secs(60);

/// The time for which input stays in the journal after it is stored: a standby that is promoted may lack the last
/// commits. Not while the journal is more than half full.
const KEPT_STORED: Duration = Duration::from_secs(60);

/// The octets of journal that count like one of memory where a session without a name is judged.
const JOURNAL_PER_MEMORY: u64 = 8;

/// The interval of the marks of what was stored when.
const STORED_MARK_EVERY: Duration = Duration::from_secs(1);

/// The interval of the times of receipt that are kept of input that waits.
const MARK_EVERY_MICROS: i64 = 1_000_000;

/// The input of one session.
pub struct Input {
    /// The number of the session, which is that of its stream as well.
    number: u64,
    source_address: IpAddr,
    /// The session in the journal, a UUID; empty without a journal.
    session: String,
    journal: Arc<Journal>,
    /// The router, once the session knows it.
    router: OnceLock<RouterId>,
    /// The right to write the router, once there is one.
    owner: OnceLock<Arc<Ownership>>,
    /// The input for those who relay it.
    feed: Option<Arc<Feed>>,
    /// The memory of a long message that has not arrived as a whole, bytes.
    buffered: AtomicUsize,
    inner: Mutex<Inner>,
    /// Notified when there is something to take.
    news: Condvar,
    /// Notified when there is room.
    room: Condvar,
}

struct Inner {
    stream: Option<Stream>,
    /// Chunks that wait in memory, in order.
    waiting: VecDeque<Arc<Chunk>>,
    /// True if the chunks after those are in the journal only.
    is_behind: bool,
    /// Chunks that were taken, are not stored, and are in no journal.
    kept: VecDeque<Arc<Chunk>>,
    /// The memory of both, bytes.
    bytes: usize,
    /// The octets that an earlier process had applied.
    begin: u64,
    /// The octets that were read, that were taken, and that are in the journal or need not be.
    read: u64,
    taken: u64,
    journaled: u64,
    /// Since when the journal has refused input that is not stored.
    refused_since: Option<Instant>,
    /// When each was read that is not stored, one a second.
    marks: VecDeque<(u64, Timestamp)>,
    last_read: Instant,
    last_read_at: Option<Timestamp>,
    /// The octets that were stored at the times of the last minute, the oldest first, and before it.
    stored_marks: VecDeque<(Instant, u64)>,
    stored_for_long: u64,
    /// True if an earlier process left it.
    is_replay: bool,
    /// Set while another collector has the router.
    standby: Option<StandbyInput>,
    /// The lost part of the input, if any.
    lost: Option<String>,
    /// The note of it, if the stream does not have it.
    loss_note: Option<LossNote>,
    /// Why nothing more comes, once everything is taken.
    end: Option<SessionEnd>,
    fate: Fate,
}

/// The progress of a session that stands by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InputProgress {
    /// When the latest message was read.
    pub(crate) heard_until: Timestamp,
    /// The time since the oldest message was read that is not applied; zero if all are.
    pub(crate) lag: Duration,
    /// The octets of these messages.
    pub(crate) waiting: u64,
}

/// The use of the input of a session that stands by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StandbyInput {
    /// It is read and not kept.
    Dropped,
    /// It is applied.
    Applied,
}

/// The fate of input that is not stored when the session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// The session goes on.
    Open,
    /// It is left to the next start, unless it is stored by then.
    Left,
    /// All of it is on its way: when that is stored, nothing is left.
    Complete,
    /// It is not wanted.
    Dropped,
}

/// The result of [`Input::next`].
pub enum Next {
    /// Messages, after so long a wait for the socket.
    Chunk(Arc<Chunk>, Duration),
    /// Nothing came for so long.
    Silence(Duration),
    /// Some of the journal cannot be read; the text says how much.
    Damaged(String),
    /// Nothing more will come.
    End(SessionEnd),
}

/// The checkpoint that is to be written before the next chunk is applied.
pub(crate) struct Due {
    segment: u64,
    octet: u64,
}

impl Input {
    /// Creates the input of a router that has just connected.
    pub fn new(number: u64, source_address: IpAddr, journal: &Arc<Journal>) -> Input {
        let session = if journal.is_off() { String::new() } else { new_uuid() };
        Input::with(number, source_address, session, journal, Inner::new(0))
    }

    /// Takes up what an earlier process left of a session, from this checkpoint on.
    pub fn replay(stream: Stream, checkpoint: &Checkpoint, journal: &Arc<Journal>) -> Input {
        let (number, lost) = (stream.number(), stream.lost());
        let inner = Inner {
            stream: Some(stream),
            is_behind: true,
            is_replay: true,
            lost,
            last_read_at: Some(checkpoint.began),
            end: Some(Cause::JournalRead.into()),
            ..Inner::new(checkpoint.octet)
        };
        Input::with(number, checkpoint.source, checkpoint.session.clone(), journal, inner)
    }

    fn with(number: u64, source_address: IpAddr, session: String, journal: &Arc<Journal>, inner: Inner) -> Input {
        Input {
            number,
            source_address,
            session,
            journal: Arc::clone(journal),
            router: OnceLock::new(),
            owner: OnceLock::new(),
            feed: None,
            buffered: AtomicUsize::new(0),
            inner: Mutex::new(inner),
            news: Condvar::new(),
            room: Condvar::new(),
        }
    }

    /// Sets the feed that its chunks go to.
    pub(super) fn with_feed(self, feed: Option<Arc<Feed>>) -> Input {
        Input { feed, ..self }
    }

    /// Notes that the session knows its router.
    pub fn identify(&self, router: &RouterId) {
        if self.router.set(router.clone()).is_ok() {
            self.feed.iter().for_each(|feed| feed.identify(router));
            self.lock().stream.iter().for_each(|stream| stream.note_router(router));
        }
        self.room.notify_one();
    }

    /// Returns the router, once the session knows it.
    pub fn router(&self) -> Option<&RouterId> {
        self.router.get()
    }

    /// Returns the session in the journal; empty if there is none.
    pub(super) fn session(&self) -> &str {
        &self.session
    }

    /// Notes that the session may write its router.
    pub fn settle(&self, owner: &Arc<Ownership>) {
        let _ = self.owner.set(Arc::clone(owner));
        self.feed.iter().for_each(|feed| feed.claim());
    }

    /// Returns the right to write the router, once there is one.
    pub(super) fn owner(&self) -> Option<&Arc<Ownership>> {
        self.owner.get()
    }

    /// Takes in whole messages that were read, for the thread that applies them; waits for room where there is no
    /// journal. Returns false if no more are wanted.
    pub fn append(&self, received_at: Timestamp, bytes: Box<[u8]>) -> bool {
        let mut inner = self.lock();
        let memory = bytes.len() + CHUNK_OVERHEAD;
        while inner.fate == Fate::Open && self.must_wait(&inner, memory) {
            inner = self.room.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        if inner.fate != Fate::Open || inner.end.is_some() {
            return false;
        }
        if inner.standby == Some(StandbyInput::Dropped) {
            return true;
        }
        let chunk = Arc::new(Chunk { start: inner.read, received_at, bytes });
        inner.read = chunk.end();
        (inner.last_read, inner.last_read_at) = (Instant::now(), Some(received_at));
        if inner.marks.back().is_none_or(|(_, at)| received_at.unix_micros() - at.unix_micros() >= MARK_EVERY_MICROS) {
            inner.marks.push_back((chunk.end(), received_at));
        }
        let is_in_memory = inner.is_in_memory();
        if is_in_memory {
            inner.journaled = inner.read;
        } else {
            self.write(&mut inner, &chunk);
        }
        let is_journaled = inner.journaled == inner.read && !self.journal.is_off() && !is_in_memory;
        if is_journaled && (inner.is_behind || inner.bytes + memory > WAITING_MAX && inner.bytes > 0) {
            inner.fall_behind(&chunk);
        } else {
            inner.bytes += memory;
            inner.waiting.push_back(chunk);
        }
        self.judge_refused(&mut inner);
        self.news.notify_one();
        true
    }

    /// Returns whether more is wanted.
    pub fn is_wanted(&self) -> bool {
        let inner = self.lock();
        inner.fate == Fate::Open && inner.end.is_none()
    }

    /// Notes why nothing more comes.
    pub fn close(&self, end: SessionEnd) {
        self.lock().end.get_or_insert(end);
        self.news.notify_one();
    }

    /// Returns what comes next, for the session's thread, which waits for `tick` at most.
    pub fn next(&self, tick: Duration) -> Next {
        let waiting = Instant::now();
        let mut inner = self.lock();
        self.forget_stored(&mut inner);
        inner.forget_applied();
        loop {
            let waited = waiting.elapsed();
            if let Some(next) = inner.take(self, waited) {
                return next;
            }
            if waited >= tick {
                return Next::Silence(waited);
            }
            inner = self.news.wait_timeout(inner, tick - waited).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Returns the checkpoint that is due before the chunk after `octet` is applied, if its segment has none.
    pub(crate) fn due_before(&self, octet: u64) -> Option<Due> {
        let segment = self.lock().stream.as_ref()?.lacks_checkpoint(octet)?;
        Some(Due { segment, octet })
    }

    /// Begins another segment if everything in the last one has been stored for long. Returns its checkpoint.
    pub(crate) fn due_by_age(&self) -> Option<Due> {
        let mut inner = self.lock();
        let octet = inner.read;
        let is_stored = inner.taken == octet && self.stored().is_some_and(|stored| stored >= octet);
        if !is_stored || inner.last_read.elapsed() < SEGMENT_AGE_MAX {
            return None;
        }
        let stream = inner.stream.as_mut()?;
        match stream.turn_over(octet) {
            Ok(segment) => segment.map(|segment| Due { segment, octet }),
            Err(error) => {
                self.journal.note_error(&error);
                None
            }
        }
    }

    /// Writes a checkpoint that is due.
    pub(crate) fn store_checkpoint(&self, due: &Due, mut checkpoint: Checkpoint) {
        checkpoint.octet = due.octet;
        let mut inner = self.lock();
        if let Some(stream) = &mut inner.stream
            && let Err(error) = stream.store_checkpoint(due.segment, &checkpoint)
        {
            self.journal.note_error(&error);
        }
    }

    /// Lets go of what the database has. Returns whether there is nothing to be done here ever again.
    pub(crate) fn tidy(&self) -> bool {
        let mut inner = self.lock();
        self.forget_stored(&mut inner);
        if inner.fate == Fate::Open {
            self.judge_refused(&mut inner);
        }
        inner.fate != Fate::Open && inner.stream.is_none() && inner.kept.is_empty()
    }

    /// The session's thread is done. What it has sent is waited for.
    pub fn leave(&self) {
        self.end(Fate::Left);
    }

    /// The session is over, and all that its input changed is on the way to the writers.
    pub fn complete(&self) {
        // One that was never given its router has changed nothing.
        self.end(if self.owner.get().is_some() { Fate::Complete } else { Fate::Dropped });
    }

    /// The session's thread is done, and what is not stored is not wanted.
    pub(crate) fn discard(&self) {
        self.end(Fate::Dropped);
    }

    fn end(&self, fate: Fate) {
        let mut inner = self.lock();
        inner.fate = fate;
        self.feed.iter().for_each(|feed| if fate == Fate::Dropped { feed.cut() } else { feed.end() });
        match (fate, self.owner.get()) {
            (Fate::Complete, Some(owner)) => owner.progress.set_processed(inner.read),
            (Fate::Dropped, _) => inner.forget_all(),
            (Fate::Open | Fate::Left | Fate::Complete, _) => {}
        }
        self.forget_stored(&mut inner);
        self.room.notify_one();
    }

    /// The collector ends, and this is what is left. `keeps_all`: what is stored is left too, since the database has less
    /// than it had said. Returns whether there was anything; an error if some of it is in no journal.
    pub(crate) fn park(&self, keeps_all: bool) -> Result<bool, JournalError> {
        let mut inner = self.lock();
        self.forget_stored(&mut inner);
        if inner.fate == Fate::Dropped || self.router.get().is_none() {
            inner.forget_all();
            return Ok(false);
        }
        let stored = self.stored().unwrap_or(0);
        if inner.stream.is_some() && stored >= inner.read && !keeps_all {
            inner.forget_loss();
            inner.drop_stream();
        }
        let is_lost = inner.journaled < inner.read && stored < inner.read;
        if is_lost {
            let why = self.journal.why_not();
            inner.keep_loss(self, &format!("input lost: not stored when the collector stopped: {why}"));
            return Err(why);
        }
        Ok(inner.stream.is_some())
    }

    /// Returns the address that it comes from.
    pub(crate) fn source_address(&self) -> IpAddr {
        self.source_address
    }

    /// Notes the memory of a message that has not arrived as a whole, bytes.
    pub(super) fn set_buffered(&self, bytes: usize) {
        self.buffered.store(bytes, Ordering::Relaxed);
    }

    /// Returns the octets that are not stored, and when the oldest of them was read.
    pub(crate) fn unstored(&self) -> Option<(u64, Timestamp)> {
        let inner = self.lock();
        let stored = self.stored().unwrap_or(0).clamp(inner.begin, inner.read);
        let octets = inner.read - stored + inner.unread_of_replay();
        let mark = inner.marks.iter().find(|(end, _)| *end > stored).map(|(_, at)| *at);
        (octets > 0).then_some((octets, mark.or(inner.last_read_at)?))
    }

    /// Returns what the input takes of memory, and an eighth of what it has taken of the journal since it began, bytes.
    pub(crate) fn size(&self) -> usize {
        let inner = self.lock();
        let journaled = usize::try_from(inner.read / JOURNAL_PER_MEMORY).unwrap_or(usize::MAX);
        journaled.saturating_add(inner.bytes + self.buffered.load(Ordering::Relaxed))
    }

    fn acknowledged(&self) -> [u64; 2] {
        self.owner.get().map_or([0; 2], |owner| owner.progress.acknowledged())
    }

    /// Returns what the database had said that it stored when an earlier process ended, of the state and the history.
    pub(super) fn acknowledged_before(&self) -> [u64; 2] {
        self.lock().stream.as_ref().map_or([0; 2], Stream::acknowledged)
    }

    /// Returns the octets that are stored, once there is a right to write.
    fn stored(&self) -> Option<u64> {
        self.owner.get().map(|owner| owner.progress.stored())
    }

    /// A panic elsewhere ends the session, and its input is then discarded.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn new(octet: u64) -> Inner {
        Inner {
            stream: None,
            waiting: VecDeque::new(),
            is_behind: false,
            kept: VecDeque::new(),
            bytes: 0,
            begin: octet,
            read: octet,
            taken: octet,
            journaled: octet,
            refused_since: None,
            marks: VecDeque::new(),
            last_read: Instant::now(),
            last_read_at: None,
            stored_marks: VecDeque::new(),
            stored_for_long: 0,
            is_replay: false,
            standby: None,
            lost: None,
            loss_note: None,
            end: None,
            fate: Fate::Open,
        }
    }

    fn take(&mut self, input: &Input, waited: Duration) -> Option<Next> {
        // Chunks that the journal did not take come after those that it has.
        let is_next = |chunk: &Arc<Chunk>| !self.is_behind || chunk.start == self.taken;
        if self.waiting.front().is_some_and(is_next)
            && let Some(chunk) = self.waiting.pop_front()
        {
            self.taken = chunk.end();
            input.room.notify_one();
            let is_needed = chunk.end() > self.journaled || input.journal.is_off();
            if is_needed && self.standby.is_none() {
                self.kept.push_back(Arc::clone(&chunk));
            } else {
                self.bytes -= memory_of(&chunk);
            }
            return Some(Next::Chunk(chunk, waited));
        }
        if self.is_behind {
            match self.stream.as_mut().map_or(Ok(Piece::End), Stream::next_piece) {
                Ok(Piece::Chunk(chunk)) => {
                    self.taken = chunk.end();
                    self.read = self.read.max(chunk.end());
                    self.journaled = self.journaled.max(chunk.end());
                    return Some(Next::Chunk(Arc::new(chunk), Duration::ZERO));
                }
                Ok(Piece::Damaged(bytes)) => return Some(self.damaged(input, bytes)),
                Ok(Piece::End) => {
                    self.is_behind = false;
                    return self.take(input, waited);
                }
                Err(error) => {
                    let end = self.lose_unread(input, &JournalError::Io(error));
                    return Some(Next::End(end));
                }
            }
        }
        self.end.clone().map(Next::End)
    }

    /// The chunk, and all after it, are read from the journal when the session's thread gets there.
    fn fall_behind(&mut self, chunk: &Chunk) {
        if !std::mem::replace(&mut self.is_behind, true)
            && let Some(stream) = &mut self.stream
        {
            stream.read_from(chunk);
        }
    }

    fn forget_all(&mut self) {
        self.waiting.clear();
        self.kept.clear();
        self.bytes = 0;
        self.drop_stream();
    }

    fn drop_stream(&mut self) {
        if let Some(stream) = self.stream.take() {
            stream.remove();
        }
    }
}

/// Calls `each` with every message of a chunk.
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

/// Returns a length as octets of the input.
pub(super) fn octets(bytes: usize) -> u64 {
    u64::try_from(bytes).expect("a length fits 64 bits")
}

fn memory_of(chunk: &Chunk) -> usize {
    chunk.bytes.len() + CHUNK_OVERHEAD
}
