//! The sessions of one router, and which of them speaks of which peer or Loc-RIB instance.
//!
//! Routers open a session per VRF or BGP instance. A peer is the newest session's that has spoken of it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::connection::Connection;
use super::held::Origin;
use super::peers::{PEERS_MAX, PeerId};
use crate::model::{TableKey, Timestamp};

/// The sessions of one router on this collector.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    /// Counts what the sessions have to know of each other: peers that were taken over, sessions that are gone.
    pub generation: Arc<AtomicU64>,
    /// By the numbers of their connections: the first is the oldest.
    pub live: BTreeMap<u64, Live>,
    speakers: HashMap<PeerId, u64>,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Live {
    pub connection: Arc<Connection>,
    /// When it began, by the database's clock; `None` until the database has answered its claim.
    pub began: Option<Timestamp>,
    /// How many peers are its own.
    peers: usize,
    /// Peers that newer sessions have taken over since it was told last.
    lost: Vec<PeerId>,
}

/// Whose a peer is when a session speaks of it.
#[derive(Debug, PartialEq, Eq)]
pub enum Speech {
    /// The session's.
    Own,
    /// The session's from now on: an older one had these tables of it.
    Taken(Vec<(TableKey, Origin)>),
    /// A newer session's: what this one says of it is not for it to say.
    Others,
    /// A newer session's, and this one has no other.
    Superseded,
    /// An older session's, which has not come to its end.
    Wait,
}

impl Sessions {
    pub fn join(&mut self, connection: &Arc<Connection>) {
        let live = Live { connection: Arc::clone(connection), began: None, peers: 0, lost: Vec::new() };
        self.live.insert(connection.number(), live);
    }

    /// A session ends. Returns its own peers, if it was one of these.
    pub fn leave(&mut self, number: u64) -> Option<Vec<PeerId>> {
        self.live.remove(&number)?;
        let own = self.speakers.extract_if(|_, of| *of == number).map(|(peer, _)| peer).collect();
        self.generation.fetch_add(1, Ordering::AcqRel);
        Some(own)
    }

    /// Whether the session is the oldest one.
    pub fn is_oldest(&self, number: u64) -> bool {
        self.live.first_key_value().is_some_and(|(first, _)| *first == number)
    }

    /// The session speaks of a peer; a statistic alone does not make it its own.
    pub fn speak(&mut self, number: u64, peer: PeerId, is_hurried: bool) -> Speech {
        match self.speakers.get(&peer) {
            Some(of) if *of == number => return Speech::Own,
            Some(of) if *of > number && self.live.contains_key(of) => {
                let has_none = self.live.get(&number).is_none_or(|live| live.peers == 0);
                return if has_none { Speech::Superseded } else { Speech::Others };
            }
            Some(_) | None => {}
        }
        let taken = match self.speakers.get(&peer).and_then(|of| self.live.get_mut(of)) {
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
        let Some(live) = self.live.get_mut(&number) else { return Speech::Own };
        if live.peers < PEERS_MAX {
            live.peers += 1;
            self.speakers.insert(peer, number);
        }
        taken.map_or(Speech::Own, Speech::Taken)
    }

    /// Whether a newer session than this one speaks of the peer.
    pub fn is_of_newer(&self, number: u64, peer: &PeerId) -> bool {
        self.speakers.get(peer).is_some_and(|of| *of > number)
    }

    /// Whether any session speaks of the peer.
    pub fn speaks(&self, peer: &PeerId) -> bool {
        self.speakers.contains_key(peer)
    }

    /// A peer went down: nothing is left of it that a session could have.
    pub fn forget(&mut self, number: u64, peer: &PeerId) {
        if self.speakers.get(peer) == Some(&number) {
            self.speakers.remove(peer);
            if let Some(live) = self.live.get_mut(&number) {
                live.peers = live.peers.saturating_sub(1);
            }
        }
    }

    /// The peers that others have taken over since this was asked last.
    pub fn take_lost(&mut self, number: u64) -> Vec<PeerId> {
        self.live.get_mut(&number).map(|live| std::mem::take(&mut live.lost)).unwrap_or_default()
    }

    /// The session's own peers.
    pub fn own(&self, number: u64) -> Vec<PeerId> {
        self.speakers.iter().filter(|(_, of)| **of == number).map(|(peer, _)| *peer).collect()
    }
}

fn lock_begun(connection: &Connection, peer: &PeerId) -> Vec<(TableKey, Origin)> {
    let mut begun = connection.begun().lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    begun.remove(peer).into_iter().flatten().collect()
}
