//! The table that a route is in: its router, peer, RIB, name and family.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::as_path::Asn;
use super::family::Afi;

/// The `router_id` of the database, determined once per session.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouterId(Arc<str>);

impl RouterId {
    /// Returns the identifier of a text that is already safe for PostgreSQL.
    pub fn new(id: &str) -> RouterId {
        RouterId(id.into())
    }

    /// Returns the identifier as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RouterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The side of the policy on which an Adj-RIB is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Policy {
    /// Before the policy.
    Pre,
    /// After the policy.
    Post,
}

impl Policy {
    /// Returns the value of the `is_post_policy` column.
    pub(crate) fn is_post(self) -> bool {
        self == Policy::Post
    }
}

/// The three kinds of RIB, each with database tables of its own: those of routes to prefixes, and those of the NLRI of
/// other families.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RibKind {
    /// The routes that the router selected (RFC 9069).
    LocRib,
    /// Routes received from a peer (RFC 7854).
    AdjRibIn,
    /// Routes to be sent to a peer (RFC 8671).
    AdjRibOut,
    /// NLRI of other families in the Loc-RIB.
    NlriLocRib,
    /// NLRI of other families received from a peer.
    NlriAdjRibIn,
    /// NLRI of other families to be sent to a peer.
    NlriAdjRibOut,
}

impl RibKind {
    /// Every kind.
    pub const ALL: [RibKind; 6] = [
        RibKind::LocRib,
        RibKind::AdjRibIn,
        RibKind::AdjRibOut,
        RibKind::NlriLocRib,
        RibKind::NlriAdjRibIn,
        RibKind::NlriAdjRibOut,
    ];

    /// Returns whether its tables have the NLRI of other families.
    pub fn is_nlri(self) -> bool {
        matches!(self, RibKind::NlriLocRib | RibKind::NlriAdjRibIn | RibKind::NlriAdjRibOut)
    }

    /// Returns the kind of the routes to prefixes in the same RIB.
    pub(crate) fn of_routes(self) -> RibKind {
        match self {
            RibKind::LocRib | RibKind::NlriLocRib => RibKind::LocRib,
            RibKind::AdjRibIn | RibKind::NlriAdjRibIn => RibKind::AdjRibIn,
            RibKind::AdjRibOut | RibKind::NlriAdjRibOut => RibKind::AdjRibOut,
        }
    }

    /// Returns whether its tables have no peer.
    pub(crate) fn is_loc_rib(self) -> bool {
        matches!(self, RibKind::LocRib | RibKind::NlriLocRib)
    }

    /// Returns its name with the side of the policy, as in `RIB_INGESTER_STORED_RIBS`, in logs and in metrics.
    pub fn name(self, policy: Option<Policy>) -> &'static str {
        match (self, policy) {
            (RibKind::LocRib, _) | (_, None) => self.as_str(),
            (RibKind::AdjRibIn, Some(Policy::Pre)) => "adj-rib-in-pre",
            (RibKind::AdjRibIn, Some(Policy::Post)) => "adj-rib-in-post",
            (RibKind::AdjRibOut, Some(Policy::Pre)) => "adj-rib-out-pre",
            (RibKind::AdjRibOut, Some(Policy::Post)) => "adj-rib-out-post",
            (RibKind::NlriLocRib | RibKind::NlriAdjRibIn | RibKind::NlriAdjRibOut, _) => self.as_str(),
        }
    }

    /// Returns the value of the `rib` column of `route_events`.
    pub fn as_str(self) -> &'static str {
        match self {
            RibKind::LocRib => "loc-rib",
            RibKind::AdjRibIn => "adj-rib-in",
            RibKind::AdjRibOut => "adj-rib-out",
            RibKind::NlriLocRib => "nlri-loc-rib",
            RibKind::NlriAdjRibIn => "nlri-adj-rib-in",
            RibKind::NlriAdjRibOut => "nlri-adj-rib-out",
        }
    }
}

/// One of a router's RIBs, with the part of a table's key that only Adj-RIBs have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum View {
    /// The Loc-RIB.
    LocRib,
    /// The routes received from this peer.
    AdjRibIn(AdjRibKey),
    /// The routes to be sent to this peer.
    AdjRibOut(AdjRibKey),
    /// The NLRI of other families in one of them.
    Nlri(NlriView),
}

/// One of a router's RIBs, as far as NLRI of other families are in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NlriView {
    /// The Loc-RIB.
    LocRib,
    /// Those received from this peer.
    AdjRibIn(AdjRibKey),
    /// Those to be sent to this peer.
    AdjRibOut(AdjRibKey),
}

