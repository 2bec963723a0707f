//! Changes of a table's owner: a session takes tables over from an older session, and gives them up to a newer one,
//! with a Termination, or as stale.

use super::earlier_tables::TableOrigin;
use super::end::SessionEnd;
use super::peer_id::PeerId;
use super::peer_records::router_note;
use super::tables::{RouterTables, whole};
use crate::model::{SessionEventKind, SessionState, TableKey};
use crate::pipeline::{PeersOf, StateOp};

impl RouterTables {
    /// Notes that the router has, or had, other sessions than this one.
    pub(crate) fn set_shared(&mut self) {
        self.is_shared = true;
    }

    /// Gives up a peer to a newer session, which owns its tables and their stored routes from now on.
    pub(crate) fn abandon(&mut self, peer: &PeerId) {
        let keys: Vec<TableKey> = self.keys_of(peer).cloned().collect();
        keys.iter().for_each(|key| drop(self.take(key)));
        if let Some(record) = self.peers.known(peer) {
            record.hand_over();
            self.peers.drop_if_empty(peer);
        }
    }

    /// Takes over the tables that an older session had of a peer that this one reports: they become stale, as after a
    /// lost session.
    pub fn take_over(&mut self, tables: Vec<(TableKey, TableOrigin)>) -> Result<(), SessionEnd> {
        if tables.is_empty() {
            return Ok(());
        }
        self.outbox.op(StateOp::MarkStale(tables.iter().map(|(key, _)| key.clone()).collect()))?;
        for (key, origin) in tables {
            if !self.earlier.contains(&key) && !self.tables.contains_key(&key) {
                self.earlier.insert(key, Some(origin));
            }
        }
        Ok(())
    }

    /// Removes the tables after the router ended monitoring by a Termination. `of` is [`PeersOf::Router`] if tables
    /// that this session has not begun are removed too.
    pub(crate) fn terminate(&mut self, of: PeersOf, reason: &str) -> Result<(), SessionEnd> {
        let earlier = self.earlier.keys().filter(|_| of == PeersOf::Router);
        let doomed = self.tables.keys().chain(earlier).map(whole).collect();
        self.remove(&doomed, SessionEventKind::Terminated, reason)?;
        self.outbox.op(StateOp::PeersUnknown(of))?;
        self.close(SessionState::Ended, reason)
    }

    /// Records the end of the session and leaves its tables unchanged.
    pub fn close(&mut self, state: SessionState, reason: &str) -> Result<(), SessionEnd> {
        self.outbox.op(StateOp::SessionState { state, reason: Some(reason.to_owned()) })?;
        self.outbox.flush()
    }

    /// Ends the session and marks its tables as stale: they have no session from now on, and rows are kept for the
    /// stale time. Call it before another session of the router can begin the tables.
    pub(crate) fn mark_stale(&mut self, reason: &str) -> Result<(), SessionEnd> {
        self.outbox.op(StateOp::MarkStale(self.tables.keys().cloned().collect()))?;
        self.close(SessionState::Stale, reason)
    }

    /// Marks the tables that are stored and that the session has not begun as stale.
    pub(crate) fn mark_earlier_stale(&mut self) -> Result<(), SessionEnd> {
        let earlier: Vec<TableKey> = self.earlier.keys().cloned().collect();
        if earlier.is_empty() { Ok(()) } else { self.outbox.op(StateOp::MarkStale(earlier)) }
    }

    /// Records an event for a session that ended without a Termination.
    pub(crate) fn note_loss(&mut self, kind: SessionEventKind, reason: &str) -> Result<(), SessionEnd> {
        let routes = self.tables.values().map(|table| table.rib.len()).sum();
        self.outbox.session_event(router_note(kind, Some(reason), Some(routes)))?;
        self.outbox.flush()
    }

    /// Updates the state in `bmp_sessions` when the last dump is complete, or another one has begun since.
    pub(super) fn report_state(&mut self) -> Result<(), SessionEnd> {
        let is_up = !self.tables.is_empty() && self.due.is_empty();
        if is_up == self.is_up {
            return Ok(());
        }
        self.is_up = is_up;
        let state = if is_up { SessionState::Up } else { SessionState::Dumping };
        self.outbox.op(StateOp::SessionState { state, reason: None })
    }
}
