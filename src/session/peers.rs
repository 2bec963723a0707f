//! State learned from the Peer Ups of one BMP session: how to decode a peer's UPDATEs, and the names of its tables.
//!
//! Pure: messages in, answers out. `decode` uses it as well as the sessions do.
//!
//! A peer is identified by its kind, address and AS, one with a link-local address by its BGP identifier too; a Loc-RIB
//! instance by its distinguisher and BGP ID (RFC 9069 section 6.1.1), since its address is always zero. A router may
//! send several Peer Ups for one peer or instance, one per family: their capabilities are merged. A Peer Up with other
//! ports belongs to another BGP session and resets the peer. A Peer Up describes its own peer only, names included.

use std::cell::RefCell;
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::capabilities::{Capabilities, InUse, NlriForm};
use super::peer_id::PeerId;
use super::peer_state::{PeerState, ReportedRoutes, UpPeer};
use super::rib_source::RibSource;
use super::table_names::{GivenNames, Renamed, TableName, TableNames, escape};
use crate::model::{AdjRibKey, AfiSafi, PeerIds, RibKind, Text, View};
use crate::wire::bgp::open::Open;
use crate::wire::bgp::update::DecodeContext;
use crate::wire::bmp::peer::{PeerKey, PeerKind, PerPeerHeader, Rib};
use crate::wire::bmp::{Information, PeerDown, PeerUp, RouteMonitoring};

/// The maximum number of peers remembered per session, a few hundred bytes each; the Peer Ups of further ones are not
/// remembered.
pub(super) const PEERS_MAX: usize = 65_536;

/// The most peers that a session has a record of. Nothing but tables is remembered of further ones, which are not up.
pub(super) const RECORDS_MAX: usize = 2 * PEERS_MAX;

/// The peers of one session and the names of their tables.
#[derive(Debug, Default)]
pub struct Peers {
    /// Everything that is known of each peer or instance, up or not.
    records: HashMap<PeerId, PeerState>,
    /// The number of them that are up.
    up: usize,
    /// The peers that are up with this type, distinguisher and address: usually one.
    alike: HashMap<(PeerKind, Option<IpAddr>), Vec<PeerId>>,
    names: RefCell<TableNames>,
    /// Loc-RIB instances that are up, by the different BGP ID in their other messages.
    aliases: RefCell<HashMap<PeerId, PeerId>>,
    /// The peer looked up last, and the result: a dump names the same peer a million times.
    last: RefCell<Option<(PeerKey, HeaderPeer)>>,
    /// The number of Peer Ups and Peer Downs applied.
    revision: u64,
    /// The table looked up last.
    last_table: RefCell<Option<(TableAsked, TableName)>>,
}

/// A table, identified by the per-peer header and family of its routes.
type TableAsked = (PeerKey, RibKind, AfiSafi);

/// The maximum number of BGP IDs remembered that differ from that of their instance's Peer Up.
const ALIASES_MAX: usize = 1_024;

/// The peer that a per-peer header refers to.
#[derive(Clone, Copy, Debug)]
struct HeaderPeer {
    id: PeerId,
    /// `None` if the peer is not up.
    in_use: Option<InUse>,
}

/// The effect of a Peer Up on its peer or instance.
#[derive(Debug, PartialEq, Eq)]
pub struct PeerUpEffect {
    /// The peer or instance.
    pub id: PeerId,
    /// The relation of the Peer Up to those before it.
    pub(crate) rank: Rank,
    /// The old and new names of its tables, if this Peer Up renamed any.
    pub renamed: Option<Renamed>,
}

/// The relation of a Peer Up to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rank {
    /// The first since the peer was down.
    First,
    /// A further one of the same BGP session, or of a Loc-RIB instance.
    Further,
    /// The first of another BGP session: the ports differ.
    Anew,
    /// Too many peers are up to remember it.
    Unheard,
}

impl Peers {
    /// Returns the state of a session that has sent no Peer Up yet.
    pub fn new() -> Peers {
        Peers::default()
    }

