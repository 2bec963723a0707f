//! What the Peer Ups of one BMP session said: how to read a peer's UPDATEs, and what its table is called.
//!
//! Pure: messages in, answers out. `decode` uses it as well as the sessions do.
//!
//! A peer is told apart by its kind, address and AS, one with a link-local address by its BGP identifier too; a Loc-RIB instance by its distinguisher alone, since its
//! address is always zero (RFC 9069 section 4.1). A router may send several Peer Ups for one peer or
//! instance, one per family: their capabilities are merged (RFC 9069 section 6.1.1).

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use crate::model::{AfiSafi, Asn, Neighbour, Speaker, Text, View};
use crate::wire::bgp::add_path::AddPathFamilies;
use crate::wire::bgp::open::{AddPathDirection, Capability, Open};
use crate::wire::bgp::update::DecodeContext;
use crate::wire::bmp::peer::{PeerKey, PeerKind, PerPeerHeader, Rib};
use crate::wire::bmp::{Information, PeerUp, RouteMonitoring};

/// The `table_name` of a router that names none.
pub const UNKNOWN_TABLE: &str = "UNKNOWN";

/// So many peers of one session are known, a few hundred bytes each; what further ones say is not remembered.
pub(super) const PEERS_MAX: usize = 65_536;

/// Everything known of a session's peers.
#[derive(Debug, Default)]
pub struct Peers {
    peers: HashMap<PeerId, Peer>,
    /// Which of them have this address.
    by_address: HashMap<IpAddr, Vec<PeerId>>,
    names: HashMap<(PeerKind, Option<AfiSafi>), Arc<str>>,
    /// The peer asked for last, and what is known of it: a dump names the same one a million times.
    last: RefCell<Option<(PeerKey, Known)>>,
}

/// What is known of the peer that a per-peer header names.
#[derive(Clone, Copy, Debug)]
struct Known {
    id: PeerId,
    /// `None`: it is not up.
    add_path: Option<AddPathInUse>,
}

/// What tells one peer of a router from another, or one Loc-RIB instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerId {
    /// The type, with its distinguisher.
    pub kind: PeerKind,
    /// `None` for a Loc-RIB instance.
    pub address: Option<IpAddr>,
    /// Zero for a Loc-RIB instance.
    pub asn: Asn,
    /// Tells peers with one link-local address on two interfaces apart; zero for all others, whose identifier may change.
    pub bgp_id: Ipv4Addr,
}

impl PeerId {
    /// The peer or instance that a per-peer header's fields name.
    pub fn of(peer: &PeerKey) -> PeerId {
        let PeerKey { kind, address, asn, bgp_id } = *peer;
        let none = Ipv4Addr::UNSPECIFIED;
        match kind {
            PeerKind::LocRib(_) => PeerId { kind, address: None, asn: Asn(0), bgp_id: none },
            PeerKind::Global | PeerKind::Vrf(_) | PeerKind::Local(_) | PeerKind::Unknown { .. } => {
                let is_link_local = matches!(address, IpAddr::V6(address) if address.is_unicast_link_local());
                PeerId { kind, address: Some(address), asn, bgp_id: if is_link_local { bgp_id } else { none } }
            }
        }
    }

    /// Which of the peers that are up, none of them this one, is meant by it all the same: headers of one peer may name
    /// different ASes or identifiers (that of a Peer Down, say). The only one of its kind with this address and AS, or
    /// else with this address.
    pub fn meant<'a>(&self, up: impl Iterator<Item = &'a PeerId> + Clone) -> Option<PeerId> {
        self.address?;
        let same = || up.clone().filter(|other| (other.kind, other.address) == (self.kind, self.address));
        only(same().filter(|other| other.asn == self.asn)).or_else(|| only(same())).copied()
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            None => f.write_str("Loc-RIB"),
            Some(address) => write!(f, "neighbour {address} AS {}", self.asn),
        }?;
        let rd = self.kind.rd();
        if rd.is_zero() { Ok(()) } else { write!(f, " of {rd}") }
    }
}

/// Whose tables a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// The peer or instance: its Peer Down takes them away.
    pub peer: PeerId,
    /// Which of its RIBs.
    pub view: View,
    /// The peer's numbers.
    pub speaker: Speaker,
}

