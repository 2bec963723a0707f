//! The sessions of one router, and which session owns which peer or Loc-RIB instance.
//!
//! Routers open a session per VRF or BGP instance. A peer belongs to the newest session that has reported it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::connection::Connection;
use super::earlier_tables::TableOrigin;
use super::peer_id::PeerId;
use super::peers::PEERS_MAX;
use crate::model::{TableKey, Timestamp};

/// The sessions of one router on this collector.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    /// Incremented when the sessions must check for changes: a peer was taken over, or a session ended.
    pub generation: Arc<AtomicU64>,
    /// The live sessions by connection number; the first is the oldest.
    pub live: BTreeMap<u64, LiveSession>,
    owners: HashMap<PeerId, u64>,
}

/// One live session of a router.
#[derive(Debug)]
pub(super) struct LiveSession {
    pub connection: Arc<Connection>,
    /// When the session began, by the database's clock; `None` until the database has answered its claim.
    pub began: Option<Timestamp>,
    /// The number of peers that this session owns.
    peers: usize,
    /// Peers that newer sessions have taken over since the last [`Sessions::take_lost`].
    lost: Vec<PeerId>,
}

/// The owner of a peer that a session reports.
#[derive(Debug, PartialEq, Eq)]
pub enum Speech {
    /// This session.
    Own,
    /// This session from now on: an older one had these tables of the peer.
    Taken(Vec<(TableKey, TableOrigin)>),
    /// A newer session: this one's messages about the peer are ignored.
    Others,
    /// A newer session, and this one owns no other peer.
    Superseded,
    /// An older session, which is still receiving or applying input.
    Wait,
}

/// The view that a session has of the other sessions of its router.
#[derive(Debug)]
pub(super) struct Sharing {
    pub generation: Arc<AtomicU64>,
    /// The generation at the last check.
    pub seen: u64,
    /// The peer of this session that was looked up last.
    pub last: Option<PeerId>,
    pub(crate) is_oldest: bool,
}

impl Sharing {
    pub fn new(generation: Arc<AtomicU64>, is_oldest: bool) -> Sharing {
        let seen = generation.load(Ordering::Acquire);
        Sharing { generation, seen, last: None, is_oldest }
    }
}

impl Sessions {
    pub fn join(&mut self, connection: &Arc<Connection>) {
        let live = LiveSession { connection: Arc::clone(connection), began: None, peers: 0, lost: Vec::new() };
        self.live.insert(connection.number(), live);
    }

    /// Removes a session that ends. Returns the peers that it owned, or `None` if it is not a session of this router.
    pub fn leave(&mut self, number: u64) -> Option<Vec<PeerId>> {
        self.live.remove(&number)?;
        let own = self.owners.extract_if(|_, of| *of == number).map(|(peer, _)| peer).collect();
        self.generation.fetch_add(1, Ordering::AcqRel);
        Some(own)
    }

    /// Returns whether the session is the oldest one of the router.
    pub(crate) fn is_oldest(&self, number: u64) -> bool {
        self.live.first_key_value().is_some_and(|(first, _)| *first == number)
    }

    /// Claims a peer for a session that reports it; a statistic alone does not claim a peer. `is_hurried`: the session
    /// has waited long enough, so the older owner only has to apply what it has already read.
    pub fn speak(&mut self, number: u64, peer: PeerId, is_hurried: bool) -> Speech {
        match self.owners.get(&peer) {
            Some(of) if *of == number => return Speech::Own,
            Some(of) if *of > number && self.live.contains_key(of) => {
                let has_none = self.live.get(&number).is_none_or(|live| live.peers == 0);
                return if has_none { Speech::Superseded } else { Speech::Others };
            }
            Some(_) | None => {}
        }
        let taken = match self.owners.get(&peer).and_then(|of| self.live.get_mut(of)) {
            None => None,
            Some(older) => {
                let take = || lock_begun(&older.connection, &peer);
                let Some(tables) = older.connection.yield_to(is_hurried, take) else { return Speech::Wait };
                older.lost.push(peer);
                older.peers = older.peers.saturating_sub(1);
                if older.peers == 0 {
                    older.connection.supersede();
                }
                self.generation.fetch_add(1, Ordering::AcqRel);
                Some(tables)
            }
        };
        // A peer that is taken over adds none to the router's sessions, so it is recorded beyond the session's limit.
        let has_room = self.owners.len() < PEERS_MAX.saturating_mul(self.live.len());
        let Some(live) = self.live.get_mut(&number) else { return Speech::Own };
        if taken.is_some() || live.peers < PEERS_MAX && has_room {
            live.peers += 1;
            self.owners.insert(peer, number);
        }
        taken.map_or(Speech::Own, Speech::Taken)
    }

    /// Returns whether a newer session than this one owns the peer.
    pub(crate) fn is_of_newer(&self, number: u64, peer: &PeerId) -> bool {
        self.owners.get(peer).is_some_and(|of| *of > number)
    }

    /// Returns whether any session owns the peer.
    pub fn speaks(&self, peer: &PeerId) -> bool {
        self.owners.contains_key(peer)
    }

    /// Releases a peer that went down, if this session owns it.
    pub fn forget(&mut self, number: u64, peer: &PeerId) {
        if self.owners.get(peer) == Some(&number) {
            self.owners.remove(peer);
            if let Some(live) = self.live.get_mut(&number) {
                live.peers = live.peers.saturating_sub(1);
            }
        }
    }

    /// Returns the peers that newer sessions have taken over since the last call.
    pub fn take_lost(&mut self, number: u64) -> Vec<PeerId> {
        self.live.get_mut(&number).map(|live| std::mem::take(&mut live.lost)).unwrap_or_default()
    }

    /// Returns the peers that the session owns.
    pub fn own(&self, number: u64) -> Vec<PeerId> {
        self.owners.iter().filter(|(_, of)| **of == number).map(|(peer, _)| *peer).collect()
    }
}

fn lock_begun(connection: &Connection, peer: &PeerId) -> Vec<(TableKey, TableOrigin)> {
    let mut begun = connection.begun().lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    begun.remove(peer).into_iter().flatten().collect()
}
