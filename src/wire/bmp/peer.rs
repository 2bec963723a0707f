//! The per-peer header (RFC 7854 section 4.2, RFC 8671 section 4, RFC 9069 section 4).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::model::RibKind;
pub use crate::model::{AsWidth, Policy};
use crate::model::{Asn, Rd, Timestamp};
use crate::wire::DecodeError;
use crate::wire::reader::Reader;

/// V flag: the peer address is IPv6.
const FLAG_V: u8 = 0x80;
/// L flag: post-policy.
const FLAG_L: u8 = 0x40;
/// A flag: the AS_PATH is in the two-octet form.
const FLAG_A: u8 = 0x20;
/// O flag: Adj-RIB-Out (RFC 8671).
const FLAG_O: u8 = 0x10;
/// F flag of a Loc-RIB peer: the table is filtered (RFC 9069 section 4.2).
const FLAG_F: u8 = 0x80;

/// The peer and the RIB that a message is about; 42 octets on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PerPeerHeader {
    /// The key of the peer.
    pub peer: PeerKey,
    /// The RIB that the message is about.
    pub rib: Rib,
    /// The width of AS numbers in an AS_PATH.
    pub as_width: AsWidth,
    /// The time at which the router observed the message's content; `None` where it sends zero.
    pub time: Option<Timestamp>,
}

/// The fields that identify a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PeerKey {
    /// The peer type and distinguisher.
    pub kind: PeerKind,
    /// The peer's address; unspecified for a Loc-RIB instance.
    pub address: IpAddr,
    /// The peer's AS.
    pub asn: Asn,
    /// The peer's BGP identifier.
    pub bgp_id: Ipv4Addr,
}

/// The peer type, with the route distinguisher of the types that have one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PeerKind {
    /// Type 0, global instance.
    Global,
    /// Type 0 with a distinguisher, which RFC 7854 section 4.2 requires to be zero: a peer in a VRF.
    GlobalVrf(Rd),
    /// Type 1, RD instance: a peer in a VRF.
    Vrf(Rd),
    /// Type 2, local instance.
    Local(Rd),
    /// Type 3, Loc-RIB instance (RFC 9069); distinguisher zero is the global instance.
    LocRib(Rd),
    /// Any other type.
    Unknown {
        /// The type as sent.
        type_code: u8,
        /// The distinguisher.
        rd: Rd,
    },
}

impl PeerKind {
    /// Returns the kind of a peer with this type and distinguisher.
    pub fn new(type_code: u8, rd: Rd) -> PeerKind {
        match type_code {
            0 if rd.is_zero() => PeerKind::Global,
            0 => PeerKind::GlobalVrf(rd),
            1 => PeerKind::Vrf(rd),
            2 => PeerKind::Local(rd),
            3 => PeerKind::LocRib(rd),
            type_code => PeerKind::Unknown { type_code, rd },
        }
    }

    /// Returns the type's name in JSON and in the database; `None` for an unknown type.
    pub fn name(self) -> Option<&'static str> {
        match self {
            PeerKind::Global | PeerKind::GlobalVrf(_) => Some("global"),
            PeerKind::Vrf(_) => Some("rd"),
            PeerKind::Local(_) => Some("local"),
            PeerKind::LocRib(_) => Some("loc_rib"),
            PeerKind::Unknown { .. } => None,
        }
    }

    /// Returns the type as sent.
    pub fn type_code(self) -> u8 {
        match self {
            PeerKind::Global | PeerKind::GlobalVrf(_) => 0,
            PeerKind::Vrf(_) => 1,
            PeerKind::Local(_) => 2,
            PeerKind::LocRib(_) => 3,
            PeerKind::Unknown { type_code, .. } => type_code,
        }
    }

    /// Returns the distinguisher; zero for a global peer.
    pub fn rd(self) -> Rd {
        match self {
            PeerKind::Global => Rd([0; 8]),
            PeerKind::GlobalVrf(rd)
            | PeerKind::Vrf(rd)
            | PeerKind::Local(rd)
            | PeerKind::LocRib(rd)
            | PeerKind::Unknown { rd, .. } => rd,
        }
    }
}

/// The RIB that a route is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rib {
    /// Routes received from the peer.
    AdjRibIn(Policy),
    /// Routes to be sent to the peer (RFC 8671).
    AdjRibOut(Policy),
    /// The routes that the router selected (RFC 9069).
    LocRib {
        /// True if the router reports only part of the table (F flag).
        filtered: bool,
    },
}

impl Rib {
    /// Returns the kind of RIB.
    pub fn kind(self) -> RibKind {
        match self {
            Rib::AdjRibIn(_) => RibKind::AdjRibIn,
            Rib::AdjRibOut(_) => RibKind::AdjRibOut,
            Rib::LocRib { .. } => RibKind::LocRib,
        }
    }

    /// Returns the side of the policy of an Adj-RIB.
    pub fn policy(self) -> Option<Policy> {
        match self {
            Rib::AdjRibIn(policy) | Rib::AdjRibOut(policy) => Some(policy),
            Rib::LocRib { .. } => None,
        }
    }
}

impl PerPeerHeader {
    /// The header's size on the wire, octets.
    pub(crate) const SIZE: usize = 42;

