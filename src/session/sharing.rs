//! Sharing of a router by several sessions: a session takes over the peers that it reports, and gives up those that a
//! newer one reports.

use std::sync::atomic::Ordering;

use super::end::SessionEnd;
use super::messages::Session;
use super::peer_id::PeerId;
use super::peer_owners::Speech;
use super::peer_records;
use super::peers::PEERS_MAX;
use crate::model::PeerName;
use crate::pipeline::StateOp;
use crate::wire::bmp::peer::PeerKey;
use crate::wire::bmp::{Frame, Message};

impl Session {
    /// Gives up the peers that newer sessions have taken over. Call it before doing anything for the remaining peers.
    ///
    /// # Errors
    /// The session must end: the writers are gone, the router's ownership is lost, or the database refused a write.
    pub(crate) fn hand_over(&mut self) -> Result<(), SessionEnd> {
        let Some(identified) = &mut self.identified else { return Ok(()) };
        let generation = identified.sharing.generation.load(Ordering::Acquire);
        if generation == identified.sharing.seen {
            return Ok(());
        }
        identified.sharing.seen = generation;
        identified.tables.set_shared();
        for peer in self.shared.registry.take_lost(&identified.router, &self.connection) {
            log::info!("{}: {peer} was taken over by a newer session", identified.subject);
            identified.sharing.remove(&peer);
            identified.tables.abandon(&peer);
            identified.drifts.forget(&peer);
        }
        let is_oldest = self.shared.registry.is_oldest(&identified.router, &self.connection);
        if is_oldest && !std::mem::replace(&mut identified.sharing.is_oldest, is_oldest) {
            return self.tell_who_it_is();
        }
        Ok(())
    }

    /// Writes the router's own data, which only its oldest session does.
    ///
    /// # Errors
    /// The session must end: the writers are gone, the router's ownership is lost, or the database refused a write.
    pub(super) fn tell_who_it_is(&mut self) -> Result<(), SessionEnd> {
        let Some(identified) = &mut self.identified else { return Ok(()) };
        if !identified.sharing.is_oldest {
            return Ok(());
        }
        let record = self.identity.record(identified.router.clone());
        identified.tables.outbox().op(StateOp::RouterSeen(record))
    }

    /// Returns whether this session may apply the message: it is about a peer that no newer session owns. An older
    /// session's peer becomes this session's.
    ///
    /// # Errors
    /// Newer sessions own all peers of this one, the collector stops, or an older session's tables cannot be taken over
    /// because the writers are gone, the router's ownership is lost, or the database refused a write.
    #[inline]
    pub(super) fn may_speak(&mut self, frame: &Frame<'_>, message: &Message<'_>) -> Result<bool, SessionEnd> {
        if let (Message::RouteMonitoring(monitoring), Some(identified)) = (message, &self.identified)
            && let Some(last) = identified.sharing.last
            && self.readings.of(frame, &monitoring.peer, &self.peers, &mut self.evidence).source.peer == last
        {
            return Ok(true);
        }
        self.may_speak_of_another(message)
    }

    fn may_speak_of_another(&mut self, message: &Message<'_>) -> Result<bool, SessionEnd> {
        let Some(identified) = &mut self.identified else { return Ok(true) };
        let peer = match message {
            Message::PeerUp(up) => PeerId::of(&up.peer.peer),
            // A Peer Down of another peer with the same address or distinguisher does not refer to this one.
            Message::PeerDown(down) => self.peers.up(&down.peer).unwrap_or(PeerId::of(&down.peer.peer)),
            Message::RouteMonitoring(monitoring) => self.peers.source(&monitoring.peer).peer,
            Message::StatisticsReport(report) => {
                let peer = self.peers.source(&report.peer).peer;
                return Ok(identified.sharing.own.contains(&peer)
                    || !self.shared.registry.is_of_newer(&identified.router, &self.connection, &peer));
            }
            Message::Initiation(_) | Message::RouteMirroring(_) | Message::Termination(_) | Message::Unknown { .. } => {
                return Ok(true);
            }
        };
        let is_down = matches!(message, Message::PeerDown(_));
        if identified.sharing.own.contains(&peer) {
            identified.sharing.last = Some(peer);
            if is_down {
                identified.sharing.remove(&peer);
                self.shared.registry.forget_peer(&identified.router, &self.connection, &peer);
            }
            return Ok(true);
        }
        if identified.sharing.generation.load(Ordering::Acquire) != identified.sharing.seen {
            identified.tables.set_shared();
        }
        let is_over = || self.shared.stop.is_stopping();
        match self.shared.registry.speak(&identified.router, &self.connection, peer, is_over) {
            Speech::Own => {}
            Speech::Taken(tables) => identified.tables.take_over(tables)?,
            Speech::Others => return Ok(false),
            Speech::Superseded => return Err(SessionEnd::Superseded),
            Speech::Wait => return Err(SessionEnd::Stopping),
        }
        if is_down {
            self.shared.registry.forget_peer(&identified.router, &self.connection, &peer);
        } else if identified.sharing.own.len() < PEERS_MAX {
            identified.sharing.own.insert(peer);
        }
        Ok(true)
    }
}

/// Returns the keys of the peers' rows; a Loc-RIB has none.
pub(crate) fn names_of(peers: &[PeerId]) -> Vec<PeerName> {
    let name = |peer: &PeerId| {
        let PeerId { kind, address, asn, bgp_id, .. } = *peer;
        Some(peer_records::name(&PeerKey { kind, address: address?, asn, bgp_id }))
    };
    peers.iter().filter_map(name).collect()
}
