//! Compares the stored routes with the router's statistics, and ends the session when they differ too much.

use super::SessionEnd;
use super::anomaly::Anomaly;
use super::drift;
use super::messages::{IdentifiedRouter, Session};
use super::peer_records;
use super::remnants;
use crate::model::{Timestamp, View};
use crate::pipeline::StateOp;
use crate::wire::bmp::StatisticsReport;

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
        by_rib.extend(self.remnants.excess().map(|routes| (drift::rib_name(View::LocRib), routes)));
        self.meter.set_drift(by_rib);
    }
}
