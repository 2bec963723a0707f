//! Applies Peer Up, Peer Down and Statistics Report messages: to the session's tables, and to the comparison of stored
//! routes with the router's statistics, which ends the session when they differ too much.

use std::time::Duration;

use log::Level;

use super::anomaly::Anomaly;
use super::changes::FamilyTable;
use super::drift;
use super::end::{Cause, SessionEnd};
use super::messages::{IdentifiedRouter, Session};
use super::missing_withdrawals;
use super::peer_id::PeerId;
use super::peer_records;
use super::peers::{self, Rank};
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
        let other_id = self.identity.named_id().filter(|_| matches!(up.peer.rib, Rib::LocRib { .. }));
        let Some(identified) = &mut self.identified else { return Ok(()) };
        let is_other = other_id.is_some_and(|id| identified.router.as_str() != id.to_string());
        let told = identified.tables.peers.peer_up(up);
        let repeated = told.rank == Rank::Further;
        if !repeated {
            identified.tables.outbox().session_event(peer_records::note(SessionEventKind::PeerUp, &up.peer, None))?;
        }
        if !matches!(up.peer.rib, Rib::LocRib { .. }) {
            identified.tables.outbox().op(StateOp::PeerSeen(Box::new(peer_records::up(up))))?;
            let restart_time = Duration::from_secs(up.received_open.restart_time().into());
            identified.may_have_routes(&told.id, restart_time);
        }
        if let Some(renamed) = &told.renamed {
            identified.tables.rename(&told.id, renamed, received_at)?;
        }
        if told.rank == Rank::Anew {
            let (subject, peer) = (&identified.subject, told.id);
            let text = format_args!("{subject}: {peer} has a new BGP session, its tables are stale");
            self.host.say(Level::Info, text);
            self.evidence.down(&told.id);
            identified.tables.restart(&told.id)?;
        }
        let mut source = identified.tables.peers.source(&up.peer);
        if let Some(view) = self.rib_filter.expected(source.view) {
            source.view = view;
            let families = identified.tables.peers.families(&up.peer);
            for afi in [Afi::Ipv4, Afi::Ipv6].into_iter().filter(|afi| families.contains(&(*afi).into())) {
                let name = identified.tables.peers.table_name(&up.peer, afi.into());
                identified.tables.begin(&source, &name, FamilyTable::unicast(afi))?;
            }
        }
        self.note_anomalies([(repeated, Anomaly::RepeatedPeerUp), (is_other, Anomaly::OtherIdentifier)]);
        Ok(())
    }

    pub(super) fn peer_down(&mut self, down: &PeerDown<'_>, received_at: Timestamp) -> Result<(), SessionEnd> {
        let reason = down.to_string();
        let Some(identified) = &mut self.identified else { return Ok(()) };
        if identified.tables.peers.link_down(&down.peer) {
            let (subject, peer) = (&identified.subject, PeerId::of(&down.peer.peer));
            self.host.say(Level::Info, format_args!("{subject}: {peer} down on one of its links: {reason}"));
            return Ok(());
        }
        let name = peers::table_down(down);
        let was_up = identified.tables.peers.up(&down.peer);
        let peer = was_up.unwrap_or(PeerId::of(&down.peer.peer));
        // Routers repeat the Peer Down of every peer that they cannot reach, so only one that removes tables is logged.
        let gone = identified.tables.down(&peer, name.as_deref(), &reason)?;
        if let Some(Removed::Table(peer, name)) = &gone {
            let subject = &identified.subject;
            let text = format_args!("{subject}: table {name} of {peer} down, its other tables stay: {reason}");
            self.host.say(Level::Info, text);
            identified.tables.peers.table_down(peer, name);
            return Ok(());
        }
        if let Some(reported) = identified.tables.peers.go_down(&peer) {
            identified.missing.down(reported, received_at);
        }
        self.evidence.down(&peer);
        identified.tables.outbox().forget_statistics(&peer_records::name(&down.peer.peer));
        if !matches!(down.peer.rib, Rib::LocRib { .. }) {
            identified.tables.outbox().op(StateOp::PeerSeen(Box::new(peer_records::down(down))))?;
        }
        if let Some(Removed::All(peer)) = gone {
            identified.tables.peers.names().release(&peer, |_| true);
            let subject = &identified.subject;
            self.host.say(Level::Info, format_args!("{subject}: {peer} down, its tables removed: {reason}"));
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
        identified.tables.outbox().show_statistics(&all);
        identified.tables.outbox().op(StateOp::Statistics(all))?;
        let source = identified.tables.peers.source(&report.peer);
        if source.view == View::LocRib && self.anomalies.of(Anomaly::FilteredLocRib) > 0 {
            return Ok(());
        }
        if let Some(routes) = missing_withdrawals::reported_routes(report)
            && let Some(record) = identified.tables.peers.known(&source.peer)
        {
            identified.missing.report(&mut record.reported, routes);
        }
        let sizes = drift::sizes(report, &source, &identified.tables.peers.families(&report.peer));
        if sizes.is_empty() {
            return Ok(());
        }
        if source.view == View::LocRib {
            identified.missing.router_counts_loc_rib();
        }
        let stored = identified.tables.stored_routes(&source.peer);
        let IdentifiedRouter { tables, drifts, router, .. } = identified;
        let Some(record) = tables.peers.record_of(source.peer) else { return Ok(()) };
        let resyncs = self.host.resyncs();
        let too_large = drifts.compare(&mut record.drifts, router, &sizes, &stored, received_at, resyncs);
        tables.peers.drop_if_empty(&source.peer);
        identified.measure_drift();
        too_large.map_or(Ok(()), |what| Err(SessionEnd::new(Cause::Drift, what)))
    }

    /// Checks periodically whether the router has to dump its Loc-RIB again, and ends the session if so. Call it only
    /// when no input waits in the journal: what waits may change the result.
    pub(super) fn look_at_loc_rib(&mut self, now: Timestamp) -> Result<(), SessionEnd> {
        let Some(identified) = &mut self.identified else { return Ok(()) };
        if !identified.missing.is_due(now) {
            return Ok(());
        }
        let stored = identified.tables.loc_ribs();
        let why = identified.missing.check(&identified.router, stored, now, self.host.resyncs());
        identified.measure_drift();
        why.map_or(Ok(()), |what| Err(SessionEnd::new(Cause::Drift, what)))
    }
}

impl IdentifiedRouter {
    /// Notes that a peer is up, and that the router keeps its routes for `restart_time` while it restarts.
    fn may_have_routes(&mut self, peer: &PeerId, restart_time: Duration) {
        if let Some(record) = self.tables.peers.known(peer).filter(|record| record.up.is_some()) {
            self.missing.up(&mut record.reported, restart_time);
        }
    }

    fn measure_drift(&self) {
        let mut by_rib = drift::by_rib(&self.tables.peers);
        by_rib.extend(self.missing.excess().map(|routes| (View::LocRib.name(), routes)));
        self.tables.outbox.show_drift(by_rib);
    }
}
