//! The packets of a capture file in order, with the link layer they were captured on.
//!
//! The first four octets distinguish the two formats. The file is read piece by piece: no more than one block and one
//! piece is in memory, and the buffer for a block grows only as its octets arrive.

use std::fmt;
use std::io::{self, Read};

use byteorder::{BE, ByteOrder, LE};
use pcap_parser::nom::{Err as Outcome, IResult};
use pcap_parser::traits::PcapNGPacketBlock;
use pcap_parser::{Block, PcapError, PcapHeader};

/// Octets requested from the file in one read.
const PIECE: usize = 256 * 1024;

/// The longest packet or pcapng block accepted, octets. The longest packets are those of a capture before segmentation
/// offload, some 100 KiB.
const BLOCK_SIZE_MAX: usize = 16 << 20;

/// The most pcapng interfaces remembered in a section; packets of further ones have an unknown link layer.
const INTERFACES_MAX: usize = 65_536;

/// The first octets of a pcap file: microseconds and nanoseconds, either byte order, and the variant of old Linux.
const PCAP: [u32; 5] = [0xa1b2_c3d4, 0xd4c3_b2a1, 0xa1b2_3c4d, 0x4d3c_b2a1, 0xa1b2_cd34];

/// The type of a pcapng Section Header Block, the same in both byte orders.
const PCAPNG: u32 = 0x0a0d_0d0a;

/// Octets of a pcapng block's type and its two lengths, counted in the length.
const BLOCK_SIZE_MIN: u32 = 12;

/// A link layer, by its number in the registry of link types at tcpdump.org; `None` where the file does not specify it.
pub(crate) type Link = Option<i32>;

/// Returns whether a file with these first four octets is a capture. A BMP stream begins with 3 or 4, so neither is
/// taken for the other.
pub(crate) fn is_capture(magic: [u8; 4]) -> bool {
    let magic = u32::from_le_bytes(magic);
    magic == PCAPNG || PCAP.contains(&magic)
}

/// The reason for which the capture could not be read to its end. Everything before that point is good.
#[derive(Debug)]
pub enum CaptureError {
    /// Reading failed: the operating system's error.
    Read(io::Error),
    /// The file ends inside a block: its writer was stopped, or it is being written.
    CutShort {
        /// The number of packets before the cut.
        packets: u64,
    },
    /// A block is malformed.
    Damaged {
        /// The number of packets before the block.
        packets: u64,
    },
}

impl fmt::Display for CaptureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CaptureError::Read(error) => error.fmt(f),
            CaptureError::CutShort { packets } => write!(f, "the capture is cut short after packet {packets}"),
            CaptureError::Damaged { packets } => write!(f, "the capture is damaged after packet {packets}"),
        }
    }
}

impl std::error::Error for CaptureError {}

/// The packets of a file.
#[derive(Debug)]
pub(crate) struct Packets<R> {
    input: R,
    buffer: Vec<u8>,
    /// The index of the next block in `buffer`.
    begin: usize,
    format: CaptureFormat,
    /// The number of packets returned.
    count: u64,
    has_ended: bool,
}

#[derive(Debug)]
enum CaptureFormat {
    /// Nothing is read yet.
    Unread,
    Pcap(PcapHeader),
    /// The byte order of the section and the link layers of its interfaces.
    Pcapng {
        is_big_endian: bool,
        interfaces: Vec<Link>,
    },
}

/// The result of parsing one block.
enum Parsed {
    /// A block of this length without a packet.
    Other(usize),
    /// A block of this length with a packet in this range, counted from the block's first octet.
    Packet(usize, std::ops::Range<usize>, Link),
    /// More octets are needed.
    Incomplete,
    Damaged,
}

impl<R: Read> Packets<R> {
    /// Returns the packets of `input`. Nothing is read before the first packet is requested.
    pub fn new(input: R) -> Packets<R> {
        Packets { input, buffer: Vec::new(), begin: 0, format: CaptureFormat::Unread, count: 0, has_ended: false }
    }