    /// Applies a Peer Up. A further one of the same BGP session merges its capabilities.
    pub fn peer_up(&mut self, up: &PeerUp<'_>) -> PeerUpEffect {
        let id = self.id_up(&up.peer.peer);
        if self.up >= PEERS_MAX && !self.is_up_id(&id) {
            return PeerUpEffect { id, rank: Rank::Unheard, renamed: None };
        }
        self.changes();
        self.learn_router_id(up);
        let known = self.up_peer(&id);
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
        let record = self.records.entry(id).or_default();
        if rank == Rank::Anew {
            record.up = None;
            record.begin_bgp_session();
        }
        let peer = record.up.get_or_insert_default();
        peer.ports.insert(link, ports);
        peer.names = after;
        peer.sent.merge(&up.sent_open);
        peer.received.merge(&up.received_open);
        peer.in_use = InUse::of(&peer.sent, &peer.received);
        if rank == Rank::First {
            self.up += 1;
            self.alike.entry(id.alike()).or_default().push(id);
        }
        PeerUpEffect { id, rank, renamed }
    }

    /// Invalidates cached answers.
    fn changes(&mut self) {
        self.last.take();
        self.last_table.take();
        self.revision += 1;
    }

    /// Returns a counter that changes with every Peer Up and Peer Down. While it is the same, the answers for a
    /// per-peer header are the same.
    #[inline]
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    /// Applies a Peer Down of one of several parallel links to one link-local address, which the header does not
    /// distinguish (draft-lin-grow-bmp-peer-interface-01 section 1). Returns true if other links are left, so the peer
    /// stays up.
    pub(crate) fn link_down(&mut self, header: &PerPeerHeader) -> bool {
        let Some(peer) = self.up(header).and_then(|id| self.records.get_mut(&id)?.up.as_mut()) else { return false };
        peer.ports.len() > 1 && peer.ports.pop_last().is_some()
    }

    /// Applies a Peer Down. Returns the peer that it took down, if one was up.
    pub fn peer_down(&mut self, header: &PerPeerHeader) -> Option<PeerId> {
        let id = self.up(header)?;
        self.go_down(&id);
        Some(id)
    }

    /// Ends the BGP session of a peer, whether or not it was up. Returns the routes that it may have had.
    pub(super) fn go_down(&mut self, id: &PeerId) -> Option<ReportedRoutes> {
        let record = self.records.get_mut(id)?;
        let was_up = record.up.is_some();
        let reported = record.go_down();
        self.drop_if_empty(id);
        if was_up {
            self.up -= 1;
            self.changes();
            if let Some(alike) = self.alike.get_mut(&id.alike()) {
                alike.retain(|other| other != id);
                if alike.is_empty() {
                    self.alike.remove(&id.alike());
                }
            }
            self.aliases.get_mut().retain(|_, of| of != id);
            self.names.get_mut().release(id, |_| true);
        }
        reported
    }

    /// Returns the record of a peer, if there is one.
    pub(super) fn record(&self, id: &PeerId) -> Option<&PeerState> {
        self.records.get(id)
    }

    /// Returns the record of a peer to change it, if there is one. Call [`Peers::drop_if_empty`] after taking
    /// something out of it.
    pub(super) fn known(&mut self, id: &PeerId) -> Option<&mut PeerState> {
        self.records.get_mut(id)
    }

    /// Returns the record of a peer to add something; `None` if there are too many.
    pub(super) fn record_of(&mut self, id: PeerId) -> Option<&mut PeerState> {
        let is_full = self.records.len() >= RECORDS_MAX;
        match self.records.entry(id) {
            Entry::Occupied(entry) => Some(entry.into_mut()),
            Entry::Vacant(_) if is_full => None,
            Entry::Vacant(entry) => Some(entry.insert(PeerState::default())),
        }
    }

    /// Returns the record of a peer to add a table, the number of which has a limit of its own.
    pub(super) fn record_of_table(&mut self, id: PeerId) -> &mut PeerState {
        self.records.entry(id).or_default()
    }

    /// Drops the record of a peer of which nothing is known any more.
    pub(super) fn drop_if_empty(&mut self, id: &PeerId) {
        if self.records.get(id).is_some_and(PeerState::is_empty) {
            self.records.remove(id);
        }
    }

    /// Returns all records with their peers.
    pub(super) fn all(&self) -> impl Iterator<Item = (&PeerId, &PeerState)> {
        self.records.iter()
    }

    /// Returns all records.
    pub(super) fn records(&self) -> impl Iterator<Item = &PeerState> {
        self.records.values()
    }

