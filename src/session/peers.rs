//! What the Peer Ups of one BMP session said: how to read a peer's UPDATEs, and what its table is called.
//!
//! Pure: messages in, answers out. `decode` uses it as well as the sessions do.
//!
//! A peer is told apart by its kind and address; a Loc-RIB instance by its distinguisher alone, since its
//! address is always zero (RFC 9069 section 4.1). A router may send several Peer Ups for one peer or
//! instance, one per family: their capabilities are merged (RFC 9069 section 6.1.1).

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use crate::model::{AfiSafi, Text};
use crate::wire::bgp::open::{AddPathDirection, Capability, Open};
use crate::wire::bgp::update::DecodeContext;
use crate::wire::bmp::peer::{PeerKind, PerPeerHeader, Rib};
use crate::wire::bmp::{Information, PeerUp};

/// The `table_name` of a router that names none.
pub const UNKNOWN_TABLE: &str = "UNKNOWN";

/// A table name longer than this is cut: RFC 9069 section 5.2.1 allows 255 octets.
const TABLE_NAME_MAX: usize = 255;

/// Everything known of a session's peers.
#[derive(Debug, Default)]
pub struct Peers {
    peers: HashMap<PeerId, Peer>,
    names: HashMap<(PeerKind, Option<AfiSafi>), Arc<str>>,
}

/// What tells one peer of a router from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct PeerId {
    kind: PeerKind,
    address: Option<IpAddr>,
}

impl PeerId {
    fn of(header: &PerPeerHeader) -> PeerId {
        let kind = header.peer.kind;
        let address = match kind {
            PeerKind::LocRib(_) => None,
            PeerKind::Global | PeerKind::Vrf(_) | PeerKind::Local(_) | PeerKind::Unknown { .. } => {
                Some(header.peer.address)
            }
        };
        PeerId { kind, address }
    }
}

/// One peer's capabilities, merged over its Peer Ups.
#[derive(Debug, Default)]
struct Peer {
    sent: Capabilities,
    received: Capabilities,
}

/// What one side's OPENs announced.
#[derive(Debug, Default)]
struct Capabilities {
    families: BTreeSet<AfiSafi>,
    send: BTreeSet<AfiSafi>,
    receive: BTreeSet<AfiSafi>,
}

impl Capabilities {
    fn merge(&mut self, open: &Open) {
        for capability in &open.capabilities {
            match capability {
                Capability::Multiprotocol(family) => {
                    self.families.insert(*family);
                }
                Capability::AddPath(families) => {
                    for (family, direction) in families {
                        if matches!(direction, AddPathDirection::Send | AddPathDirection::Both) {
                            self.send.insert(*family);
                        }
                        if matches!(direction, AddPathDirection::Receive | AddPathDirection::Both) {
                            self.receive.insert(*family);
                        }
                    }
                }
                Capability::FourOctetAs(_) | Capability::Other { .. } => {}
            }
        }
    }
}

impl Peers {
    /// A session that has said nothing yet.
    pub fn new() -> Peers {
        Peers::default()
    }

    /// Takes in a Peer Up. A further one for the same peer merges its capabilities.
    pub fn peer_up(&mut self, up: &PeerUp<'_>) {
        let peer = self.peers.entry(PeerId::of(&up.peer)).or_default();
        peer.sent.merge(&up.sent_open);
        peer.received.merge(&up.received_open);
        self.learn_name(up);
    }

    /// Takes in a Peer Down; whether the peer was up.
    pub fn peer_down(&mut self, header: &PerPeerHeader) -> bool {
        let kind = header.peer.kind;
        if matches!(kind, PeerKind::LocRib(_)) {
            self.names.retain(|(named, _), _| *named != kind);
        }
        self.peers.remove(&PeerId::of(header)).is_some()
    }

    /// Whether a Peer Up of this peer or instance came, and no Peer Down since.
    pub fn is_up(&self, header: &PerPeerHeader) -> bool {
        self.peers.contains_key(&PeerId::of(header))
    }

