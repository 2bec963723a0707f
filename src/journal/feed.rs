//! The input of a session for readers besides its own thread: each reads it from the segments, at its own pace.
//!
//! A segment is not removed as long as a reader wants it, except when the journal is more than half full. A reader that
//! comes too late for the first octet begins in the middle: with the messages that stay valid, which the session's thread
//! gives it, and the input after them.

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::record::{Chunk, Magic};
use super::segment;
use crate::model::RouterId;

/// The time that a session has to get its router before it is read anyway: one that will stand by should not be read at
/// all.
const CLAIM_TIME: Duration = Duration::from_secs(5);

/// The least time between two sessions that are closed for a new dump.
const DUMP_EVERY: Duration = Duration::from_secs(1);

/// The feeds of all sessions, for a fixed number of readers.
#[derive(Debug, Default)]
pub struct Feeds {
    readers: usize,
    /// The number of feeds that were ever opened.
    opened: AtomicU64,
    list: Mutex<Vec<Arc<Feed>>>,
    /// When a session was last asked for a new dump.
    asked: Mutex<Option<Instant>>,
}

/// One session's input, for all readers.
#[derive(Debug)]
pub struct Feed {
    /// The address of the router.
    pub source: IpAddr,
    folder: PathBuf,
    began: Instant,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// The numbers of the segments that are there, and their first octets, in order.
    segments: VecDeque<(u64, u64)>,
    /// The first octets of them.
    magic: Magic,
    /// The octets that were appended.
    end: u64,
    router: Option<RouterId>,
    /// True once the session may write its router.
    is_claimed: bool,
    /// True when nothing more will be appended.
    is_over: bool,
    /// True when nothing more may be read.
    is_cut: bool,
    /// True when some of it is not in the journal.
    is_lost: bool,
    readers: Vec<Position>,
    /// The name of a reader that wants the session closed for a new dump.
    wanted_dump: Option<String>,
    /// True if a reader wants to begin in the middle.
    is_middle_wanted: bool,
    /// The messages that stay valid, and the octets after which they were.
    middle: Option<(u64, Arc<[u8]>)>,
}

/// The part of a feed that a reader still wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    /// All octets after this one.
    At(u64),
    /// Nothing now; it has missed the beginning.
    Missed,
    /// Nothing ever again.
    Done,
}

/// The place in the journal where a reader goes on.
pub(super) enum Place {
    /// In the segment of this number, at this path, with these first octets.
    Segment(u64, PathBuf, Magic),
    /// Nothing more was appended yet.
    Nothing,
    /// All of the session was read.
    End,
    /// Nothing more may be read.
    Cut,
}

/// The relation of a reader to a feed that it meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReaderState {
    /// Its session may still turn out to stand by, or nothing was appended.
    Early,
    /// It can be read from its first octet.
    Ready,
    /// The reader missed its beginning, or stopped in its middle.
    Missed,
    /// There is nothing to be read, and there never will be.
    Over,
}

impl Feeds {
    /// Returns the feeds for this number of readers; 0: none is ever opened.
    pub fn new(readers: usize) -> Feeds {
        Feeds { readers, ..Feeds::default() }
    }

    /// Opens the feed of a session that begins, whose stream is in this folder; `None` where nobody reads.
    pub(super) fn open(&self, folder: PathBuf, source: IpAddr) -> Option<Arc<Feed>> {
        if self.readers == 0 {
            return None;
        }
        let inner = Inner {
            segments: VecDeque::new(),
            magic: Magic::default(),
            end: 0,
            router: None,
            is_claimed: false,
            is_over: false,
            is_cut: false,
            is_lost: false,
            readers: vec![Position::At(0); self.readers],
            wanted_dump: None,
            is_middle_wanted: false,
            middle: None,
        };
        let feed = Arc::new(Feed { source, folder, began: Instant::now(), inner: Mutex::new(inner) });
        let mut list = lock(&self.list);
        list.retain(|feed| !feed.is_done());
        list.push(Arc::clone(&feed));
        self.opened.fetch_add(1, Ordering::AcqRel);
        Some(feed)
    }

    /// Returns the number of feeds that were ever opened: a reader that has seen as many has met all.
    pub fn opened(&self) -> u64 {
        self.opened.load(Ordering::Acquire)
    }

    /// Returns the feeds that some reader may want.
    pub fn all(&self) -> Vec<Arc<Feed>> {
        lock(&self.list).clone()
    }

    /// Asks a session for a new dump, for the reader of this name, at most one a second of all sessions. Returns whether
    /// it was asked.
    pub fn ask_for_dump(&self, feed: &Feed, name: &str) -> bool {
        let mut asked = lock(&self.asked);
        let is_early = asked.is_some_and(|at| at.elapsed() < DUMP_EVERY);
        if is_early {
            return false;
        }
        *asked = Some(Instant::now());
        feed.lock().wanted_dump.get_or_insert_with(|| name.to_owned());
        true
    }
}

/// The side of the session.
impl Feed {
    /// A chunk was appended to this segment, which has these first octets.
    pub(crate) fn appended(&self, (segment, magic): (u64, Magic), chunk: &Chunk) {
        let mut inner = self.lock();
        inner.magic = magic;
        if inner.segments.back().is_none_or(|(number, _)| *number < segment) {
            inner.segments.push_back((segment, chunk.start));
        }
        inner.end = chunk.end();
    }

    /// The segments before this one were removed.
    pub(crate) fn removed_before(&self, segment: u64) {
        let mut inner = self.lock();
        while inner.segments.front().is_some_and(|(number, _)| *number < segment) {
            inner.segments.pop_front();
        }
    }

    /// The session knows its router.
    pub(crate) fn identify(&self, router: &RouterId) {
        self.lock().router = Some(router.clone());
    }