    fn up_peer(&self, id: &PeerId) -> Option<&UpPeer> {
        self.records.get(id)?.up.as_ref()
    }

    /// Returns whether this peer or instance is up.
    pub(super) fn is_up_id(&self, id: &PeerId) -> bool {
        self.up_peer(id).is_some()
    }

    /// Forgets the name of one table that went down while others of its peer or instance stay up.
    pub(crate) fn table_down(&mut self, id: &PeerId, name: &str) {
        self.last_table.take();
        if let Some(peer) = self.records.get_mut(id).and_then(|record| record.up.as_mut()) {
            peer.names.forget(name);
        }
        self.names.get_mut().release(id, |given| given == name);
    }

    /// Returns the names of the router's tables, by peer.
    pub fn names(&mut self) -> &mut TableNames {
        self.last_table.take();
        self.names.get_mut()
    }

    /// Returns the peer of a Peer Up: the one in its header, except for a Loc-RIB, whose BGP ID some headers omit.
    fn id_up(&self, peer: &PeerKey) -> PeerId {
        let said = PeerId::of(peer);
        if said.address.is_some() || self.is_up_id(&said) {
            return said;
        }
        said.meant_down(self.alike(&said)).unwrap_or(said)
    }

    /// Returns the peer that is up and that a Peer Down refers to.
    pub fn up(&self, header: &PerPeerHeader) -> Option<PeerId> {
        let said = PeerId::of(&header.peer);
        if self.is_up_id(&said) {
            return Some(said);
        }
        said.meant_down(self.alike(&said)).or_else(|| self.aliases.borrow().get(&said).copied())
    }

