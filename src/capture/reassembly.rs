//! Reassembles one direction of one TCP connection: segments in any order become octets in order.
//!
//! Retransmissions and overlaps are removed: of two octets at one offset the first one seen is kept. A hole stays open
//! while the octets after it are held; the caller decides when to give it up.

use std::collections::BTreeMap;

use super::segment::TcpSegment;

/// The memory that a held segment counts for besides its octets, so that many tiny ones count too.
const SEGMENT_OVERHEAD: usize = 64;

/// The receiver of the octets.
pub(crate) trait Sink {
    /// Accepts the next octets.
    fn take(&mut self, octets: &[u8]);
    /// Reports that the next `count` octets are not in the capture.
    fn lose(&mut self, count: u64);
}

/// The reassembly state of one direction.
#[derive(Debug)]
pub(crate) struct Reassembly {
    /// The sequence number of the stream's first octet.
    first: u32,
    /// The sequence number of the next octet, which is `offset` octets after the first.
    next: u32,
    offset: u64,
    /// Octets after a hole, by their offset; no two overlap.
    held: BTreeMap<u64, Vec<u8>>,
    held_size: usize,
    /// The highest offset up to which the sender is known to have sent.
    sent: u64,
    /// The offset after the sender's last octet, once its FIN is known.
    end: Option<u64>,
}

impl Reassembly {
    /// Returns the state of a stream whose first octet has this sequence number.
    pub fn new(first: u32) -> Reassembly {
        Reassembly { first, next: first, offset: 0, held: BTreeMap::new(), held_size: 0, sent: 0, end: None }
    }

    /// Returns the sequence number of the first octet.
    pub fn first(&self) -> u32 {
        self.first
    }

    /// Returns the sequence number of the next octet expected.
    pub fn next(&self) -> u32 {
        self.next
    }

    /// Returns the offset of the next octet expected.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns the memory held for octets after holes, with the overhead per segment, octets.
    pub(crate) fn held_size(&self) -> usize {
        self.held_size
    }

    /// Returns whether all octets up to the sender's FIN have been handed out or given up.
    pub fn is_complete(&self) -> bool {
        self.end.is_some_and(|end| self.offset >= end)
    }

    /// Accepts a segment whose payload begins at `sequence`.
    pub fn accept(&mut self, sequence: u32, segment: &TcpSegment<'_>, sink: &mut impl Sink) {
        // Sequence numbers are compared modulo 2^32 (RFC 9293 section 3.4).
        let ahead = i64::from(sequence.wrapping_sub(self.next).cast_signed());
        if let Some(end) = self.offset.checked_add_signed(ahead + i64::from(segment.length)) {
            self.sent = self.sent.max(end);
            if segment.is_fin && self.end.is_none() && end >= self.offset {
                self.end = Some(end);
            }
        }
        let known = usize::try_from(-ahead).unwrap_or(0).min(segment.payload.len());
        let at = self.offset + u64::try_from(ahead).unwrap_or(0);
        self.hold(at, &segment.payload[known..], sink);
    }

    /// Holds octets at the offsets that are still empty, then hands out what is in order.
    fn hold(&mut self, mut at: u64, mut octets: &[u8], sink: &mut impl Sink) {
        if at == self.offset && self.held.is_empty() {
            return self.hand_out(octets, sink);
        }
        while !octets.is_empty() {
            let before = self.held.range(..=at).next_back().map_or(0, |(start, held)| start + length(held));
            if before > at {
                let known = usize::try_from(before - at).map_or(octets.len(), |known| known.min(octets.len()));
                at += length(&octets[..known]);
                octets = &octets[known..];
                continue;
            }
            let room = self.held.range(at..).next().and_then(|(start, _)| usize::try_from(start - at).ok());
            let (new, rest) = octets.split_at(room.unwrap_or(octets.len()).min(octets.len()));
            self.held_size += new.len() + SEGMENT_OVERHEAD;
            self.held.insert(at, new.to_vec());
            at += length(new);
            octets = rest;
        }
        self.hand_out_held(sink);
    }

    fn hand_out(&mut self, octets: &[u8], sink: &mut impl Sink) {
        if !octets.is_empty() {
            sink.take(octets);
            self.pass(length(octets));
        }
    }

