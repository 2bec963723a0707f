//! Input that is lost, and how it is told: a line in the log and a count when it happens, a row of `session_events` when
//! the database takes it, whatever else ends the session.

use log::warn;

use super::monitor::Session;
use super::tables::router_note;
use crate::pipeline::{SessionEventKind, StateItem, StateOp};

/// What a session did not apply of what it was given.
#[derive(Debug, Default)]
pub(super) struct Losses {
    /// Messages behind the one that ended the session.
    skipped: usize,
    /// What is lost of its input, to be told at its end.
    lost: Option<String>,
}

impl Session {
    /// So many messages are not applied, because the session is over.
    pub fn skip(&mut self, messages: usize) {
        self.losses.skipped += messages;
    }

    /// Returns how many messages were not applied.
    pub fn skipped(&self) -> usize {
        self.losses.skipped
    }

    /// What of the session's input is lost, to be told at its end.
    pub fn set_lost(&mut self, lost: Option<String>) {
        self.losses.lost = lost;
    }

    /// Some of the router's input is lost, and the session goes on.
    pub fn gap(&mut self, reason: &str) {
        warn!("{}: {reason}", self.subject());
        self.shared.spool.count_gap();
        self.tell_gap(reason);
    }

    /// Writes the row of what was lost until the session's end.
    pub(super) fn tell_lost(&mut self) {
        if let Some(lost) = self.losses.lost.take() {
            self.tell_gap(&lost);
        }
    }

    /// With the session's other changes, so that its input is kept until the row is stored; where it may not write any
    /// more, by itself.
    fn tell_gap(&mut self, reason: &str) {
        let mut note = router_note(SessionEventKind::Gap, Some(reason), None);
        if let Some(settled) = &mut self.settled
            && !settled.owner.is_lost()
        {
            let outbox = settled.tables.outbox();
            if outbox.op(StateOp::SessionEvent(note.clone())).and_then(|()| outbox.flush()).is_ok() {
                return;
            }
        }
        note.peer_address = Some(self.connection.source);
        let router = self.standing.router();
        let state = match &router {
            Some(router) => self.shared.pipeline.state(router),
            None => self.shared.pipeline.any_state(),
        };
        // The writers being gone is reported by whoever ended them.
        let _ = state.send(StateItem::Note(router.clone(), note));
    }
}
