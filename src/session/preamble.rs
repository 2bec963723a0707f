//! What a router said that holds until it says otherwise: its Initiation, and the Peer Ups of the peers that are up.

use std::collections::HashMap;

use super::peers::{PEERS_MAX, PeerId};
use crate::wire::bmp::{self, Frame};

/// So many Initiations are kept; a router sends one.
const INITIATIONS_MAX: usize = 4;

/// So many Peer Ups of one peer are kept, one per family at most in the field.
const UPS_MAX: usize = 16;

/// The messages that a later reader of the session's input has to have read before.
#[derive(Debug, Default)]
pub struct Preamble {
    initiations: Vec<Box<[u8]>>,
    /// By peer as the session tells them apart.
    ups: HashMap<PeerId, Vec<Numbered>>,
    /// Keeps the Peer Ups in their order.
    count: u64,
}

/// A message, and its place among all.
type Numbered = (u64, Box<[u8]>);

/// Whether a message changes what holds for later ones.
pub fn is_lasting(frame: &Frame<'_>) -> bool {
    matches!(frame.type_code, 2..=4)
}

impl Preamble {
    /// Takes in a message that [`is_lasting`]; others are passed over.
    pub fn take(&mut self, frame: &Frame<'_>) {
        match (frame.type_code, bmp::decode_peer(frame)) {
            (4, _) if self.initiations.len() < INITIATIONS_MAX => self.initiations.push(frame.bytes.into()),
            (3, Some(header)) => {
                let peer = PeerId::of(&header.peer);
                if self.ups.len() >= PEERS_MAX && !self.ups.contains_key(&peer) {
                    return;
                }
                self.count += 1;
                let ups = self.ups.entry(peer).or_default();
                if ups.len() >= UPS_MAX {
                    ups.remove(0);
                }
                ups.push((self.count, frame.bytes.into()));
            }
            (2, Some(header)) => {
                let peer = PeerId::of(&header.peer);
                if self.ups.remove(&peer).is_none()
                    && let Some(meant) = peer.meant(self.ups.keys())
                {
                    self.ups.remove(&meant);
                }
            }
            _ => {}
        }
    }

    /// All of them, in the order in which they came.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut ups: Vec<_> = self.ups.values().flatten().collect();
        ups.sort_unstable_by_key(|(number, _)| *number);
        let ups = ups.into_iter().map(|(_, bytes)| bytes);
        self.initiations.iter().chain(ups).flat_map(|bytes| bytes.iter().copied()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(type_code: u8, peer_type: u8, peer: u8, mark: u8) -> Vec<u8> {
        let mut bytes = vec![3, 0, 0, 0, 49, type_code, peer_type];
        bytes.resize(48, 0);
        bytes[31] = peer;
        bytes.push(mark);
        bytes
    }

    #[test]
    fn what_was_said_last_holds_and_a_peer_down_ends_it() {
        let mut preamble = Preamble::default();
        let mut take = |bytes: &[u8]| preamble.take(&bmp::next_frame(bytes, 100).unwrap().unwrap());
        let initiation = [3, 0, 0, 0, 6, 4];
        take(&initiation);
        take(&message(3, 3, 0, 1));
        take(&message(3, 0, 7, 2));
        take(&message(3, 0, 8, 3));
        take(&message(3, 3, 0, 4));
        take(&message(2, 0, 7, 0));
        take(&message(2, 0, 99, 0));
        take(&message(0, 0, 8, 0));
        let ups = [message(3, 3, 0, 1), message(3, 0, 8, 3), message(3, 3, 0, 4)];
        assert_eq!(preamble.to_bytes(), [&initiation[..], &ups.concat()].concat());
    }
    /// A neighbour at an address that others have, too, told apart by one of its other fields.
    fn neighbour(type_code: u8, link_local: bool, distinguisher: u8, asn: u8, bgp_id: u8) -> Vec<u8> {
        let mut bytes = message(type_code, u8::from(distinguisher > 0), 1, 0);
        if link_local {
            bytes[7] = 0x80;
            bytes[16..18].copy_from_slice(&[0xfe, 0x80]);
        }
        (bytes[15], bytes[35], bytes[39]) = (distinguisher, asn, bgp_id);
        bytes
    }

    #[test]
    fn peers_that_share_an_address_are_told_apart_as_the_session_does() {
        let after = |downs: &[Vec<u8>]| {
            let mut preamble = Preamble::default();
            let ups = [(false, 0, 1, 1), (false, 7, 1, 1), (false, 0, 2, 1), (true, 0, 1, 1), (true, 0, 1, 2)];
            let ups: Vec<_> = ups.iter().map(|(ll, rd, asn, id)| neighbour(3, *ll, *rd, *asn, *id)).collect();
            for bytes in ups.iter().chain(downs) {
                preamble.take(&bmp::next_frame(bytes, 100).unwrap().unwrap());
            }
            let bytes = preamble.to_bytes();
            let left: Vec<_> = bytes.chunks(49).collect();
            (0..ups.len()).filter(|number| left.contains(&&*ups[*number])).collect::<Vec<_>>()
        };
        assert_eq!(after(&[]), [0, 1, 2, 3, 4]);
        assert_eq!(after(&[neighbour(2, false, 0, 1, 1)]), [1, 2, 3, 4]);
        assert_eq!(after(&[neighbour(2, false, 7, 1, 1)]), [0, 2, 3, 4]);
        assert_eq!(after(&[neighbour(2, true, 0, 1, 2)]), [0, 1, 2, 3]);
        // A Peer Down may leave the AS and the identifier out: it is the only one that it can be, or none.
        assert_eq!(after(&[neighbour(2, false, 0, 1, 0), neighbour(2, false, 0, 0, 0)]), [1, 3, 4]);
        assert_eq!(after(&[neighbour(2, true, 0, 1, 0)]), [0, 1, 2, 3, 4]);
    }
}