    /// Returns the number of packets returned so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Returns the next packet, as far as it was captured; `None` at the end of the file.
    ///
    /// # Errors
    /// Reading fails, or the rest of the file cannot be parsed; the packets before that were good.
    pub(crate) fn next_packet(&mut self) -> Result<Option<(Link, &[u8])>, CaptureError> {
        loop {
            if self.begin == self.buffer.len() && !self.has_ended {
                self.fill()?;
            }
            if self.begin == self.buffer.len() {
                return Ok(None);
            }
            match self.format.parse(&self.buffer[self.begin..]) {
                Parsed::Other(length) => self.begin += length,
                Parsed::Packet(length, packet, link) => {
                    let packet = self.begin + packet.start..self.begin + packet.end;
                    self.begin += length;
                    self.count += 1;
                    return Ok(Some((link, &self.buffer[packet])));
                }
                Parsed::Damaged => return Err(CaptureError::Damaged { packets: self.count }),
                Parsed::Incomplete if self.has_ended => return Err(CaptureError::CutShort { packets: self.count }),
                Parsed::Incomplete if self.buffer.len() - self.begin > BLOCK_SIZE_MAX => {
                    return Err(CaptureError::Damaged { packets: self.count });
                }
                Parsed::Incomplete => self.fill()?,
            }
        }
    }

    /// Reads one piece of the file and appends it to the buffer.
    fn fill(&mut self) -> Result<(), CaptureError> {
        self.buffer.drain(..self.begin);
        self.begin = 0;
        let old = self.buffer.len();
        self.buffer.resize(old + PIECE, 0);
        let got = loop {
            match self.input.read(&mut self.buffer[old..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result,
            }
        };
        self.buffer.truncate(old + *got.as_ref().unwrap_or(&0));
        self.has_ended = got.map_err(CaptureError::Read)? == 0;
        Ok(())
    }
}

impl CaptureFormat {
    /// Parses the block at the front of `bytes`, which is not empty.
    fn parse(&mut self, bytes: &[u8]) -> Parsed {
        match self {
            CaptureFormat::Unread => self.begin(bytes),
            CaptureFormat::Pcap(header) => {
                let parse = match (header.is_modified_format(), header.is_bigendian()) {
                    (true, _) => pcap_parser::parse_pcap_frame_modified,
                    (false, true) => pcap_parser::parse_pcap_frame_be,
                    (false, false) => pcap_parser::parse_pcap_frame,
                };
                // The upper bits give the length of a frame check sequence (pcap file format, section 4).
                let link = Some(header.network.0 & 0xffff);
                read(parse(bytes), bytes, |packet| Some((packet.data, link)))
            }
            // The parser subtracts the frame from the block's length unchecked.
            CaptureFormat::Pcapng { is_big_endian, .. } if is_below_minimum(bytes, *is_big_endian) => Parsed::Damaged,
            CaptureFormat::Pcapng { is_big_endian, interfaces } => {
                let parse = if *is_big_endian { pcap_parser::parse_block_be } else { pcap_parser::parse_block_le };
                let result = parse(bytes);
                match &result {
                    Ok((_, Block::SectionHeader(section))) => {
                        *is_big_endian = section.big_endian();
                        interfaces.clear();
                    }
                    Ok((_, Block::InterfaceDescription(interface))) if interfaces.len() < INTERFACES_MAX => {
                        interfaces.push(Some(interface.linktype.0));
                    }
                    Ok(_) | Err(_) => {}
                }
                read(result, bytes, |block| packet_of(block, interfaces))
            }
        }
    }

