//! The part of a stream that the database has and that need not be read again.

use super::{Place, Segment, Stream};
use crate::journal::Checkpoint;
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
}
