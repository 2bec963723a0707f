//! Messages that wait until it is known which router says them.

use crate::model::Timestamp;
use crate::wire::bmp::Frame;

/// So many octets wait at most; the surplus is lost, which a router that names itself never comes near.
const OCTETS_MAX: usize = 16 * 1024 * 1024;

/// Messages in their order.
#[derive(Debug, Default)]
pub struct Waiting {
    messages: Vec<Message>,
    octets: usize,
}

#[derive(Debug)]
struct Message {
    version: u8,
    type_code: u8,
    bytes: Box<[u8]>,
    received_at: Timestamp,
}

impl Waiting {
    /// Adds a message; whether there was room for it.
    pub fn add(&mut self, frame: &Frame<'_>, received_at: Timestamp) -> bool {
        if self.octets + frame.bytes.len() > OCTETS_MAX {
            return false;
        }
        self.octets += frame.bytes.len();
        let Frame { version, type_code, bytes } = *frame;
        self.messages.push(Message { version, type_code, bytes: bytes.into(), received_at });
        true
    }

    /// Gives each message to `take`, in order, until one fails.
    ///
    /// # Errors
    /// What `take` says.
    pub fn drain<E>(self, mut take: impl FnMut(&Frame<'_>, Timestamp) -> Result<(), E>) -> Result<(), E> {
        self.messages.iter().try_for_each(|message| {
            let Message { version, type_code, ref bytes, received_at } = *message;
            take(&Frame { version, type_code, bytes }, received_at)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_back_in_their_order_and_are_bounded() {
        let mut waiting = Waiting::default();
        let large = vec![7; 1 << 20];
        let time = Timestamp::from_wire(1, 0);
        let count =
            (0u8..20).filter(|i| waiting.add(&Frame { version: 3, type_code: *i, bytes: &large }, time)).count();
        assert_eq!(count, 16);
        let mut codes = Vec::new();
        waiting
            .drain(|frame, _| {
                codes.push(frame.type_code);
                if frame.type_code == 3 { Err(frame.bytes.len()) } else { Ok(()) }
            })
            .unwrap_err();
        assert_eq!(codes, [0, 1, 2, 3]);
    }
}
