//! Tables: TABLE_DUMP_V2 with its peer table (RFC 6396 section 4.3, RFC 8050 section 4), and TABLE_DUMP (section 4.2).

use std::net::{IpAddr, Ipv4Addr};

use super::types::{RIB_GENERIC, RIB_GENERIC_ADDPATH, rib_family};
use crate::model::AfiSafi;
use crate::wire::DecodeError;
use crate::wire::reader::Reader;

/// Peer type: the address is IPv6.
const PEER_IS_IPV6: u8 = 1;
/// Peer type: the AS has four octets.
const PEER_HAS_AS4: u8 = 2;

/// PEER_INDEX_TABLE: the peers that the entries of RIB records name by number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PeerIndex {
    /// The collector's BGP identifier.
    pub(crate) collector: Ipv4Addr,
    /// The name of the view; mostly empty.
    pub(crate) view: String,
    pub(crate) peers: Vec<IndexedPeer>,
}

/// A peer of a PEER_INDEX_TABLE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IndexedPeer {
    pub(crate) bgp_id: Ipv4Addr,
    pub(crate) address: IpAddr,
    pub(crate) asn: u32,
}

impl PeerIndex {
    /// Decodes the body of the record.
    pub(crate) fn decode(body: &[u8]) -> Result<PeerIndex, DecodeError> {
        let mut reader = Reader::new(body, 0);
        let collector = reader.ipv4("Collector BGP ID")?;
        let length = reader.u16("View Name Length")?;
        let view = String::from_utf8_lossy(reader.take(length.into(), "View Name")?).into_owned();
        let count = reader.u16("Peer Count")?;
        let mut peers = Vec::new();
        for _ in 0..count {
            let kind = reader.u8("Peer Type")?;
            let bgp_id = reader.ipv4("Peer BGP ID")?;
            let address = address(&mut reader, kind & PEER_IS_IPV6 != 0, "Peer IP Address")?;
            let asn = asn(&mut reader, kind & PEER_HAS_AS4 != 0, "Peer AS")?;
            peers.push(IndexedPeer { bgp_id, address, asn });
        }
        Ok(PeerIndex { collector, view, peers })
    }
}

/// Reads an address of either family.
pub(crate) fn address(reader: &mut Reader<'_>, is_ipv6: bool, field: &'static str) -> Result<IpAddr, DecodeError> {
    if is_ipv6 { reader.ipv6(field).map(|address| address.to_canonical()) } else { reader.ipv4(field).map(IpAddr::V4) }
}

/// Reads an AS number of either width.
pub(crate) fn asn(reader: &mut Reader<'_>, is_four: bool, field: &'static str) -> Result<u32, DecodeError> {
    if is_four { reader.u32(field) } else { reader.u16(field).map(u32::from) }
}

/// A RIB record: one prefix, and the routes of peers to it.
#[derive(Clone, Debug)]
pub(crate) struct RibRecord<'a> {
    pub(crate) family: AfiSafi,
    /// The NLRI without a path identifier.
    pub(crate) nlri: &'a [u8],
    /// The path identifier of all entries, of a RIB_GENERIC_ADDPATH as RFC 8050 section 4.2 has it.
    path_id: Option<u32>,
    has_path_ids: bool,
    count: u16,
    entries: Reader<'a>,
}

/// One route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RibEntry<'a> {
    /// The peer's number in the peer table.
    pub(crate) peer: u16,
    /// When it was learned, seconds since 1970.
    pub(crate) originated: u32,
    pub(crate) path_id: Option<u32>,
    /// Path attributes, with AS numbers of four octets.
    pub(crate) attributes: &'a [u8],
}

