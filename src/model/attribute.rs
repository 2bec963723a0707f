//! Decoded path attributes.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::as_path::{AsPath, Asn};
use super::community::{Community, ExtendedCommunity, LargeCommunity};
use super::list::List;

/// ORIGIN (RFC 4271 section 5.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// Interior to the originating AS.
    Igp,
    /// Learned through EGP (RFC 904).
    Egp,
    /// Learned in another way.
    Incomplete,
}

impl Origin {
    /// Returns the text of the `origin` column.
    pub fn as_str(self) -> &'static str {
        match self {
            Origin::Igp => "IGP",
            Origin::Egp => "EGP",
            Origin::Incomplete => "INCOMPLETE",
        }
    }
}

/// The next hop of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NextHop {
    /// The (global) address: the `nexthop` column. IPv4-mapped IPv6 addresses are kept as sent.
    pub address: IpAddr,
    /// The second, link-local address of a 32-octet IPv6 next hop (RFC 2545 section 3).
    pub link_local: Option<Ipv6Addr>,
}

/// The path attributes of one UPDATE, without next hop and NLRI, which belong to the routes.
///
/// `None` means absent on the wire; present and empty is `Some` of an empty list. Values without a fixed size borrow
/// from the message, checked: the columns are written directly from there, and no list is copied on the way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PathAttributes<'a> {
    /// ORIGIN.
    pub origin: Option<Origin>,
    /// AS_PATH, merged with AS4_PATH where that applies (RFC 6793 section 4.2.3).
    pub as_path: Option<AsPath<'a>>,
    /// LOCAL_PREF.
    pub local_pref: Option<u32>,
    /// MULTI_EXIT_DISC.
    pub med: Option<u32>,
    /// COMMUNITIES (RFC 1997).
    pub communities: Option<List<'a, Community>>,
    /// EXTENDED COMMUNITIES (RFC 4360).
    pub extended_communities: Option<List<'a, ExtendedCommunity>>,
    /// LARGE_COMMUNITY (RFC 8092).
    pub large_communities: Option<List<'a, LargeCommunity>>,
    /// The attributes without a column of their own, ascending by type code: the `attrs` column.
    pub other: Vec<OtherAttribute<'a>>,
}

/// A path attribute that is stored in the `attrs` column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OtherAttribute<'a> {
    /// ATOMIC_AGGREGATE, type 6: `true`.
    AtomicAggregate,
    /// AGGREGATOR, type 7, merged with AS4_AGGREGATOR (RFC 6793): `{asn, address}`.
    Aggregator {
        /// The aggregating AS.
        asn: Asn,
        /// The aggregating router.
        address: Ipv4Addr,
    },
    /// ORIGINATOR_ID, type 9 (RFC 4456).
    OriginatorId(Ipv4Addr),
    /// CLUSTER_LIST, type 10 (RFC 4456).
    ClusterList(List<'a, Ipv4Addr>),
    /// IPv6 Address Specific Extended Communities, type 25 (RFC 5701): 40 hex digits each.
    Ipv6ExtendedCommunities(List<'a, [u8; 20]>),
    /// AIGP, type 26 (RFC 7311): the metric.
    Aigp(u64),
    /// Only to Customer, type 35 (RFC 9234).
    OnlyToCustomer(Asn),
    /// ATTR_SET, type 128 (RFC 6368). Boxed: it is rare, and contains a whole set of attributes.
    AttrSet(Box<AttrSet<'a>>),
    /// Any other, as sent: hex under its decimal type code, or under its name where the registry has one; structured
    /// where [`super::tunnels`] supports its TLVs.
    Opaque {
        /// The attribute's type code.
        code: u8,
        /// Its value, without flags and length.
        value: Cow<'a, [u8]>,
    },
}

/// A customer's own attributes of a route, carried through a provider's VPN (RFC 6368 section 5):
/// `{origin_as, attributes}`, the attributes by the names of their columns and of `attrs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttrSet<'a> {
    /// The customer's AS.
    pub origin_as: Asn,
    /// NEXT_HOP, which an ATTR_SET should not contain.
    pub next_hop: Option<Ipv4Addr>,
    /// The other attributes. None of them is an ATTR_SET.
    pub attributes: PathAttributes<'a>,
}

impl OtherAttribute<'_> {
    /// Returns the attribute's type code.
    pub fn code(&self) -> u8 {
        match self {
            OtherAttribute::AtomicAggregate => 6,
            OtherAttribute::Aggregator { .. } => 7,
            OtherAttribute::OriginatorId(_) => 9,
            OtherAttribute::ClusterList(_) => 10,
            OtherAttribute::Ipv6ExtendedCommunities(_) => 25,
            OtherAttribute::Aigp(_) => 26,
            OtherAttribute::OnlyToCustomer(_) => 35,
            OtherAttribute::AttrSet(_) => 128,
            OtherAttribute::Opaque { code, .. } => *code,
        }
    }
}
