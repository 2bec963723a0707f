//! Address families, with their numbers on the wire and in the database.

use std::fmt;

use serde::{Serialize, Serializer};

/// An address family that has tables: the `afi` column of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Afi {
    /// IPv4; `4` in the database, `1` on the wire.
    Ipv4,
    /// IPv6; `6` in the database, `2` on the wire.
    Ipv6,
}

impl Afi {
    /// Returns the value of the database's `afi` column.
    pub fn column(self) -> i16 {
        match self {
            Afi::Ipv4 => 4,
            Afi::Ipv6 => 6,
        }
    }

    /// Returns the longest prefix length of this family, in bits.
    pub fn max_prefix_length(self) -> u8 {
        match self {
            Afi::Ipv4 => 32,
            Afi::Ipv6 => 128,
        }
    }
}

/// The number of the `afi` column in JSON.
impl Serialize for Afi {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.column().serialize(serializer)
    }
}

impl fmt::Display for Afi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Afi::Ipv4 => "IPv4",
            Afi::Ipv6 => "IPv6",
        })
    }
}

/// An (AFI, SAFI) pair with its IANA numbers, supported or not (RFC 4760 section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AfiSafi {
    /// Address family identifier.
    pub afi: u16,
    /// Subsequent address family identifier.
    pub safi: u8,
}

impl AfiSafi {
    /// IPv4 unicast.
    pub const IPV4_UNICAST: AfiSafi = AfiSafi { afi: 1, safi: 1 };
    /// IPv6 unicast.
    pub const IPV6_UNICAST: AfiSafi = AfiSafi { afi: 2, safi: 1 };

    /// Returns the table family, for the two families in `current_routes` (unicast only).
    pub fn unicast(self) -> Option<Afi> {
        match (self.afi, self.safi) {
            (1, 1) => Some(Afi::Ipv4),
            (2, 1) => Some(Afi::Ipv6),
            _ => None,
        }
    }
}

/// The families whose NLRI are not prefixes but have fields of their own, and are decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OtherFamily {
    /// Ethernet VPN (RFC 7432): AFI 25, SAFI 70.
    Evpn,
    /// Flow specifications of IPv4 and IPv6 and of their VPNs (RFC 8955, RFC 8956): SAFI 133 and 134.
    FlowSpec,
    /// Link state and that of VPNs (RFC 9552): AFI 16388, SAFI 71 and 72.
    BgpLs,
    /// Candidate paths of SR policies (RFC 9830): SAFI 73.
    SrPolicy,
    /// Route target constraints (RFC 4684): AFI 1, SAFI 132.
    Rtc,
    /// Multicast VPN (RFC 6514): SAFI 5.
    Mvpn,
    /// Link state for shortest paths (RFC 9815): AFI 16388, SAFI 80.
    BgpLsSpf,
    /// Virtual private LAN service (RFC 4761, RFC 6074): AFI 25, SAFI 65.
    Vpls,
}

/// A set of other families: those whose NLRI are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoredFamilies(u8);

impl StoredFamilies {
    /// Returns whether the NLRI of this family are stored.
    #[inline]
    pub fn contains(self, family: AfiSafi) -> bool {
        self.0 != 0 && OtherFamily::of(family).is_some_and(|other| self.0 & other.bit() != 0)
    }
}

impl FromIterator<OtherFamily> for StoredFamilies {
    fn from_iter<I: IntoIterator<Item = OtherFamily>>(families: I) -> StoredFamilies {
        StoredFamilies(families.into_iter().fold(0, |set, family| set | family.bit()))
    }
}

impl OtherFamily {
    /// Every one.
    pub const ALL: [OtherFamily; 8] = [
        OtherFamily::Evpn,
        OtherFamily::FlowSpec,
        OtherFamily::BgpLs,
        OtherFamily::SrPolicy,
        OtherFamily::Rtc,
        OtherFamily::Mvpn,
        OtherFamily::BgpLsSpf,
        OtherFamily::Vpls,
    ];

    /// The names of all, in this order.
    pub const NAMES: [&'static str; OtherFamily::ALL.len()] = {
        let [a, b, c, d, e, f, g, h] = OtherFamily::ALL;
        [a.name(), b.name(), c.name(), d.name(), e.name(), f.name(), g.name(), h.name()]
    };

    fn bit(self) -> u8 {
        1 << self as u8
    }

    /// Returns the one that a family belongs to; `None` for prefixes and for families that are not decoded.
    pub fn of(family: AfiSafi) -> Option<OtherFamily> {
        Some(match (family.afi, family.safi) {
            (25, 70) => OtherFamily::Evpn,
            (1 | 2, 133 | 134) => OtherFamily::FlowSpec,
            (16_388, 71 | 72) => OtherFamily::BgpLs,
            (1 | 2, 73) => OtherFamily::SrPolicy,
            (1, 132) => OtherFamily::Rtc,
            (1 | 2, 5) => OtherFamily::Mvpn,
            (16_388, 80) => OtherFamily::BgpLsSpf,
            (25, 65) => OtherFamily::Vpls,
            _ => return None,
        })
    }

    /// Returns the name, with which the keys of its NLRI begin.
    pub const fn name(self) -> &'static str {
        match self {
            OtherFamily::Evpn => "evpn",
            OtherFamily::FlowSpec => "flowspec",
            OtherFamily::BgpLs => "bgp-ls",
            OtherFamily::SrPolicy => "sr-policy",
            OtherFamily::Rtc => "rtc",
            OtherFamily::Mvpn => "mvpn",
            OtherFamily::BgpLsSpf => "bgp-ls-spf",
            OtherFamily::Vpls => "vpls",
        }
    }
}

impl From<Afi> for AfiSafi {
    fn from(afi: Afi) -> AfiSafi {
        match afi {
            Afi::Ipv4 => AfiSafi::IPV4_UNICAST,
            Afi::Ipv6 => AfiSafi::IPV6_UNICAST,
        }
    }
}

impl fmt::Display for AfiSafi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.unicast() {
            Some(afi) => write!(f, "{afi} unicast"),
            None => write!(f, "AFI {} SAFI {}", self.afi, self.safi),
        }
    }
}
