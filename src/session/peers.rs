//! What the Peer Ups of one BMP session said: how to read a peer's UPDATEs, and what its table is called.
//!
//! Pure: messages in, answers out. `decode` uses it as well as the sessions do.
//!
//! A peer is told apart by its kind, address and AS, one with a link-local address by its BGP identifier too; a Loc-RIB
//! instance by its distinguisher and BGP ID (RFC 9069 section 6.1.1), since its address is always zero. A router may send
//! several Peer Ups for one peer or instance, one per family: their capabilities are merged. One with other ports is of
//! another BGP session: it begins anew. A Peer Up speaks of its own peer alone, names included.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::capabilities::{Capabilities, InUse, NlriForm};
pub use super::table_names::Renamed;
use super::table_names::{GivenNames, TableName, TableNames, escape};
use crate::model::{AdjRibKey, AfiSafi, Asn, PeerIds, RibKind, Text, View};
use crate::wire::bgp::open::Open;
use crate::wire::bgp::update::DecodeContext;
use crate::wire::bmp::peer::{PeerKey, PeerKind, PerPeerHeader, Rib};
use crate::wire::bmp::{Information, PeerDown, PeerUp, RouteMonitoring};

/// So many peers of one session are known, a few hundred bytes each; what further ones say is not remembered.
pub(super) const PEERS_MAX: usize = 65_536;

/// Everything known of a session's peers.
#[derive(Debug, Default)]
pub struct Peers {
    peers: HashMap<PeerId, Peer>,
    /// Which of them have this type, distinguisher and address: mostly one.
    alike: HashMap<(PeerKind, Option<IpAddr>), Vec<PeerId>>,
    names: RefCell<TableNames>,
    /// Loc-RIB instances that are up, by the BGP ID that other messages of theirs name.
    aliases: RefCell<HashMap<PeerId, PeerId>>,
    /// The peer asked for last, and what is known of it: a dump names the same one a million times.
    last: RefCell<Option<(PeerKey, Known)>>,
    /// How often a Peer Up or Peer Down has been taken in.
    revision: u64,
    /// The table asked for last.
    last_table: RefCell<Option<(TableAsked, TableName)>>,
}

/// A table by the header of its routes.
type TableAsked = (PeerKey, RibKind, AfiSafi);

/// So many BGP IDs that differ from that of their instance's Peer Up are remembered.
const ALIASES_MAX: usize = 1_024;

/// What is known of the peer that a per-peer header names.
#[derive(Clone, Copy, Debug)]
struct Known {
    id: PeerId,
    /// `None`: it is not up.
    in_use: Option<InUse>,
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
    /// That of a Loc-RIB instance. It also tells peers with one link-local address on two interfaces apart; zero for all
    /// others, whose identifier may change.
    pub bgp_id: Ipv4Addr,
}

/// What a Peer Up is to its peer or instance.
#[derive(Debug, PartialEq, Eq)]
pub struct Told {
    /// Which.
    pub id: PeerId,
    /// Whether it was up already.
    pub rank: Rank,
    /// The names of its tables before, if this Peer Up gave some of them another.
    pub renamed: Option<Renamed>,
}

/// How a Peer Up stands to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rank {
    /// The first since the peer was down.
    First,
    /// A further one of the same BGP session, or of a Loc-RIB instance.
    Further,
    /// That of another BGP session: the ports are others.
    Anew,
    /// Too many peers are up to remember it.
    Unheard,
}

impl PeerId {
    /// The peer or instance that a per-peer header's fields name.
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

    /// Whether its address says nothing without the interface.
    pub fn is_link_local(&self) -> bool {
        matches!(self.address, Some(IpAddr::V6(address)) if address.is_unicast_link_local())
    }

    /// What it has in common with all that could be meant by it.
    fn alike(&self) -> (PeerKind, Option<IpAddr>) {
        (self.kind, self.address)
    }

