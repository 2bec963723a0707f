//! Finds where BMP messages begin in a stream whose beginning, or a part in the middle, was not captured.
//!
//! BMP has no marker to search for. The search is for a chain of headers, each at the offset that the length of the one
//! before it gives, and each plausible: its type known, its length valid for the type, and the BGP marker (RFC 4271
//! section 4.1) wherever a BGP message must begin.

use super::reassembly::Sink;
use crate::wire::bmp::{self, COMMON_HEADER_SIZE};

/// The number of consecutive headers that make a chain.
const CHAIN_LENGTH: usize = 3;

/// Octets of the per-peer header (RFC 7854 section 4.2).
const PER_PEER_HEADER_SIZE: usize = 42;

/// Octets of BGP's marker, all ones.
const MARKER_SIZE: usize = 16;

/// The length of the shortest BGP message, octets (RFC 4271 section 4.1).
const BGP_HEADER_SIZE: usize = 19;

/// A part of a stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Cut {
    /// Whole messages; at a stream's end, or once it is no longer BMP, the remaining octets.
    Messages {
        /// The offset of the first octet in the stream, counting those not captured.
        offset: u64,
        /// One message or more.
        bytes: Vec<u8>,
    },
    /// Octets that cannot be decoded.
    Lost {
        /// The offset of the first of them.
        from: u64,
        /// The offset of the first octet after them.
        to: u64,
        /// The number of them that are not in the capture. The others belong to messages of which a part is missing.
        missing: u64,
    },
}

/// Cuts a stream into runs of whole messages.
///
/// It buffers one incomplete message, or [`CHAIN_LENGTH`] messages while it searches.
#[derive(Debug)]
pub(crate) struct Cutter {
    message_max: usize,
    state: CutterState,
    buffer: Vec<u8>,
    /// The stream offset of the first octet in `buffer`.
    offset: u64,
    cuts: Vec<Cut>,
}

#[derive(Clone, Copy, Debug)]
enum CutterState {
    /// `buffer` begins with a message.
    InStep,
    /// A message begins somewhere after `from`; `missing` octets since then are not in the capture.
    Searching { from: u64, missing: u64 },
    /// The stream was in step, and then its octets were not a message.
    NoBmp,
}

impl Cutter {
    /// Returns a cutter for a stream whose first message begins at its first octet. `message_max` is the longest
    /// message accepted, octets.
    pub(crate) fn at_beginning(message_max: usize) -> Cutter {
        Cutter { message_max, state: CutterState::InStep, buffer: Vec::new(), offset: 0, cuts: Vec::new() }
    }

    /// Returns a cutter for a stream that began before the capture.
    pub(crate) fn in_the_middle(message_max: usize) -> Cutter {
        Cutter { state: CutterState::Searching { from: 0, missing: 0 }, ..Cutter::at_beginning(message_max) }
    }

    /// Returns the parts cut off so far and removes them.
    pub(crate) fn take_cuts(&mut self) -> Vec<Cut> {
        std::mem::take(&mut self.cuts)
    }

    /// Ends the stream and cuts off the rest.
    pub fn finish(&mut self) {
        self.search(self.message_max, Rest::Nothing);
        self.cut_messages();
        let end = self.offset + length(&self.buffer);
        match self.state {
            CutterState::Searching { from, missing } => self.report_lost(from, end, missing),
            // A message cut short; the decoder reports it.
            CutterState::InStep | CutterState::NoBmp => self.emit(self.buffer.len()),
        }
        self.buffer.clear();
        self.offset = end;
    }

    fn report_lost(&mut self, from: u64, to: u64, missing: u64) {
        if to > from {
            self.cuts.push(Cut::Lost { from, to, missing });
        }
    }

    /// Skips to the first message, if one can be found.
    fn search(&mut self, message_max: usize, rest: Rest) {
        let CutterState::Searching { from, missing } = self.state else { return };
        let chain_at = |at: &usize| chain(&self.buffer[*at..], message_max, rest) != IsChain::No;
        let at = (0..self.buffer.len()).find(chain_at).unwrap_or(self.buffer.len());
        let is_found = chain(&self.buffer[at..], message_max, rest) == IsChain::Yes;
        self.buffer.drain(..at);
        self.offset += u64::try_from(at).expect("a length in memory fits into 64 bits");
        if is_found {
            self.state = CutterState::InStep;
            self.report_lost(from, self.offset, missing);
        }
    }

    fn cut_messages(&mut self) {
        let mut whole = 0;
        if let CutterState::InStep = self.state {
            loop {
                match bmp::next_frame(&self.buffer[whole..], self.message_max) {
                    Ok(Some(frame)) => whole += frame.bytes.len(),
                    Ok(None) => break,
                    Err(_) => {
                        self.state = CutterState::NoBmp;
                        break;
                    }
                }
            }
        }
        if let CutterState::NoBmp = self.state {
            whole = self.buffer.len();
        }
        self.emit(whole);
    }

