//! BMP messages (RFC 7854 section 4, RFC 8671, RFC 9069): version 3, and version 4 (draft-ietf-grow-bmp-tlv) where it
//! differs: Route Monitoring, Statistics Reports and the TLVs that may follow the data of a Peer Down.

pub mod information;
pub mod mirroring;
pub(crate) mod numbering;
pub(crate) mod path_marking;
pub mod peer;
pub mod peer_down;
pub mod peer_up;
pub mod route_monitoring;
pub mod statistics;

use std::fmt;

pub use information::Information;
pub(crate) use information::{InformationList, termination_reason, termination_text};
pub use mirroring::{Mirrored, RouteMirroring};
pub(crate) use numbering::{Numbering, Revision, Tlv, TlvKind};
pub use peer::PerPeerHeader;
pub use peer_down::PeerDown;
pub use peer_up::PeerUp;
pub use route_monitoring::RouteMonitoring;
pub(crate) use statistics::Statistic;
pub use statistics::{StatisticValue, StatisticsReport};

use super::DecodeError;
use super::reader::Reader;

/// Octets of the common header: version, message length, message type (RFC 7854 section 4.1).
pub const COMMON_HEADER_SIZE: usize = 6;

/// One whole BMP message, cut out of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The BMP version: 3 or 4.
    pub version: u8,
    /// The message type.
    pub type_code: u8,
    /// The message, common header included.
    pub bytes: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Returns the octets of the per-peer header before its timestamp, if the message is long enough to have them.
    #[inline]
    pub fn whose(&self) -> Option<&'a [u8; PerPeerHeader::WHOSE]> {
        self.bytes.get(COMMON_HEADER_SIZE..)?.first_chunk()
    }
}

/// The stream is not BMP, or no longer is: there is no way to find the next message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// The version is neither 3 nor 4.
    Version(u8),
    /// A message length below that of the common header, or above the longest accepted.
    Length(u32),
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FrameError::Version(version) => write!(f, "version {version} is not 3 or 4"),
            FrameError::Length(length) => write!(f, "message length {length} is impossible or not accepted"),
        }
    }
}

impl std::error::Error for FrameError {}

/// Returns the message at the front of `buffer`; `None` if it is incomplete. `max` bounds its length, octets.
///
/// # Errors
/// As soon as the octets available show that no message can begin with them.
pub fn next_frame(buffer: &[u8], max: usize) -> Result<Option<Frame<'_>>, FrameError> {
    match buffer.first() {
        None => return Ok(None),
        Some(3 | 4) => {}
        Some(version) => return Err(FrameError::Version(*version)),
    }
    let Some((&[version, a, b, c, d, type_code], _)) = buffer.split_first_chunk::<COMMON_HEADER_SIZE>() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes([a, b, c, d]);
    match usize::try_from(length) {
        Ok(size) if (COMMON_HEADER_SIZE..=max).contains(&size) => {
            Ok(buffer.get(..size).map(|bytes| Frame { version, type_code, bytes }))
        }
        _ => Err(FrameError::Length(length)),
    }
}