    /// Parses the header of a pcap file; a pcapng file begins with a block like any other.
    fn begin(&mut self, bytes: &[u8]) -> Parsed {
        let Some(magic) = bytes.first_chunk() else { return Parsed::Incomplete };
        if u32::from_le_bytes(*magic) == PCAPNG {
            *self = CaptureFormat::Pcapng { is_big_endian: false, interfaces: Vec::new() };
            return self.parse(bytes);
        }
        let result = pcap_parser::parse_pcap_header(bytes);
        let header = result.as_ref().ok().map(|(_, header)| header.clone());
        let parsed = read(result, bytes, |_| None);
        if let Some(header) = header {
            *self = CaptureFormat::Pcap(header);
        }
        parsed
    }
}

/// Returns whether a pcapng block's length is less than that of its own frame. A section header has its own byte order
/// and is left to the parser, which knows its minimum.
fn is_below_minimum(bytes: &[u8], is_big_endian: bool) -> bool {
    let Some((kind, length)) = bytes.get(..8).map(|head| head.split_at(4)) else { return false };
    let length = if is_big_endian { BE::read_u32(length) } else { LE::read_u32(length) };
    LE::read_u32(kind) != PCAPNG && length < BLOCK_SIZE_MIN
}

/// Translates the parser's result for the block at the front of `bytes`.
fn read<'a, T>(
    result: IResult<&'a [u8], T, PcapError<&'a [u8]>>,
    bytes: &'a [u8],
    packet: impl FnOnce(T) -> Option<(&'a [u8], Link)>,
) -> Parsed {
    match result {
        Ok((rest, block)) => {
            let length = bytes.len() - rest.len();
            match packet(block) {
                None => Parsed::Other(length),
                Some((packet, link)) => {
                    // A range, since the caller cannot lend out octets of a buffer that it may still refill.
                    let start = packet.as_ptr().addr() - bytes.as_ptr().addr();
                    Parsed::Packet(length, start..start + packet.len(), link)
                }
            }
        }
        Err(Outcome::Incomplete(_)) => Parsed::Incomplete,
        Err(Outcome::Error(_) | Outcome::Failure(_)) => Parsed::Damaged,
    }
}

/// Returns the packet of a pcapng block. A Simple Packet Block always belongs to the first interface.
fn packet_of<'a>(block: Block<'a>, interfaces: &[Link]) -> Option<(&'a [u8], Link)> {
    let link = |index: u32| usize::try_from(index).ok().and_then(|index| *interfaces.get(index)?);
    match block {
        // `data` is padded to 32 bits.
        Block::EnhancedPacket(packet) => {
            let length = packet.packet_data().len();
            Some((&packet.data[..length], link(packet.if_id)))
        }
        Block::SimplePacket(packet) => {
            let length = packet.packet_data().len();
            Some((&packet.data[..length], link(0)))
        }
        Block::SectionHeader(_)
        | Block::InterfaceDescription(_)
        | Block::NameResolution(_)
        | Block::InterfaceStatistics(_)
        | Block::SystemdJournalExport(_)
        | Block::DecryptionSecrets(_)
        | Block::ProcessInformation(_)
        | Block::Custom(_)
        | Block::Unknown(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A section of the given byte order, followed by the beginning of a block of that type and length.
    fn section_and_block(number: fn(u32) -> [u8; 4], kind: u32, length: u32) -> Vec<u8> {
        let section = [PCAPNG, 28, 0x1a2b_3c4d, 1 << 16, u32::MAX, u32::MAX, 28];
        section.into_iter().chain([kind, length, 0, 0, 0]).flat_map(number).collect()
    }

    #[test]
    fn a_block_shorter_than_its_frame_is_damage() {
        const PROCESS_INFORMATION: u32 = 0x8000_0001;
        for number in [u32::to_le_bytes, u32::to_be_bytes] {
            for length in 0..BLOCK_SIZE_MIN {
                for kind in [PROCESS_INFORMATION, 0, 3, 6] {
                    let file = section_and_block(number, kind, length);
                    let verdict = Packets::new(file.as_slice()).next_packet().map(|packet| packet.is_some());
                    assert!(
                        matches!(verdict, Err(CaptureError::Damaged { packets: 0 })),
                        "{kind:#x} {length}: {verdict:?}"
                    );
                }
            }
        }
    }
}
