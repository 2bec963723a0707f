//! Route Mirroring (RFC 7854 section 4.7): BGP messages as they came, and what could not be mirrored.

use super::PerPeerHeader;
use crate::wire::Error;
use crate::wire::reader::Reader;

/// A Route Mirroring message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteMirroring<'a> {
    /// Whose session is mirrored.
    pub peer: PerPeerHeader,
    /// Its TLVs.
    pub items: Vec<Mirrored<'a>>,
}

/// One TLV.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mirrored<'a> {
    /// Type 0: a whole BGP message.
    Bgp(&'a [u8]),
    /// Type 1: 0 is "errored PDU", 1 is "messages lost".
    Information(u16),
    /// Any other.
    Unknown {
        /// The type.
        type_code: u16,
        /// The value.
        value: &'a [u8],
    },
}

impl<'a> RouteMirroring<'a> {
    /// Reads the message.
    ///
    /// # Errors
    /// The header is short or a TLV runs over the end.
    pub fn decode(reader: &mut Reader<'a>) -> Result<RouteMirroring<'a>, Error> {
        let peer = PerPeerHeader::decode(reader)?;
        let mut items = Vec::new();
        while !reader.is_empty() {
            let type_code = reader.u16("mirroring type")?;
            let length = usize::from(reader.u16("mirroring length")?);
            let value = reader.take(length, "mirroring value")?;
            items.push(match (type_code, value) {
                (0, bgp) => Mirrored::Bgp(bgp),
                (1, [high, low]) => Mirrored::Information(u16::from_be_bytes([*high, *low])),
                (type_code, value) => Mirrored::Unknown { type_code, value },
            });
        }
        Ok(RouteMirroring { peer, items })
    }
}
