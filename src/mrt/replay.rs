//! A file as the BMP stream of a router: the collector that wrote it, with the file's peers as its own.
//!
//! An Initiation, then per peer, when it is first named, a Peer Up; for each entry of a table and each UPDATE a Route
//! Monitoring message; after a table the End-of-RIB of each peer and family; a Peer Down where a session ends. At the
//! end of the file the peers stay up, as at the end of a recording.

use std::collections::VecDeque;
use std::io::{self, Read};

use super::bgp4mp::{Bgp4mp, SessionRecord};
use super::fabricate::{self, MessageForm, Router};
use super::notes::Notes;
use super::peers::{MrtPeerKey, Peers};
use super::records::{Record, Records};
use super::rib::{PeerIndex, RibEntry, RibRecord, TableDump};
use super::survey::{Survey, indexed_key, session_key};
use super::types::{BGP4MP, BGP4MP_ET, ESTABLISHED, PEER_INDEX_TABLE, TABLE_DUMP, TABLE_DUMP_V2};
use super::updates;
use crate::model::{AfiSafi, AsWidth, Timestamp};
use crate::wire::DecodeError;

/// The octets of messages after which the rest of a record is left out: its prefix comes once in the file and with every
/// route in the messages, and may be much longer than a route is in the file.
const MADE_MAX: usize = 64 << 20;

/// The BMP messages of a file, as octets to be read.
pub struct BmpStream<R> {
    records: Records<R>,
    converter: Converter,
    /// The octets of messages that were made and are not read yet.
    ready: VecDeque<u8>,
    is_over: bool,
}

impl<R: Read> BmpStream<R> {
    /// Returns the stream of an uncompressed file, of which a first pass has told what it contains. The router is called
    /// `name`.
    pub fn new(input: R, survey: Survey, name: &str) -> BmpStream<R> {
        let Survey { router, peers, .. } = survey;
        let mut converter = Converter {
            router,
            peers,
            places: Vec::new(),
            is_dumping: false,
            time: Timestamp::from_unix_micros(0),
            notes: Notes::default(),
            out: Vec::new(),
        };
        fabricate::initiation(&mut converter.out, name, "MRT file, replayed");
        BmpStream { records: Records::new(input), converter, ready: VecDeque::new(), is_over: false }
    }

    /// Returns what of the file was left out, as far as it was read.
    pub fn notes(&self) -> &Notes {
        &self.converter.notes
    }
}

impl<R: Read> Read for BmpStream<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.ready.is_empty() && !self.is_over {
            if self.converter.out.is_empty() {
                match self.records.next_record(&mut self.converter.notes) {
                    Some(record) => self.converter.convert(&record),
                    None => {
                        self.converter.end_tables();
                        self.is_over = true;
                    }
                }
            }
            self.ready = std::mem::take(&mut self.converter.out).into();
        }
        self.ready.read(buffer)
    }
}

/// The state between two records.
struct Converter {
    router: Router,
    peers: Peers,
    /// The places of the peers of the latest PEER_INDEX_TABLE.
    places: Vec<Option<usize>>,
    /// True if entries of a table were sent, without the End-of-RIB.
    is_dumping: bool,
    /// The time of the record.
    time: Timestamp,
    notes: Notes,
    out: Vec<u8>,
}

impl Converter {
    fn convert(&mut self, record: &Record<'_>) {
        let Record { offset, type_code, subtype, body, time } = *record;
        self.time = time;
        let result = match (type_code, subtype) {
            (TABLE_DUMP_V2, PEER_INDEX_TABLE) => Some(self.peer_index(body)),
            (TABLE_DUMP_V2, subtype) => RibRecord::decode(subtype, body).map(|rib| self.rib(offset, rib?)),
            (TABLE_DUMP, subtype) => TableDump::decode(subtype, body).map(|dump| self.table_dump(offset, &dump?)),
            (BGP4MP | BGP4MP_ET, subtype) => Bgp4mp::decode(subtype, body).map(|session| self.session(time, &session?)),
            (_, _) => None,
        };
        match result {
            Some(Ok(())) => {}
            Some(Err(error)) => self.fault(offset, &error),
            None => self.notes.skip(format!("records of type {type_code}, subtype {subtype}")),
        }
    }

    fn fault(&mut self, offset: u64, error: &DecodeError) {
        let at = u64::try_from(error.offset).unwrap_or(0);
        self.notes.fault(offset + at, format!("{}: {}", error.field, error.message));
    }

    fn peer_index(&mut self, body: &[u8]) -> Result<(), DecodeError> {
        self.end_tables();
        self.places.clear();
        let index = PeerIndex::decode(body)?;
        self.places = index.peers.iter().map(|peer| self.peers.place(indexed_key(&index, peer))).collect();
        Ok(())
    }