impl<'a> RibRecord<'a> {
    /// Decodes the front of a RIB record; `None` if the subtype is none.
    pub(crate) fn decode(subtype: u16, body: &'a [u8]) -> Option<Result<RibRecord<'a>, DecodeError>> {
        let reader = Reader::new(body, 0);
        match (rib_family(subtype), subtype) {
            (Some((family, has_path_ids)), _) => Some(RibRecord::of_family(reader, family, has_path_ids)),
            (None, RIB_GENERIC) => Some(RibRecord::generic(reader, false, false)),
            (None, RIB_GENERIC_ADDPATH) => {
                // GoBGP and OpenBGPD write path identifiers into the entries, RFC 8050 section 4.2 has one in the NLRI.
                let is_tiled = |record: &RibRecord<'_>| {
                    let mut entries = record.clone();
                    while let Some(Ok(_)) = entries.next_entry() {}
                    entries.count == 0 && entries.entries.is_empty()
                };
                let deployed = RibRecord::generic(reader, true, false);
                match deployed {
                    Ok(record) if is_tiled(&record) => Some(Ok(record)),
                    Ok(_) | Err(_) => Some(RibRecord::generic(reader, false, true)),
                }
            }
            (None, _) => None,
        }
    }

    fn of_family(mut reader: Reader<'a>, family: AfiSafi, has_path_ids: bool) -> Result<RibRecord<'a>, DecodeError> {
        reader.u32("Sequence Number")?;
        let nlri = nlri(&mut reader, family)?;
        let count = reader.u16("Entry Count")?;
        Ok(RibRecord { family, nlri, path_id: None, has_path_ids, count, entries: reader })
    }

    fn generic(mut reader: Reader<'a>, in_entries: bool, in_nlri: bool) -> Result<RibRecord<'a>, DecodeError> {
        reader.u32("Sequence Number")?;
        let family = AfiSafi { afi: reader.u16("AFI")?, safi: reader.u8("SAFI")? };
        let path_id = if in_nlri { Some(reader.u32("Path Identifier")?) } else { None };
        let nlri = nlri(&mut reader, family)?;
        let count = reader.u16("Entry Count")?;
        Ok(RibRecord { family, nlri, path_id, has_path_ids: in_entries, count, entries: reader })
    }

    /// Returns the next entry. After an error none can be found.
    pub(crate) fn next_entry(&mut self) -> Option<Result<RibEntry<'a>, DecodeError>> {
        self.count = self.count.checked_sub(1)?;
        let entry = self.read_entry();
        if entry.is_err() {
            self.count = 0;
        }
        Some(entry)
    }

    fn read_entry(&mut self) -> Result<RibEntry<'a>, DecodeError> {
        let peer = self.entries.u16("Peer Index")?;
        let originated = self.entries.u32("Originated Time")?;
        let path_id = if self.has_path_ids { Some(self.entries.u32("Path Identifier")?) } else { self.path_id };
        let length = self.entries.u16("Attribute Length")?;
        let attributes = self.entries.take(length.into(), "BGP Attributes")?;
        Ok(RibEntry { peer, originated, path_id, attributes })
    }
}

/// Reads one NLRI: a length in bits, then as many octets as these need. Of families whose NLRI are counted in octets
/// (RFC 7432, RFC 8955) the length is one of octets.
fn nlri<'a>(reader: &mut Reader<'a>, family: AfiSafi) -> Result<&'a [u8], DecodeError> {
    let mut front = *reader;
    let first = front.u8("Prefix Length")?;
    let size = match family.safi {
        // EVPN: a route type, then a length in octets.
        70 => usize::from(front.u8("NLRI length")?) + 1,
        133 | 134 if first >= 0xf0 => (usize::from(first & 0x0f) << 8 | usize::from(front.u8("NLRI length")?)) + 1,
        133 | 134 => first.into(),
        _ => usize::from(first).div_ceil(8),
    };
    reader.take(size + 1, "Prefix")
}

/// A TABLE_DUMP record: one route of one peer, with AS numbers of two octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TableDump<'a> {
    pub(crate) family: AfiSafi,
    pub(crate) peer: IpAddr,
    pub(crate) asn: u32,
    pub(crate) originated: u32,
    /// The prefix as NLRI.
    pub(crate) nlri: [u8; 17],
    /// The number of octets of it that are used.
    pub(crate) nlri_size: usize,
    pub(crate) attributes: &'a [u8],
}