/// One peer's capabilities, merged over its Peer Ups.
#[derive(Debug, Default)]
struct Peer {
    sent: Capabilities,
    received: Capabilities,
    add_path: AddPathInUse,
    apart: Apart,
}

/// What is behind the table names of a peer, because others with its address have the same ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Apart {
    /// Nothing: it was the first.
    #[default]
    Nothing,
    /// Its AS.
    As,
    /// Its AS and its BGP identifier: a later one of that AS.
    AsAndBgpId,
}

/// The families whose NLRI carry path identifiers in each RIB. Settled at a Peer Up, because every UPDATE asks.
#[derive(Clone, Copy, Debug, Default)]
struct AddPathInUse {
    adj_rib_in: AddPathFamilies,
    adj_rib_out: AddPathFamilies,
    loc_rib: AddPathFamilies,
}

impl AddPathInUse {
    fn of(sent: &Capabilities, received: &Capabilities) -> AddPathInUse {
        let all = [&sent.send, &sent.receive, &received.send, &received.receive];
        AddPathInUse {
            adj_rib_in: received.send.intersection(&sent.receive).copied().collect(),
            adj_rib_out: sent.send.intersection(&received.receive).copied().collect(),
            loc_rib: all.into_iter().flatten().copied().collect(),
        }
    }
}

/// What one side's OPENs announced.
#[derive(Debug, Default)]
struct Capabilities {
    families: BTreeSet<AfiSafi>,
    send: BTreeSet<AfiSafi>,
    receive: BTreeSet<AfiSafi>,
}

impl Capabilities {
    fn families_or_ipv4(&self) -> BTreeSet<AfiSafi> {
        if self.families.is_empty() { BTreeSet::from([AfiSafi::IPV4_UNICAST]) } else { self.families.clone() }
    }

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
        let id = PeerId::of(&up.peer.peer);
        if self.peers.len() >= PEERS_MAX && !self.peers.contains_key(&id) {
            return;
        }
        self.last.take();
        self.learn_name(up);
        let apart = self.apart(&id);
        let peer = self.peers.entry(id).or_insert_with(|| Peer { apart, ..Peer::default() });
        peer.sent.merge(&up.sent_open);
        peer.received.merge(&up.received_open);
        peer.add_path = AddPathInUse::of(&peer.sent, &peer.received);
        if let Some(address) = id.address {
            let ids = self.by_address.entry(address).or_default();
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
    }

    /// Takes in a Peer Down; whether the peer was up.
    pub fn peer_down(&mut self, header: &PerPeerHeader) -> bool {
        let id = self.id(header);
        self.last.take();
        if matches!(id.kind, PeerKind::LocRib(_)) {
            self.names.retain(|(named, _), _| *named != id.kind);
        }
        if let Some(ids) = id.address.and_then(|address| self.by_address.get_mut(&address)) {
            ids.retain(|other| *other != id);
        }
        self.peers.remove(&id).is_some()
    }

    /// Whether a Peer Up of this peer or instance came, and no Peer Down since.
    pub fn is_up(&self, header: &PerPeerHeader) -> bool {
        self.known(header).add_path.is_some()
    }

    /// Which peer or instance this header is of.
    fn id(&self, header: &PerPeerHeader) -> PeerId {
        self.known(header).id
    }

    /// Which peer or instance this header is of, and how its NLRI are to be read if it is up.
    ///
    /// Where there is no such peer, it is the one that is [`meant`](PeerId::meant).
    fn known(&self, header: &PerPeerHeader) -> Known {
        if let Some((last, known)) = &*self.last.borrow()
            && *last == header.peer
        {
            return *known;
        }
        let known = self.look_up(&header.peer);
        self.last.replace(Some((header.peer, known)));
        known
    }

    #[inline(never)]
    fn look_up(&self, peer: &PeerKey) -> Known {
        let asked = PeerId::of(peer);
        let others = asked.address.and_then(|address| self.by_address.get(&address));
        let id = match self.peers.contains_key(&asked) {
            true => asked,
            false => asked.meant(others.into_iter().flatten()).unwrap_or(asked),
        };
        Known { id, add_path: self.peers.get(&id).map(|peer| peer.add_path) }
    }

