//! Route Monitoring (RFC 7854 section 4.6): one UPDATE of one peer; in version 4 it is one of several TLVs.
//!
//! Version 4 is a draft (draft-ietf-grow-bmp-tlv) whose TLV types were renumbered twice; `numbering` detects which
//! numbers a message uses.

use super::numbering::{self, BGP_MESSAGE_19_21, BGP_MESSAGE_20, Numbering, Tlv, TlvKind};
use super::path_marking;
use super::peer::PerPeerHeader;
use super::peer::Rib;
use crate::model::{Text, Timestamp};
use crate::wire::DecodeError;
use crate::wire::bgp::labels;
use crate::wire::bgp::open::{self, Capability};
use crate::wire::bgp::routes::Routes;
use crate::wire::bgp::update::{self, DecodeContext, Decoded, Update};
use crate::wire::bmp::peer::AsWidth;
use crate::wire::reader::Reader;

/// A Route Monitoring message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteMonitoring<'a> {
    /// The peer and the RIB of the routes.
    pub peer: PerPeerHeader,
    /// The BGP message from its marker on; further octets may follow it.
    pub update: &'a [u8],
    /// The offset of `update` in the BMP message.
    pub update_offset: usize,
    /// Version 4: all TLVs but the BGP message. Version 3 has none.
    pub tlvs: Vec<Tlv<'a>>,
    /// The numbering of these TLVs.
    pub(crate) numbering: Numbering,
}

/// The top bit of a type: a Private Enterprise Number precedes the value.
const ENTERPRISE_BIT: u16 = 0x8000;
/// The 16 octets that every BGP message begins with (RFC 4271 section 4.1).
const MARKER: [u8; 16] = [0xff; 16];

impl<'a> RouteMonitoring<'a> {
    /// Decodes the message.
    ///
    /// # Errors
    /// The header is short; in version 4, a TLV runs past the end of the message or none contains a BGP message.
    pub fn decode(version: u8, reader: &mut Reader<'a>) -> Result<RouteMonitoring<'a>, DecodeError> {
        let peer = PerPeerHeader::decode_inline(reader)?;
        let update_offset = reader.offset();
        if version == 3 {
            return Ok(RouteMonitoring {
                peer,
                update: reader.rest(),
                update_offset,
                tlvs: Vec::new(),
                numbering: Numbering::Untold,
            });
        }
        let mut tlvs = Vec::new();
        let mut update = None;
        while !reader.is_empty() {
            let (tlv, at) = read_tlv(reader)?;
            let is_bgp = tlv.enterprise.is_none()
                && matches!(tlv.type_code, BGP_MESSAGE_19_21 | BGP_MESSAGE_20)
                && tlv.value.starts_with(&MARKER);
            if is_bgp && update.is_none() {
                update = Some((tlv, at));
            } else {
                tlvs.push(tlv);
            }
        }
        let Some((bgp, at)) = update else {
            return Err(DecodeError::new(update_offset, "BGP Message TLV", "there is none"));
        };
        let numbering = numbering::tell(bgp.type_code, &mut tlvs);
        Ok(RouteMonitoring { peer, update: bgp.value, update_offset: at, tlvs, numbering })
    }

    /// Returns whether there are IANA-numbered TLVs whose meaning cannot be determined or is not known.
    pub(crate) fn has_unknown(&self) -> bool {
        self.tlvs.iter().any(|tlv| tlv.kind == TlvKind::Unknown && tlv.enterprise.is_none())
    }

    /// Returns the message's sequence number in its session (draft-ietf-grow-bmp-tlv-20 section 5.6.2).
    pub(crate) fn sequence_number(&self) -> Option<u64> {
        let number = self.tlvs.iter().find(|tlv| tlv.kind == TlvKind::SequenceNumber)?;
        number.value.try_into().ok().map(u64::from_be_bytes)
    }

    /// Returns the time at which the routes were as the message reports. It is taken from the Timestamp TLVs that apply
    /// to all routes (section 5.6.1): the one of their RIB is preferred, then that of the trigger, then any other; else
    /// from the per-peer header. The time at which the message was made is used only if there is nothing better.
    pub fn time(&self) -> Option<Timestamp> {
        if self.tlvs.is_empty() {
            return self.peer.time;
        }
        /// The timestamp type for the time at which BMP made the message.
        const EXPORT: u8 = 1;
        let of_rib = match self.peer.rib {
            Rib::AdjRibIn(_) => 2,
            Rib::LocRib { .. } => 3,
            Rib::AdjRibOut(_) => 4,
        };
        let rank = |kind: u8| match kind {
            EXPORT => 0,
            0 => 2,
            kind if kind == of_rib => 3,
            _ => 1,
        };
        let of_all = self.tlvs.iter().filter(|tlv| tlv.kind == TlvKind::Timestamp && tlv.index == 0);
        let times = of_all.filter_map(|tlv| {
            let (kind, time) = match *tlv.value {
                [kind, ref time @ ..] | [0, kind, ref time @ ..] if time.len() == 8 => (kind, time),
                _ => return None,
            };
            let (seconds, micros) = (time.first_chunk::<4>()?, time.last_chunk::<4>()?);
            Some((rank(kind), Timestamp::from_wire(u32::from_be_bytes(*seconds), u32::from_be_bytes(*micros))))
        });
        match times.max_by_key(|(rank, _)| *rank) {
            Some((0, export)) => self.peer.time.or(Some(export)),
            Some((_, time)) => Some(time),
            None => self.peer.time,
        }
    }

    /// Returns the table name that the message itself contains.
    pub fn table_name(&self) -> Option<Text> {
        self.tlvs.iter().find(|tlv| tlv.kind == TlvKind::TableName).map(|tlv| Text::key(tlv.value))
    }

    /// Decodes the UPDATE by the parameters of the Peer Ups, corrected by the message's own TLVs, and gives routes the
    /// status that the message assigns to them. They are put into `routes`, which has to be empty.
    ///
    /// # Errors
    /// As for [`update::decode`]; offsets count from the BMP message's first octet.
    pub fn decode_update<'r>(
        &self,
        context: DecodeContext,
        routes: &'r mut Routes<'a>,
    ) -> Result<Decoded<'r, 'a>, DecodeError> {
        if self.tlvs.is_empty() {
            return update::decode(self.update, self.update_offset, &context, routes);
        }
        let mut decoded = update::decode(self.update, self.update_offset, &self.context(context), routes)?;
        if let Update::Routes(routes) = &mut decoded.update {
            path_marking::mark(routes, &self.tlvs);
        }
        Ok(decoded)
    }

