//! Messages that wait until it is known which router says them.

use crate::model::Timestamp;
use crate::wire::bmp::{self, Frame};

/// Messages in their order, as they were read.
#[derive(Debug, Default)]
pub struct Waiting {
    pieces: Vec<Piece>,
}

/// Messages that were read at once, without a gap between them: a small message costs its octets and no more.
#[derive(Debug)]
struct Piece {
    received_at: Timestamp,
    bytes: Vec<u8>,
}

impl Waiting {
    /// Adds a message.
    pub fn add(&mut self, frame: &Frame<'_>, received_at: Timestamp) {
        match self.pieces.last_mut() {
            Some(piece) if piece.received_at == received_at => piece.bytes.extend_from_slice(frame.bytes),
            _ => self.pieces.push(Piece { received_at, bytes: frame.bytes.to_vec() }),
        }
    }

    /// Returns how much memory the messages take, bytes.
    pub fn size(&self) -> usize {
        let bytes: usize = self.pieces.iter().map(|piece| piece.bytes.capacity()).sum();
        bytes + self.pieces.capacity() * size_of::<Piece>()
    }

    /// Gives each message to `take`, in order, until one fails.
    ///
    /// # Errors
    /// When `take` fails.
    pub(crate) fn drain<E>(self, mut take: impl FnMut(&Frame<'_>, Timestamp) -> Result<(), E>) -> Result<(), E> {
        for Piece { received_at, bytes } in self.pieces {
            let mut rest = bytes.as_slice();
            // They were cut out of the stream by the same rules.
            while let Ok(Some(frame)) = bmp::next_frame(rest, usize::MAX) {
                take(&frame, received_at)?;
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

    fn add(waiting: &mut Waiting, bytes: &[u8], second: u32) {
        waiting.add(&bmp::next_frame(bytes, usize::MAX).unwrap().unwrap(), Timestamp::from_wire(second, 0));
    }

    #[test]
    fn messages_come_back_in_their_order() {
        let mut waiting = Waiting::default();
        for (code, second) in [(0, 1), (1, 1), (2, 2), (3, 2), (4, 2)] {
            add(&mut waiting, &message(code, 6 + usize::from(code) * 1000), second);
        }
        let mut met = Vec::new();
        let result = waiting.drain(|frame, received_at| {
            met.push((frame.type_code, frame.bytes.len(), received_at.unix_micros() / 1_000_000));
            if frame.type_code == 3 { Err("here") } else { Ok(()) }
        });
        assert_eq!(result, Err("here"));
        assert_eq!(met, [(0, 6, 1), (1, 1006, 1), (2, 2006, 2), (3, 3006, 2)]);
    }

    #[test]
    fn small_messages_cost_little_more_than_their_octets() {
        let mut waiting = Waiting::default();
        (0..100_000).for_each(|_| add(&mut waiting, &message(1, 6), 1));
        assert!(waiting.size() < 2 * 600_000, "{}", waiting.size());
    }
}