impl View {
    /// Returns the name of the RIB, without the peer.
    pub fn name(&self) -> &'static str {
        self.kind().name(self.peer().map(|of| of.policy))
    }

    /// Returns the kind of RIB.
    pub fn kind(&self) -> RibKind {
        match self {
            View::LocRib => RibKind::LocRib,
            View::AdjRibIn(_) => RibKind::AdjRibIn,
            View::AdjRibOut(_) => RibKind::AdjRibOut,
            View::Nlri(NlriView::LocRib) => RibKind::NlriLocRib,
            View::Nlri(NlriView::AdjRibIn(_)) => RibKind::NlriAdjRibIn,
            View::Nlri(NlriView::AdjRibOut(_)) => RibKind::NlriAdjRibOut,
        }
    }

    /// Returns the same RIB for the NLRI of other families.
    pub fn of_nlri(self) -> View {
        View::Nlri(match self {
            View::LocRib => NlriView::LocRib,
            View::AdjRibIn(peer) => NlriView::AdjRibIn(peer),
            View::AdjRibOut(peer) => NlriView::AdjRibOut(peer),
            View::Nlri(view) => view,
        })
    }

    /// Returns whether it has the NLRI of other families.
    pub fn is_nlri(&self) -> bool {
        matches!(self, View::Nlri(_))
    }

    /// Returns the peer part of an Adj-RIB's key; `None` for the Loc-RIB.
    pub fn peer(&self) -> Option<AdjRibKey> {
        match self {
            View::LocRib | View::Nlri(NlriView::LocRib) => None,
            View::AdjRibIn(peer) | View::AdjRibOut(peer) => Some(*peer),
            View::Nlri(NlriView::AdjRibIn(peer) | NlriView::AdjRibOut(peer)) => Some(*peer),
        }
    }
}

/// The part of an Adj-RIB's key that identifies the peer and the side of the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AdjRibKey {
    /// The peer's address: the `peer_address` column.
    pub address: IpAddr,
    /// The side of the policy: the `is_post_policy` column.
    pub policy: Policy,
}

/// The identifiers that a peer announces: stored with each row of an Adj-RIB, but not part of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerIds {
    /// The peer's AS: the `peer_asn` column.
    pub asn: Asn,
    /// The peer's BGP identifier: the `peer_bgp_id` column; unspecified where none are known.
    pub bgp_id: Ipv4Addr,
}

impl PeerIds {
    /// The value of a Loc-RIB, which has no peer.
    pub const NONE: PeerIds = PeerIds { asn: Asn(0), bgp_id: Ipv4Addr::UNSPECIFIED };
}

/// The key of a table among those of one router.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableKey {
    /// The RIB.
    pub view: View,
    /// The table's name: the `table_name` column.
    pub name: Arc<str>,
    /// The address family.
    pub afi: Afi,
}

impl TableKey {
    /// Returns the key of the Loc-RIB of this name.
    pub fn loc_rib(name: impl Into<Arc<str>>, afi: Afi) -> TableKey {
        TableKey { view: View::LocRib, name: name.into(), afi }
    }

    /// Returns the key of the same table in the other family.
    pub(crate) fn of_other_family(&self) -> TableKey {
        let afi = match self.afi {
            Afi::Ipv4 => Afi::Ipv6,
            Afi::Ipv6 => Afi::Ipv4,
        };
        TableKey { afi, ..self.clone() }
    }
}

/// One routing table of one router and family: the object of one row in `rib_sync_status`, or in the corresponding
/// table of its kind of RIB.
///
/// Shared as `Arc<Table>`: a million routes refer to one. Ordered so that tables of one kind are adjacent.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Table {
    /// The RIB.
    pub view: View,
    /// The router.
    pub router: RouterId,
    /// The table's name: the `table_name` column.
    pub name: Arc<str>,
    /// The address family.
    pub afi: Afi,
    /// The peer of an Adj-RIB; [`PeerIds::NONE`] for a Loc-RIB.
    pub speaker: PeerIds,
}

impl Table {
    /// Returns a router's Loc-RIB of this name.
    pub fn loc_rib(router: RouterId, name: impl Into<Arc<str>>, afi: Afi) -> Table {
        Table { view: View::LocRib, router, name: name.into(), afi, speaker: PeerIds::NONE }
    }
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        self.peer().map_or(Ok(()), |of| write!(f, " of {}", of.address))
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.view {
            View::LocRib => write!(f, "router {} table {} {}", self.router, self.name, self.afi),
            view => write!(f, "router {} {view} table {} {}", self.router, self.name, self.afi),
        }
    }
}
