//! The identity of a peer or Loc-RIB instance, and the peer that a per-peer header means if it names none exactly.
//! Pure.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use crate::model::Asn;
use crate::wire::bmp::peer::{PeerKey, PeerKind};

/// The identity of a peer or Loc-RIB instance within one router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerId {
    /// The peer type with its distinguisher.
    pub kind: PeerKind,
    /// `None` for a Loc-RIB instance.
    pub address: Option<IpAddr>,
    /// Zero for a Loc-RIB instance.
    pub asn: Asn,
    /// The BGP ID of a Loc-RIB instance. It also distinguishes peers with the same link-local address on two
    /// interfaces; zero for all others, whose identifier may change.
    pub bgp_id: Ipv4Addr,
}

impl PeerId {
    /// Returns the peer or instance that the fields of a per-peer header name.
    pub fn of(peer: &PeerKey) -> PeerId {
        let PeerKey { kind, address, asn, bgp_id } = *peer;
        match kind {
            PeerKind::LocRib(_) => PeerId { kind, address: None, asn: Asn(0), bgp_id },
            PeerKind::Global
            | PeerKind::GlobalVrf(_)
            | PeerKind::Vrf(_)
            | PeerKind::Local(_)
            | PeerKind::Unknown { .. } => {
                let id = PeerId { kind, address: Some(address), asn, bgp_id: Ipv4Addr::UNSPECIFIED };
                if id.is_link_local() { PeerId { bgp_id, ..id } } else { id }
            }
        }
    }

    /// Returns whether the address is link-local, thus ambiguous without the interface.
    pub(crate) fn is_link_local(&self) -> bool {
        matches!(self.address, Some(IpAddr::V6(address)) if address.is_unicast_link_local())
    }

    /// Returns the fields shared by all peers that a header with this identity may refer to.
    pub(super) fn alike(&self) -> (PeerKind, Option<IpAddr>) {
        (self.kind, self.address)
    }

    /// Returns the peer that routes under this header belong to, although none of the peers in `up` has exactly this
    /// identity: headers of one peer may name different ASes or identifiers. It is the only one of its kind with this
    /// address and AS, or else with this address; of Loc-RIB instances the only one with this distinguisher.
    pub(crate) fn meant<'a>(&self, up: impl Iterator<Item = &'a PeerId> + Clone) -> Option<PeerId> {
        let same = || up.clone().filter(|other| other.alike() == self.alike());
        only(same().filter(|other| other.asn == self.asn)).or_else(|| only(same())).copied()
    }

    /// Returns the peer that a Peer Down with this header takes down, although none of the given peers has exactly this
    /// identity: the only one that differs in nothing but an AS or an identifier that is zero in one of the two.
    /// Another AS at the same address is another peer, and another BGP ID another Loc-RIB instance, which routers
    /// report down without ever having reported it up.
    pub(crate) fn meant_down<'a>(&self, up: impl Iterator<Item = &'a PeerId>) -> Option<PeerId> {
        let is_open = |one: Asn, other: Asn| one == other || one == Asn(0) || other == Asn(0);
        let is_unsaid = |one: Ipv4Addr, other: Ipv4Addr| one == other || one.is_unspecified() || other.is_unspecified();
        only(up.filter(|other| {
            other.alike() == self.alike() && is_open(other.asn, self.asn) && is_unsaid(other.bgp_id, self.bgp_id)
        }))
        .copied()
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            None => f.write_str("Loc-RIB"),
            Some(address) => write!(f, "peer {address} AS {}", self.asn),
        }?;
        let rd = self.kind.rd();
        if rd.is_zero() { Ok(()) } else { write!(f, " of {rd}") }
    }
}

/// Returns the only element; `None` if there is none or more than one.
fn only<'a>(mut ids: impl Iterator<Item = &'a PeerId>) -> Option<&'a PeerId> {
    ids.next().filter(|_| ids.next().is_none())
}
