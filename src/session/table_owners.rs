//! How a session's tables come to it from an older session and leave it: to a newer one, with a Termination, or stale.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, MutexGuard, PoisonError};

use super::SessionEnd;
use super::connection::Begun;
use super::held::Origin;
use super::peers::PeerId;
use super::tables::{RouterTables, router_note, whole};
use crate::model::TableKey;
use crate::pipeline::{PeersOf, SessionEventKind, SessionState, StateOp};

impl RouterTables {
    /// Lets others see what tables are begun.
    pub fn share(&mut self, begun: &Arc<Begun>) {
        self.begun = Arc::clone(begun);
    }

    /// Shows a table that has begun.
    pub(super) fn show(&self, origin: &Origin, key: &TableKey) {
        lock(&self.begun).entry(origin.peer).or_default().insert(key.clone(), origin.clone());
    }

    /// The router has other sessions than this one, or had some.
    pub fn set_shared(&mut self) {
        self.is_shared = true;
    }

    /// A newer session speaks of this peer from now on: its tables are that one's, whatever is stored of them.
    pub fn abandon(&mut self, peer: &PeerId) {
        for key in self.by_peer.get(peer).cloned().unwrap_or_default() {
            self.take(&key);
        }
    }

    /// An older session had these tables of a peer that this one speaks of: they are as those of a session that was lost.
    ///
    /// # Errors
    /// The session cannot go on.
    pub fn take_over(&mut self, tables: Vec<(TableKey, Origin)>) -> Result<(), SessionEnd> {
        if tables.is_empty() {
            return Ok(());
        }
        self.outbox.op(StateOp::MarkStale(tables.iter().map(|(key, _)| key.clone()).collect()))?;
        for (key, origin) in tables {
            if !self.held.contains(&key) && !self.tables.contains_key(&key) {
                self.held.insert(key, Some(origin));
            }
        }
        Ok(())
    }

    pub(super) fn unshare(&self, peer: &PeerId, key: &TableKey) {
        let mut begun = lock(&self.begun);
        if let Some(keys) = begun.get_mut(peer) {
            keys.remove(key);
            if keys.is_empty() {
                begun.remove(peer);
            }
        }
    }

    /// The router ended monitoring by a Termination: all its tables go.
    ///
    /// # Errors
    /// The writers are gone.
    pub fn terminate(&mut self, of: PeersOf, reason: &str) -> Result<(), SessionEnd> {
        let held = self.held.keys().filter(|_| of == PeersOf::Router);
        let doomed = self.tables.keys().chain(held).map(whole).collect();
        self.remove(&doomed, SessionEventKind::Terminated, reason)?;
        self.outbox.op(StateOp::PeersUnknown(of))?;
        self.close(SessionState::Ended, reason)
    }

    /// The session is over and leaves its tables as they are.
    ///
    /// # Errors
    /// The writers are gone.
    pub fn close(&mut self, state: SessionState, reason: &str) -> Result<(), SessionEnd> {
        self.outbox.op(StateOp::SessionState { state, reason: Some(reason.to_owned()) })?;
        self.outbox.flush()
    }

    /// The session is over and its tables have none from now on: rows stay, for the stale time. To be said before another session
    /// of the router can begin them.
    ///
    /// # Errors
    /// The writers are gone.
    pub fn mark_stale(&mut self, reason: &str) -> Result<(), SessionEnd> {
        self.outbox.op(StateOp::MarkStale(self.tables.keys().cloned().collect()))?;
        self.close(SessionState::Stale, reason)
    }

    /// Notes that the session ended without a word.
    ///
    /// # Errors
    /// The writers are gone.
    pub fn note_loss(&mut self, kind: SessionEventKind, reason: &str) -> Result<(), SessionEnd> {
        let routes = self.tables.values().map(|table| table.rib.len()).sum();
        self.outbox.session_event(router_note(kind, Some(reason), Some(routes)))?;
        self.outbox.flush()
    }

    /// Notes in `bmp_sessions` when the last dump is complete, or another one has begun since.
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

/// Every change of it is a single insert or remove.
fn lock(begun: &Begun) -> MutexGuard<'_, HashMap<PeerId, BTreeMap<TableKey, Origin>>> {
    begun.lock().unwrap_or_else(PoisonError::into_inner)
}
