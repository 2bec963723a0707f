//! When the dumps of tables count as complete though no End-of-RIB came: kept in order, so that a session with thousands of
//! tables looks at those alone whose time has come.

use std::collections::BTreeSet;
use std::time::Duration;

use super::rib_table::{RibTable, SyncState};
use super::tables::Rules;
use crate::model::TableKey;

/// The tables whose dumps are not over.
#[derive(Debug, Default)]
pub(super) struct Due {
    /// Without a route so far, by when they are due.
    expected: BTreeSet<(Duration, TableKey)>,
    /// By when their routes began to come.
    running: BTreeSet<(Duration, TableKey)>,
}

impl Due {
    /// Notes where a table's dump stands; to be called before that changes with [`Due::forget`].
    pub fn note(&mut self, key: &TableKey, table: &RibTable, rules: &Rules) {
        match table.dump {
            SyncState::Over => false,
            SyncState::Expected { since } => self.expected.insert((due(since, table, rules), key.clone())),
            SyncState::Running { since } => self.running.insert((since, key.clone())),
        };
    }

    /// The table's dump is over, or stands somewhere else now.
    pub fn forget(&mut self, key: &TableKey, table: &RibTable, rules: &Rules) {
        match table.dump {
            SyncState::Over => false,
            SyncState::Expected { since } => self.expected.remove(&(due(since, table, rules), key.clone())),
            SyncState::Running { since } => self.running.remove(&(since, key.clone())),
        };
    }

    /// Whether all dumps are over.
    pub fn is_empty(&self) -> bool {
        self.expected.is_empty() && self.running.is_empty()
    }

    /// Takes out the tables whose time has come. `confirmed`: when a route from before the session was last confirmed.
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

/// When a table is due that a Peer Up announced and that gets nothing: where nothing is stored of it there is nothing to miss.
fn due(since: Duration, table: &RibTable, rules: &Rules) -> Duration {
    since + if table.was_stored { rules.stale_time.max(rules.quiet) } else { rules.quiet }
}
