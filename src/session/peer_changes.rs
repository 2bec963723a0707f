//! Applies Peer Up, Peer Down and Statistics Report messages: to the session's tables, and to the comparison of stored
//! routes with the router's statistics, which ends the session when they differ too much.

use std::time::Duration;

use log::info;

use super::anomaly::Anomaly;
use super::changes::FamilyTable;
use super::drift;
use super::end::SessionEnd;
use super::messages::{IdentifiedRouter, Session};
use super::peer_id::PeerId;
use super::peer_records;
use super::peers::{self, Rank};
use super::remnants;
use super::removal::Removed;
use crate::model::{Afi, SessionEventKind, Timestamp, View};
use crate::pipeline::StateOp;
use crate::wire::bmp::peer::Rib;
use crate::wire::bmp::{Information, PeerDown, PeerUp, StatisticsReport};

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

impl Session {
    pub(super) fn statistics(
        &mut self,
        report: &StatisticsReport<'_>,
        received_at: Timestamp,
    ) -> Result<(), SessionEnd> {
        let Some(identified) = &mut self.identified else { return Ok(()) };
        let all = peer_records::statistics(report);
        peer_records::measure(&identified.meter.statistics, &all);
        identified.tables.outbox().op(StateOp::Statistics(all))?;
        let source = self.peers.source(&report.peer);
        if source.view == View::LocRib && self.anomalies.of(Anomaly::FilteredLocRib) > 0 {
            return Ok(());
        }
        if let Some(routes) = remnants::at_most(report) {
            identified.remnants.report(&source.peer, routes);
        }
        let sizes = drift::sizes(report, &source, &self.peers.families(&report.peer));
        if sizes.is_empty() {
            return Ok(());
        }
        if source.view == View::LocRib {
            identified.remnants.counted();
        }
        let stored = identified.tables.stored_routes(&source.peer);
        let too_large =
            identified.drifts.compare(&identified.router, &sizes, &stored, received_at, &self.shared.resyncs);
        identified.measure_drift();
        too_large.map_or(Ok(()), |what| Err(SessionEnd::Drift(what)))
    }

    /// Checks periodically whether the router has to dump its Loc-RIB again, and ends the session if so. Call it only
    /// when no input waits in the spool: what waits may change the result.
    pub(super) fn look_at_loc_rib(&mut self, now: Timestamp) -> Result<(), SessionEnd> {
        let Some(identified) = &mut self.identified else { return Ok(()) };
        if !identified.remnants.is_due(now) {
            return Ok(());
        }
        let stored = identified.tables.loc_ribs();
        let why = identified.remnants.look(&identified.router, stored, now, &self.shared.resyncs);
        identified.measure_drift();
        why.map_or(Ok(()), |what| Err(SessionEnd::Drift(what)))
    }
}

impl IdentifiedRouter {
    fn measure_drift(&self) {
        let mut by_rib = self.drifts.by_rib();
        by_rib.extend(self.remnants.excess().map(|routes| (View::LocRib.name(), routes)));
        self.meter.set_drift(by_rib);
    }
}