/// A decoded message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Type 0.
    RouteMonitoring(RouteMonitoring<'a>),
    /// Type 1.
    StatisticsReport(StatisticsReport<'a>),
    /// Type 2.
    PeerDown(PeerDown<'a>),
    /// Type 3.
    ///
    /// Boxed: it is rare and twice as large as any other, and every message would be moved at its size.
    PeerUp(Box<PeerUp<'a>>),
    /// Type 4.
    Initiation(InformationList<'a>),
    /// Type 5.
    Termination(InformationList<'a>),
    /// Type 6.
    RouteMirroring(RouteMirroring<'a>),
    /// Any other type; it is skipped (RFC 7854 section 4.1).
    Unknown {
        /// The message type.
        type_code: u8,
    },
}

impl Message<'_> {
    /// Returns the reason for which TLVs of the message, or capabilities of an OPEN in it, could not be decoded; the
    /// rest of the message is valid.
    pub fn defect(&self) -> Option<&DecodeError> {
        self.capability_defect().or_else(|| self.tlv_defect())
    }

    /// Returns the reason for which capabilities of an OPEN in the message could not be decoded.
    pub(crate) fn capability_defect(&self) -> Option<&DecodeError> {
        let Message::PeerUp(up) = self else { return None };
        [&up.sent_open, &up.received_open].into_iter().find_map(|open| open.defect.as_ref())
    }

    /// Returns the reason for which TLVs of the message could not be decoded.
    pub(crate) fn tlv_defect(&self) -> Option<&DecodeError> {
        match self {
            Message::Initiation(list) | Message::Termination(list) => list.defect.as_ref(),
            Message::PeerUp(up) => up.information.defect.as_ref(),
            Message::PeerDown(down) => down.information.defect.as_ref(),
            Message::StatisticsReport(report) => report.information.defect.as_ref(),
            Message::RouteMonitoring(_) | Message::RouteMirroring(_) | Message::Unknown { .. } => None,
        }
    }

    /// Returns the sequence number of a version 4 message in its session (draft-ietf-grow-bmp-tlv-20 section 5.6.2).
    /// Messages other than Route Monitoring can carry one since revision 21.
    pub(crate) fn sequence_number(&self) -> Option<u64> {
        let list = match self {
            Message::RouteMonitoring(monitoring) => return monitoring.sequence_number(),
            Message::RouteMirroring(mirroring) => return mirroring.sequence_number(),
            Message::Initiation(list) | Message::Termination(list) => list,
            Message::PeerUp(up) => &up.information,
            Message::PeerDown(down) => &down.information,
            Message::StatisticsReport(report) => &report.information,
            Message::Unknown { .. } => return None,
        };
        let number = list.iter().find(|tlv| tlv.type_code == Information::SEQUENCE_NUMBER)?;
        number.value.try_into().ok().map(u64::from_be_bytes)
    }
}

/// Decodes one message.
///
/// # Errors
/// The body does not have the fields that its type requires; offsets count from the message's first octet.
pub fn decode<'a>(frame: &Frame<'a>) -> Result<Message<'a>, DecodeError> {
    let mut reader = Reader::new(&frame.bytes[COMMON_HEADER_SIZE..], COMMON_HEADER_SIZE);
    Ok(match frame.type_code {
        0 => Message::RouteMonitoring(RouteMonitoring::decode(frame.version, &mut reader)?),
        1 => Message::StatisticsReport(StatisticsReport::decode(frame.version, &mut reader)?),
        2 => Message::PeerDown(PeerDown::decode(frame.version, &mut reader)?),
        3 => Message::PeerUp(Box::new(PeerUp::decode(&mut reader)?)),
        4 => Message::Initiation(InformationList::decode(&mut reader)),
        5 => Message::Termination(InformationList::decode(&mut reader)),
        6 => Message::RouteMirroring(RouteMirroring::decode(&mut reader)?),
        type_code => Message::Unknown { type_code },
    })
}

/// Decodes the per-peer header alone, for a message whose rest is malformed. `None` for types without one.
pub fn decode_peer(frame: &Frame<'_>) -> Option<PerPeerHeader> {
    let mut reader = Reader::new(frame.bytes.get(COMMON_HEADER_SIZE..)?, COMMON_HEADER_SIZE);
    match frame.type_code {
        0..=3 | 6 => PerPeerHeader::decode(&mut reader).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_cut_or_refused_as_early_as_possible() {
        let check = |bytes: &[u8], want: Result<Option<(u8, usize)>, FrameError>| {
            let got = next_frame(bytes, 100).map(|frame| frame.map(|f| (f.type_code, f.bytes.len())));
            assert_eq!(got, want, "{bytes:?}");
        };
        check(&[], Ok(None));
        check(&[3], Ok(None));
        check(b"G", Err(FrameError::Version(b'G')));
        check(&[3, 0, 0, 0, 6, 4], Ok(Some((4, 6))));
        check(&[3, 0, 0, 0, 7, 4, 1, 9], Ok(Some((4, 7))));
        check(&[3, 0, 0, 0, 8, 4, 1], Ok(None));
        check(&[3, 0, 0, 0, 5, 4], Err(FrameError::Length(5)));
        check(&[3, 0, 0, 0, 101, 4], Err(FrameError::Length(101)));
        check(&[3, 255, 255, 255, 255, 4], Err(FrameError::Length(u32::MAX)));
    }

    #[test]
    fn unknown_types_are_no_error() {
        let frame = next_frame(&[3, 0, 0, 0, 7, 200, 1], 100).unwrap().unwrap();
        assert_eq!(decode(&frame), Ok(Message::Unknown { type_code: 200 }));
    }

    #[test]
    fn a_short_per_peer_header_is_named_with_its_place() {
        let frame = next_frame(&[3, 0, 0, 0, 8, 0, 0, 0], 100).unwrap().unwrap();
        let error = decode(&frame).unwrap_err();
        assert_eq!((error.offset, error.field), (8, "peer distinguisher"));
    }
}
