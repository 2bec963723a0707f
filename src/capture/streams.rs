//! The TCP streams to the port, and the assignment of segments to them.
//!
//! Memory is bounded: `STREAMS_MAX` streams at a time, `HELD_MAX` octets after the holes of one and
//! `HELD_TOTAL_MAX` after those of all, besides the incomplete messages.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::net::SocketAddr;

use super::boundary::{Cut, Cutter};
use super::reassembly::Reassembly;
use super::segment::TcpSegment;

/// The most streams open at a time; the one that was silent longest is ended for another.
pub(crate) const STREAMS_MAX: usize = 1024;

/// The most octets held after the holes of one stream before the first hole is given up: more than a TCP window in
/// practice.
pub(crate) const HELD_MAX: usize = 4 << 20;

/// The most octets held after the holes of all streams.
pub(crate) const HELD_TOTAL_MAX: usize = 64 << 20;

/// The most ended streams that are remembered, so that their late segments are not taken for new streams.
const ENDED_MAX: usize = 65_536;

/// The farthest that the end of a late segment may be before the end of its stream, octets: the largest TCP window (RFC
/// 7323 section 2.3).
const STRAGGLER_MAX: i32 = 1 << 30;

/// A TCP stream: one direction of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamId {
    /// The stream's number, from 1, in the order of the first octets.
    pub number: u64,
    /// The sender: the router.
    pub source: SocketAddr,
    /// The receiver: the collector.
    pub destination: SocketAddr,
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}", self.source, self.destination)
    }
}

/// An event of the capture.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// A part of a stream.
    Cut(StreamId, Cut),
    /// The end of a stream, with its length in octets, missing ones included.
    End(StreamId, u64),
}

/// All streams to one port.
#[derive(Debug)]
pub(crate) struct Streams {
    message_max: usize,
    open: HashMap<(SocketAddr, SocketAddr), OpenStream>,
    /// The sequence number after the last octet of each stream that has ended.
    ended: HashMap<(SocketAddr, SocketAddr), u32>,
    held_total: usize,
    /// The number of segments seen; it shows which stream was silent longest.
    clock: u64,
    last_number: u64,
    cut_off: u64,
    events: VecDeque<Event>,
}

#[derive(Debug)]
struct OpenStream {
    /// The stream's id, once it has an octet.
    id: Option<StreamId>,
    reassembly: Reassembly,
    cutter: Cutter,
    last_segment: u64,
}

impl Streams {
    /// Returns a set without streams. `message_max` is the longest BMP message accepted, octets.
    pub fn new(message_max: usize) -> Streams {
        Streams {
            message_max,
            open: HashMap::new(),
            ended: HashMap::new(),
            held_total: 0,
            clock: 0,
            last_number: 0,
            cut_off: 0,
            events: VecDeque::new(),
        }
    }

    /// Returns the number of streams so far that had an octet.
    pub fn count(&self) -> u64 {
        self.last_number
    }

    /// Returns the number of streams ended early to make room for others.
    pub(crate) fn cut_off(&self) -> u64 {
        self.cut_off
    }

    /// Returns the next event of the segments so far, in order.
    pub fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Accepts a segment.
    pub fn accept(&mut self, segment: &TcpSegment<'_>) {
        self.clock += 1;
        let key = (segment.source, segment.destination);
        let sequence = if segment.is_syn { segment.sequence.wrapping_add(1) } else { segment.sequence };
        if segment.is_rst {
            return self.end(key);
        }
        if segment.is_syn && self.open.get(&key).is_none_or(|stream| stream.reassembly.first() != sequence) {
            self.end(key);
            self.begin(key, sequence, Cutter::at_beginning(self.message_max));
        }
        if !self.open.contains_key(&key) {
            if segment.payload.is_empty() || self.is_straggler(key, segment) {
                return;
            }
            self.begin(key, sequence, Cutter::in_the_middle(self.message_max));
        }
        let Some(stream) = self.open.get_mut(&key) else { return };
        stream.last_segment = self.clock;
        if stream.id.is_none() && !segment.payload.is_empty() {
            self.last_number += 1;
            stream.id = Some(StreamId { number: self.last_number, source: key.0, destination: key.1 });
        }
        let held_before = stream.reassembly.held_size();
        stream.reassembly.accept(sequence, segment, &mut stream.cutter);
        while stream.reassembly.held_size() > HELD_MAX {
            stream.reassembly.give_up_hole(&mut stream.cutter);
        }
        while self.held_total - held_before + stream.reassembly.held_size() > HELD_TOTAL_MAX
            && stream.reassembly.held_size() > 0
        {
            stream.reassembly.give_up_hole(&mut stream.cutter);
        }
        self.held_total = self.held_total - held_before + stream.reassembly.held_size();
        stream.pass_on(&mut self.events);
        if stream.reassembly.is_complete() {
            self.end(key);
        }
    }

    fn begin(&mut self, key: (SocketAddr, SocketAddr), first: u32, cutter: Cutter) {
        if self.open.len() >= STREAMS_MAX
            && let Some((&silent, _)) = self.open.iter().min_by_key(|(_, stream)| stream.last_segment)
        {
            self.cut_off += 1;
            self.end(silent);
        }
        self.ended.remove(&key);
        let stream = OpenStream { id: None, reassembly: Reassembly::new(first), cutter, last_segment: self.clock };
        self.open.insert(key, stream);
    }

