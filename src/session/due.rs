//! Dumps that count as complete although no End-of-RIB arrived. They are kept in the order of their times, so that a
//! session with thousands of tables checks only those that are due.

use std::collections::BTreeSet;
use std::time::Duration;

use super::rib_table::{RibTable, SyncState};
use super::rules::Rules;
use crate::model::TableKey;

/// The tables whose dumps are not over.
#[derive(Debug, Default)]
pub(super) struct Due {
    /// Tables without a route so far, by when they are due.
    expected: BTreeSet<(Duration, TableKey)>,
    /// Tables with routes, by when the routes began to arrive.
    running: BTreeSet<(Duration, TableKey)>,
}

impl Due {
    /// Adds a table according to the state of its dump; before that state changes, call [`Due::forget`].
    pub fn note(&mut self, key: &TableKey, table: &RibTable, rules: &Rules) {
        match table.dump {
            SyncState::Over => false,
            SyncState::Expected { since } => self.expected.insert((due(since, table, rules), key.clone())),
            SyncState::Running { since } => self.running.insert((since, key.clone())),
        };
    }

    /// Removes a table; to be called before the state of its dump changes or the table is removed.
    pub fn forget(&mut self, key: &TableKey, table: &RibTable, rules: &Rules) {
        match table.dump {
            SyncState::Over => false,
            SyncState::Expected { since } => self.expected.remove(&(due(since, table, rules), key.clone())),
            SyncState::Running { since } => self.running.remove(&(since, key.clone())),
        };
    }

    /// Returns true if all dumps are over.
    pub fn is_empty(&self) -> bool {
        self.expected.is_empty() && self.running.is_empty()
    }

    /// Removes and returns the tables that are due. `confirmed` is when a route from before the session was last
    /// confirmed.
    pub fn take(&mut self, idle: Duration, confirmed: Duration, rules: &Rules) -> Vec<TableKey> {
        let mut taken = Vec::new();
        while self.expected.first().is_some_and(|(due, _)| *due <= idle) {
            taken.extend(self.expected.pop_first().map(|(_, key)| key));
        }
        let is_quiet = |since: Duration| since.max(confirmed) + rules.quiet <= idle;
        while self.running.first().is_some_and(|(since, _)| is_quiet(*since)) {
            taken.extend(self.running.pop_first().map(|(_, key)| key));
        }
        taken
    }
}

/// Returns when a table that a Peer Up announced and that receives no route is due: if none of its routes is stored,
/// none can be missing, and the shorter time applies.
fn due(since: Duration, table: &RibTable, rules: &Rules) -> Duration {
    since + if table.was_stored { rules.stale_time.max(rules.quiet) } else { rules.quiet }
}
