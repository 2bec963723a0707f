//! The changes of one transaction that watches may care about, on their way to `watch.outbox`.
//!
//! A writer notes what it changes against the targets of the watches ([`Trie`]), which another thread replaces as a
//! whole, and inserts the rows in the same transaction. No change waits for the outbox: while it cannot be written,
//! writers only collect the routers that are concerned, and that other thread leaves one row for each as soon as it
//! can.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::flaps::Flaps;
use super::route_rows::Row;
use crate::model::watch::trie::Trie;
use crate::model::{Prefix, RouterId, Table};
use crate::store::watch::outbox::{self, Cause, OutboxRow};
use crate::store::{self, Transaction};

/// The routes of one table in one transaction beyond which they are one row: then the evaluator looks at the whole
/// table anyway.
const LISTED_MAX: usize = 500;

/// The targets, or `None` if nothing is noted: no watch is enabled, or no one reads the outbox.
pub type Targets = Option<Trie>;

/// The way from the writers to the evaluator of watches, shared by all threads of the process.
#[derive(Debug)]
pub struct Watching {
    targets: RwLock<Arc<Targets>>,
    /// True while the outbox cannot be written.
    is_blocked: AtomicBool,
    /// Routers with changes that were not listed. Bounded by their number.
    lost: Mutex<BTreeSet<RouterId>>,
    flaps: Arc<Flaps>,
    wake: Sender<()>,
    woken: Receiver<()>,
}

impl Default for Watching {
    fn default() -> Watching {
        let (wake, woken) = bounded(1);
        Watching {
            targets: RwLock::default(),
            is_blocked: AtomicBool::new(false),
            lost: Mutex::default(),
            flaps: Arc::default(),
            wake,
            woken,
        }
    }
}

impl Watching {
    /// Returns the channel on which the evaluator hears that there are new rows.
    pub fn woken(&self) -> &Receiver<()> {
        &self.woken
    }

    /// Returns the counts of changes of watched routes.
    pub(crate) fn flaps(&self) -> &Arc<Flaps> {
        &self.flaps
    }

    /// Replaces the targets. Returns the old ones: they are gone when no transaction that was matched against them can
    /// still be committed.
    pub fn replace(&self, targets: Targets) -> Weak<Targets> {
        let mut place = self.targets.write().unwrap_or_else(PoisonError::into_inner);
        Arc::downgrade(&std::mem::replace(&mut *place, Arc::new(targets)))
    }

    /// Begins to note the changes of one transaction.
    pub(super) fn begin(self: &Arc<Watching>) -> Noted {
        let targets = Arc::clone(&self.targets.read().unwrap_or_else(PoisonError::into_inner));
        Noted { watching: Arc::clone(self), targets, changes: BTreeSet::new(), is_listed: false }
    }

    /// Adds routers with changes that were not listed.
    pub fn lose(&self, routers: impl IntoIterator<Item = RouterId>) {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).extend(routers);
    }

    /// Takes the routers with changes that were not listed: all of them are committed.
    pub fn take_lost(&self) -> Vec<RouterId> {
        std::mem::take(&mut *self.lost.lock().unwrap_or_else(PoisonError::into_inner)).into_iter().collect()
    }

    /// Notes, outside a state writer's transaction, that something of a router has changed and is committed: it is
    /// evaluated as a whole.
    pub fn note_router(&self, router: &RouterId) {
        if self.targets.read().unwrap_or_else(PoisonError::into_inner).is_some() {
            self.lose([router.clone()]);
        }
    }

    /// Lets writers try the outbox again. Returns whether it could not be written.
    pub fn unblock(&self) -> bool {
        self.is_blocked.swap(false, Ordering::Relaxed)
    }

    /// Wakes the evaluator, if it is one of this process and not awake already.
    pub fn wake(&self) {
        let _ = self.wake.try_send(());
    }
}