    /// Returns whether the segment is a late one of a stream that has ended.
    fn is_straggler(&self, key: (SocketAddr, SocketAddr), segment: &TcpSegment<'_>) -> bool {
        let Some(end) = self.ended.get(&key) else { return false };
        let ahead = segment.sequence.wrapping_add(segment.length).wrapping_sub(*end).cast_signed();
        (-STRAGGLER_MAX..=0).contains(&ahead)
    }

    fn end(&mut self, key: (SocketAddr, SocketAddr)) {
        let Some(mut stream) = self.open.remove(&key) else { return };
        self.held_total -= stream.reassembly.held_size();
        stream.reassembly.finish(&mut stream.cutter);
        stream.cutter.finish();
        stream.pass_on(&mut self.events);
        if let Some(id) = stream.id {
            self.events.push_back(Event::End(id, stream.reassembly.offset()));
        }
        if self.ended.len() >= ENDED_MAX {
            self.ended.clear();
        }
        self.ended.insert(key, stream.reassembly.next());
    }

    /// Ends all streams: the capture has ended.
    pub fn finish(&mut self) {
        let mut keys: Vec<_> = self.open.iter().map(|(key, stream)| (stream.id.map(|id| id.number), *key)).collect();
        keys.sort_unstable();
        keys.into_iter().for_each(|(_, key)| self.end(key));
    }
}

impl OpenStream {
    fn pass_on(&mut self, events: &mut VecDeque<Event>) {
        let Some(id) = self.id else { return };
        events.extend(self.cutter.take_cuts().into_iter().map(|cut| Event::Cut(id, cut)));
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn segment(source_port: u16, sequence: u32, payload: &[u8]) -> TcpSegment<'_> {
        TcpSegment {
            source: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), source_port),
            destination: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 11019),
            sequence,
            is_syn: false,
            is_fin: false,
            is_rst: false,
            payload,
            length: u32::try_from(payload.len()).unwrap(),
        }
    }

    fn ends(streams: &mut Streams) -> Vec<(u64, u64)> {
        let events = std::iter::from_fn(|| streams.next_event());
        events
            .filter_map(|event| if let Event::End(id, octets) = event { Some((id.number, octets)) } else { None })
            .collect()
    }

    #[test]
    fn too_many_streams_end_the_one_silent_longest() {
        let mut streams = Streams::new(1000);
        let max = u16::try_from(STREAMS_MAX).unwrap();
        (1..=max).for_each(|port| streams.accept(&segment(port, 0, b"x")));
        streams.accept(&segment(1, 1, b"y"));
        assert_eq!((ends(&mut streams), streams.cut_off()), (vec![], 0));
        streams.accept(&segment(max + 1, 0, b"x"));
        assert_eq!((ends(&mut streams), streams.cut_off()), (vec![(2, 1)], 1));
        assert_eq!(streams.open.len(), STREAMS_MAX);
    }

    #[test]
    fn what_is_held_behind_holes_is_bounded() {
        let mut streams = Streams::new(1000);
        let payload = vec![0; 1 << 18];
        // Every second segment of each stream is missing, so nothing is ever in order.
        for place in (0..18).map(|i| 1 + i * (2 << 18)) {
            for port in 1..=18 {
                streams.accept(&TcpSegment { is_syn: place == 1, ..segment(port, 0, b"") });
                streams.accept(&segment(port, place + (1 << 18), &payload));
                let held: usize = streams.open.values().map(|stream| stream.reassembly.held_size()).sum();
                assert_eq!(held, streams.held_total);
                assert!(held <= HELD_TOTAL_MAX, "{held}");
            }
            streams.events.clear();
        }
        assert!(streams.open.values().all(|stream| stream.reassembly.held_size() <= HELD_MAX));
        assert!(streams.held_total > HELD_TOTAL_MAX / 2, "the limit was never reached");
        streams.finish();
        assert_eq!((streams.held_total, streams.open.len()), (0, 0));
        assert!(ends(&mut streams).iter().map(|(number, _)| *number).eq(1..=18));
    }

    #[test]
    fn stragglers_of_an_ended_stream_open_no_other() {
        let mut streams = Streams::new(1000);
        streams.accept(&TcpSegment { is_syn: true, ..segment(1, 99, b"") });
        streams.accept(&TcpSegment { is_fin: true, ..segment(1, 100, b"abc") });
        streams.accept(&segment(1, 101, b"bc"));
        streams.accept(&TcpSegment { is_fin: true, ..segment(1, 103, b"") });
        assert_eq!((ends(&mut streams), streams.count()), (vec![(1, 3)], 1));
        streams.accept(&segment(1, 5000, b"x"));
        assert_eq!(streams.count(), 2);
        // A connection without an octet is no stream.
        streams.accept(&TcpSegment { is_syn: true, ..segment(2, 0, b"") });
        streams.finish();
        assert_eq!((ends(&mut streams), streams.count()), (vec![(2, 1)], 2));
    }
}
