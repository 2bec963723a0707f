//! Reads a feed from the segments.

use std::fs::File;
use std::io;
use std::sync::Arc;

use super::feed::{Feed, Place, gone};
use super::record::{self, Chunk};
use super::segment::{is_of, read_record};

/// The next part of a feed.
#[derive(Debug, PartialEq, Eq)]
pub enum Part {
    /// A chunk, from its first octet that was not read yet.
    Bytes(Chunk),
    /// Nothing more yet.
    Nothing,
    /// All of the session was read.
    End,
    /// Nothing more may be read.
    Cut,
}

/// One reader of one feed.
#[derive(Debug)]
pub struct FeedReader {
    feed: Arc<Feed>,
    reader: usize,
    /// The octets that were read.
    octet: u64,
    /// The segment that is read, and where in it.
    opened: Option<(u64, File, u64)>,
}

impl FeedReader {
    /// Reads the feed after this octet, which the reader wants.
    pub fn new(feed: Arc<Feed>, reader: usize, octet: u64) -> FeedReader {
        FeedReader { feed, reader, octet, opened: None }
    }

    /// Returns the feed.
    pub fn feed(&self) -> &Arc<Feed> {
        &self.feed
    }

    /// Returns the octets that were read.
    pub fn octet(&self) -> u64 {
        self.octet
    }

    /// Reads on. What was returned before is not wanted any more.
    ///
    /// # Errors
    /// The input is not, or no longer, in the journal, or cannot be read.
    pub fn next_part(&mut self) -> io::Result<Part> {
        let (number, path, magic) = match self.feed.go_on(self.reader, self.octet)? {
            Place::Segment(number, path, magic) => (number, path, magic),
            Place::Nothing => return Ok(Part::Nothing),
            Place::End => return Ok(Part::End),
            Place::Cut => return Ok(Part::Cut),
        };
        if self.opened.as_ref().is_none_or(|(opened, ..)| *opened != number) {
            let begin = u64::try_from(record::MAGIC.len()).expect("a length fits 64 bits");
            let file = File::open(path)?;
            if !is_of(&file, magic)? {
                return Err(gone());
            }
            self.opened = Some((number, file, begin));
        }
        let (_, file, offset) = self.opened.as_mut().expect("opened above if it was not");
        loop {
            // Records up to the end of the feed are whole; one after it may be being written.
            let size = file.metadata()?.len();
            let chunk = if *offset < size { read_record(file, *offset, size)? } else { None };
            let mut chunk = chunk.ok_or_else(gone)?;
            *offset += chunk.record_size();
            if chunk.end() <= self.octet {
                continue;
            }
            if chunk.start > self.octet {
                return Err(gone());
            }
            let known = usize::try_from(self.octet - chunk.start).unwrap_or(usize::MAX);
            if known > 0 {
                chunk.bytes = chunk.bytes.get(known..).unwrap_or_default().into();
                chunk.start = self.octet;
            }
            self.octet = chunk.end();
            return Ok(Part::Bytes(chunk));
        }
    }
}