    /// Whose tables routes under this per-peer header are in.
    pub fn source(&self, header: &PerPeerHeader) -> Source {
        let PeerKey { address, asn, bgp_id, .. } = header.peer;
        let neighbour = |policy| Neighbour { address, policy };
        let (view, speaker) = match header.rib {
            Rib::LocRib { .. } => (View::LocRib, Speaker::NONE),
            Rib::AdjRibIn(policy) => (View::AdjRibIn(neighbour(policy)), Speaker { asn, bgp_id }),
            Rib::AdjRibOut(policy) => (View::AdjRibOut(neighbour(policy)), Speaker { asn, bgp_id }),
        };
        Source { peer: self.id(header), view, speaker }
    }

    /// What the table names of a peer that comes up need behind them.
    fn apart(&self, id: &PeerId) -> Apart {
        let others = id.address.and_then(|address| self.by_address.get(&address));
        let name = |kind| self.name_of(kind, AfiSafi::IPV4_UNICAST);
        let shares = |other: &&PeerId| *other != id && name(other.kind) == name(id.kind);
        let sharing: Vec<&PeerId> = others.into_iter().flatten().filter(shares).collect();
        let has_as = |other: &&PeerId| other.asn == id.asn && self.peers[*other].apart != Apart::Nothing;
        match sharing.iter().any(has_as) {
            _ if sharing.is_empty() => Apart::Nothing,
            false => Apart::As,
            true => Apart::AsAndBgpId,
        }
    }

    /// How the UPDATEs under this per-peer header are to be read.
    ///
    /// Add-Path is in use where the sender may send and the receiver may receive path identifiers
    /// (RFC 7911 section 4); which side is which depends on the RIB. For a Loc-RIB any direction in
    /// either OPEN counts: both OPENs are made up by the router.
    pub fn context(&self, header: &PerPeerHeader) -> DecodeContext {
        let add_path = self.known(header).add_path.unwrap_or_default();
        let add_path = match header.rib {
            Rib::AdjRibIn(_) => add_path.adj_rib_in,
            Rib::AdjRibOut(_) => add_path.adj_rib_out,
            Rib::LocRib { .. } => add_path.loc_rib,
        };
        DecodeContext { as_width: header.as_width, add_path, ..DecodeContext::default() }
    }

    /// The families of a peer or instance: of a Loc-RIB those that either of its made-up OPENs announces, else those that
    /// both sides' do, IPv4 unicast where a side announces none (RFC 4760 section 8).
    pub fn families(&self, header: &PerPeerHeader) -> Vec<AfiSafi> {
        let Some(Peer { sent, received, .. }) = self.peers.get(&self.id(header)) else { return Vec::new() };
        match header.rib {
            Rib::LocRib { .. } => sent.families.union(&received.families).copied().collect(),
            Rib::AdjRibIn(_) | Rib::AdjRibOut(_) => {
                let (sent, received) = (sent.families_or_ipv4(), received.families_or_ipv4());
                sent.intersection(&received).copied().collect()
            }
        }
    }

    /// The `table_name` of routes under this per-peer header.
    ///
    /// The VRF/Table Name TLV (RFC 9069 section 5.2.1); else what Junos puts into TLV type 0 of a Loc-RIB
    /// Peer Up, family by family; else `UNKNOWN`, or `rd:<distinguisher>` where `UNKNOWN` would merge VRFs.
    /// Of two peers with one address the later one's has its AS behind it.
    pub fn table_name(&self, header: &PerPeerHeader, family: AfiSafi) -> Arc<str> {
        self.told_apart(header, self.name_of(header.peer.kind, family))
    }

    fn told_apart(&self, header: &PerPeerHeader, name: Arc<str>) -> Arc<str> {
        let id = self.id(header);
        match self.peers.get(&id).map_or(Apart::Nothing, |peer| peer.apart) {
            Apart::Nothing => name,
            Apart::As => format!("{name}|as:{}", id.asn).into(),
            Apart::AsAndBgpId => format!("{name}|as:{}|id:{}", id.asn, id.bgp_id).into(),
        }
    }

    /// The same without what tells a second peer apart.
    pub fn base_name(&self, header: &PerPeerHeader, family: AfiSafi) -> Arc<str> {
        self.name_of(header.peer.kind, family)
    }

