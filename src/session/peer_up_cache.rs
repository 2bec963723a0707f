//! Messages of a router that stay valid until it sends others: its Initiation, and the Peer Ups of the peers that are
//! up.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::peer_id::PeerId;
use super::peers::{self, PEERS_MAX};
use crate::wire::bmp::{self, Frame, Message};

/// The maximum number of Initiations kept, the last ones; a router sends one.
const INITIATIONS_MAX: usize = 4;

/// The maximum memory of all of it, bytes: a Peer Up takes a few hundred, and a router has some thousand peers.
const SIZE_MAX: usize = 64 << 20;

/// The memory of a message besides its octets: its place in a list and the allocator's share, bytes.
const MESSAGE_OVERHEAD: usize = 64;

/// The memory of a peer besides its Peer Ups, bytes.
const PEER_OVERHEAD: usize = 2 * size_of::<(PeerId, Vec<Numbered>)>();

/// The maximum number of Peer Ups of one peer that are kept; routers send one per family at most.
const UPS_MAX: usize = 16;

/// The messages that a later reader of the session's input has to have read before.
#[derive(Debug, Default)]
pub(crate) struct PeerUpCache {
    initiations: Vec<Box<[u8]>>,
    /// By peer as the session tells them apart.
    ups: HashMap<PeerId, Vec<Numbered>>,
    /// Keeps the Peer Ups in their order.
    count: u64,
    /// The memory that it takes, bytes.
    size: usize,
    /// True if a message is missing because there was no room for it.
    is_cut: bool,
}

/// A message, and its place among all.
type Numbered = (u64, Box<[u8]>);

impl PeerUpCache {
    /// Takes in a message: an Initiation, a Peer Up or a Peer Down; others are passed over.
    pub fn take(&mut self, frame: &Frame<'_>) {
        match frame.type_code {
            4 => self.initiation(frame),
            3 => self.peer_up(frame),
            2 => self.peer_down(frame),
            _ => {}
        }
    }

    /// One that is repeated replaces itself.
    fn initiation(&mut self, frame: &Frame<'_>) {
        let known = self.initiations.iter().position(|known| **known == *frame.bytes);
        let is_full = self.initiations.len() >= INITIATIONS_MAX;
        if let Some(place) = known.or(is_full.then_some(0)) {
            self.size -= size_of_message(&self.initiations.remove(place));
        }
        if self.has_room(frame, 0) {
            self.size += size_of_message(frame.bytes);
            self.initiations.push(frame.bytes.into());
        }
    }

    fn peer_up(&mut self, frame: &Frame<'_>) {
        let Some(header) = bmp::decode_peer(frame) else { return };
        let peer = PeerId::of(&header.peer);
        if self.ups.len() >= PEERS_MAX && !self.ups.contains_key(&peer) {
            return;
        }
        let mut ups = self.ups.remove(&peer).unwrap_or_default();
        self.size -= if ups.is_empty() { 0 } else { size_of_peer(&ups) };
        ups.retain(|(_, known)| **known != *frame.bytes);
        // One with other ports is of another BGP session: what was said of those before is no longer valid.
        let is_parallel = |bytes: &[u8]| {
            peer.is_link_local() && bytes_of(LOCAL_ADDRESS, bytes) != bytes_of(LOCAL_ADDRESS, frame.bytes)
        };
        if peer.address.is_some() {
            ups.retain(|(_, bytes)| bytes_of(PORTS, bytes) == bytes_of(PORTS, frame.bytes) || is_parallel(bytes));
        }
        if ups.len() >= UPS_MAX {
            ups.remove(0);
        }
        if self.has_room(frame, size_of_peer(&ups)) {
            self.count += 1;
            ups.push((self.count, frame.bytes.into()));
        }
        if !ups.is_empty() {
            self.size += size_of_peer(&ups);
            self.ups.insert(peer, ups);
        }
    }