    /// Which of the peers that are up, none of them this one, routes under its header are of all the same: headers of one
    /// peer may name different ASes or identifiers. The only one of its kind with this address and AS, or else with this
    /// address; of Loc-RIB instances the only one with this distinguisher.
    pub fn meant<'a>(&self, up: impl Iterator<Item = &'a PeerId> + Clone) -> Option<PeerId> {
        let same = || up.clone().filter(|other| other.alike() == self.alike());
        only(same().filter(|other| other.asn == self.asn)).or_else(|| only(same())).copied()
    }

    /// Which of some peers, none of them this one, goes by its Peer Down: the only one that differs in nothing but an AS or
    /// an identifier that one of the two does not name. Another AS at the same address is another peer, and another
    /// BGP ID another Loc-RIB instance, which routers report down without ever having had them up.
    pub fn meant_down<'a>(&self, up: impl Iterator<Item = &'a PeerId>) -> Option<PeerId> {
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

/// Whose tables a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RibSource {
    /// The peer or instance: its Peer Down takes them away.
    pub peer: PeerId,
    /// Which of its RIBs.
    pub view: View,
    /// The peer's numbers.
    pub speaker: PeerIds,
}

/// What the Peer Ups of one peer said.
#[derive(Debug, Default)]
struct Peer {
    /// The router's port and the peer's, by the router's end of a link to a link-local address: one header may be of
    /// several peers. Elsewhere there is one.
    ports: BTreeMap<Option<IpAddr>, (u16, u16)>,
    sent: Capabilities,
    received: Capabilities,
    in_use: InUse,
    names: GivenNames,
}

impl Peers {
    /// A session that has said nothing yet.
    pub fn new() -> Peers {
        Peers::default()
    }

    /// Takes in a Peer Up. A further one of the same BGP session merges its capabilities.
    pub fn peer_up(&mut self, up: &PeerUp<'_>) -> Told {
        let id = self.id_up(&up.peer.peer);
        if self.peers.len() >= PEERS_MAX && !self.peers.contains_key(&id) {
            return Told { id, rank: Rank::Unheard, renamed: None };
        }
        self.changes();
        self.learn_router_id(up);
        let known = self.peers.get(&id);
        let ports = (up.local_port, up.remote_port);
        let link = id.is_link_local().then_some(up.local_address);
        let rank = match known {
            None => Rank::First,
            Some(peer) if id.address.is_none() || peer.ports.len() > 1 => Rank::Further,
            Some(peer) if peer.ports.get(&link).is_some_and(|before| *before != ports) => Rank::Anew,
            Some(_) => Rank::Further,
        };
        let before = known.map(|peer| peer.names.clone()).unwrap_or_default();
        let after = given_names(&before, up);
        let renamed = (after != before).then(|| Renamed::new(id.kind, before, after.clone()));
        if let Some(renamed) = &renamed {
            self.names.get_mut().release(&id, |given| renamed.drops(given));
        }
        let peer = self.peers.entry(id).or_default();
        if rank == Rank::Anew {
            *peer = Peer::default();
        }
        peer.ports.insert(link, ports);
        peer.names = after;
        peer.sent.merge(&up.sent_open);
        peer.received.merge(&up.received_open);
        peer.in_use = InUse::of(&peer.sent, &peer.received);
        if rank == Rank::First {
            self.alike.entry(id.alike()).or_default().push(id);
        }
        Told { id, rank, renamed }
    }

    /// What was answered before does not hold any more.
    fn changes(&mut self) {
        self.last.take();
        self.last_table.take();
        self.revision += 1;
    }

    /// As long as it is the same, a per-peer header is answered the same.
    #[inline]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Takes in a Peer Down of one of several parallel links to one link-local address, which nothing in the header tells
    /// apart (draft-lin-grow-bmp-peer-interface-01 section 1): whether others are left, and with them the peer.
    pub fn link_down(&mut self, header: &PerPeerHeader) -> bool {
        let Some(peer) = self.up(header).and_then(|id| self.peers.get_mut(&id)) else { return false };
        peer.ports.len() > 1 && peer.ports.pop_last().is_some()
    }

    /// Takes in a Peer Down; which peer was up and is no more.
    pub fn peer_down(&mut self, header: &PerPeerHeader) -> Option<PeerId> {
        let id = self.up(header)?;
        self.changes();
        if let Some(alike) = self.alike.get_mut(&id.alike()) {
            alike.retain(|other| *other != id);
            if alike.is_empty() {
                self.alike.remove(&id.alike());
            }
        }
        self.aliases.get_mut().retain(|_, of| *of != id);
        self.names.get_mut().release(&id, |_| true);
        self.peers.remove(&id).map(|_| id)
    }

    /// Takes in that one table of a peer or instance went down, and others of it did not.
    pub fn table_down(&mut self, id: &PeerId, name: &str) {
        self.last_table.take();
        if let Some(peer) = self.peers.get_mut(id) {
            peer.names.forget(name);
        }
        self.names.get_mut().release(id, |given| given == name);
    }

