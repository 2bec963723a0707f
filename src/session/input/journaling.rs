//! The way of input into the journal and out of it: what it refuses, and what the database has.

use std::io;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::super::end::{Cause, SessionEnd};
use super::{Fate, Inner, Input, KEPT_MAX, KEPT_STORED, STORED_MARK_EVERY, memory_of};
use crate::journal::{Checkpoint, Chunk, JournalError, Stream};

/// The time that the database has to take input that the journal refuses.
const REFUSED_MAX: Duration = Duration::from_secs(5);

impl Input {
    /// Returns whether the socket is left unread: nothing may run ahead of the check whether a session without a name
    /// says too much, nor of the memory where there is no journal.
    pub(super) fn must_wait(&self, inner: &Inner, memory: usize) -> bool {
        let is_unnamed = self.router.get().is_none() && !inner.waiting.is_empty();
        is_unnamed
            || (self.journal.is_off() || inner.is_in_memory()) && inner.bytes > 0 && inner.bytes + memory > KEPT_MAX
    }

    /// Brings a chunk to the journal. One that it does not take is kept in memory, as are all after it, until the
    /// database has them.
    pub(super) fn write(&self, inner: &mut Inner, chunk: &Chunk) {
        if self.journal.is_off() {
            return;
        }
        // A stream that begins later could not be created when the session took its router over.
        let follows = inner.journaled == chunk.start && (inner.stream.is_some() || chunk.start == 0);
        if !follows {
            // What is not in the journal cannot be relayed.
            self.feed.iter().for_each(|feed| feed.lose());
            if self.stored().is_none_or(|stored| stored < chunk.start) {
                return;
            }
        }
        let beginning = || Checkpoint::of_beginning(&self.session, self.source_address, chunk.received_at);
        let written = match &mut inner.stream {
            Some(stream) if inner.journaled < chunk.start => {
                // What is between is stored.
                stream.turn_over(chunk.start).and_then(|_| stream.append(chunk))
            }
            Some(stream) => stream.append(chunk),
            none => {
                let created = match chunk.start {
                    0 => Stream::create(&self.journal, self.number, &beginning()),
                    octet => Stream::create_at(&self.journal, self.number, &self.session, octet)
                        .and_then(|stream| self.begin_at(stream, octet)),
                };
                created.and_then(|stream| filled(stream, [chunk])).map(|stream| *none = Some(stream))
            }
        };
        match written {
            Ok(()) => {
                inner.journaled = chunk.end();
                if let (Some(feed), Some(stream)) = (&self.feed, &inner.stream) {
                    feed.appended(stream.last_segment(), chunk);
                }
            }
            Err(error) => self.journal.note_error(&error),
        }
    }

    /// Notes in a stream that begins after the session's first octet what precedes it: that is stored, or is on its way to
    /// the writers. A process that finds less stored says that there is a gap.
    pub(super) fn begin_at(&self, stream: Stream, octet: u64) -> Result<Stream, JournalError> {
        self.router.get().iter().for_each(|router| stream.note_router(router));
        match stream.note_acknowledged([octet; 2]) {
            Ok(()) => Ok(stream),
            Err(error) => {
                stream.remove();
                Err(error.into())
            }
        }
    }

    /// Gives up input that the journal refuses and that the database does not take.
    pub(super) fn judge_refused(&self, inner: &mut Inner) {
        if inner.journaled == inner.read || self.journal.is_off() || self.stored() == Some(inner.read) {
            inner.refused_since = None;
            return;
        }
        let since = *inner.refused_since.get_or_insert_with(Instant::now);
        if (since.elapsed() >= REFUSED_MAX || inner.bytes > KEPT_MAX) && inner.end.is_none() {
            let end = SessionEnd::new(Cause::Journal, self.journal.why_not());
            inner.note_loss(self, &end.to_string());
            inner.end = Some(end);
            self.news.notify_one();
        }
    }

