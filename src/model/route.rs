//! Whose table a route is in.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::{Afi, Asn};

/// The `router_id` of the database, settled once per session.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouterId(Arc<str>);

impl RouterId {
    /// Wraps an identifier that is already safe text.
    pub fn new(id: &str) -> RouterId {
        RouterId(id.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RouterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Before or after the policy of an Adj-RIB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Policy {
    /// Pre-policy.
    Pre,
    /// Post-policy.
    Post,
}

impl Policy {
    /// The value of the `is_post_policy` column.
    pub fn is_post(self) -> bool {
        self == Policy::Post
    }
}

/// The three kinds of RIB, each with database tables of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RibKind {
    /// The router's own choice (RFC 9069).
    LocRib,
    /// Received from a peer (RFC 7854).
    AdjRibIn,
    /// To be sent to a peer (RFC 8671).
    AdjRibOut,
}

impl RibKind {
    /// Every kind.
    pub const ALL: [RibKind; 3] = [RibKind::LocRib, RibKind::AdjRibIn, RibKind::AdjRibOut];

    /// The value of the `rib` column of `route_events`.
    pub fn as_str(self) -> &'static str {
        match self {
            RibKind::LocRib => "loc-rib",
            RibKind::AdjRibIn => "adj-rib-in",
            RibKind::AdjRibOut => "adj-rib-out",
        }
    }
}

/// Which of a router's RIBs: the part of a table's key that only Adj-RIBs have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum View {
    /// The Loc-RIB.
    LocRib,
    /// What came from this peer.
    AdjRibIn(AdjRibKey),
    /// What goes to this peer.
    AdjRibOut(AdjRibKey),
}

impl View {
    /// Which kind of RIB it is.
    pub fn kind(&self) -> RibKind {
        match self {
            View::LocRib => RibKind::LocRib,
            View::AdjRibIn(_) => RibKind::AdjRibIn,
            View::AdjRibOut(_) => RibKind::AdjRibOut,
        }
    }

    /// Whose Adj-RIB it is; `None` for the Loc-RIB.
    pub fn peer(&self) -> Option<AdjRibKey> {
        match self {
            View::LocRib => None,
            View::AdjRibIn(peer) | View::AdjRibOut(peer) => Some(*peer),
        }
    }
}

/// A peer's end of an Adj-RIB, as far as it is part of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AdjRibKey {
    /// The `peer_address`.
    pub address: IpAddr,
    /// The `is_post_policy`.
    pub policy: Policy,
}

/// Who a peer says it is: told along with each row of an Adj-RIB, no part of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerIds {
    /// The `peer_asn`.
    pub asn: Asn,
    /// The `peer_bgp_id`; unspecified where none is known.
    pub bgp_id: Ipv4Addr,
}

impl PeerIds {
    /// Nobody: what a Loc-RIB has.
    pub const NONE: PeerIds = PeerIds { asn: Asn(0), bgp_id: Ipv4Addr::UNSPECIFIED };
}

/// What tells the tables of one router apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableKey {
    /// Which RIB.
    pub view: View,
    /// The `table_name`.
    pub name: Arc<str>,
    /// The family.
    pub afi: Afi,
}

impl TableKey {
    /// The Loc-RIB of this name.
    pub fn loc_rib(name: impl Into<Arc<str>>, afi: Afi) -> TableKey {
        TableKey { view: View::LocRib, name: name.into(), afi }
    }
}

/// One routing table of one router and family: what `rib_sync_status`, or that of its kind of RIB, has a row for.
///
/// Shared as `Arc<Table>`: a million routes name one. Ordered so that tables of one kind stand together.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Table {
    /// Which RIB.
    pub view: View,
    /// The router.
    pub router: RouterId,
    /// The `table_name`.
    pub name: Arc<str>,
    /// The family.
    pub afi: Afi,
    /// The peer of an Adj-RIB; [`PeerIds::NONE`] for a Loc-RIB.
    pub speaker: PeerIds,
}

impl Table {
    /// A router's Loc-RIB of this name.
    pub fn loc_rib(router: RouterId, name: impl Into<Arc<str>>, afi: Afi) -> Table {
        Table { view: View::LocRib, router, name: name.into(), afi, speaker: PeerIds::NONE }
    }
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind().as_str())?;
        match self.peer() {
            None => Ok(()),
            Some(AdjRibKey { address, policy: Policy::Pre }) => write!(f, "-pre of {address}"),
            Some(AdjRibKey { address, policy: Policy::Post }) => write!(f, "-post of {address}"),
        }
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