impl<'a> TableDump<'a> {
    /// Decodes the body of the record; `None` if the subtype is unknown.
    pub(crate) fn decode(subtype: u16, body: &'a [u8]) -> Option<Result<TableDump<'a>, DecodeError>> {
        match subtype {
            1 => Some(TableDump::read::<4>(body, AfiSafi::IPV4_UNICAST)),
            2 => Some(TableDump::read::<16>(body, AfiSafi::IPV6_UNICAST)),
            _ => None,
        }
    }

    fn read<const SIZE: usize>(body: &'a [u8], family: AfiSafi) -> Result<TableDump<'a>, DecodeError> {
        let mut reader = Reader::new(body, 0);
        reader.take(4, "View Number and Sequence Number")?;
        let prefix = reader.take(SIZE, "Prefix")?;
        let at = reader.offset();
        let length = reader.u8("Prefix Length")?;
        let size = usize::from(length).div_ceil(8);
        if size > SIZE {
            let why = format!("{length} bits are more than an address has");
            return Err(DecodeError::new(at, "Prefix Length", why));
        }
        let mut nlri = [0; 17];
        nlri[0] = length;
        nlri[1..=size].copy_from_slice(&prefix[..size]);
        reader.u8("Status")?;
        let originated = reader.u32("Originated Time")?;
        let peer = address(&mut reader, SIZE == 16, "Peer IP Address")?;
        let asn = asn(&mut reader, false, "Peer AS")?;
        let length = reader.u16("Attribute Length")?;
        let attributes = reader.take(length.into(), "BGP Attributes")?;
        Ok(TableDump { family, peer, asn, originated, nlri, nlri_size: size + 1, attributes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_of_all_kinds() {
        let body = [
            &[192, 0, 2, 1, 0, 2, b'h', b'i', 0, 2][..],
            &[2, 198, 51, 100, 1, 203, 0, 113, 1, 0, 1, 0, 0],
            &[1, 198, 51, 100, 2, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0xfb, 0xf1],
        ]
        .concat();
        let index = PeerIndex::decode(&body).unwrap();
        let peers: Vec<String> =
            index.peers.iter().map(|peer| format!("{} {} {}", peer.bgp_id, peer.address, peer.asn)).collect();
        assert_eq!((index.collector.to_string().as_str(), index.view.as_str()), ("192.0.2.1", "hi"));
        assert_eq!(peers, ["198.51.100.1 203.0.113.1 65536", "198.51.100.2 2001:db8::9 64497"]);
        for end in 0..body.len() {
            assert!(PeerIndex::decode(&body[..end]).is_err(), "{end}");
        }
    }

    #[test]
    fn entries_until_the_fault() {
        let entry = [0, 1, 0, 0, 0, 9, 0, 3, 1, 2, 3];
        let body = [&[0, 0, 0, 1, 24, 198, 51, 100, 0, 2][..], &entry, &entry[..9]].concat();
        let mut record = RibRecord::decode(2, &body).unwrap().unwrap();
        assert_eq!(record.nlri, [24, 198, 51, 100]);
        let first = RibEntry { peer: 1, originated: 9, path_id: None, attributes: &[1, 2, 3] };
        assert_eq!(record.next_entry(), Some(Ok(first)));
        assert_eq!(record.next_entry().unwrap().unwrap_err().offset, 29);
        assert_eq!(record.next_entry(), None);
    }

    #[test]
    fn generic_records_with_path_ids_in_either_place() {
        let path_ids = |body: &[u8]| {
            let mut record = RibRecord::decode(RIB_GENERIC_ADDPATH, body).unwrap().unwrap();
            let nlri = record.nlri.to_vec();
            (nlri, std::iter::from_fn(|| record.next_entry()).map(|entry| entry.unwrap().path_id).collect::<Vec<_>>())
        };
        let deployed = [0, 0, 0, 1, 0, 1, 1, 8, 10, 0, 1, 0, 0, 0, 0, 0, 9, 0, 0, 0, 7, 0, 0];
        let standard = [0, 0, 0, 1, 0, 1, 1, 0, 0, 0, 7, 8, 10, 0, 1, 0, 0, 0, 0, 0, 9, 0, 0];
        assert_eq!(path_ids(&deployed), (vec![8, 10], vec![Some(7)]));
        assert_eq!(path_ids(&standard), (vec![8, 10], vec![Some(7)]));
    }
}