    /// Lets go of what the database has.
    pub(super) fn forget_stored(&self, inner: &mut Inner) {
        let Some(stored) = self.stored() else { return };
        while inner.marks.front().is_some_and(|(end, _)| *end <= stored) {
            inner.marks.pop_front();
        }
        while let Some(chunk) = inner.kept.front().filter(|chunk| chunk.end() <= stored) {
            inner.bytes -= memory_of(chunk);
            inner.kept.pop_front();
            self.room.notify_one();
        }
        let is_half_full = self.journal.is_half_full();
        if inner.fate == Fate::Complete && stored >= inner.read {
            inner.forget_loss();
            match (&self.feed, &inner.stream) {
                (Some(feed), Some(stream)) if !is_half_full && !feed.is_read() => stream.note_over(),
                _ => inner.forget_all(),
            }
            return;
        }
        let wanted = self.feed.as_ref().map_or(u64::MAX, |feed| feed.unwanted());
        let released = if is_half_full { stored } else { inner.stored_for_long(stored).min(wanted) };
        let Some(stream) = &mut inner.stream else { return };
        if let Err(error) = stream.release(released, self.acknowledged()) {
            log::error!("journal: {}: {error}", stream.folder().display());
        }
        self.feed.iter().for_each(|feed| feed.removed_before(stream.ends().0));
    }

    /// Returns the chunks with any of these octets of a session whose router is not identified, of which nothing is let
    /// go; those that cannot be read are missing.
    pub(crate) fn again(&self, octets: &Range<u64>) -> Vec<Chunk> {
        let mut chunks = Vec::new();
        if let Err(error) = self.lock().reread(octets, |chunk| chunks.push(chunk.clone())) {
            self.journal.note_error(&error.into());
        }
        chunks
    }

    /// Returns the reader of the feed for which the session has to be closed, and gives another one that begins in the
    /// middle the messages that stay valid; everything that was taken is applied.
    pub(crate) fn serve_feed(&self, peer_ups: impl FnOnce() -> Vec<u8>) -> Option<String> {
        let feed = self.feed.as_ref()?;
        if feed.is_middle_wanted() {
            feed.begin_middle(self.lock().taken, peer_ups());
        }
        feed.take_wanted_dump()
    }
}

/// Returns a new stream with these chunks; without all of them it is removed, so that it can be created again.
pub(super) fn filled<'a>(
    mut stream: Stream,
    chunks: impl IntoIterator<Item = &'a Chunk>,
) -> Result<Stream, JournalError> {
    match chunks.into_iter().try_for_each(|chunk| stream.append(chunk)) {
        Ok(()) => Ok(stream),
        Err(error) => {
            stream.remove();
            Err(error)
        }
    }
}

impl Inner {
    /// Gives each chunk with any of these octets to `each` once more, as far as it is kept.
    pub(super) fn reread(&self, octets: &Range<u64>, mut each: impl FnMut(&Chunk)) -> io::Result<()> {
        let read = self.stream.as_ref().map_or(Ok(()), |stream| stream.reread(octets, &mut each));
        let in_memory = self.kept.iter().chain(&self.waiting).filter(|chunk| chunk.start >= self.journaled);
        in_memory.filter(|chunk| chunk.start < octets.end).for_each(|chunk| each(chunk));
        read
    }

    /// Notes what is stored now. Returns the octets that have been stored for [`KEPT_STORED`].
    fn stored_for_long(&mut self, stored: u64) -> u64 {
        if self.stored_marks.back().is_none_or(|(at, octets)| *octets < stored && at.elapsed() >= STORED_MARK_EVERY) {
            self.stored_marks.push_back((Instant::now(), stored));
        }
        while let Some((_, octets)) = self.stored_marks.front().filter(|(at, _)| at.elapsed() >= KEPT_STORED) {
            self.stored_for_long = *octets;
            self.stored_marks.pop_front();
        }
        self.stored_for_long
    }
}
