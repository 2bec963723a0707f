//! The part of a stream that the database has and that need not be read again.

use std::io;

use super::segment::{is_of, is_unfinished, read_record};
use super::{Place, Segment, Stream, record};
use crate::journal::{Checkpoint, Chunk};
use crate::model::RouterId;

impl Stream {
    /// Has reading begin at the last checkpoint at or before octet `stored` of the input, and returns it; `None` if
    /// reading begins there anyway, or it cannot be read. What is passed over goes as all input that is stored.
    pub(crate) fn skip_stored(&mut self, stored: u64) -> Option<Checkpoint> {
        let is_stored = |segment: &Segment| segment.checkpoint.is_some() && segment.start <= stored;
        let place = (0..self.segments.len()).rev().find(|place| is_stored(&self.segments[*place]))?;
        let (number, octet) = (self.segments[place].number, self.segments[place].start);
        if place == 0 {
            return None;
        }
        // One that is damaged costs no more than the reading.
        let (mut checkpoint, _) = Checkpoint::load(&self.checkpoint_path(number)).ok()??;
        self.segments.iter_mut().take(place).for_each(|segment| segment.end = segment.end.min(octet));
        (self.reading, self.expected) = (Place { segment: number, offset: 0 }, Some(octet));
        if checkpoint.router.is_none() {
            checkpoint.router = self.text_in("router").map(|router| RouterId::new(&router));
        }
        Some(checkpoint)
    }

    /// Returns the last chunk; `None`: there is none in the last segment that has any, or something after it cannot be
    /// read.
    ///
    /// # Errors
    /// When the file system fails.
    pub(crate) fn last_chunk(&mut self) -> io::Result<Option<Chunk>> {
        let head = u64::try_from(record::MAGIC.len()).expect("a length fits 64 bits");
        let Some(segment) = self.segments.iter().rev().find(|segment| segment.size > head) else { return Ok(None) };
        let (number, size) = (segment.number, segment.size);
        let (mut offset, mut last, magic) = (head, None, self.magic);
        if !is_of(self.open(number)?, magic)? {
            return Ok(None);
        }
        while offset < size {
            let file = self.open(number)?;
            let Some(chunk) = read_record(file, offset, size)? else {
                // The last record may not have been written as a whole.
                return Ok(last.filter(|_| is_unfinished(file, offset, size).unwrap_or(false)));
            };
            offset += chunk.record_size();
            last = Some(chunk);
        }
        Ok(last)
    }

    /// Has reading go on after the last segment: all of it is stored.
    pub(crate) fn skip_all(&mut self) {
        if let Some(last) = self.segments.back() {
            self.reading = Place { segment: last.number, offset: last.size };
        }
    }
}