    /// What the names of the router's tables are, by peer.
    pub fn names(&mut self) -> &mut TableNames {
        self.last_table.take();
        self.names.get_mut()
    }

    /// Which peer a Peer Up is of: as its header says, but for a Loc-RIB whose BGP ID is left out now and then.
    fn id_up(&self, peer: &PeerKey) -> PeerId {
        let said = PeerId::of(peer);
        if said.address.is_some() || self.peers.contains_key(&said) {
            return said;
        }
        said.meant_down(self.alike(&said)).unwrap_or(said)
    }

    /// Which peer that is up a Peer Down is of.
    pub fn up(&self, header: &PerPeerHeader) -> Option<PeerId> {
        let said = PeerId::of(&header.peer);
        if self.peers.contains_key(&said) {
            return Some(said);
        }
        said.meant_down(self.alike(&said)).or_else(|| self.aliases.borrow().get(&said).copied())
    }

    fn alike(&self, id: &PeerId) -> std::slice::Iter<'_, PeerId> {
        self.alike.get(&id.alike()).map(Vec::as_slice).unwrap_or_default().iter()
    }

    /// The router's own BGP identifier, where nobody has told it: without a database that is what names are made with.
    fn learn_router_id(&mut self, up: &PeerUp<'_>) {
        let names = self.names.get_mut();
        if names.router_id().is_none() {
            let is_global = up.peer.peer.kind.rd().is_zero();
            let header = Some(up.peer.peer.bgp_id).filter(|_| matches!(up.peer.peer.kind, PeerKind::LocRib(_)));
            let named = |id: &Ipv4Addr| is_global && !id.is_unspecified();
            names.set_router_id(header.filter(named).or(Some(up.sent_open.bgp_id).filter(named)));
        }
    }

    /// Whether a Peer Up of this peer or instance came, and no Peer Down since.
    pub fn is_up(&self, header: &PerPeerHeader) -> bool {
        self.known(header).in_use.is_some()
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
        let said = PeerId::of(peer);
        let id = match self.peers.contains_key(&said) {
            true => said,
            false => said.meant(self.alike(&said)).unwrap_or(said),
        };
        if id != said && id.address.is_none() {
            let mut aliases = self.aliases.borrow_mut();
            if aliases.len() < ALIASES_MAX {
                aliases.insert(said, id);
            }
        }
        Known { id, in_use: self.peers.get(&id).map(|peer| peer.in_use) }
    }

    /// Whose tables routes under this per-peer header are in.
    pub fn source(&self, header: &PerPeerHeader) -> RibSource {
        let PeerKey { address, asn, bgp_id, .. } = header.peer;
        let peer = |policy| AdjRibKey { address, policy };
        let (view, speaker) = match header.rib {
            Rib::LocRib { .. } => (View::LocRib, PeerIds::NONE),
            Rib::AdjRibIn(policy) => (View::AdjRibIn(peer(policy)), PeerIds { asn, bgp_id }),
            Rib::AdjRibOut(policy) => (View::AdjRibOut(peer(policy)), PeerIds { asn, bgp_id }),
        };
        RibSource { peer: self.id(header), view, speaker }
    }

    /// How the UPDATEs under this per-peer header are to be read.
    ///
    /// Add-Path is in use where the sender may send and the receiver may receive path identifiers
    /// (RFC 7911 section 4); which side is which depends on the RIB. For a Loc-RIB any direction in
    /// either OPEN counts: both OPENs are made up by the router.
    pub fn context(&self, header: &PerPeerHeader) -> DecodeContext {
        let in_use = self.known(header).in_use.unwrap_or_default();
        let (NlriForm { add_path, labels }, as_width) = match header.rib {
            Rib::AdjRibIn(_) => (in_use.adj_rib_in, in_use.as_width),
            Rib::AdjRibOut(_) => (in_use.adj_rib_out, in_use.as_width),
            Rib::LocRib { .. } => (in_use.loc_rib, None),
        };
        let as_width = as_width.unwrap_or(header.as_width);
        DecodeContext { as_width, add_path, labels, ..DecodeContext::default() }
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

    /// What the table of routes under this per-peer header is called.
    ///
    /// The VRF/Table Name TLV (RFC 9069 section 5.2.1); else what Junos puts into TLV type 0 of a Loc-RIB
    /// Peer Up, family by family; else `UNKNOWN`, or `rd:<distinguisher>` where `UNKNOWN` would merge VRFs.
    pub fn table_name(&self, header: &PerPeerHeader, family: AfiSafi) -> TableName {
        let asked = (header.peer, rib_of(header), family);
        if let Some((last, name)) = &*self.last_table.borrow()
            && *last == asked
        {
            return name.clone();
        }
        let id = self.id(header);
        let given = match self.peers.get(&id) {
            Some(peer) => peer.names.of(id.kind, family),
            None => GivenNames::default().of(id.kind, family),
        };
        let name = self.named(&id, header, given);
        self.last_table.replace(Some((asked, name.clone())));
        name
    }

    fn named(&self, id: &PeerId, header: &PerPeerHeader, given: Arc<str>) -> TableName {
        let stored = self.names.borrow_mut().of(rib_of(header), id, &given);
        TableName { given, stored }
    }

    /// What the table of one Route Monitoring message's routes is called: as [`Peers::table_name`], unless the message itself
    /// names a table, which version 4 allows.
    pub fn table_of(&self, monitoring: &RouteMonitoring<'_>, family: AfiSafi) -> TableName {
        match monitoring.table_name().filter(|name| !name.as_str().is_empty()) {
            Some(name) => self.named(&self.id(&monitoring.peer), &monitoring.peer, escape(name.as_str()).into()),
            None => self.table_name(&monitoring.peer, family),
        }
    }
}