    fn peer_down(&mut self, frame: &Frame<'_>) {
        let Some(header) = bmp::decode_peer(frame) else { return };
        let peer = PeerId::of(&header.peer);
        let gone = if self.ups.contains_key(&peer) { Some(peer) } else { peer.meant_down(self.ups.keys()) };
        let Some((gone, mut ups)) = gone.and_then(|gone| self.ups.remove_entry(&gone)) else { return };
        self.size -= size_of_peer(&ups);
        // One table of several goes alone (RFC 9069 section 5.3).
        let name = table_of(frame);
        let is_named = |(_, bytes): &Numbered| name.is_some() && whole(bytes).as_ref().and_then(table_of) == name;
        if ups.iter().any(is_named) {
            ups.retain(|up| !is_named(up));
        } else {
            ups.clear();
        }
        if !ups.is_empty() {
            self.size += size_of_peer(&ups);
            self.ups.insert(gone, ups);
        }
        if self.ups.is_empty() {
            // Room for thousands of peers is not kept for none.
            self.ups.shrink_to_fit();
        }
    }

    /// Returns whether the message fits beside what is there and `more`; from one that does not on, the cache is
    /// cut.
    fn has_room(&mut self, frame: &Frame<'_>, more: usize) -> bool {
        let has_room = self.size + more + size_of_message(frame.bytes) <= SIZE_MAX;
        self.is_cut |= !has_room;
        has_room
    }

    /// Returns the memory that it takes, bytes.
    #[cfg(test)]
    pub fn size(&self) -> usize {
        self.size
    }

    /// Returns whether a message is missing because there was no room for it: what comes later cannot be read with it
    /// alone.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// All of them, in the order in which they came.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut ups: Vec<_> = self.ups.values().flatten().collect();
        ups.sort_unstable_by_key(|(number, _)| *number);
        let ups = ups.into_iter().map(|(_, bytes)| bytes);
        self.initiations.iter().chain(ups).flat_map(|bytes| bytes.iter().copied()).collect()
    }
}

/// The position of the router's address in a Peer Up: after the headers.
const LOCAL_ADDRESS: Range<usize> = 48..64;

/// And both ports.
const PORTS: Range<usize> = 64..68;

fn bytes_of(place: Range<usize>, up: &[u8]) -> Option<&[u8]> {
    up.get(place)
}

/// A message that is kept.
fn whole(bytes: &[u8]) -> Option<Frame<'_>> {
    bmp::next_frame(bytes, bytes.len()).ok()?
}

/// The table that a Peer Up or Peer Down names.
fn table_of(frame: &Frame<'_>) -> Option<Arc<str>> {
    match bmp::decode(frame).ok()? {
        Message::PeerUp(up) => peers::table_of_up(&up),
        Message::PeerDown(down) => peers::table_down(&down),
        _ => None,
    }
}

fn size_of_message(bytes: &[u8]) -> usize {
    bytes.len() + MESSAGE_OVERHEAD
}

