//! Route Monitoring (RFC 7854 section 4.6): one UPDATE of one peer, in version 4 as one of several TLVs.
//!
//! Version 4 is a draft (draft-ietf-grow-bmp-tlv) whose TLV types were renumbered in revision 20. Both numberings are in use; which
//! one a message follows is told by the TLV that holds the BGP message, the only one that begins with a BGP marker.

use super::{PerPeerHeader, path_marking};
use crate::model::Text;
use crate::wire::Error;
use crate::wire::bgp::labels;
use crate::wire::bgp::open::{self, Capability};
use crate::wire::bgp::update::{self, DecodeContext, Decoded, Routes, Update};
use crate::wire::bmp::peer::AsWidth;
use crate::wire::reader::Reader;

/// A Route Monitoring message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteMonitoring<'a> {
    /// Whose.
    pub peer: PerPeerHeader,
    /// The BGP message from its marker on; more octets may follow it.
    pub update: &'a [u8],
    /// Where `update` begins in the BMP message.
    pub update_offset: usize,
    /// Version 4: all TLVs but the BGP message. Version 3 has none.
    pub tlvs: Vec<Tlv<'a>>,
}

/// One indexed TLV of a version 4 message (draft-ietf-grow-bmp-tlv-20 section 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tlv<'a> {
    /// The type as sent, without the enterprise bit.
    pub type_code: u16,
    /// What the type means.
    pub kind: TlvKind,
    /// Whose type it is, if not the IANA's: a Private Enterprise Number.
    pub enterprise: Option<u32>,
    /// 0: all NLRI; the top bit set: a group; else the number of one NLRI, counted from 1.
    pub index: u16,
    /// The value.
    pub value: &'a [u8],
}

/// The meaning of a TLV, whatever its number in the revision at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlvKind {
    /// A sequence number.
    SequenceNumber,
    /// More peer flags.
    ExtendedFlags,
    /// A timestamp.
    Timestamp,
    /// NLRI indexes under one group index.
    Group,
    /// The VRF or table name.
    TableName,
    /// One BGP capability, as in an OPEN, that this UPDATE needs to be read.
    StatelessParsing,
    /// The status of routes (draft-ietf-grow-bmp-path-marking-tlv), see [`path_marking`].
    PathMarking,
    /// Any other.
    Unknown,
}

/// TLV type of the BGP message up to revision 19.
const BGP_MESSAGE_19: u16 = 4;
/// TLV type of the BGP message since revision 20.
const BGP_MESSAGE_20: u16 = 7;
/// The top bit of a type: a Private Enterprise Number stands before the value.
const ENTERPRISE_BIT: u16 = 0x8000;
/// What every BGP message begins with (RFC 4271 section 4.1).
const MARKER: [u8; 16] = [0xff; 16];

impl TlvKind {
    fn of(type_code: u16, bgp_message: u16, value: &[u8]) -> TlvKind {
        match (bgp_message, type_code) {
            (BGP_MESSAGE_20, 1) => TlvKind::SequenceNumber,
            (BGP_MESSAGE_20, 2) => TlvKind::ExtendedFlags,
            (BGP_MESSAGE_20, 3) => TlvKind::Timestamp,
            (BGP_MESSAGE_20, 4) => TlvKind::Group,
            // The path marking draft still claims the number that revision 20 gave to the table name. Its status is
            // four octets, of which a name has none: the upper half of the bits is unassigned.
            (BGP_MESSAGE_20, 5) if matches!(value, [0, 0, ..]) => TlvKind::PathMarking,
            (BGP_MESSAGE_20, 5) => TlvKind::TableName,
            (BGP_MESSAGE_20, 6) => TlvKind::StatelessParsing,
            (BGP_MESSAGE_19, 1) => TlvKind::StatelessParsing,
            (BGP_MESSAGE_19, 2) => TlvKind::Group,
            (BGP_MESSAGE_19, 3) => TlvKind::TableName,
            (BGP_MESSAGE_19, 5) => TlvKind::PathMarking,
            _ => TlvKind::Unknown,
        }
    }
}

