//! Lost input and its report: a line in the log and a count when it happens, and a row of `session_events` when the
//! database accepts it, whatever else ends the session.

use log::warn;

use super::anomaly::Anomaly;
use super::messages::Session;
use super::peer_records::router_note;
use crate::model::SessionEventKind;
use crate::pipeline::{StateItem, StateOp};

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
        self.tell_gap(reason);
    }

    /// Writes the row with the session's other changes, so that its input is kept until the row is stored; where the
    /// session may no longer write, separately.
    pub(super) fn tell_gap(&mut self, reason: &str) {
        let mut note = router_note(SessionEventKind::Gap, Some(reason), None);
        if let Some(identified) = &mut self.identified
            && !identified.owner.is_lost()
        {
            let outbox = identified.tables.outbox();
            if outbox.op(StateOp::SessionEvent(note.clone())).and_then(|()| outbox.flush()).is_ok() {
                return;
            }
        }
        note.peer_address = Some(self.host.connection.source);
        let resumed = self.resumed.as_ref().and_then(|resumed| resumed.checkpoint.router.as_ref());
        let router = self.input.router().or(resumed).cloned();
        let state = match &router {
            Some(router) => self.host.shared.pipeline.state(router),
            None => self.host.shared.pipeline.any_state(),
        };
        // If the writers are gone, that is reported where they ended.
        let _ = state.send(StateItem::Note(router.clone(), note));
    }
}