    /// The session may write its router.
    pub(crate) fn claim(&self) {
        self.lock().is_claimed = true;
    }

    /// Nothing more will be appended.
    pub(crate) fn end(&self) {
        self.lock().is_over = true;
    }

    /// Nothing more may be read.
    pub(crate) fn cut(&self) {
        self.lock().is_cut = true;
    }

    /// The journal did not take the input: nothing more can be read.
    pub(crate) fn lose(&self) {
        self.lock().is_lost = true;
    }

    /// Returns the octets that no reader wants any more.
    pub(crate) fn unwanted(&self) -> u64 {
        self.lock().unwanted()
    }

    /// Returns whether all of a session that is over was read, or is not wanted.
    pub(crate) fn is_read(&self) -> bool {
        let inner = self.lock();
        inner.is_cut || inner.is_lost || inner.unwanted() >= inner.end
    }

    /// Returns the reader for which the session has to be closed, once.
    pub(crate) fn take_wanted_dump(&self) -> Option<String> {
        self.lock().wanted_dump.take()
    }

    /// Returns whether a reader wants to begin in the middle.
    pub(crate) fn is_middle_wanted(&self) -> bool {
        self.lock().is_middle_wanted
    }

    /// Lets readers begin after `octet` with these messages, which the router has sent before and which stay valid.
    pub(crate) fn begin_middle(&self, octet: u64, messages: Vec<u8>) {
        let mut inner = self.lock();
        inner.middle = Some((octet, messages.into()));
        inner.is_middle_wanted = false;
    }
}

/// The side of the readers, which are numbered from 0.
impl Feed {
    /// Returns the router in the log.
    pub fn subject(&self) -> String {
        match &self.lock().router {
            Some(router) => format!("router {router}"),
            None => format!("router at {}", self.source),
        }
    }

    /// Returns what a reader that does not read has to do.
    pub fn state_of(&self, reader: usize) -> ReaderState {
        let inner = self.lock();
        let is_nothing = inner.end == 0 || !inner.is_claimed;
        match inner.readers.get(reader) {
            None | Some(Position::Done) => ReaderState::Over,
            _ if inner.is_cut || inner.is_lost || inner.is_over && is_nothing => ReaderState::Over,
            Some(Position::Missed) if inner.is_over => ReaderState::Over,
            Some(Position::At(0)) if inner.end == 0 || !inner.is_claimed && self.began.elapsed() < CLAIM_TIME => {
                ReaderState::Early
            }
            Some(Position::At(0)) => ReaderState::Ready,
            Some(Position::At(_) | Position::Missed) => ReaderState::Missed,
        }
    }

    /// Wants all of the input, if its first octet is there. Returns whether it is.
    pub fn want_all(&self, reader: usize) -> bool {
        let mut inner = self.lock();
        let is_there = inner.segments.front().map_or(inner.end, |(_, start)| *start) == 0;
        if is_there {
            inner.set(reader, Position::At(0));
        }
        is_there
    }

    /// Wants what comes from now on. Returns the messages that come before it, and the octet after which they are valid,
    /// once the session has given them.
    pub fn want_rest(&self, reader: usize) -> Option<(u64, Arc<[u8]>)> {
        let mut inner = self.lock();
        let Some((octet, messages)) = inner.middle.take() else {
            inner.is_middle_wanted = true;
            return None;
        };
        inner.set(reader, Position::At(octet));
        Some((octet, messages))
    }

    /// Wants nothing now.
    pub fn miss(&self, reader: usize) {
        self.lock().forgo(reader, Position::Missed);
    }

    /// Wants nothing ever again.
    pub fn leave(&self, reader: usize) {
        self.lock().forgo(reader, Position::Done);
    }

    /// Returns the segment in which a reader goes on after this octet, and its path. What is before is not wanted by it
    /// any more.
    ///
    /// # Errors
    /// The input is not, or no longer, in the journal.
    pub(super) fn go_on(&self, reader: usize, octet: u64) -> io::Result<Place> {
        let mut inner = self.lock();
        inner.set(reader, Position::At(octet));
        if inner.is_cut {
            return Ok(Place::Cut);
        }
        if inner.is_lost {
            return Err(io::Error::other("the journal does not take the session's input"));
        }
        if octet >= inner.end {
            return Ok(if inner.is_over { Place::End } else { Place::Nothing });
        }
        let before = inner.segments.iter().rev().find(|(_, start)| *start <= octet);
        let number = before.map(|(number, _)| *number).ok_or_else(gone)?;
        Ok(Place::Segment(number, segment::path(&self.folder, number), inner.magic))
    }

    /// Returns the octets that were appended.
    pub fn octets(&self) -> u64 {
        self.lock().end
    }

    fn is_done(&self) -> bool {
        self.lock().readers.iter().all(|position| *position == Position::Done)
    }

    /// A panic elsewhere leaves it whole: every change is a single assignment.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }
}

impl Inner {
    fn set(&mut self, reader: usize, position: Position) {
        if let Some(known) = self.readers.get_mut(reader).filter(|known| **known != Position::Done) {
            *known = position;
        }
    }

    /// A beginning in the middle that another reader waits for is made again.
    fn forgo(&mut self, reader: usize, position: Position) {
        self.set(reader, position);
        (self.middle, self.is_middle_wanted) = (None, false);
    }

    fn unwanted(&self) -> u64 {
        let wanted = self.readers.iter().filter_map(|position| match position {
            Position::At(octet) => Some(*octet),
            Position::Missed | Position::Done => None,
        });
        wanted.chain(self.middle.as_ref().map(|(octet, _)| *octet)).min().unwrap_or(u64::MAX)
    }
}

/// Returns the error for input that was removed.
pub(super) fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "the journal no longer has it")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "feed_tests.rs"]
mod tests;