impl<'a> RouteMonitoring<'a> {
    /// Reads the message.
    ///
    /// # Errors
    /// The header is short; in version 4, a TLV runs over the end or none holds a BGP message.
    pub fn decode(version: u8, reader: &mut Reader<'a>) -> Result<RouteMonitoring<'a>, Error> {
        let peer = PerPeerHeader::decode(reader)?;
        let update_offset = reader.offset();
        if version == 3 {
            return Ok(RouteMonitoring { peer, update: reader.rest(), update_offset, tlvs: Vec::new() });
        }
        let mut tlvs = Vec::new();
        let mut update = None;
        while !reader.is_empty() {
            let (tlv, at) = read_tlv(reader)?;
            let is_bgp = tlv.enterprise.is_none()
                && matches!(tlv.type_code, BGP_MESSAGE_19 | BGP_MESSAGE_20)
                && tlv.value.starts_with(&MARKER);
            if is_bgp && update.is_none() {
                update = Some((tlv, at));
            } else {
                tlvs.push(tlv);
            }
        }
        let Some((bgp, at)) = update else {
            return Err(Error::new(update_offset, "BGP Message TLV", "there is none"));
        };
        for tlv in tlvs.iter_mut().filter(|tlv| tlv.enterprise.is_none()) {
            tlv.kind = TlvKind::of(tlv.type_code, bgp.type_code, tlv.value);
        }
        Ok(RouteMonitoring { peer, update: bgp.value, update_offset: at, tlvs })
    }

    /// The table name that the message itself gives.
    pub fn table_name(&self) -> Option<Text> {
        self.tlvs.iter().find(|tlv| tlv.kind == TlvKind::TableName).map(|tlv| Text::key(tlv.value))
    }

    /// Decodes the UPDATE as the Peer Ups said it is to be read, the message's own corrections applied; routes have the
    /// status that the message gives them. They are put into `routes`, which has to be empty.
    ///
    /// # Errors
    /// As [`update::decode`]; offsets count from the BMP message's first octet.
    pub fn decode_update<'r>(
        &self,
        context: DecodeContext,
        routes: &'r mut Routes<'a>,
    ) -> Result<Decoded<'r, 'a>, Error> {
        if self.tlvs.is_empty() {
            return update::decode(self.update, self.update_offset, &context, routes);
        }
        let mut decoded = update::decode(self.update, self.update_offset, &self.context(context), routes)?;
        if let Update::Routes(routes) = &mut decoded.update {
            path_marking::mark(routes, &self.tlvs);
        }
        Ok(decoded)
    }

    /// What the Peer Ups said, corrected by what the message itself says of how to read it.
    ///
    /// A capability in a Stateless Parsing TLV is in use, whatever direction it names: the UPDATE was written with it.
    pub fn context(&self, mut context: DecodeContext) -> DecodeContext {
        for tlv in self.tlvs.iter().filter(|tlv| tlv.kind == TlvKind::StatelessParsing) {
            for capability in open::decode_capabilities(tlv.value) {
                match capability {
                    Capability::AddPath(families) => {
                        context.add_path.extend(families.into_iter().map(|(family, _)| family));
                    }
                    Capability::FourOctetAs(_) => context.as_width = AsWidth::Four,
                    Capability::Other { code: labels::CAPABILITY, value } => context.labels.learn(Some(&value)),
                    Capability::Multiprotocol(_) | Capability::Other { .. } => {}
                }
            }
        }
        context
    }
}

