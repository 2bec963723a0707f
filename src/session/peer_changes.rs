//! Applies Peer Up and Peer Down messages to the session's tables.

use std::time::Duration;

use log::info;

use super::SessionEnd;
use super::anomaly::Anomaly;
use super::changes::FamilyTable;
use super::messages::Session;
use super::peer_records;
use super::peers::{self, PeerId, Rank};
use super::removal::Removed;
use crate::model::{Afi, SessionEventKind, Timestamp};
use crate::pipeline::StateOp;
use crate::wire::bmp::peer::Rib;
use crate::wire::bmp::{Information, PeerDown, PeerUp};

impl Session {
    pub(super) fn peer_up(&mut self, up: &PeerUp<'_>, received_at: Timestamp) -> Result<(), SessionEnd> {
        self.note_anomalies([
            (up.sent_open.bgp_id.is_unspecified(), Anomaly::ZeroIdentifier),
            (up.sent_open.is_dummy() || up.received_open.is_dummy(), Anomaly::DummyOpen),
        ]);
        self.odd_information(&up.information, Information::TABLE_NAME);
        let told = self.peers.peer_up(up);
        let repeated = told.rank == Rank::Further;
        if repeated {
            self.note_anomaly(Anomaly::RepeatedPeerUp);
        }
        let other_id = self.identity.named_id().filter(|_| matches!(up.peer.rib, Rib::LocRib { .. }));
        let Some(identified) = &mut self.identified else { return Ok(()) };
        let is_other = other_id.is_some_and(|id| identified.router.as_str() != id.to_string());
        if !repeated {
            identified.tables.outbox().session_event(peer_records::note(SessionEventKind::PeerUp, &up.peer, None))?;
        }
        if !matches!(up.peer.rib, Rib::LocRib { .. }) {
            identified.tables.outbox().op(StateOp::PeerSeen(Box::new(peer_records::up(up))))?;
            if self.peers.is_up(&up.peer) {
                let restart_time = Duration::from_secs(up.received_open.restart_time().into());
                identified.remnants.up(self.peers.source(&up.peer).peer, restart_time);
            }
        }
        if let Some(renamed) = &told.renamed {
            identified.tables.rename(&told.id, renamed, received_at)?;
        }
        if told.rank == Rank::Anew {
            info!("{}: {} has a new BGP session, its tables are stale", identified.subject, told.id);
            self.rib_filter.forget(&told.id);
            self.evidence.down(&told.id);
            identified.drifts.forget(&told.id);
            identified.tables.restart(&told.id)?;
        }
        let mut source = self.peers.source(&up.peer);
        if let Some(view) = self.rib_filter.expected(source.view) {
            source.view = view;
            let families = self.peers.families(&up.peer);
            for afi in [Afi::Ipv4, Afi::Ipv6].into_iter().filter(|afi| families.contains(&(*afi).into())) {
                let name = self.peers.table_name(&up.peer, afi.into());
                identified.tables.begin(&source, &name, FamilyTable::unicast(afi))?;
            }
        }
        if is_other {
            self.note_anomaly(Anomaly::OtherIdentifier);
        }
        Ok(())
    }

    pub(super) fn peer_down(&mut self, down: &PeerDown<'_>, received_at: Timestamp) -> Result<(), SessionEnd> {
        let reason = down.to_string();
        if self.peers.link_down(&down.peer) {
            info!("{}: {} down on one of its links: {reason}", self.subject(), PeerId::of(&down.peer.peer));
            return Ok(());
        }
        let name = peers::table_down(down);
        let was_up = self.peers.up(&down.peer);
        let peer = was_up.unwrap_or(PeerId::of(&down.peer.peer));
        let Some(identified) = &mut self.identified else { return Ok(()) };
        // Routers repeat the Peer Down of every peer that they cannot reach, so only one that removes tables is logged.
        let gone = identified.tables.down(&peer, name.as_deref(), &reason)?;
        if let Some(Removed::Table(peer, name)) = &gone {
            info!("{}: table {name} of {peer} down, its other tables stay: {reason}", identified.subject);
            self.peers.table_down(peer, name);
            return Ok(());
        }
        self.peers.peer_down(&down.peer);
        self.rib_filter.forget(&peer);
        self.evidence.down(&peer);
        identified.drifts.forget(&peer);
        identified.remnants.down(&peer, received_at);
        identified.meter.statistics.forget(&peer_records::label(&peer_records::name(&down.peer.peer)));
        if !matches!(down.peer.rib, Rib::LocRib { .. }) {
            identified.tables.outbox().op(StateOp::PeerSeen(Box::new(peer_records::down(down))))?;
        }
        if let Some(Removed::All(peer)) = gone {
            self.peers.names().release(&peer, |_| true);
            info!("{}: {peer} down, its tables removed: {reason}", identified.subject);
        } else if was_up.is_some() {
            identified.tables.outbox().session_event(peer_records::note(
                SessionEventKind::PeerDown,
                &down.peer,
                Some(reason),
            ))?;
        }
        Ok(())
    }
}
