//! The commands that a state writer has gathered: those executed before a batch's rows, and those executed after them.
//!
//! Commands of different tables do not wait for each other, nor for routes of other tables: everything gathered is
//! written as a few set-based statements. A batch is written in the order *starts, rows, ends*, so an operation may
//! join it only if nothing that was reported before it would be executed after it; [`Batch`](super::batch::Batch) asks
//! [`Ends`] about that.

use std::collections::HashSet;
use std::sync::Arc;

use crossbeam_channel::Sender;

use super::op::Ownership;
use crate::model::{Nlri, RouterId, StoredRoute, Table, TableKey, TableNameRecord, View};

/// Tables of one session whose dumps begin.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) owner: Arc<Ownership>,
    pub(super) tables: Vec<Arc<Table>>,
    /// The names of tables.
    pub(super) names: Vec<TableNameRecord>,
    /// Tables whose dumps do not begin, but whose stored routes are requested.
    pub(super) beside: Vec<Arc<Table>>,
    /// The channel for the stored routes of both; `None`: the session does not ask.
    pub(super) stored: Option<Sender<Vec<Vec<StoredRoute>>>>,
}

/// The end of a dump of a table.
#[derive(Debug)]
pub(super) struct Over {
    pub(super) owner: Arc<Ownership>,
    pub(super) table: Arc<Table>,
    /// The routes that the session did not confirm.
    pub(super) stale: Vec<Nlri>,
    /// True if the dump ended with an End-of-RIB.
    pub(super) eor_seen: bool,
    /// True if a later batch purges more of its stale routes, so that the dump does not count as complete yet.
    pub(super) is_part: bool,
}

impl Over {
    /// Creates the end of a dump without an End-of-RIB.
    pub(super) fn of(owner: &Arc<Ownership>, table: Arc<Table>, stale: Vec<Nlri>) -> Over {
        Over { owner: Arc::clone(owner), table, stale, eor_seen: false, is_part: false }
    }
}

/// A table to count.
#[derive(Debug)]
pub(super) struct Count {
    pub(super) owner: Arc<Ownership>,
    pub(super) table: Arc<Table>,
    /// The number of routes that the table must have.
    pub(super) routes: usize,
}

/// Tables of a router that have lost their session: they are stale.
#[derive(Debug)]
pub(super) struct Stale {
    pub(super) owner: Arc<Ownership>,
    pub(super) tables: Vec<TableKey>,
}

/// The key of a table, without the information that only accompanies it.
pub(super) type Place = (RouterId, TableKey);

/// Returns the key of a table.
pub(super) fn place(table: &Table) -> Place {
    (table.router.clone(), TableKey { view: table.view, name: Arc::clone(&table.name), afi: table.afi })
}

/// The commands executed after a batch's rows, in the order of the fields. Each may be executed again: a kill between
/// them costs nothing. What may not comes after them, with the positions (`extras`).
#[derive(Debug, Default)]
pub(super) struct Ends {
    /// Dumps that are over.
    pub(super) over: Vec<Over>,
    /// Tables to count.
    pub(super) counts: Vec<Count>,
    /// Tables that have lost their session.
    pub(super) stale: Vec<Stale>,
    purged: HashSet<Place>,
    ended: HashSet<Place>,
    counted: HashSet<Place>,
    /// Tables that are removed after them.
    gone: HashSet<(RouterId, View, Arc<str>)>,
    lost: HashSet<Place>,
}

impl Ends {
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of commands.
    pub(super) fn len(&self) -> usize {
        self.over.len() + self.counts.len() + self.stale.len()
    }

    /// Returns whether the table is removed at the end of the batch.
    pub(super) fn removes(&self, table: &Table) -> bool {
        // There is nearly always nothing, and every table of every message is checked.
        !self.gone.is_empty() && self.gone.contains(&(table.router.clone(), table.view, Arc::clone(&table.name)))
    }

    /// Returns whether a change of a route of the table would be executed before something that was reported earlier.
    pub(super) fn forbids_change(&self, table: &Table) -> bool {
        if self.removes(table) {
            return true;
        }
        if self.is_empty() {
            return false;
        }
        let place = place(table);
        self.purged.contains(&place) || self.counted.contains(&place) || self.lost.contains(&place)
    }