/// The changes of one transaction. Keeps the targets that they were matched against until it is dropped.
pub(super) struct Noted {
    watching: Arc<Watching>,
    targets: Arc<Targets>,
    changes: BTreeSet<OutboxRow>,
    is_listed: bool,
}

impl Noted {
    /// Returns whether changes are noted at all.
    pub(super) fn is_on(&self) -> bool {
        self.targets.is_some()
    }

    /// Notes a change other than one of a route.
    pub(super) fn push(&mut self, change: impl FnOnce() -> OutboxRow) {
        if self.is_on() {
            self.changes.insert(change());
        }
    }

    /// Notes rows that are sorted by key.
    pub(super) fn push_rows(&mut self, rows: &[Row]) {
        let Some(trie) = &*self.targets else { return };
        if trie.is_empty() {
            return;
        }
        for rows in rows.chunk_by(|a, b| Arc::ptr_eq(&a.table, &b.table)) {
            // Watches are of routes to prefixes.
            let Some(table) = rows.first().map(|row| &row.table).filter(|table| !table.view.is_nlri()) else {
                continue;
            };
            let matched = rows.iter().filter(|row| matches(trie, row)).map(|row| row.prefix);
            let matched: BTreeSet<_> = matched.collect();
            self.changes.extend(listed(table, matched));
        }
    }