    fn emit(&mut self, count: usize) {
        if count == 0 {
            return;
        }
        let bytes: Vec<u8> = self.buffer.drain(..count).collect();
        let offset = self.offset;
        self.offset += length(&bytes);
        self.cuts.push(Cut::Messages { offset, bytes });
    }
}

impl Sink for Cutter {
    fn take(&mut self, octets: &[u8]) {
        self.buffer.extend_from_slice(octets);
        self.search(self.message_max, Rest::Coming);
        self.cut_messages();
    }

    fn lose(&mut self, count: u64) {
        // No octets will be added to those in the buffer.
        self.search(self.message_max, Rest::Nothing);
        self.cut_messages();
        let (from, missing) = match self.state {
            CutterState::Searching { from, missing } => (from, missing),
            CutterState::InStep | CutterState::NoBmp => (self.offset, 0),
        };
        self.state = CutterState::Searching { from, missing: missing + count };
        self.offset += length(&self.buffer) + count;
        self.buffer.clear();
    }
}

/// Returns whether a segment's payload looks like the beginning of a BMP message.
pub(crate) fn looks_like_bmp(payload: &[u8], message_max: usize) -> bool {
    matches!(header(payload, message_max), Header::Plausible(_))
}

/// The rest of the stream: more octets may arrive, or none will.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    Coming,
    Nothing,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum IsChain {
    Yes,
    No,
    /// More octets are needed to decide.
    Open,
}

/// Checks whether a chain of messages begins here. Where no more octets will arrive, a shorter chain is enough: two
/// messages, or one that ends where the octets end.
fn chain(bytes: &[u8], message_max: usize, rest: Rest) -> IsChain {
    let mut at = 0;
    for seen in 0..CHAIN_LENGTH {
        let is_open = match bytes.get(at..).map(|bytes| header(bytes, message_max)) {
            Some(Header::Plausible(length)) => {
                at += length;
                false
            }
            Some(Header::Impossible) => return IsChain::No,
            Some(Header::Open) | None => true,
        };
        match (is_open, rest) {
            (false, _) => {}
            (true, Rest::Coming) => return IsChain::Open,
            (true, Rest::Nothing) if seen >= 2 || (seen == 1 && at == bytes.len()) => return IsChain::Yes,
            (true, Rest::Nothing) => return IsChain::No,
        }
    }
    IsChain::Yes
}

enum Header {
    /// A message of this many octets.
    Plausible(usize),
    Impossible,
    /// More octets are needed to decide.
    Open,
}

/// Checks whether a message may begin here.
fn header(bytes: &[u8], message_max: usize) -> Header {
    match bytes.first() {
        None => return Header::Open,
        Some(3 | 4) => {}
        Some(_) => return Header::Impossible,
    }
    let Some(&[version, a, b, c, d, kind]) = bytes.first_chunk::<COMMON_HEADER_SIZE>() else { return Header::Open };
    let Some(length) = usize::try_from(u32::from_be_bytes([a, b, c, d])).ok().filter(|size| *size <= message_max)
    else {
        return Header::Impossible;
    };
    const BODY: usize = COMMON_HEADER_SIZE + PER_PEER_HEADER_SIZE;
    // The shortest length of the message, and the offset of BGP's marker. Peer Up: address, two ports, two OPENs (RFC
    // 7854 section 4.10).
    let (length_min, marker) = match (kind, version) {
        (0, 3) => (BODY + BGP_HEADER_SIZE, Some(BODY)),
        (3, _) => (BODY + 20 + 2 * BGP_HEADER_SIZE, Some(BODY + 20)),
        (0..=2 | 6, _) => (BODY, None),
        // At least the four octets of a TLV header (RFC 7854 sections 4.3 and 4.5).
        (4 | 5, _) => (COMMON_HEADER_SIZE + 4, None),
        _ => return Header::Impossible,
    };
    if length < length_min {
        return Header::Impossible;
    }
    let body = &bytes[COMMON_HEADER_SIZE..bytes.len().min(length)];
    match kind {
        4 | 5 => information(body, length - COMMON_HEADER_SIZE, length),
        // Peer types are 0 to 3 (RFC 7854 section 4.2, RFC 9069 section 4.1).
        _ if body.first().is_some_and(|peer_type| *peer_type > 3) => Header::Impossible,
        _ => match marker.and_then(|at| at.checked_sub(COMMON_HEADER_SIZE)) {
            None if body.is_empty() => Header::Open,
            None => Header::Plausible(length),
            Some(at) => match body.get(at..).unwrap_or_default() {
                seen if seen.iter().take(MARKER_SIZE).any(|octet| *octet != 0xff) => Header::Impossible,
                seen if seen.len() < MARKER_SIZE => Header::Open,
                _ => Header::Plausible(length),
            },
        },
    }
}