    /// How the UPDATEs under this per-peer header are to be read.
    ///
    /// Add-Path is in use where the sender may send and the receiver may receive path identifiers
    /// (RFC 7911 section 4); which side is which depends on the RIB. For a Loc-RIB any direction in
    /// either OPEN counts: both OPENs are made up by the router.
    pub fn context(&self, header: &PerPeerHeader) -> DecodeContext {
        let add_path = match self.peers.get(&PeerId::of(header)) {
            None => Vec::new(),
            Some(Peer { sent, received }) => match header.rib {
                Rib::AdjRibIn(_) => received.send.intersection(&sent.receive).copied().collect(),
                Rib::AdjRibOut(_) => sent.send.intersection(&received.receive).copied().collect(),
                Rib::LocRib { .. } => {
                    let sets = [&sent.send, &sent.receive, &received.send, &received.receive];
                    sets.into_iter().flatten().copied().collect::<BTreeSet<_>>().into_iter().collect()
                }
            },
        };
        DecodeContext { as_width: header.as_width, add_path }
    }

    /// The families that a peer's or instance's OPENs announce, both sides together.
    pub fn families(&self, header: &PerPeerHeader) -> Vec<AfiSafi> {
        match self.peers.get(&PeerId::of(header)) {
            None => Vec::new(),
            Some(Peer { sent, received }) => sent.families.union(&received.families).copied().collect(),
        }
    }

    /// The `table_name` of routes under this per-peer header.
    ///
    /// The VRF/Table Name TLV (RFC 9069 section 5.2.1); else what Junos puts into TLV type 0 of a Loc-RIB
    /// Peer Up, family by family; else `UNKNOWN`, or `rd:<distinguisher>` where `UNKNOWN` would merge VRFs.
    pub fn table_name(&self, header: &PerPeerHeader, family: AfiSafi) -> Arc<str> {
        let kind = header.peer.kind;
        if let Some(name) = self.names.get(&(kind, None)).or_else(|| self.names.get(&(kind, Some(family)))) {
            return Arc::clone(name);
        }
        match kind {
            PeerKind::Vrf(rd) | PeerKind::Local(rd) | PeerKind::LocRib(rd) | PeerKind::Unknown { rd, .. }
                if !rd.is_zero() =>
            {
                format!("rd:{rd}").into()
            }
            PeerKind::Global
            | PeerKind::Vrf(_)
            | PeerKind::Local(_)
            | PeerKind::LocRib(_)
            | PeerKind::Unknown { .. } => UNKNOWN_TABLE.into(),
        }
    }

    fn learn_name(&mut self, up: &PeerUp<'_>) {
        let kind = up.peer.peer.kind;
        if let Some(name) = up.information.iter().find(|tlv| tlv.type_code == Information::TABLE_NAME) {
            if let Some(name) = table_name_text(name.value) {
                self.names.insert((kind, None), name);
            }
        } else if let PeerKind::LocRib(_) = kind {
            // On other peers type 0 is free text: newer FRR puts the neighbour's description there.
            let string = up.information.iter().find(|tlv| tlv.type_code == Information::STRING);
            if let Some(name) = string.and_then(|tlv| table_name_text(tlv.value)) {
                for family in open_families(&up.sent_open, &up.received_open) {
                    self.names.insert((kind, Some(family)), Arc::clone(&name));
                }
            }
        }
    }
}

/// The text of a table name, unless it is empty.
fn table_name_text(value: &[u8]) -> Option<Arc<str>> {
    let text = Text::from_wire(&value[..value.len().min(TABLE_NAME_MAX)]);
    (!text.as_str().is_empty()).then(|| text.as_str().into())
}

/// The families of one Peer Up's own OPENs; without a multiprotocol capability that is IPv4 unicast (RFC 4760 section 8).
fn open_families(sent: &Open, received: &Open) -> BTreeSet<AfiSafi> {
    let mut both = Capabilities::default();
    both.merge(sent);
    both.merge(received);
    if both.families.is_empty() {
        both.families.insert(AfiSafi::IPV4_UNICAST);
    }
    both.families
}
