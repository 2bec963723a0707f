//! Extracts BMP from packet captures: pcap and pcapng files in, the messages of each TCP stream out.
//!
//! ```text
//! file --packets--> packet --segment--> TCP segment --streams--> reassembly --octets in order--> boundary --> messages
//! ```
//!
//! A capture is read in one pass, so it may be larger than memory and may arrive through a pipe. Memory in use is
//! bounded: see [`streams`]. A capture may begin in the middle of a session and may lack packets; decoding then resumes
//! at the next place where messages can be found, and the loss is reported. No octet of a capture, however damaged,
//! causes a panic.

mod boundary;
mod packets;
mod reassembly;
mod segment;
pub mod streams;

use std::collections::BTreeMap;
use std::io::Read;

pub use boundary::Cut;
pub(crate) use packets::is_capture;
pub use streams::Event;
pub(crate) use streams::StreamId;

pub(crate) use packets::CaptureError;
use packets::Packets;
use segment::{Found, find_segment};
use streams::Streams;

/// The counts of a capture: packets, streams, and what was left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// The number of packets read.
    pub packets: u64,
    /// Packets with a link layer that is not supported.
    pub unknown_link: u64,
    /// Fragments of IP packets; they are not reassembled.
    pub fragments: u64,
    /// Streams that had an octet.
    pub streams: u64,
    /// Streams ended early because more than `streams::STREAMS_MAX` were open.
    pub cut_off: u64,
    /// Segments to other ports that look like BMP, by port.
    pub elsewhere: BTreeMap<u16, u64>,
}

/// The events of one capture, in the order in which its packets cause them.
#[derive(Debug)]
pub struct Capture<R> {
    packets: Packets<R>,
    port: u16,
    message_max: usize,
    streams: Streams,
    tally: Tally,
    /// The result of reading the file to its end, once it has been.
    end: Option<Result<(), CaptureError>>,
}

impl<R: Read> Capture<R> {
    /// Returns the capture of the streams to TCP port `port` in a file. `message_max` is the longest BMP message
    /// accepted, octets.
    pub fn new(input: R, port: u16, message_max: usize) -> Capture<R> {
        let (packets, streams) = (Packets::new(input), Streams::new(message_max));
        Capture { packets, port, message_max, streams, tally: Tally::default(), end: None }
    }

    /// Returns the next event; `None` at the end.
    ///
    /// # Errors
    /// The file could not be read to its end. Reported once, after all events.
    pub fn next_event(&mut self) -> Result<Option<Event>, CaptureError> {
        loop {
            if let Some(event) = self.streams.next_event() {
                return Ok(Some(event));
            }
            if let Some(end) = &mut self.end {
                return std::mem::replace(end, Ok(())).map(|()| None);
            }
            if let Err(end) = self.read_packet() {
                self.end = Some(end);
                self.streams.finish();
            }
        }
    }

    /// Returns the counts of the capture, as far as it has been read.
    pub fn tally(&self) -> Tally {
        Tally {
            packets: self.packets.count(),
            streams: self.streams.count(),
            cut_off: self.streams.cut_off(),
            ..self.tally.clone()
        }
    }

    /// Reads and handles one packet; at the end of the file, `Err` holds how it ended.
    fn read_packet(&mut self) -> Result<(), Result<(), CaptureError>> {
        let Some((link, packet)) = self.packets.next_packet().map_err(Err)? else { return Err(Ok(())) };
        match find_segment(link, packet) {
            Found::Segment(segment) if segment.destination.port() == self.port => self.streams.accept(&segment),
            Found::Segment(segment) => {
                if boundary::looks_like_bmp(segment.payload, self.message_max) {
                    *self.tally.elsewhere.entry(segment.destination.port()).or_default() += 1;
                }
            }
            Found::Fragment => self.tally.fragments += 1,
            Found::UnknownLink => self.tally.unknown_link += 1,
            Found::Other => {}
        }
        Ok(())
    }
}
