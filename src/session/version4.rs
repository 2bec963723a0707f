//! Observations on the BMP version 4 messages (draft-ietf-grow-bmp-tlv) of a session: the numbering of their TLVs, and
//! gaps in their Sequence Numbers.

use crate::wire::bmp::Revision;

/// The state of these observations for one session.
#[derive(Debug, Default)]
pub(crate) struct Version4 {
    /// The number of messages of any kind.
    messages: u64,
    /// The latest Sequence Number, and the number of messages up to and including the one that had it.
    last: Option<(u64, u64)>,
    /// True for each revision of the draft that was logged.
    logged: [bool; 3],
}

impl Version4 {
    /// Counts a message and its Sequence Number, if it has one. Returns whether messages are missing before it, or the
    /// number does not increase.
    ///
    /// Numbers start at 0 and increase by one per message (section 5.6.2). A router that numbers some messages only has
    /// no gap as long as the number does not increase by more than the count of messages.
    pub(super) fn is_hole(&mut self, number: Option<u64>) -> bool {
        self.messages += 1;
        let Some(number) = number else { return false };
        let before = self.last.replace((number, self.messages));
        before.is_some_and(|(last, messages)| number <= last || number - last > self.messages - messages)
    }

    /// Returns whether this revision is seen for the first time.
    pub(super) fn is_news(&mut self, revision: Revision) -> bool {
        let logged = match revision {
            Revision::UpTo19 => &mut self.logged[0],
            Revision::Of20 => &mut self.logged[1],
            Revision::Of21 => &mut self.logged[2],
        };
        !std::mem::replace(logged, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hole_is_more_numbers_than_messages() {
        let check = |numbers: &[Option<u64>], want: &[usize]| {
            let mut session = Version4::default();
            let holes: Vec<usize> = (0..numbers.len()).filter(|message| session.is_hole(numbers[*message])).collect();
            assert_eq!(holes, want, "{numbers:?}");
        };
        check(&[Some(0), Some(1), Some(2)], &[]);
        check(&[Some(7), Some(8)], &[]);
        check(&[Some(0), Some(2), Some(3)], &[1]);
        check(&[Some(4), Some(4), Some(3), Some(u64::MAX)], &[1, 2, 3]);
        // Peer Ups without a number, counted or not.
        check(&[Some(0), None, None, Some(3)], &[]);
        check(&[Some(0), None, None, Some(1)], &[]);
        check(&[Some(0), None, None, Some(4)], &[3]);
        check(&[None, None], &[]);
    }
}