fn rib_of(header: &PerPeerHeader) -> RibKind {
    match header.rib {
        Rib::LocRib { .. } => RibKind::LocRib,
        Rib::AdjRibIn(_) => RibKind::AdjRibIn,
        Rib::AdjRibOut(_) => RibKind::AdjRibOut,
    }
}

/// The names of a peer's tables after this Peer Up. One that names none leaves them.
fn given_names(before: &GivenNames, up: &PeerUp<'_>) -> GivenNames {
    let mut after = before.clone();
    let families = open_families(&up.sent_open, &up.received_open);
    match information_name(&up.peer, &up.information) {
        Some(GivenName::Table(name)) => after.name(families, &name),
        Some(GivenName::String(name)) if !after.is_named() => after.name_families(families, &name),
        Some(GivenName::String(_)) | None => after.leave(families),
    }
    after
}

/// The name of a table in a Peer Up or Peer Down, escaped.
enum GivenName {
    /// In TLV type 3.
    Table(Arc<str>),
    /// In TLV type 0 of a Loc-RIB.
    String(Arc<str>),
}

impl GivenName {
    fn text(self) -> Arc<str> {
        match self {
            GivenName::Table(name) | GivenName::String(name) => name,
        }
    }
}

fn information_name(header: &PerPeerHeader, information: &[Information<'_>]) -> Option<GivenName> {
    let text = |type_code| information.iter().find(|tlv| tlv.type_code == type_code).map(|tlv| tlv.value);
    match text(Information::TABLE_NAME) {
        Some(name) => table_name_text(name).map(GivenName::Table),
        // On other peers type 0 is free text: newer FRR puts the peer's description there.
        None if matches!(header.peer.kind, PeerKind::LocRib(_)) => {
            text(Information::STRING).and_then(table_name_text).map(GivenName::String)
        }
        None => None,
    }
}

/// The table that a Peer Down names (RFC 9069 section 5.3), escaped.
pub fn table_down(down: &PeerDown<'_>) -> Option<Arc<str>> {
    information_name(&down.peer, &down.information).map(GivenName::text)
}

/// The table that a Peer Up names, escaped.
pub fn table_of_up(up: &PeerUp<'_>) -> Option<Arc<str>> {
    information_name(&up.peer, &up.information).map(GivenName::text)
}

/// The one that there is, unless there are more.
fn only<'a>(mut ids: impl Iterator<Item = &'a PeerId>) -> Option<&'a PeerId> {
    ids.next().filter(|_| ids.next().is_none())
}

/// The text of a table name, unless it is empty.
fn table_name_text(value: &[u8]) -> Option<Arc<str>> {
    let text = Text::key(value);
    (!text.as_str().is_empty()).then(|| escape(text.as_str()).into())
}

/// The families of one Peer Up's own OPENs; without a multiprotocol capability that is IPv4 unicast (RFC 4760 section 8).
fn open_families(sent: &Open, received: &Open) -> BTreeSet<AfiSafi> {
    let mut both = Capabilities::default();
    both.merge(sent);
    both.merge(received);
    both.families_or_ipv4()
}

#[cfg(test)]
#[path = "peers_tests.rs"]
mod tests;