    /// Hands out the held octets up to the next hole.
    fn hand_out_held(&mut self, sink: &mut impl Sink) {
        while let Some(octets) = self.held.remove(&self.offset) {
            self.held_size -= octets.len() + SEGMENT_OVERHEAD;
            self.hand_out(&octets, sink);
        }
    }

    fn pass(&mut self, count: u64) {
        self.offset += count;
        let modulo = u32::try_from(count & u64::from(u32::MAX)).expect("the mask leaves 32 bits");
        self.next = self.next.wrapping_add(modulo);
    }

    /// Gives up the first hole and reports it as lost.
    pub(crate) fn give_up_hole(&mut self, sink: &mut impl Sink) {
        let Some((start, _)) = self.held.first_key_value() else { return };
        let missing = start - self.offset;
        sink.lose(missing);
        self.pass(missing);
        self.hand_out_held(sink);
    }

    /// Gives up every hole: no more segments will arrive.
    pub fn finish(&mut self, sink: &mut impl Sink) {
        while !self.held.is_empty() {
            self.give_up_hole(sink);
        }
        if self.sent > self.offset {
            let missing = self.sent - self.offset;
            sink.lose(missing);
            self.pass(missing);
        }
    }
}

fn length(octets: &[u8]) -> u64 {
    u64::try_from(octets.len()).expect("a length in memory fits into 64 bits")
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use super::*;

    /// The octets received, with `.` for each octet lost.
    struct Text(String);

    impl Sink for Text {
        fn take(&mut self, octets: &[u8]) {
            self.0.push_str(std::str::from_utf8(octets).unwrap());
        }

        fn lose(&mut self, count: u64) {
            self.0.push_str(&".".repeat(usize::try_from(count).unwrap()));
        }
    }

    /// Accepts segments (offset, octets) of a stream that begins shortly before the sequence numbers wrap.
    fn check(segments: &[(i32, &str)], before_finish: &str, after: &str) {
        const FIRST: u32 = u32::MAX - 2;
        let anywhere = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 1);
        let (mut stream, mut text) = (Reassembly::new(FIRST), Text(String::new()));
        for (place, octets) in segments {
            let segment = TcpSegment {
                source: anywhere,
                destination: anywhere,
                sequence: FIRST.wrapping_add_signed(*place),
                is_syn: false,
                is_fin: false,
                is_rst: false,
                payload: octets.as_bytes(),
                length: u32::try_from(octets.len()).unwrap(),
            };
            stream.accept(segment.sequence, &segment, &mut text);
        }
        assert_eq!(text.0, before_finish, "{segments:?}");
        stream.finish(&mut text);
        assert_eq!(text.0, after, "{segments:?}");
        assert_eq!(stream.held_size(), 0);
        assert_eq!(stream.offset(), u64::try_from(after.len()).unwrap());
    }

    #[test]
    fn octets_come_out_once_and_in_order() {
        check(&[(0, "abc"), (3, "def")], "abcdef", "abcdef");
        check(&[(3, "def"), (0, "abc"), (6, "g")], "abcdefg", "abcdefg");
        check(&[(6, "g"), (3, "def"), (0, "abc")], "abcdefg", "abcdefg");
        check(&[(0, "abc"), (0, "abc"), (2, "cd")], "abcd", "abcd");
        check(&[(0, "abc"), (-2, "xyzuvw")], "abcw", "abcw");
        check(&[(-5, "xyz")], "", "");
    }

    #[test]
    fn of_two_octets_for_one_place_the_first_stays() {
        check(&[(0, "abc"), (1, "XYZ")], "abcZ", "abcZ");
        check(&[(2, "cd"), (5, "f"), (1, "BCDEFG"), (0, "a")], "aBcdEfG", "aBcdEfG");
        check(&[(4, "ef"), (0, "abcdEF")], "abcdef", "abcdef");
    }

    #[test]
    fn holes_are_given_up_at_the_end() {
        check(&[(0, "ab"), (4, "ef"), (8, "i")], "ab", "ab..ef..i");
        check(&[(2, "c")], "", "..c");
    }
}