    fn rib(&mut self, offset: u64, mut rib: RibRecord<'_>) -> Result<(), DecodeError> {
        while let Some(entry) = rib.next_entry() {
            if self.out.len() > MADE_MAX {
                self.notes.fault(offset, "the messages of one record exceed 64 MiB: its other routes are left out");
                break;
            }
            self.entry(offset, &rib, &entry?);
        }
        Ok(())
    }

    fn entry(&mut self, offset: u64, rib: &RibRecord<'_>, entry: &RibEntry<'_>) {
        let Some(Some(place)) = self.places.get(usize::from(entry.peer)).copied() else {
            let why = format!("an entry of peer {}, which the peer table does not have", entry.peer);
            return self.notes.fault(offset, why);
        };
        let has_path_ids = self.peers.at(place).add_path.contains(&rib.family);
        // Of a peer whose records differ in that, routes without an identifier have 0.
        let path_id = if has_path_ids { entry.path_id.or(Some(0)) } else { None };
        match updates::update(rib.family, path_id, rib.nlri, entry.attributes) {
            Ok(update) => {
                let time = Timestamp::from_wire(entry.originated, 0);
                self.announce(place, rib.family, MessageForm::RECEIVED, time, &update);
            }
            Err(why) => self.notes.fault(offset, format!("a route of peer {}: {why}", entry.peer)),
        }
    }

    fn table_dump(&mut self, offset: u64, dump: &TableDump<'_>) -> Result<(), DecodeError> {
        let key = MrtPeerKey { address: dump.peer, asn: dump.asn, is_router: false };
        let Some(place) = self.peers.place(key) else {
            self.notes.skip("routes of too many peers".to_owned());
            return Ok(());
        };
        match updates::update(dump.family, None, &dump.nlri[..dump.nlri_size], dump.attributes) {
            Ok(update) => {
                let form = MessageForm { width: AsWidth::Two, is_sent: false };
                self.announce(place, dump.family, form, Timestamp::from_wire(dump.originated, 0), &update);
            }
            Err(why) => self.notes.fault(offset, format!("a route of {}: {why}", dump.peer)),
        }
        Ok(())
    }

    fn announce(&mut self, place: usize, family: AfiSafi, form: MessageForm, time: Timestamp, update: &[u8]) {
        self.bring_up(place, time);
        let peer = self.peers.at(place);
        peer.dumping.insert(family);
        self.is_dumping = true;
        fabricate::route_monitoring(&mut self.out, &self.router, peer, form, time, update);
    }

    fn bring_up(&mut self, place: usize, time: Timestamp) {
        let peer = self.peers.at(place);
        if !peer.is_up {
            peer.is_up = true;
            fabricate::peer_up(&mut self.out, &self.router, peer, time);
        }
    }

    fn take_down(&mut self, place: usize, time: Timestamp) {
        let peer = self.peers.at(place);
        if std::mem::take(&mut peer.is_up) {
            fabricate::peer_down(&mut self.out, &self.router, peer, time);
        }
    }

    fn session(&mut self, time: Timestamp, record: &Bgp4mp<'_>) -> Result<(), DecodeError> {
        self.end_tables();
        let Some(place) = self.peers.place(session_key(record)) else {
            self.notes.skip("messages of too many peers".to_owned());
            return Ok(());
        };
        match record.event {
            SessionRecord::State { new: ESTABLISHED, .. } => {
                self.take_down(place, time);
                self.bring_up(place, time);
            }
            SessionRecord::State { old, .. } => {
                if old == ESTABLISHED {
                    self.take_down(place, time);
                }
            }
            SessionRecord::Message { bgp, width, is_sent, .. } => match bgp[18] {
                2 => {
                    self.bring_up(place, time);
                    let form = MessageForm { width, is_sent };
                    let peer = self.peers.at(place);
                    fabricate::route_monitoring(&mut self.out, &self.router, peer, form, time, bgp);
                }
                // What a session is made of; its state changes have records of their own.
                1 | 3 | 4 => {}
                other => self.notes.skip(format!("BGP messages of type {other}")),
            },
        }
        Ok(())
    }

    /// Sends the End-of-RIB of every peer and family of which entries were sent.
    fn end_tables(&mut self) {
        if !std::mem::take(&mut self.is_dumping) {
            return;
        }
        let (router, out, time) = (&self.router, &mut self.out, self.time);
        for peer in self.peers.iter_mut().filter(|peer| !peer.dumping.is_empty()) {
            for family in std::mem::take(&mut peer.dumping) {
                let end = updates::end_of_rib(family);
                fabricate::route_monitoring(out, router, peer, MessageForm::RECEIVED, time, &end);
            }
        }
    }
}

#[cfg(test)]
#[path = "replay_tests.rs"]
mod tests;