/// One TLV, its meaning still open, and where its value begins. The length is that of the value alone; the index is not
/// part of it.
fn read_tlv<'a>(reader: &mut Reader<'a>) -> Result<(Tlv<'a>, usize), Error> {
    let type_code = reader.u16("TLV type")?;
    let length = usize::from(reader.u16("TLV length")?);
    let index = reader.u16("TLV index")?;
    let mut value = reader.sub(length, "TLV value")?;
    let enterprise = if type_code & ENTERPRISE_BIT == 0 { None } else { Some(value.u32("TLV enterprise number")?) };
    let at = value.offset();
    let type_code = type_code & !ENTERPRISE_BIT;
    Ok((Tlv { type_code, kind: TlvKind::Unknown, enterprise, index, value: value.rest() }, at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::AfiSafi;

    /// The shortest UPDATE.
    fn update() -> Vec<u8> {
        [&MARKER[..], &[0, 23, 2, 0, 0, 0, 0]].concat()
    }

    fn tlv(type_code: u16, index: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(value.len()).unwrap();
        [&type_code.to_be_bytes()[..], &length.to_be_bytes(), &index.to_be_bytes(), value].concat()
    }

    fn decoded(tlvs: &[Vec<u8>]) -> Result<RouteMonitoring<'static>, Error> {
        let bytes = [&[0; 42][..], &tlvs.concat()].concat().leak();
        RouteMonitoring::decode(4, &mut Reader::new(bytes, 6))
    }

    const ADD_PATH: [u8; 6] = [69, 4, 0, 1, 1, 1];

    #[test]
    fn both_numberings_are_told_apart_by_the_bgp_message() {
        let check = |tlvs: &[Vec<u8>], kinds: &[TlvKind]| {
            let decoded = decoded(tlvs).unwrap();
            assert_eq!(decoded.update, update());
            assert_eq!(decoded.tlvs.iter().map(|tlv| tlv.kind).collect::<Vec<_>>(), kinds);
            assert_eq!(decoded.table_name().unwrap().as_str(), "red");
            assert!(decoded.context(DecodeContext::default()).add_path.contains(AfiSafi::IPV4_UNICAST));
        };
        let (sp, name, marking) = (TlvKind::StatelessParsing, TlvKind::TableName, TlvKind::PathMarking);
        let status = [0, 0, 4, 2, 0, 3];
        check(&[tlv(1, 0, &ADD_PATH), tlv(3, 0, b"red"), tlv(4, 0, &update())], &[sp, name]);
        check(&[tlv(7, 0, &update()), tlv(6, 0, &ADD_PATH), tlv(5, 0, b"red")], &[sp, name]);
        check(
            &[tlv(1, 0, &ADD_PATH), tlv(3, 0, b"red"), tlv(4, 0, &update()), tlv(5, 1, &status)],
            &[sp, name, marking],
        );
        check(
            &[tlv(6, 0, &ADD_PATH), tlv(5, 0, b"red"), tlv(5, 1, &status), tlv(7, 0, &update())],
            &[sp, name, marking],
        );
    }

    #[test]
    fn enterprise_types_are_none_of_ours() {
        let enterprise = tlv(0x8004, 0, &[&[0, 0, 0x28, 0xaf][..], &update()].concat());
        let decoded = decoded(&[enterprise.clone(), tlv(4, 0, &update())]).unwrap();
        assert_eq!((decoded.tlvs[0].enterprise, decoded.tlvs[0].kind), (Some(10415), TlvKind::Unknown));
        let error = super::tests::decoded(&[enterprise]).unwrap_err();
        assert_eq!((error.offset, error.field), (48, "BGP Message TLV"));
    }

    #[test]
    fn tlvs_cut_short_are_named_with_their_place() {
        let check = |bytes: &[u8], offset, field| {
            let error = decoded(&[bytes.to_vec()]).unwrap_err();
            assert_eq!((error.offset, error.field), (offset, field));
        };
        check(&[], 48, "BGP Message TLV");
        check(&[0], 48, "TLV type");
        check(&[0, 4, 0], 50, "TLV length");
        check(&[0, 4, 0, 1, 0], 52, "TLV index");
        check(&[0, 4, 0, 2, 0, 0, 1], 54, "TLV value");
        check(&[0x80, 4, 0, 2, 0, 0, 1, 2], 54, "TLV enterprise number");
    }
}
