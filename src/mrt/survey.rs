//! A first pass over a file: its peers, what they use, and the collector that wrote it.
//!
//! The OPENs of a Peer Up decide how all later messages of the peer are read, so that families and path identifiers have
//! to be known before the first message is sent.

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr};

use super::bgp4mp::{Bgp4mp, SessionRecord};
use super::destinations::has_label_stack;
use super::fabricate::Router;
use super::notes::Notes;
use super::peers::{MrtPeerKey, Peer, Peers};
use super::records::{Record, Records};
use super::rib::{IndexedPeer, PeerIndex, RibRecord, TableDump};
use super::splitting::{each_nlri, families};
use super::types::{BGP4MP, BGP4MP_ET, PEER_INDEX_TABLE, TABLE_DUMP, TABLE_DUMP_V2};

/// The content of a file, in outline.
#[derive(Clone, Debug)]
pub struct Survey {
    pub(crate) router: Router,
    pub(crate) peers: Peers,
    /// The places of the peers of the latest PEER_INDEX_TABLE.
    places: Vec<Option<usize>>,
}

/// Returns how the file's collector is related to a peer of its table: its own BGP identifier means the router itself,
/// whose table is a Loc-RIB. FRR gives the routes that the router originates a peer without an address.
pub(crate) fn indexed_key(index: &PeerIndex, peer: &IndexedPeer) -> MrtPeerKey {
    let is_router = peer.bgp_id == index.collector && !index.collector.is_unspecified();
    let address = if peer.address.is_unspecified() { index.collector.into() } else { peer.address };
    MrtPeerKey { address, asn: peer.asn, is_router }
}

/// Returns the peer of a session. One with itself means the router's Loc-RIB.
pub(crate) fn session_key(record: &Bgp4mp<'_>) -> MrtPeerKey {
    let is_same = record.peer == record.local && record.peer_asn == record.local_asn;
    MrtPeerKey { address: record.peer, asn: record.peer_asn, is_router: is_same && !record.peer.is_unspecified() }
}

impl Survey {
    /// Reads an uncompressed file to its end. What is malformed is left for the second pass to tell.
    pub fn of(input: impl Read) -> Survey {
        let router = Router { bgp_id: Ipv4Addr::UNSPECIFIED, asn: 0, table: String::new() };
        let mut survey = Survey { router, peers: Peers::default(), places: Vec::new() };
        let (mut records, mut notes) = (Records::new(input), Notes::default());
        while let Some(record) = records.next_record(&mut notes) {
            survey.note(&record);
        }
        survey
    }

    /// Returns the number of peers that have routes or sessions.
    pub fn peers(&self) -> usize {
        self.peers.len()
    }

    /// Makes this the BGP identifier of the router, whatever the file says.
    pub fn set_bgp_id(&mut self, bgp_id: Ipv4Addr) {
        self.router.bgp_id = bgp_id;
    }

    fn note(&mut self, record: &Record<'_>) {
        match (record.type_code, record.subtype) {
            (TABLE_DUMP_V2, PEER_INDEX_TABLE) => self.note_index(record.body),
            (TABLE_DUMP_V2, subtype) => self.note_rib(subtype, record.body),
            (TABLE_DUMP, subtype) => {
                if let Some(Ok(dump)) = TableDump::decode(subtype, record.body) {
                    let key = MrtPeerKey { address: dump.peer, asn: dump.asn, is_router: false };
                    self.uses(key, |peer| peer.uses(dump.family, false, false));
                }
            }
            (BGP4MP | BGP4MP_ET, subtype) => {
                if let Some(Ok(record)) = Bgp4mp::decode(subtype, record.body) {
                    self.note_session(&record);
                }
            }
            _ => {}
        }
    }

    fn uses(&mut self, key: MrtPeerKey, change: impl FnOnce(&mut Peer)) {
        if let Some(place) = self.peers.place(key) {
            change(self.peers.at(place));
        }
    }

    fn note_index(&mut self, body: &[u8]) {
        self.places.clear();
        let Ok(index) = PeerIndex::decode(body) else { return };
        self.note_bgp_id(index.collector);
        let peers = &mut self.peers;
        for peer in &index.peers {
            let key = indexed_key(&index, peer);
            let place = peers.place(key);
            if let Some(place) = place {
                peers.at(place).bgp_id = peer.bgp_id;
            }
            if key.is_router {
                self.router.asn = peer.asn;
                self.router.table.clone_from(&index.view);
            }
            self.places.push(place);
        }
    }

    fn note_bgp_id(&mut self, bgp_id: Ipv4Addr) {
        if self.router.bgp_id.is_unspecified() {
            self.router.bgp_id = bgp_id;
        }
    }

    fn note_rib(&mut self, subtype: u16, body: &[u8]) {
        let Some(Ok(mut rib)) = RibRecord::decode(subtype, body) else { return };
        let has_label_stack = has_label_stack(rib.family, rib.nlri);
        while let Some(Ok(entry)) = rib.next_entry() {
            if let Some(Some(place)) = self.places.get(usize::from(entry.peer)) {
                self.peers.at(*place).uses(rib.family, entry.path_id.is_some(), has_label_stack);
            }
        }
    }

    fn note_session(&mut self, record: &Bgp4mp<'_>) {
        if let IpAddr::V4(local) = record.local {
            self.note_bgp_id(local);
        }
        if self.router.asn == 0 {
            self.router.asn = record.local_asn;
        }
        let local = record.local;
        self.uses(session_key(record), |peer| {
            peer.local_address = local;
            if let SessionRecord::Message { bgp, has_path_ids, .. } = record.event {
                for (family, nlri) in families(bgp) {
                    let has_label_stacks = nlri
                        .is_some_and(|octets| each_nlri(octets, has_path_ids).any(|one| has_label_stack(family, one)));
                    peer.uses(family, has_path_ids, has_label_stacks);
                }
            }
        });
    }
}