/// Checks whether the first TLV fits into a body of `body_length` octets, of which `body` are available.
fn information(body: &[u8], body_length: usize, length: usize) -> Header {
    match body.first_chunk::<4>() {
        None => Header::Open,
        Some(&[_, _, a, b]) if usize::from(u16::from_be_bytes([a, b])) + 4 > body_length => Header::Impossible,
        Some(_) => Header::Plausible(length),
    }
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).expect("a length in memory fits into 64 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An unknown information TLV in an Initiation, 16 octets.
    const INITIATION: &[u8] = &[3, 0, 0, 0, 16, 4, 0, 2, 0, 6, b'r', b'o', b'u', b't', b'e', b'r'];

    /// A Route Monitoring message with an empty UPDATE, 71 octets.
    fn route_monitoring() -> Vec<u8> {
        let mut bytes = vec![3, 0, 0, 0, 71, 0];
        bytes.extend([0; PER_PEER_HEADER_SIZE]);
        bytes.extend([0xff; MARKER_SIZE]);
        bytes.extend([0, 23, 2, 0, 0, 0, 0]);
        bytes
    }

    #[test]
    fn headers_are_plausible_or_not() {
        let check = |bytes: &[u8], want: &str| {
            let got = match header(bytes, 1000) {
                Header::Plausible(length) => length.to_string(),
                Header::Impossible => "no".to_string(),
                Header::Open => "open".to_string(),
            };
            assert_eq!(got, want, "{bytes:?}");
        };
        let with = |at: usize, octet: u8| {
            let mut bytes = route_monitoring();
            bytes[at] = octet;
            bytes
        };
        check(&route_monitoring(), "71");
        check(&with(0, 4), "71");
        for (at, octet) in [(0, 2), (2, 1), (4, 66), (5, 7), (6, 4), (48, 0), (63, 0xfe)] {
            check(&with(at, octet), "no");
        }
        for length in [0, 3, 6, 7, 48, 63] {
            check(&route_monitoring()[..length], "open");
        }
        check(&route_monitoring()[..64], "71");
        check(INITIATION, "16");
        check(&[3, 0, 0, 0, 16, 4, 0, 2, 0, 7], "no");
        check(&[3, 0, 0, 0, 9, 5, 0, 0, 0], "no");
        check(&INITIATION[..9], "open");
        // Statistics and Peer Down have no BGP message; a version 4 Route Monitoring has it in a TLV.
        check(&[3, 0, 0, 0, 60, 1, 3], "60");
        check(&[3, 0, 0, 0, 60, 2], "open");
        check(&[4, 0, 0, 0, 60, 0, 0], "60");
    }

    /// Returns the parts cut from pieces of a stream that begins in the middle; `None` is a hole of 100 octets.
    fn cuts(pieces: &[Option<&[u8]>]) -> Vec<(u64, u64, char)> {
        let mut cutter = Cutter::in_the_middle(1000);
        for piece in pieces {
            match piece {
                Some(octets) => cutter.take(octets),
                None => cutter.lose(100),
            }
        }
        cutter.finish();
        let shown = |cut| match cut {
            Cut::Messages { offset, bytes } => (offset, offset + length(&bytes), 'm'),
            Cut::Lost { from, to, .. } => (from, to, 'l'),
        };
        cutter.take_cuts().into_iter().map(shown).collect()
    }

    #[test]
    fn a_chain_is_found_and_found_again_behind_a_hole() {
        let three = INITIATION.repeat(3);
        assert_eq!(cuts(&[Some(&three)]), [(0, 48, 'm')]);
        assert_eq!(cuts(&[Some(b"\x03\x00junk"), Some(&three)]), [(0, 6, 'l'), (6, 54, 'm')]);
        // Three are needed where more may arrive, two at the end of the octets.
        assert_eq!(cuts(&[Some(b"junk"), Some(&three[..40])]), [(0, 4, 'l'), (4, 36, 'm'), (36, 44, 'm')]);
        assert_eq!(cuts(&[Some(b"junk"), Some(&three[..20])]), [(0, 24, 'l')]);
        assert_eq!(cuts(&[Some(b"junk"), Some(INITIATION)]), [(0, 4, 'l'), (4, 20, 'm')]);
        assert_eq!(cuts(&[Some(b"nothing at all")]), [(0, 14, 'l')]);
        // The message that the hole interrupts is lost with it.
        let want = [(0, 48, 'm'), (48, 155, 'l'), (155, 203, 'm')];
        assert_eq!(cuts(&[Some(&three), Some(b"\x03\x00\x00"), None, Some(b"tail"), Some(&three)]), want);
        assert_eq!(cuts(&[Some(&three), None, None]), [(0, 48, 'm'), (48, 248, 'l')]);
    }
}