fn size_of_peer(ups: &[Numbered]) -> usize {
    PEER_OVERHEAD + ups.iter().map(|(_, bytes)| size_of_message(bytes)).sum::<usize>()
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
        let mut peer_ups = PeerUpCache::default();
        let mut take = |bytes: &[u8]| peer_ups.take(&bmp::next_frame(bytes, 100).unwrap().unwrap());
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
        assert_eq!(peer_ups.to_bytes(), [&initiation[..], &ups.concat()].concat());
    }

    #[test]
    fn repeats_replace_and_a_peer_down_leaves_nothing() {
        let mut peer_ups = PeerUpCache::default();
        let mut take = |bytes: &[u8]| peer_ups.take(&bmp::next_frame(bytes, 2 << 20).unwrap().unwrap());
        for mark in 0..10 {
            for _ in 0..1_000 {
                take(&[3, 0, 0, 0, 7, 4, mark]);
                take(&message(3, 0, 7, 2));
            }
        }
        let initiations: Vec<_> = (6..10).flat_map(|mark| [3, 0, 0, 0, 7, 4, mark]).collect();
        assert_eq!(peer_ups.to_bytes(), [initiations, message(3, 0, 7, 2)].concat());
        let mut take = |bytes: &[u8]| peer_ups.take(&bmp::next_frame(bytes, 2 << 20).unwrap().unwrap());
        take(&message(2, 0, 7, 0));
        assert_eq!((peer_ups.size(), peer_ups.is_cut()), (4 * (7 + MESSAGE_OVERHEAD), false));
    }

    #[test]
    fn its_size_is_bounded_and_it_says_that_it_was_cut() {
        let mut peer_ups = PeerUpCache::default();
        let mut take = |peer: u8, mark: u8| {
            let mut bytes = message(3, 0, peer, mark);
            bytes.resize(1 << 20, 0);
            bytes[1..5].copy_from_slice(&(1u32 << 20).to_be_bytes());
            peer_ups.take(&bmp::next_frame(&bytes, 2 << 20).unwrap().unwrap());
        };
        (0..100).for_each(|i| take(i / 10, i));
        assert!(peer_ups.is_cut());
        let size = peer_ups.to_bytes().len();
        assert!(peer_ups.size() <= SIZE_MAX && size > SIZE_MAX - (2 << 20) && size < peer_ups.size(), "{size}");
    }

    /// A peer at an address that others have too, distinguished by one of its other fields.
    fn peer(type_code: u8, link_local: bool, distinguisher: u8, asn: u8, bgp_id: u8) -> Vec<u8> {
        let mut bytes = message(type_code, u8::from(distinguisher > 0), 1, 0);
        if link_local {
            bytes[7] = 0x80;
            bytes[16..18].copy_from_slice(&[0xfe, 0x80]);
        }
        (bytes[15], bytes[35], bytes[39]) = (distinguisher, asn, bgp_id);
        bytes
    }

    #[test]
    fn another_bgp_session_ends_the_state_of_the_last() {
        let up = |peer_type: u8, port: u8, mark: u8| {
            let mut bytes = message(3, peer_type, 1, 0);
            bytes.resize(69, 0);
            (bytes[4], bytes[67], bytes[68]) = (69, port, mark);
            bytes
        };
        let after = |ups: &[Vec<u8>]| {
            let mut peer_ups = PeerUpCache::default();
            ups.iter().for_each(|bytes| peer_ups.take(&bmp::next_frame(bytes, 100).unwrap().unwrap()));
            peer_ups.to_bytes()
        };
        assert_eq!(after(&[up(0, 1, 1), up(0, 1, 2), up(0, 2, 3)]), up(0, 2, 3));
        assert_eq!(after(&[up(0, 1, 1), up(0, 1, 2)]), [up(0, 1, 1), up(0, 1, 2)].concat());
        // The ports of a Loc-RIB mean nothing.
        assert_eq!(after(&[up(3, 1, 1), up(3, 2, 2)]), [up(3, 1, 1), up(3, 2, 2)].concat());
    }

    #[test]
    fn peers_that_share_an_address_are_kept_apart() {
        let after = |downs: &[Vec<u8>]| {
            let mut peer_ups = PeerUpCache::default();
            let ups = [(false, 0, 1, 1), (false, 7, 1, 1), (false, 0, 2, 1), (true, 0, 1, 1), (true, 0, 1, 2)];
            let ups: Vec<_> = ups.iter().map(|(ll, rd, asn, id)| peer(3, *ll, *rd, *asn, *id)).collect();
            for bytes in ups.iter().chain(downs) {
                peer_ups.take(&bmp::next_frame(bytes, 100).unwrap().unwrap());
            }
            let bytes = peer_ups.to_bytes();
            let left: Vec<_> = bytes.chunks(49).collect();
            (0..ups.len()).filter(|number| left.contains(&&*ups[*number])).collect::<Vec<_>>()
        };
        assert_eq!(after(&[]), [0, 1, 2, 3, 4]);
        assert_eq!(after(&[peer(2, false, 0, 1, 1)]), [1, 2, 3, 4]);
        assert_eq!(after(&[peer(2, false, 7, 1, 1)]), [0, 2, 3, 4]);
        assert_eq!(after(&[peer(2, true, 0, 1, 2)]), [0, 1, 2, 3]);
        // A Peer Down may leave the AS and the identifier out: it is the only one that it can be, or none.
        assert_eq!(after(&[peer(2, false, 0, 1, 0), peer(2, false, 0, 0, 0)]), [1, 3, 4]);
        assert_eq!(after(&[peer(2, true, 0, 1, 0)]), [0, 1, 2, 3, 4]);
    }
}
