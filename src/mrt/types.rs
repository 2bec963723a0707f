//! Numbers of the format (RFC 6396 sections 4 and 5, RFC 8050 section 4).

use crate::model::AfiSafi;

/// Octets of the common header: timestamp, type, subtype, length.
pub(crate) const HEADER_SIZE: usize = 12;

/// The longest record that is read, octets without its header. A RIB record has an entry for each of at most 65,535
/// peers and is a few hundred kilobytes long in the largest collectors' files.
pub const RECORD_MAX: u32 = 16 << 20;

/// TABLE_DUMP: one route of one peer, without four-octet AS numbers.
pub(crate) const TABLE_DUMP: u16 = 12;
/// TABLE_DUMP_V2: a peer table, then one record per prefix.
pub(crate) const TABLE_DUMP_V2: u16 = 13;
/// BGP4MP: messages and state changes.
pub(crate) const BGP4MP: u16 = 16;
/// BGP4MP_ET: the same with microseconds.
pub(crate) const BGP4MP_ET: u16 = 17;

/// PEER_INDEX_TABLE, a subtype of TABLE_DUMP_V2 as the next ones.
pub(crate) const PEER_INDEX_TABLE: u16 = 1;
/// RIB_GENERIC: the family is in the record.
pub(crate) const RIB_GENERIC: u16 = 6;
/// RIB_GENERIC_ADDPATH.
pub(crate) const RIB_GENERIC_ADDPATH: u16 = 12;

/// BGP4MP_STATE_CHANGE, a subtype of BGP4MP as the next ones.
pub(crate) const STATE_CHANGE: u16 = 0;
/// BGP4MP_STATE_CHANGE_AS4.
pub(crate) const STATE_CHANGE_AS4: u16 = 5;
/// BGP4MP_MESSAGE_AS4.
pub(crate) const MESSAGE_AS4: u16 = 4;
/// BGP4MP_MESSAGE_AS4_ADDPATH.
pub(crate) const MESSAGE_AS4_ADDPATH: u16 = 9;

/// A state of the BGP finite state machine: Idle.
pub(crate) const IDLE: u16 = 1;
/// OpenConfirm.
pub(crate) const OPEN_CONFIRM: u16 = 5;
/// Established.
pub(crate) const ESTABLISHED: u16 = 6;

/// Returns the family of a RIB subtype of TABLE_DUMP_V2, and whether its entries have path identifiers; `None` for
/// those whose family is in the record, and for others.
pub(crate) fn rib_family(subtype: u16) -> Option<(AfiSafi, bool)> {
    let family = |afi, safi| AfiSafi { afi, safi };
    Some(match subtype {
        2 => (family(1, 1), false),
        3 => (family(1, 2), false),
        4 => (family(2, 1), false),
        5 => (family(2, 2), false),
        8 => (family(1, 1), true),
        9 => (family(1, 2), true),
        10 => (family(2, 1), true),
        11 => (family(2, 2), true),
        _ => return None,
    })
}

/// Returns the RIB subtype of a family.
pub(crate) fn rib_subtype(family: AfiSafi, has_path_ids: bool) -> u16 {
    match (family, has_path_ids) {
        (AfiSafi::IPV4_UNICAST, false) => 2,
        (AfiSafi::IPV6_UNICAST, false) => 4,
        (AfiSafi::IPV4_UNICAST, true) => 8,
        (AfiSafi::IPV6_UNICAST, true) => 10,
        (_, false) => RIB_GENERIC,
        (_, true) => RIB_GENERIC_ADDPATH,
    }
}

/// Returns whether the records of a family have it in them.
pub(crate) fn is_generic(family: AfiSafi) -> bool {
    matches!(rib_subtype(family, false), RIB_GENERIC)
}

/// Returns whether these octets begin an MRT record: a type of routing information, a length that is read, and a time
/// that is no version of BMP.
pub fn is_mrt(header: &[u8; 12]) -> bool {
    let [first, _, _, _, high, low, _, _, length @ ..] = *header;
    let type_code = u16::from_be_bytes([high, low]);
    let is_known = matches!(type_code, 11..=13 | 16 | 17 | 32 | 33 | 48 | 49);
    is_known && first > 4 && u32::from_be_bytes(length) <= RECORD_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mrt_is_told_from_bmp_and_captures() {
        let check = |header: [u8; 12], want| assert_eq!(is_mrt(&header), want, "{header:?}");
        check([0x65, 0, 0, 0, 0, 13, 0, 1, 0, 0, 0, 40], true);
        check([0x65, 0, 0, 0, 0, 17, 0, 4, 0, 0, 0, 40], true);
        check([0x65, 0, 0, 0, 0, 14, 0, 4, 0, 0, 0, 40], false);
        check([0x65, 0, 0, 0, 0, 13, 0, 1, 0xff, 0, 0, 40], false);
        check([3, 0, 0, 0, 0, 13, 0, 1, 0, 0, 0, 40], false);
        check([0xa1, 0xb2, 0xc3, 0xd4, 0, 2, 0, 4, 0, 0, 0, 0], false);
        check([0x0a, 0x0d, 0x0d, 0x0a, 0, 0, 0, 28, 0x1a, 0x2b, 0x3c, 0x4d], false);
    }
}
