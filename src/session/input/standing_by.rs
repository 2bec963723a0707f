//! The input of a session that stands by: it is applied as it is read, and nothing of it is stored, so that a restart
//! needs nothing of it either. It is in memory alone, until the session takes its router over.

use std::sync::Arc;
use std::time::Duration;

use super::journaling::filled;
use super::{Inner, Input, InputProgress, StandbyInput};
use crate::journal::{Checkpoint, Stream};
use crate::model::Timestamp;

/// The number of a stream's first segment.
const FIRST_SEGMENT: u64 = 1;

impl Input {
    /// The session stands by. What was read and what will be is not kept, unless it `is_applied`.
    pub(in crate::session) fn stand_by(&self, is_applied: bool) {
        self.feed.iter().for_each(|feed| feed.cut());
        let mut inner = self.lock();
        if is_applied {
            inner.standby = Some(StandbyInput::Applied);
            // What has been applied is not stored.
            for chunk in std::mem::take(&mut inner.kept) {
                inner.bytes -= super::memory_of(&chunk);
            }
            // What the journal has of it is of no use to another process.
            inner.stream.iter().for_each(|stream| stream.note_over());
            inner.forget_applied();
        } else {
            inner.forget_loss();
            inner.forget_all();
            inner.marks.clear();
            let read = inner.read;
            (inner.begin, inner.taken, inner.journaled) = (read, read, read);
            (inner.standby, inner.is_behind, inner.refused_since) = (Some(StandbyInput::Dropped), false, None);
        }
        self.room.notify_one();
    }

    /// Returns whether it is sent on to other stations.
    pub(in crate::session) fn is_relayed(&self) -> bool {
        self.feed.is_some()
    }

    /// Returns the octets that were read.
    pub(in crate::session) fn read(&self) -> u64 {
        self.lock().read
    }

    /// Returns the octets that the session's thread has taken.
    pub(in crate::session) fn taken(&self) -> u64 {
        self.lock().taken
    }

    /// Returns how far the input of a session that stands by is applied, at this time.
    pub(in crate::session) fn progress(&self, now: Timestamp) -> Option<InputProgress> {
        let inner = self.lock();
        let heard_until = inner.last_read_at?;
        let waiting = inner.read - inner.taken;
        let oldest = inner.marks.iter().find(|(end, _)| *end > inner.taken).map(|(_, at)| *at);
        let micros = oldest.filter(|_| waiting > 0).map_or(0, |at| now.unix_micros().saturating_sub(at.unix_micros()));
        Some(InputProgress { heard_until, lag: Duration::from_micros(u64::try_from(micros).unwrap_or(0)), waiting })
    }

    /// The session is about to take its router over. What comes after the checkpoint is in the journal.
    pub(in crate::session) fn take_over(&self, checkpoint: Checkpoint) {
        let mut inner = self.lock();
        inner.forget_applied();
        inner.drop_stream();
        inner.standby = None;
        (inner.journaled, inner.begin) = (inner.taken, inner.taken);
        if self.journal.is_off() {
            return;
        }
        let octet = inner.taken;
        let checkpoint = Checkpoint { octet, ..checkpoint };
        let waiting: Vec<_> = inner.waiting.iter().map(Arc::clone).collect();
        let begun = Stream::create(&self.journal, self.number, &checkpoint)
            .and_then(|stream| self.begin_at(stream, octet))
            .and_then(|stream| filled(stream, waiting.iter().map(|chunk| &**chunk)));
        match begun {
            Ok(stream) => {
                // They wait in memory, too.
                (inner.stream, inner.journaled) = (Some(stream), inner.read);
            }
            Err(error) => self.journal.note_error(&error),
        }
    }

    /// The session has taken its router over: everything up to this checkpoint is on the way to the writers, and the
    /// tables have begun. It replaces the one before.
    pub(in crate::session) fn has_taken_over(&self, checkpoint: Checkpoint) {
        let mut inner = self.lock();
        let checkpoint = Checkpoint { octet: inner.taken, ..checkpoint };
        let begun = inner.stream.as_mut().map(|stream| stream.store_checkpoint(FIRST_SEGMENT, &checkpoint));
        if let Some(Err(error)) = begun {
            self.journal.note_error(&error);
        }
    }
}

impl Inner {
    /// Returns whether what is read now goes nowhere but to the session's thread.
    pub(super) fn is_in_memory(&self) -> bool {
        self.standby.is_some() && self.stream.is_none()
    }

    /// Lets go of what a session that stands by has applied.
    pub(super) fn forget_applied(&mut self) {
        if self.standby != Some(StandbyInput::Applied) {
            return;
        }
        self.begin = self.taken;
        while self.marks.front().is_some_and(|(end, _)| *end <= self.taken) {
            self.marks.pop_front();
        }
        if self.taken == self.read {
            self.drop_stream();
            (self.is_behind, self.journaled, self.refused_since) = (false, self.read, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::Next;
    use super::*;
    use crate::journal::Journal;
    use crate::model::RouterId;
    use crate::pipeline::Ownership;

    #[test]
    fn a_stream_begins_later_where_all_before_is_stored() {
        let folder = std::env::temp_dir().join(format!("rib-ingester-take-over-{}", std::process::id()));
        let (journal, _) = Journal::open(&folder, Some(1 << 30)).unwrap();
        let input = Input::new(1, "192.0.2.1".parse().unwrap(), &journal);
        let at = Timestamp::from_unix_micros(7);
        let router = RouterId::new("10.0.0.1");
        let append = || assert!(input.append(at, [1; 5].into()));
        input.identify(&router);
        input.stand_by(true);
        append();
        assert!(matches!(input.next(Duration::ZERO), Next::Chunk(..)));
        // Its stream cannot be created.
        let stream = folder.join(format!("{:020}", 1));
        fs::write(&stream, "").unwrap();
        let owner = Arc::new(Ownership::new(router.clone(), 1, Arc::default()));
        input.settle(&owner);
        input.take_over(Checkpoint::of_beginning(input.session(), input.source_address(), at));
        fs::remove_file(&stream).unwrap();
        append();
        assert!(!stream.exists(), "what is before it is not stored");
        owner.progress.set_processed(10);
        append();
        let due = input.due_before(10).unwrap();
        input.store_checkpoint(&due, Checkpoint::of_beginning(input.session(), input.source_address(), at));
        drop((input, journal));
        let (_journal, mut left) = Journal::open(&folder, Some(1 << 30)).unwrap();
        let (stream, found) = left.remove(0);
        assert_eq!((stream.acknowledged(), found.octet, found.router), ([10; 2], 10, Some(router)));
        fs::remove_dir_all(&folder).unwrap();
    }
}