    /// Returns the decoding parameters of the Peer Ups, corrected by the message's own TLVs.
    ///
    /// A capability in a Stateless Parsing TLV is in use, whatever direction it names: the UPDATE was encoded with it.
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

/// Reads one TLV, its kind not yet known, and returns it with the offset of its value. The length is that of the value
/// alone; the index is not part of it.
fn read_tlv<'a>(reader: &mut Reader<'a>) -> Result<(Tlv<'a>, usize), DecodeError> {
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
    use crate::model::{AfiSafi, Policy};

    /// The shortest UPDATE.
    fn update() -> Vec<u8> {
        [&MARKER[..], &[0, 23, 2, 0, 0, 0, 0]].concat()
    }

    fn tlv(type_code: u16, index: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(value.len()).unwrap();
        [&type_code.to_be_bytes()[..], &length.to_be_bytes(), &index.to_be_bytes(), value].concat()
    }

    fn decoded(tlvs: &[Vec<u8>]) -> Result<RouteMonitoring<'static>, DecodeError> {
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
        assert!(!decoded.has_unknown());
        assert_eq!((decoded.tlvs[0].enterprise, decoded.tlvs[0].kind), (Some(10415), TlvKind::Unknown));
        let error = super::tests::decoded(&[enterprise]).unwrap_err();
        assert_eq!((error.offset, error.field), (48, "BGP Message TLV"));
    }

    #[test]
    fn the_time_is_that_of_the_rib_or_of_the_header() {
        let at = |kind: &[u8], seconds: u32| tlv(7, 0, &[kind, &seconds.to_be_bytes(), &[0; 4]].concat());
        let check = |rib, header: Option<u32>, tlvs: &[Vec<u8>], want: Option<u32>| {
            let mut decoded = decoded(&[tlvs, &[tlv(4, 0, &update())]].concat()).unwrap();
            decoded.peer.rib = rib;
            decoded.peer.time = header.map(|seconds| Timestamp::from_wire(seconds, 0));
            assert_eq!(decoded.time(), want.map(|seconds| Timestamp::from_wire(seconds, 0)), "{tlvs:?}");
        };
        let (incoming, loc_rib) = (Rib::AdjRibIn(Policy::Pre), Rib::LocRib { filtered: false });
        let all = [at(&[1], 11), at(&[0], 10), at(&[2], 12), at(&[3], 13), at(&[4], 14)];
        check(incoming, Some(1), &[], Some(1));
        check(incoming, Some(1), &all, Some(12));
        check(loc_rib, Some(1), &all, Some(13));
        check(Rib::AdjRibOut(Policy::Post), None, &all, Some(14));
        check(loc_rib, None, &[at(&[0, 4], 14)], Some(14));
        check(incoming, Some(1), &all[..2], Some(10));
        check(incoming, Some(1), &all[..1], Some(1));
        check(incoming, None, &all[..1], Some(11));
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