    /// Returns whether the table's next dump cannot begin before the end of the batch.
    pub(super) fn forbids_start(&self, table: &Table) -> bool {
        self.forbids_change(table) || !self.is_empty() && self.ended.contains(&place(table))
    }

    /// Returns whether the end of the table's dump would be executed before something that was reported earlier.
    pub(super) fn forbids_end(&self, table: &Table) -> bool {
        let is_behind = |place| self.counted.contains(&place) || self.lost.contains(&place);
        self.removes(table) || !self.is_empty() && is_behind(place(table))
    }

    pub(super) fn push_over(&mut self, over: Over) {
        let place = place(&over.table);
        if !over.stale.is_empty() {
            self.purged.insert(place.clone());
        }
        self.ended.insert(place);
        self.over.push(over);
    }

    pub(super) fn push_count(&mut self, count: Count) {
        self.counted.insert(place(&count.table));
        self.counts.push(count);
    }

    pub(super) fn push_stale(&mut self, stale: Stale) {
        self.lost.extend(stale.tables.iter().map(|key| (stale.owner.router.clone(), key.clone())));
        self.stale.push(stale);
    }

    /// Notes that tables are removed after them.
    pub(super) fn note_down(&mut self, router: &RouterId, tables: &[(View, Arc<str>)]) {
        self.gone.extend(tables.iter().map(|(view, name)| (router.clone(), *view, Arc::clone(name))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Afi, Prefix};

    #[test]
    fn what_was_said_earlier_keeps_its_place() {
        let owner = Arc::new(Ownership::new(RouterId::new("10.0.0.1"), 1, Arc::default()));
        let other = Arc::new(Ownership::new(RouterId::new("10.0.0.2"), 1, Arc::default()));
        let table = |owner: &Arc<Ownership>, name: &str, afi| Arc::new(Table::loc_rib(owner.router.clone(), name, afi));
        let stale = Nlri { prefix: Prefix::new(Afi::Ipv4, &[10], 8).unwrap(), path_id: None };
        let mut ends = Ends::default();
        let a = table(&owner, "a", Afi::Ipv4);
        let asked = |ends: &Ends, table: &Table| {
            [ends.forbids_start(table), ends.forbids_change(table), ends.forbids_end(table), ends.removes(table)]
        };
        assert_eq!(asked(&ends, &a), [false; 4]);
        let over = |table: &Arc<Table>, stale| Over {
            owner: owner.clone(),
            table: table.clone(),
            stale,
            eor_seen: true,
            is_part: false,
        };
        ends.push_over(over(&a, vec![]));
        assert_eq!(asked(&ends, &a), [true, false, false, false], "routes of a table that is complete may go first");
        ends.push_over(over(&a, vec![stale]));
        assert_eq!(asked(&ends, &a), [true, true, false, false]);
        let b = table(&owner, "b", Afi::Ipv4);
        ends.push_count(Count { owner: owner.clone(), table: b.clone(), routes: 1 });
        assert_eq!(asked(&ends, &b), [true, true, true, false]);
        ends.note_down(&owner.router, &[(View::LocRib, "c".into())]);
        for (name, afi, goes) in [("c", Afi::Ipv4, true), ("c", Afi::Ipv6, true), ("d", Afi::Ipv4, false)] {
            assert_eq!(asked(&ends, &table(&owner, name, afi)), [goes; 4], "{name} {afi}");
        }
        assert_eq!(asked(&ends, &table(&other, "c", Afi::Ipv4)), [false; 4], "another router's");
        let d = table(&owner, "d", Afi::Ipv4);
        let (_, key) = place(&d);
        ends.push_stale(Stale { owner: owner.clone(), tables: vec![key] });
        assert_eq!(asked(&ends, &d), [true, true, true, false], "that it had messages may be noted");
        assert_eq!(asked(&ends, &table(&owner, "d", Afi::Ipv6)), [false; 4]);
        assert_eq!(asked(&ends, &table(&other, "d", Afi::Ipv4)), [false; 4]);
    }
}
