//! Route Mirroring (RFC 7854 section 4.7): verbatim BGP messages, and notice of those that could not be mirrored.

use super::information::Information;
use super::peer::PerPeerHeader;
use crate::wire::DecodeError;
use crate::wire::reader::Reader;

/// Octets of a TLV's type and length.
const TLV_HEADER_SIZE: usize = 4;

/// A Route Mirroring message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteMirroring<'a> {
    /// The peer whose session is mirrored.
    pub peer: PerPeerHeader,
    /// The message's TLVs, in order.
    pub items: Vec<Mirrored<'a>>,
}

/// One TLV of a Route Mirroring message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mirrored<'a> {
    /// Type 0: a whole BGP message.
    Bgp(&'a [u8]),
    /// Type 1: an information code; 0 is "errored PDU", 1 is "messages lost".
    Information(u16),
    /// Any other type, or a type 1 whose value is not two octets.
    Unknown {
        /// The type, as sent.
        type_code: u16,
        /// The value, as sent.
        value: &'a [u8],
    },
}

impl<'a> RouteMirroring<'a> {
    /// The message's sequence number in its session, which a version 4 message may have.
    pub(crate) fn sequence_number(&self) -> Option<u64> {
        self.items.iter().find_map(|item| match item {
            Mirrored::Unknown { type_code: Information::SEQUENCE_NUMBER, value } => {
                (*value).try_into().ok().map(u64::from_be_bytes)
            }
            Mirrored::Unknown { .. } | Mirrored::Bgp(_) | Mirrored::Information(_) => None,
        })
    }

    /// Decodes the message. Trailing octets too few for a TLV's type and length are ignored.
    ///
    /// # Errors
    /// The header is short, or a TLV runs past the end of the message.
    pub fn decode(reader: &mut Reader<'a>) -> Result<RouteMirroring<'a>, DecodeError> {
        let peer = PerPeerHeader::decode(reader)?;
        let mut items = Vec::new();
        while reader.remaining() >= TLV_HEADER_SIZE {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn mirroring(tlvs: &[u8]) -> Result<Vec<Mirrored<'static>>, DecodeError> {
        let bytes = [&[0; 42][..], tlvs].concat().leak();
        RouteMirroring::decode(&mut Reader::new(bytes, 6)).map(|mirroring| mirroring.items)
    }

    #[test]
    fn tlvs_are_read_to_the_end() {
        let check = |tlvs: &[u8], want: &[Mirrored<'_>]| assert_eq!(mirroring(tlvs).unwrap(), want);
        check(&[], &[]);
        check(&[0, 0, 0, 2, 8, 9, 0, 1, 0, 2, 0, 1], &[Mirrored::Bgp(&[8, 9]), Mirrored::Information(1)]);
        check(&[0, 1, 0, 1, 5], &[Mirrored::Unknown { type_code: 1, value: &[5] }]);
        check(&[0, 9, 0, 0, 1, 2, 3], &[Mirrored::Unknown { type_code: 9, value: &[] }]);
        let error = mirroring(&[0, 0, 0, 3, 1, 2]).unwrap_err();
        assert_eq!((error.offset, error.field), (52, "mirroring value"));
    }
}
