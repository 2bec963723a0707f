//! Sharing of a router by several sessions: a session takes over the peers that it reports, and gives up those that a
//! newer one reports.

use std::sync::atomic::Ordering;

use log::Level;

use super::end::{Cause, SessionEnd};
use super::messages::Session;
use super::peer_id::PeerId;
use super::peer_owners::Speech;
use super::peer_records;
use crate::model::PeerName;
use crate::pipeline::StateOp;
use crate::wire::bmp::peer::PeerKey;
use crate::wire::bmp::{Frame, Message};

impl Session {
    /// Gives up the peers that newer sessions have taken over. Call it before doing anything for the remaining peers.
    pub(crate) fn hand_over(&mut self) -> Result<(), SessionEnd> {
        let Some(identified) = &mut self.identified else { return Ok(()) };
        let generation = identified.sharing.generation.load(Ordering::Acquire);
        if generation == identified.sharing.seen {
            return Ok(());
        }
        identified.sharing.seen = generation;
        identified.tables.set_shared();
        for peer in self.host.peers_taken(&identified.router) {
            let subject = &identified.subject;
            self.host.say(Level::Info, format_args!("{subject}: {peer} was taken over by a newer session"));
            identified.sharing.last = None;
            identified.tables.abandon(&peer);
        }
        let is_oldest = self.host.is_oldest(&identified.router);
        if is_oldest && !std::mem::replace(&mut identified.sharing.is_oldest, is_oldest) {
            return self.tell_who_it_is();
        }
        Ok(())
    }

    /// Writes the router's own data, which only its oldest session does.
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
        if self.standby.is_some() {
            return Ok(true);
        }
        if let (Message::RouteMonitoring(monitoring), Some(identified)) = (message, &self.identified)
            && let Some(last) = identified.sharing.last
            && self.readings.of(frame, &monitoring.peer, &identified.tables.peers, &mut self.evidence).source.peer
                == last
        {
            return Ok(true);
        }
        self.may_speak_of_another(message)
    }

    fn may_speak_of_another(&mut self, message: &Message<'_>) -> Result<bool, SessionEnd> {
        let Some(identified) = &mut self.identified else { return Ok(true) };
        let peers = &identified.tables.peers;
        let is_own = |peer: &PeerId| peers.record(peer).is_some_and(|record| record.is_own);
        let peer = match message {
            Message::PeerUp(up) => PeerId::of(&up.peer.peer),
            // A Peer Down of another peer with the same address or distinguisher does not refer to this one.
            Message::PeerDown(down) => peers.up(&down.peer).unwrap_or(PeerId::of(&down.peer.peer)),
            Message::RouteMonitoring(monitoring) => peers.source(&monitoring.peer).peer,
            Message::StatisticsReport(report) => {
                let peer = peers.source(&report.peer).peer;
                return Ok(is_own(&peer) || !self.host.is_of_newer(&identified.router, &peer));
            }
            Message::Initiation(_) | Message::RouteMirroring(_) | Message::Termination(_) | Message::Unknown { .. } => {
                return Ok(true);
            }
        };
        let is_down = matches!(message, Message::PeerDown(_));
        if is_own(&peer) {
            identified.sharing.last = Some(peer);
            if is_down {
                identified.sharing.last = None;
                if let Some(record) = identified.tables.peers.known(&peer) {
                    record.is_own = false;
                    identified.tables.peers.drop_if_empty(&peer);
                }
                self.host.release_peer(&identified.router, &peer);
            }
            return Ok(true);
        }
        if identified.sharing.generation.load(Ordering::Acquire) != identified.sharing.seen {
            identified.tables.set_shared();
        }
        match self.host.claim_peer(&identified.router, peer) {
            Speech::Own => {}
            Speech::Taken(tables) => identified.tables.take_over(tables)?,
            Speech::Others => return Ok(false),
            Speech::Superseded => return Err(Cause::Superseded.into()),
            Speech::Wait => return Err(Cause::Stopping.into()),
        }
        if is_down {
            self.host.release_peer(&identified.router, &peer);
        } else if let Some(record) = identified.tables.peers.record_of(peer) {
            record.is_own = true;
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