    fn name_of(&self, kind: PeerKind, family: AfiSafi) -> Arc<str> {
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

    /// The `table_name` of one Route Monitoring message's routes: as [`Peers::table_name`], unless the message itself
    /// names a table, which version 4 allows.
    pub fn table_of(&self, monitoring: &RouteMonitoring<'_>, family: AfiSafi) -> Arc<str> {
        match monitoring.table_name().filter(|name| !name.as_str().is_empty()) {
            Some(name) => self.told_apart(&monitoring.peer, name.as_str().into()),
            None => self.table_name(&monitoring.peer, family),
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

/// The one that there is, unless there are more.
fn only<'a>(mut ids: impl Iterator<Item = &'a PeerId>) -> Option<&'a PeerId> {
    ids.next().filter(|_| ids.next().is_none())
}

/// The text of a table name, unless it is empty.
fn table_name_text(value: &[u8]) -> Option<Arc<str>> {
    let text = Text::key(value);
    (!text.as_str().is_empty()).then(|| text.as_str().into())
}

/// The families of one Peer Up's own OPENs; without a multiprotocol capability that is IPv4 unicast (RFC 4760 section 8).
fn open_families(sent: &Open, received: &Open) -> BTreeSet<AfiSafi> {
    let mut both = Capabilities::default();
    both.merge(sent);
    both.merge(received);
    both.families_or_ipv4()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Asn;
    use crate::wire::bmp::peer::{AsWidth, PeerKey, Policy, Rd};
    use crate::wire::bmp::{Tlv, TlvKind};

    const V4: AfiSafi = AfiSafi::IPV4_UNICAST;
    const V6: AfiSafi = AfiSafi::IPV6_UNICAST;
    const RD: Rd = Rd([0, 0, 0xfd, 0xe8, 0, 0, 0, 7]);

    fn header(kind: PeerKind, rib: Rib) -> PerPeerHeader {
        let address = Ipv4Addr::new(192, 0, 2, 1);
        let peer = PeerKey { kind, address: address.into(), asn: Asn(1), bgp_id: address };
        PerPeerHeader { peer, rib, as_width: AsWidth::Four, time: None }
    }

    fn loc_rib(rd: Rd) -> PerPeerHeader {
        header(PeerKind::LocRib(rd), Rib::LocRib { filtered: false })
    }

    fn open(families: &[AfiSafi], add_path: &[(AfiSafi, AddPathDirection)]) -> Open {
        let mut capabilities: Vec<_> = families.iter().map(|family| Capability::Multiprotocol(*family)).collect();
        capabilities.push(Capability::AddPath(add_path.to_vec()));
        let bgp_id = Ipv4Addr::new(10, 0, 0, 1);
        Open { version: 4, my_as: 1, asn: Asn(1), hold_time: 0, bgp_id, capabilities, defect: None }
    }

    fn up<'a>(peer: PerPeerHeader, sent: Open, received: Open, tlv: Option<(u16, &'a [u8])>) -> PeerUp<'a> {
        PeerUp {
            peer,
            local_address: Ipv4Addr::UNSPECIFIED.into(),
            local_port: 0,
            remote_port: 0,
            sent_open: sent,
            received_open: received,
            information: tlv.map(|(type_code, value)| Information { type_code, value }).into_iter().collect(),
        }
    }

    #[test]
    fn add_path_goes_by_direction_and_rib() {
        use AddPathDirection::{Both, Receive, Send};
        let check = |rib: Rib, kind, sent: &[_], received: &[_], want: &[AfiSafi]| {
            let mut peers = Peers::new();
            let header = header(kind, rib);
            peers.peer_up(&up(header, open(&[], sent), open(&[], received), None));
            assert_eq!(
                peers.context(&header).add_path,
                want.iter().copied().collect(),
                "{rib:?} {sent:?} {received:?}"
            );
        };
        let global = PeerKind::Global;
        let (incoming, outgoing) = (Rib::AdjRibIn(Policy::Pre), Rib::AdjRibOut(Policy::Post));
        check(incoming, global, &[(V4, Receive)], &[(V4, Send)], &[V4]);
        check(incoming, global, &[(V4, Receive)], &[], &[]);
        check(incoming, global, &[(V4, Send)], &[(V4, Receive)], &[]);
        check(outgoing, global, &[(V4, Send)], &[(V4, Receive)], &[V4]);
        check(incoming, global, &[(V4, Both), (V6, Receive)], &[(V4, Both), (V6, Receive)], &[V4]);
        let instance = PeerKind::LocRib(Rd([0; 8]));
        check(Rib::LocRib { filtered: true }, instance, &[(V6, Receive)], &[], &[V6]);
        check(Rib::LocRib { filtered: true }, instance, &[], &[], &[]);
    }

    #[test]
    fn several_peer_ups_of_one_instance_are_merged_and_a_peer_down_forgets_them() {
        let mut peers = Peers::new();
        let header = loc_rib(RD);
        peers.peer_up(&up(header, open(&[V4], &[]), open(&[], &[]), Some((3, b"blue"))));
        peers.peer_up(&up(header, open(&[V6], &[]), open(&[], &[]), None));
        assert_eq!(peers.families(&header), [V4, V6]);
        assert_eq!(&*peers.table_name(&header, V6), "blue");
        assert!(peers.is_up(&header) && !peers.is_up(&loc_rib(Rd([0; 8]))));
        assert!(peers.peer_down(&header));
        assert!(!peers.peer_down(&header));
        assert_eq!(&*peers.table_name(&header, V6), "rd:0:65000:7");
    }

    #[test]
    fn link_local_neighbours_of_two_interfaces_are_two() {
        let mut peers = Peers::new();
        let of = |id: u8, rd| {
            let kind = if rd == 0 { PeerKind::Global } else { PeerKind::Vrf(Rd([0, 0, 0, 1, 0, 0, 0, rd])) };
            let mut header = header(kind, Rib::AdjRibIn(Policy::Pre));
            header.peer.address = "fe80::1".parse().unwrap();
            header.peer.bgp_id = Ipv4Addr::new(10, 0, 0, id);
            header
        };
        let all = [of(1, 0), of(2, 0), of(3, 0), of(1, 7)];
        for header in all {
            peers.peer_up(&up(header, open(&[V4], &[]), open(&[V4], &[]), None));
        }
        let names = |peers: &Peers| all.map(|header| peers.table_name(&header, V4).to_string());
        assert_eq!(names(&peers), ["UNKNOWN", "UNKNOWN|as:1", "UNKNOWN|as:1|id:10.0.0.3", "rd:0:1:7"]);
        // Without its identifier it may be any of three, of which none goes.
        assert!(!peers.peer_down(&of(0, 0)) && !peers.peer_down(&of(4, 0)));
        assert!(peers.peer_down(&of(0, 7)) && peers.peer_down(&of(2, 0)) && peers.peer_down(&of(3, 0)));
        assert!(!peers.is_up(&of(1, 7)) && peers.is_up(&of(1, 0)));
        // One is left: it is meant.
        assert!(peers.peer_down(&of(0, 0)));
        assert!(peers.by_address.values().all(Vec::is_empty));
    }

    #[test]
    fn tables_without_a_name_tlv() {
        let mut peers = Peers::new();
        // Junos: one instance, one Peer Up per family, the table's name in TLV type 0.
        let header = loc_rib(Rd([0; 8]));
        peers.peer_up(&up(header, open(&[V4], &[]), open(&[V4], &[]), Some((0, b"inet.0"))));
        peers.peer_up(&up(header, open(&[V6], &[]), open(&[V6], &[]), Some((0, b"inet6.0"))));
        assert_eq!(&*peers.table_name(&header, V4), "inet.0");
        assert_eq!(&*peers.table_name(&header, V6), "inet6.0");
        // FRR: the neighbour's description in the same TLV of a global peer.
        let neighbour = self::header(PeerKind::Global, Rib::AdjRibIn(Policy::Pre));
        peers.peer_up(&up(neighbour, open(&[V4], &[]), open(&[V4], &[]), Some((0, b"to my upstream"))));
        assert_eq!(&*peers.table_name(&neighbour, V4), UNKNOWN_TABLE);
        // Version 4: the message itself may name it.
        let value = &b"violet"[..];
        let tlv = Tlv { type_code: 3, kind: TlvKind::TableName, enterprise: None, index: 0, value };
        let named = RouteMonitoring { peer: header, update: &[], update_offset: 0, tlvs: vec![tlv] };
        assert_eq!(&*peers.table_of(&named, V4), "violet");
        assert_eq!(&*peers.table_of(&RouteMonitoring { tlvs: vec![], ..named }, V4), "inet.0");
        // GoBGP 3: no Peer Up at all.
        assert_eq!(&*Peers::new().table_name(&header, V4), UNKNOWN_TABLE);
        assert_eq!(&*Peers::new().table_name(&loc_rib(RD), V4), "rd:0:65000:7");
    }
}
