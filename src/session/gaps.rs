//! Lost input and its report: a line in the log and a count when it happens, and a row of `session_events` when the
//! database accepts it, whatever else ends the session.

use log::warn;

use super::anomaly::Anomaly;
use super::end::{InputAfter, SessionEnd};
use super::messages::Session;
use super::peer_records::router_note;
use crate::journal::LossNote;
use crate::model::{SessionEvent, SessionEventKind};
use crate::pipeline::{Gap, StateItem, StateOp, WhenStored};

impl Session {
    /// Reports that messages are missing in the middle of the input. The session continues, but for routes of peers whose
    /// Peer Up may be among them.
    pub fn hole(&mut self, reason: &str) {
        self.misses_input = true;
        self.gap(reason);
    }

    /// Returns whether Peer Ups may be among missing messages, by which a peer that is not up may be known. A router that
    /// sends Loc-RIB routes without any does not need them.
    pub(super) fn may_miss_peer_ups(&self) -> bool {
        self.misses_input && self.anomalies.of(Anomaly::LocRibWithoutPeerUp) == 0
    }

    /// Reports that some of the router's input is lost; the session continues.
    pub fn gap(&mut self, reason: &str) {
        warn!("{}: {reason}", self.subject());
        self.host.shared.journal.count_gap();
        let row = router_note(SessionEventKind::Gap, Some(reason), None);
        if !self.report_with_input(&row) {
            self.report_apart(row, None);
        }
    }

    /// Reports input that is given up at the end of the session, which then drops its input or keeps it until it is stored.
    pub(super) fn report_loss(&mut self, what: &str, end: &SessionEnd) {
        let row = router_note(SessionEventKind::Gap, Some(what), None);
        let is_kept = end.consequences().input != InputAfter::Discarded;
        if !(is_kept && self.report_with_input(&row)) {
            let note = self.input.take_loss_note();
            self.report_apart(row, note);
        }
    }

    /// Writes the row with the session's other changes, so that its input is kept until the row is stored. Returns false
    /// if the session may not write.
    fn report_with_input(&mut self, row: &SessionEvent) -> bool {
        let Some(identified) = self.identified.as_mut().filter(|identified| !identified.owner.is_lost()) else {
            return false;
        };
        let outbox = identified.tables.outbox();
        outbox.op(StateOp::SessionEvent(row.clone())).and_then(|()| outbox.flush()).is_ok()
    }

    /// Writes the row by itself; the note of the loss stays until the row is stored.
    fn report_apart(&self, mut row: SessionEvent, note: Option<LossNote>) {
        row.peer_address = Some(self.host.connection.source);
        let resumed = self.resumed.as_ref().and_then(|resumed| resumed.checkpoint.router.as_ref());
        let router = self.input.router().or(resumed).cloned();
        let state = match &router {
            Some(router) => self.host.shared.pipeline.state(router),
            None => self.host.shared.pipeline.any_state(),
        };
        // If the writers are gone, that is reported where they ended.
        let stored = note.map(|note| WhenStored::new(|| note.forget()));
        let _ = state.send(StateItem::Gap(Gap { router: router.clone(), row, stored }));
    }
}