    /// Octets before the timestamp: they identify the peer and RIB, and determine how the message is decoded.
    pub(crate) const WHOSE: usize = 34;

    /// Decodes the header's 42 octets.
    ///
    /// # Errors
    /// Fewer octets are left.
    pub fn decode(reader: &mut Reader<'_>) -> Result<PerPeerHeader, DecodeError> {
        PerPeerHeader::decode_inline(reader)
    }

    /// The same, inlined into its caller: Route Monitoring, which is almost every message.
    ///
    /// # Errors
    /// Fewer octets are left.
    #[inline(always)]
    pub(crate) fn decode_inline(reader: &mut Reader<'_>) -> Result<PerPeerHeader, DecodeError> {
        // Within 42 octets known to be there, the checks of single fields cost nothing; with fewer, the right field
        // fails.
        match reader.known::<{ PerPeerHeader::SIZE }>() {
            Some(mut header) => PerPeerHeader::read_fields(&mut header),
            None => PerPeerHeader::read_fields(reader),
        }
    }

    #[inline(always)]
    fn read_fields(reader: &mut Reader<'_>) -> Result<PerPeerHeader, DecodeError> {
        let type_code = reader.u8("peer type")?;
        let flags = reader.u8("peer flags")?;
        let rd = Rd(reader.array("peer distinguisher")?);
        let address = reader.array::<16>("peer address")?;
        let asn = Asn(reader.u32("peer AS")?);
        let bgp_id = reader.ipv4("peer BGP ID")?;
        let seconds = reader.u32("timestamp (seconds)")?;
        let micros = reader.u32("timestamp (microseconds)")?;
        let kind = PeerKind::new(type_code, rd);
        let is_loc_rib = matches!(kind, PeerKind::LocRib(_));
        let policy = if flags & FLAG_L == 0 { Policy::Pre } else { Policy::Post };
        let rib = if is_loc_rib {
            Rib::LocRib { filtered: flags & FLAG_F != 0 }
        } else if flags & FLAG_O != 0 {
            Rib::AdjRibOut(policy)
        } else {
            Rib::AdjRibIn(policy)
        };
        // RFC 9069 section 4.2 defines only the F flag for a Loc-RIB peer: V, L, A and O have no meaning.
        let as_width = if !is_loc_rib && flags & FLAG_A != 0 { AsWidth::Two } else { AsWidth::Four };
        let is_ipv6 = !is_loc_rib && flags & FLAG_V != 0;
        let time = (seconds != 0 || micros != 0).then(|| Timestamp::from_wire(seconds, micros));
        let peer = PeerKey { kind, address: peer_address(address, is_ipv6), asn, bgp_id };
        Ok(PerPeerHeader { peer, rib, as_width, time })
    }
}

/// Returns the peer address. An IPv4 address is in the last four octets (RFC 7854 section 4.2). An IPv4-mapped IPv6
/// address is unmapped: a router may write the same peer in either way.
fn peer_address(octets: [u8; 16], is_ipv6: bool) -> IpAddr {
    let [.., a, b, c, d] = octets;
    if is_ipv6 { Ipv6Addr::from(octets).to_canonical() } else { Ipv4Addr::new(a, b, c, d).into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(type_code: u8, flags: u8) -> PerPeerHeader {
        let mut bytes = vec![type_code, flags];
        bytes.extend([0, 0, 0xfb, 0xf3, 0, 0, 0, 75]);
        bytes.extend([0; 10]);
        bytes.extend([0xff, 0xff, 192, 0, 2, 1]);
        bytes.extend([0, 0, 0xfd, 0xe8, 10, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2]);
        PerPeerHeader::decode(&mut Reader::new(&bytes, 0)).unwrap()
    }

    #[test]
    fn flags_mean_what_the_peer_type_says() {
        let check = |type_code, flags, rib, as_width, address: &str| {
            let header = header(type_code, flags);
            assert_eq!(
                (header.rib, header.as_width, header.peer.address),
                (rib, as_width, address.parse().unwrap()),
                "type {type_code} flags {flags:#x}"
            );
        };
        let (two, four) = (AsWidth::Two, AsWidth::Four);
        check(0, 0x00, Rib::AdjRibIn(Policy::Pre), four, "192.0.2.1");
        check(0, 0x40, Rib::AdjRibIn(Policy::Post), four, "192.0.2.1");
        check(1, 0x60, Rib::AdjRibIn(Policy::Post), two, "192.0.2.1");
        check(0, 0x50, Rib::AdjRibOut(Policy::Post), four, "192.0.2.1");
        check(2, 0x90, Rib::AdjRibOut(Policy::Pre), four, "192.0.2.1");
        check(3, 0x00, Rib::LocRib { filtered: false }, four, "192.0.2.1");
        check(3, 0x80, Rib::LocRib { filtered: true }, four, "192.0.2.1");
        check(3, 0x70, Rib::LocRib { filtered: false }, four, "192.0.2.1");
    }

    #[test]
    fn each_type_keeps_its_distinguisher() {
        for type_code in 0..=4 {
            assert_eq!(header(type_code, 0).peer.kind.rd().to_string(), "0:64499:75");
        }
        assert_eq!(PeerKind::new(0, Rd([0; 8])), PeerKind::Global);
    }
}