    fn alike(&self, id: &PeerId) -> std::slice::Iter<'_, PeerId> {
        self.alike.get(&id.alike()).map(Vec::as_slice).unwrap_or_default().iter()
    }

    /// Learns the router's own BGP identifier from a Peer Up if it is not set: without a database, names are derived
    /// from it.
    fn learn_router_id(&mut self, up: &PeerUp<'_>) {
        let names = self.names.get_mut();
        if names.router_id().is_none() {
            let is_global = up.peer.peer.kind.rd().is_zero();
            let header = Some(up.peer.peer.bgp_id).filter(|_| matches!(up.peer.peer.kind, PeerKind::LocRib(_)));
            let named = |id: &Ipv4Addr| is_global && !id.is_unspecified();
            names.set_router_id(header.filter(named).or(Some(up.sent_open.bgp_id).filter(named)));
        }
    }

    /// Returns whether the peer or instance is up: a Peer Up arrived, and no Peer Down since.
    pub fn is_up(&self, header: &PerPeerHeader) -> bool {
        self.meant(header).in_use.is_some()
    }

    /// Returns the peer or instance that this header refers to.
    fn id(&self, header: &PerPeerHeader) -> PeerId {
        self.meant(header).id
    }

    /// Returns the peer or instance that this header refers to, and how to decode its NLRI if it is up.
    ///
    /// If there is no exact match, it is the peer that [`PeerId::meant`] finds.
    fn meant(&self, header: &PerPeerHeader) -> HeaderPeer {
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
    fn look_up(&self, peer: &PeerKey) -> HeaderPeer {
        let said = PeerId::of(peer);
        let id = match self.is_up_id(&said) {
            true => said,
            false => said.meant(self.alike(&said)).unwrap_or(said),
        };
        if id != said && id.address.is_none() {
            let mut aliases = self.aliases.borrow_mut();
            if aliases.len() < ALIASES_MAX {
                aliases.insert(said, id);
            }
        }
        HeaderPeer { id, in_use: self.up_peer(&id).map(|peer| peer.in_use) }
    }

    /// Returns the peer and RIB of routes under this per-peer header.
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

    /// Returns how to decode the UPDATEs under this per-peer header.
    ///
    /// Add-Path is in use where the sender may send and the receiver may receive path identifiers (RFC 7911 section 4);
    /// which side is the sender depends on the RIB. For a Loc-RIB any direction in either OPEN counts: the router
    /// fabricates both OPENs.
    pub fn context(&self, header: &PerPeerHeader) -> DecodeContext {
        let in_use = self.meant(header).in_use.unwrap_or_default();
        let (NlriForm { add_path, labels }, as_width) = match header.rib {
            Rib::AdjRibIn(_) => (in_use.adj_rib_in, in_use.as_width),
            Rib::AdjRibOut(_) => (in_use.adj_rib_out, in_use.as_width),
            Rib::LocRib { .. } => (in_use.loc_rib, None),
        };
        let as_width = as_width.unwrap_or(header.as_width);
        DecodeContext { as_width, add_path, labels, ..DecodeContext::default() }
    }

    /// Returns the families of a peer or instance: for a Loc-RIB those in either of its fabricated OPENs; otherwise
    /// those in both OPENs, where an OPEN without multiprotocol capabilities means IPv4 unicast (RFC 4760 section 8).
    pub fn families(&self, header: &PerPeerHeader) -> Vec<AfiSafi> {
        let Some(UpPeer { sent, received, .. }) = self.up_peer(&self.id(header)) else { return Vec::new() };
        match header.rib {
            Rib::LocRib { .. } => sent.families.union(&received.families).copied().collect(),
            Rib::AdjRibIn(_) | Rib::AdjRibOut(_) => {
                let (sent, received) = (sent.families_or_ipv4(), received.families_or_ipv4());
                sent.intersection(&received).copied().collect()
            }
        }
    }

    /// Returns the name of the table of routes under this per-peer header.
    ///
    /// It is the VRF/Table Name TLV (RFC 9069 section 5.2.1); else what Junos puts into TLV type 0 of a Loc-RIB Peer
    /// Up, family by family; else `UNKNOWN`, or `rd:<distinguisher>` where `UNKNOWN` would merge VRFs.
    pub fn table_name(&self, header: &PerPeerHeader, family: AfiSafi) -> TableName {
        let asked = (header.peer, header.rib.kind(), family);
        if let Some((last, name)) = &*self.last_table.borrow()
            && *last == asked
        {
            return name.clone();
        }
        let id = self.id(header);
        let given = match self.up_peer(&id) {
            Some(peer) => peer.names.of(id.kind, family),
            None => GivenNames::default().of(id.kind, family),
        };
        let name = self.named(&id, header, given);
        self.last_table.replace(Some((asked, name.clone())));
        name
    }

    fn named(&self, id: &PeerId, header: &PerPeerHeader, given: Arc<str>) -> TableName {
        let stored = self.names.borrow_mut().of(header.rib.kind(), id, &given);
        TableName { given, stored }
    }

    /// Returns the name of the table of a Route Monitoring message's routes: that of [`Peers::table_name`], unless the
    /// message itself names a table, which BMP version 4 allows.
    pub(crate) fn table_of(&self, monitoring: &RouteMonitoring<'_>, family: AfiSafi) -> TableName {
        match monitoring.table_name().filter(|name| !name.as_str().is_empty()) {
            Some(name) => self.named(&self.id(&monitoring.peer), &monitoring.peer, escape(name.as_str()).into()),
            None => self.table_name(&monitoring.peer, family),
        }
    }
}

/// Returns the names of a peer's tables after this Peer Up. A Peer Up without a name keeps the names that are there.
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

/// Returns the name of the table in a Peer Down (RFC 9069 section 5.3), escaped.
pub(crate) fn table_down(down: &PeerDown<'_>) -> Option<Arc<str>> {
    information_name(&down.peer, &down.information).map(GivenName::text)
}

/// Returns the name of the table in a Peer Up, escaped.
pub(crate) fn table_of_up(up: &PeerUp<'_>) -> Option<Arc<str>> {
    information_name(&up.peer, &up.information).map(GivenName::text)
}

/// Returns the escaped text of a table name, unless it is empty.
fn table_name_text(value: &[u8]) -> Option<Arc<str>> {
    let text = Text::key(value);
    (!text.as_str().is_empty()).then(|| escape(text.as_str()).into())
}

/// Returns the families in either OPEN of one Peer Up; without a multiprotocol capability that is IPv4 unicast (RFC
/// 4760 section 8).
fn open_families(sent: &Open, received: &Open) -> BTreeSet<AfiSafi> {
    let mut both = Capabilities::default();
    both.merge(sent);
    both.merge(received);
    both.families_or_ipv4()
}

#[cfg(test)]
#[path = "peers_tests.rs"]
mod tests;
