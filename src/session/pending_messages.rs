//! Messages that wait until it is known which router says them.

use crate::model::Timestamp;
use crate::wire::bmp::{self, Frame};

/// Messages in their order, as they were read.
#[derive(Debug, Default)]
pub struct PendingMessages {
    pieces: Vec<Piece>,
}

/// Messages that were read at once, without a gap between them: a small message costs its octets and no more.
#[derive(Debug)]
struct Piece {
    received_at: Timestamp,
    /// The octets of the session's input before it.
    start: u64,
    bytes: Vec<u8>,
}

impl Piece {
    fn end(&self) -> u64 {
        self.start + octets(&self.bytes)
    }
}

fn octets(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).expect("a length fits 64 bits")
}

impl PendingMessages {
    /// Adds a message that is after `start` octets of the session's input.
    pub fn add(&mut self, frame: &Frame<'_>, received_at: Timestamp, start: u64) {
        match self.pieces.last_mut() {
            Some(piece) if piece.received_at == received_at && piece.end() == start => {
                piece.bytes.extend_from_slice(frame.bytes);
            }
            _ => self.pieces.push(Piece { received_at, start, bytes: frame.bytes.to_vec() }),
        }
    }

    /// Returns how much memory the messages take, bytes.
    pub fn size(&self) -> usize {
        let bytes: usize = self.pieces.iter().map(|piece| piece.bytes.capacity()).sum();
        bytes + self.pieces.capacity() * size_of::<Piece>()
    }

    /// Gives each message to `take`, in order, with its time of receipt and the octets before it, until one fails.
    ///
    /// # Errors
    /// When `take` fails.
    pub(crate) fn drain<E>(self, mut take: impl FnMut(&Frame<'_>, Timestamp, u64) -> Result<(), E>) -> Result<(), E> {
        for Piece { received_at, mut start, bytes } in self.pieces {
            let mut rest = bytes.as_slice();
            // They were cut out of the stream by the same rules.
            while let Ok(Some(frame)) = bmp::next_frame(rest, usize::MAX) {
                take(&frame, received_at, start)?;
                start += octets(frame.bytes);
                rest = &rest[frame.bytes.len()..];
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(type_code: u8, length: usize) -> Vec<u8> {
        let mut bytes = vec![3];
        bytes.extend(u32::try_from(length).unwrap().to_be_bytes());
        bytes.push(type_code);
        bytes.resize(length, 7);
        bytes
    }

    fn add(pending: &mut PendingMessages, bytes: &[u8], second: u32, start: u64) {
        pending.add(&bmp::next_frame(bytes, usize::MAX).unwrap().unwrap(), Timestamp::from_wire(second, 0), start);
    }

    #[test]
    fn messages_come_back_in_their_order() {
        let mut pending = PendingMessages::default();
        // Another message stands before the third and before the fourth.
        for (code, second, start) in [(0, 1, 100), (1, 1, 106), (2, 2, 2_000), (3, 2, 9_000), (4, 2, 12_006)] {
            add(&mut pending, &message(code, 6 + usize::from(code) * 1000), second, start);
        }
        let mut met = Vec::new();
        let result = pending.drain(|frame, received_at, start| {
            met.push((frame.type_code, frame.bytes.len(), received_at.unix_micros() / 1_000_000, start));
            if frame.type_code == 3 { Err("here") } else { Ok(()) }
        });
        assert_eq!(result, Err("here"));
        assert_eq!(met, [(0, 6, 1, 100), (1, 1006, 1, 106), (2, 2006, 2, 2_000), (3, 3006, 2, 9_000)]);
    }

    #[test]
    fn small_messages_cost_little_more_than_their_octets() {
        let mut pending = PendingMessages::default();
        (0..100_000).for_each(|i| add(&mut pending, &message(1, 6), 1, i * 6));
        assert!(pending.size() < 2 * 600_000, "{}", pending.size());
    }
}