    /// Inserts the rows, as the last thing that the transaction does.
    pub(super) fn write(&mut self, transaction: &mut Transaction<'_>) -> store::Result<()> {
        self.is_listed = false;
        if !self.changes.is_empty() && !self.watching.is_blocked.load(Ordering::Relaxed) {
            self.is_listed = outbox::insert(transaction, self.changes.iter())?;
            if !self.is_listed {
                self.watching.is_blocked.store(true, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// Says that the transaction is committed.
    pub(super) fn committed(self) {
        if self.is_listed {
            self.watching.wake();
        } else if !self.changes.is_empty() {
            // Not before: a row that is read before its change is committed is of no use.
            self.watching.lose(self.changes.into_iter().map(|change| change.router));
        }
    }
}

/// Returns whether a row matters: by its prefix, or by the AS that a route comes from.
fn matches(trie: &Trie, row: &Row) -> bool {
    let is_from_watched = || {
        let route = row.route.as_ref().filter(|_| trie.has_origins());
        route.is_some_and(|route| {
            trie.matches_origin(outbox::origin_of(route))
                || trie.has_transits() && outbox::path_of(route).is_some_and(|path| trie.matches_path(path))
        })
    };
    trie.matches(&row.prefix) || is_from_watched()
}

/// Returns the changes of a table's routes for these prefixes: one for each, or one for all if they are many.
fn listed(table: &Table, prefixes: BTreeSet<Prefix>) -> Vec<OutboxRow> {
    if prefixes.len() > LISTED_MAX {
        return vec![OutboxRow::of_table(table, None, Cause::Removal)];
    }
    prefixes.into_iter().map(|prefix| OutboxRow::of_table(table, Some(prefix), Cause::Route)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::watch::trie::WatchTarget;
    use crate::model::{Afi, AsPath, Asn, Nlri, PathAttributes, SegmentKind};
    use crate::pipeline::{Existing, RouteChange, WithdrawReason};
    use crate::store::EncodedRoute;

    fn prefix(number: u16) -> Prefix {
        let [high, low] = number.to_be_bytes();
        Prefix::new(Afi::Ipv4, &[10, high, low], 24).unwrap()
    }

    fn row(table: &Arc<Table>, prefix: Prefix, change: RouteChange) -> Row {
        Row::new(Arc::clone(table), &Nlri { prefix, path_id: None }, change, Existing::Maybe)
    }

    #[test]
    fn rows_are_matched_by_prefix_and_by_origin() {
        let table = Arc::new(Table::loc_rib(RouterId::new("10.0.0.1"), "global", Afi::Ipv4));
        let announce = |asns: &[u32]| {
            let path = AsPath::from_segments([(SegmentKind::Sequence, asns.iter().copied().map(Asn))]);
            let attributes = PathAttributes { as_path: Some(path), ..PathAttributes::default() };
            RouteChange::Announce(EncodedRoute::encode(None, &attributes, None))
        };
        let withdraw = || RouteChange::Withdraw(WithdrawReason::Withdrawn);
        let rows = [
            row(&table, prefix(1), withdraw()),
            row(&table, prefix(2), withdraw()),
            row(&table, prefix(3), announce(&[64_500, 64_496])),
            row(&table, prefix(4), announce(&[64_496, 64_500])),
            row(&table, prefix(5), announce(&[])),
        ];
        let watching = Arc::<Watching>::default();
        let noted = |targets: Targets| {
            drop(watching.replace(targets));
            let mut noted = watching.begin();
            noted.push_rows(&rows);
            noted.push(|| OutboxRow::of_router(RouterId::new("10.0.0.1"), Cause::Session));
            noted.changes.into_iter().map(|change| change.prefix.map(|prefix| prefix.to_string())).collect::<Vec<_>>()
        };
        let of = |number: u16| Some(prefix(number).to_string());
        assert_eq!(noted(None), Vec::<Option<String>>::new());
        assert_eq!(noted(Some(Trie::default())), [None]);
        assert_eq!(noted(Some(Trie::of([WatchTarget::Inside(prefix(1), 24)]))), [None, of(1)]);
        assert_eq!(noted(Some(Trie::of([WatchTarget::OriginatedBy(Asn(64_496))]))), [None, of(3), of(5)]);
        assert_eq!(noted(Some(Trie::of([WatchTarget::Through(Asn(64_496))]))), [None, of(3), of(4), of(5)]);
    }

    #[test]
    fn many_routes_of_a_table_are_one_row() {
        let table = Arc::new(Table::loc_rib(RouterId::new("10.0.0.1"), "global", Afi::Ipv4));
        let watching = Arc::<Watching>::default();
        let all = WatchTarget::Inside(Prefix::new(Afi::Ipv4, &[10], 8).unwrap(), 32);
        drop(watching.replace(Some(Trie::of([all]))));
        let withdraw = || RouteChange::Withdraw(WithdrawReason::Withdrawn);
        for (routes, want) in [(LISTED_MAX, LISTED_MAX), (LISTED_MAX + 1, 1)] {
            let rows: Vec<Row> =
                (0..routes).map(|i| row(&table, prefix(u16::try_from(i).unwrap()), withdraw())).collect();
            let mut noted = watching.begin();
            noted.push_rows(&rows);
            assert_eq!(noted.changes.len(), want);
        }
    }

    #[test]
    fn old_targets_last_as_long_as_their_transactions() {
        let watching = Arc::<Watching>::default();
        let before = watching.begin();
        let old = watching.replace(Some(Trie::default()));
        let after = watching.begin();
        assert!(old.upgrade().is_some() && !before.is_on() && after.is_on());
        drop(before);
        assert!(old.upgrade().is_none());
    }

    #[test]
    fn changes_that_were_not_listed_are_lost_after_commit() {
        let watching = Arc::<Watching>::default();
        drop(watching.replace(Some(Trie::default())));
        let change = || OutboxRow::of_router(RouterId::new("10.0.0.1"), Cause::Peer);
        let mut noted = watching.begin();
        noted.push(change);
        assert!(watching.take_lost().is_empty());
        noted.committed();
        assert_eq!((watching.take_lost(), watching.woken().len()), (vec![RouterId::new("10.0.0.1")], 0));
        let mut noted = watching.begin();
        noted.push(change);
        noted.is_listed = true;
        noted.committed();
        assert_eq!((watching.take_lost(), watching.woken().len()), (vec![], 1));
    }
}
