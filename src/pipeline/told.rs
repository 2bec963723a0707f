//! Entries for `session_events`: rows alone, and removals of tables.

use std::sync::Arc;

use super::op::Ownership;
use crate::model::{RouterId, SessionEvent, View};
use crate::store::counts::CountChanges;
use crate::store::routes::{self, WholeTable};
use crate::store::{self, Transaction, sync};

/// An entry for `session_events`, in order.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    /// A row that needs no other change.
    Event(Option<RouterId>, SessionEvent),
    /// A removal of tables.
    Down(Down),
}

/// A removal of tables, with its row of `session_events` if it is worth one.
#[derive(Clone, Debug)]
pub(super) struct Down {
    pub(super) owner: Arc<Ownership>,
    /// The tables, in all their address families.
    pub(super) tables: Vec<(View, Arc<str>)>,
    /// The row; the number of deleted routes is added to the one that it has.
    pub(super) event: Option<SessionEvent>,
}

impl Entry {
    /// Returns the removal, if it is one.
    pub(super) fn as_down(&self) -> Option<&Down> {
        match self {
            Entry::Down(down) => Some(down),
            Entry::Event(..) => None,
        }
    }

    /// Returns the router, if there is one.
    pub(super) fn router(&self) -> Option<&RouterId> {
        match self {
            Entry::Down(down) => Some(&down.owner.router),
            Entry::Event(router, _) => router.as_ref(),
        }
    }
}

impl Down {
    /// Deletes the routes of tables with their status. Returns the number of routes of each table.
    ///
    /// # Errors
    /// When a statement fails or the connection is lost.
    pub(super) fn remove<'a>(
        all: impl Iterator<Item = &'a Down>,
        transaction: &mut Transaction<'_>,
        changes: &mut CountChanges,
    ) -> store::Result<Vec<u64>> {
        let tables: Vec<WholeTable<'_>> =
            all.flat_map(|down| down.tables.iter().map(|(view, name)| (&down.owner.router, view, &**name))).collect();
        if tables.is_empty() {
            return Ok(Vec::new());
        }
        let removed = routes::remove(transaction, &tables, changes)?;
        sync::remove(transaction, &tables)?;
        Ok(removed)
    }
}
