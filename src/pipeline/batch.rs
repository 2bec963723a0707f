//! The changes that a state writer has gathered and not written yet.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Range;
use std::sync::Arc;

use super::ends::{Count, Ends, Over, Place, Stale, Start, place};
use super::extras::Extras;
use super::op::{Existing, Ownership, StateOp};
use super::route_rows::Row;
use super::told::{Down, Entry};
use crate::model::{Nlri, RouterId, SessionEvent, Table};
use crate::store::EncodedRoute;

/// The memory in bytes that fills a batch, regardless of its number of changes or events.
pub(super) const GATHERED_BYTES_MAX: usize = 32 * 1024 * 1024;

/// The routes in removed tables that fill a batch: their removal is one transaction, during which other routers of the
/// writer wait. Large tables are not among them (`removals`).
const REMOVED_ROUTES_MAX: usize = 200_000;

/// Changes to many routers' rows, in order of arrival.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// The sessions that reported the changes: sessions of one router have one epoch.
    pub(super) owners: BTreeMap<RouterId, Vec<Arc<Ownership>>>,
    /// Dumps that begin, committed before everything else.
    pub(super) starts: Vec<Start>,
    /// Changes to `current_routes`.
    pub(super) rows: Vec<Row>,
    /// An upper bound in bytes of the memory that the rows and the changes gathered with them use: rows of one UPDATE
    /// share their attributes.
    pub(super) bytes: usize,
    /// Changes written along with the rows.
    pub(super) extras: Extras,
    /// Commands executed after the rows.
    pub(super) ends: Ends,
    /// The pieces to acknowledge when the batch is stored: each session, and the last chunk that the piece completes.
    pub(super) pieces: Vec<(Arc<Ownership>, u64)>,
    /// The octets of input that the batch completes of pieces that are not complete: each session, and the octet.
    pub(super) parts: Vec<(Arc<Ownership>, u64)>,
    /// The tables whose dumps begin, and those that rows and messages refer to.
    begun: HashSet<Place>,
    touched: HashSet<Place>,
    /// The table that was touched last: a dump names the same one a million times.
    last: Option<Arc<Table>>,
    /// The number of rows that everything other than `rows` counts for.
    weight: usize,
    /// The routes in the tables that it removes, as far as their sessions know of them.
    removed: usize,
    /// True if a session waits for stored routes: it applies nothing until it has them.
    is_awaited: bool,
}

impl Batch {
    /// Creates a batch of rows that are in order.
    pub(super) fn of(owners: BTreeMap<RouterId, Vec<Arc<Ownership>>>, rows: Vec<Row>, extras: Extras) -> Batch {
        Batch { owners, rows, extras, ..Batch::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.starts.is_empty() && self.rows.is_empty() && self.extras.is_empty() && self.ends.is_empty()
    }

    /// Returns whether `op` may join: not if something reported before it would then be executed after it.
    pub(super) fn may_take(&self, owner: &Ownership, op: &StateOp) -> bool {
        match op {
            StateOp::SyncStart { tables, beside, .. } => tables.iter().chain(beside).all(|table| {
                let place = place(table);
                !self.begun.contains(&place) && !self.touched.contains(&place) && !self.ends.forbids_start(table)
            }),
            StateOp::Route { table, .. } => !self.ends.forbids_change(table),
            StateOp::TableSeen(table) => !self.ends.removes(table),
            StateOp::EndOfRib { table, .. } | StateOp::PurgeStale { table, .. } => !self.ends.forbids_end(table),
            StateOp::Audit { table, .. } => !self.ends.removes(table),
            // Peers are forgotten after peers are written: a peer that is reported again after that needs the next
            // batch.
            StateOp::PeerSeen(_) => !self.extras.forgets_peers_of(&owner.router),
            StateOp::RouterSeen(_)
            | StateOp::TablesDown { .. }
            | StateOp::MarkStale(_)
            | StateOp::SessionState { .. }
            | StateOp::PeersUnknown(_)
            | StateOp::Statistics(_)
            | StateOp::AddPathSeen(_)
            | StateOp::SessionEvent(_) => true,
        }
    }

    /// Notes the octets of input that it completes of a piece that is written in parts, if any.
    pub(super) fn note_part(&mut self, owner: &Arc<Ownership>, octet: Option<u64>) {
        self.parts.extend(octet.map(|octet| (Arc::clone(owner), octet)));
    }

    /// Adds an operation of `owner`'s session.
    pub(super) fn push_op(&mut self, owner: &Arc<Ownership>, op: StateOp) {
        if !op.is_of_session() {
            self.add_owner(owner);
        }
        let router = &owner.router;
        match op {
            StateOp::Route { table, nlri, change, was } => self.push(Row::new(table, &nlri, change, was)),
            StateOp::TableSeen(table) => self.push_seen(table),
            StateOp::RouterSeen(record) => {
                self.weigh(1, size_of_val(&record));
                self.extras.push_router(record);
            }
            StateOp::PeerSeen(peer) => {
                self.weigh(1, size_of_val(&*peer) + peer.capabilities.as_ref().map_or(0, String::len));
                self.extras.push_peer(router, *peer);
            }
            StateOp::PeersUnknown(of) => {
                self.weigh(1, 0);
                self.extras.push_forgotten(router, of);
            }
            StateOp::Statistics(all) => {
                self.weigh(all.len(), size_of_val(&*all));
                self.extras.push_statistics(router, all);
            }
            StateOp::AddPathSeen(record) => {
                self.weigh(1, size_of_val(&record));
                self.extras.push_add_path(router, record);
            }
            StateOp::SessionEvent(event) => self.push_event(Some(router.clone()), event),
            StateOp::SyncStart { tables, names, beside, stored } => {
                self.push_start(Start { owner: Arc::clone(owner), tables, names, beside, stored });
            }
            StateOp::EndOfRib { table, stale } => {
                self.push_over(Over { eor_seen: true, ..Over::of(owner, table, stale) });
            }
            StateOp::PurgeStale { table, stale } => self.push_over(Over::of(owner, table, stale)),
            StateOp::Audit { table, routes } => {
                self.weigh(1, size_of::<Count>());
                self.ends.push_count(Count { owner: Arc::clone(owner), table, routes });
            }
            StateOp::TablesDown { tables, routes, event } => {
                self.weigh(1 + tables.len(), size_of_val(&*tables));
                self.removed += routes;
                self.ends.note_down(router, &tables);
                self.extras.push_told(Entry::Down(Down { owner: Arc::clone(owner), tables, event }));
            }
            StateOp::MarkStale(tables) => {
                self.weigh(1 + tables.len(), size_of_val(&*tables));
                self.ends.push_stale(Stale { owner: Arc::clone(owner), tables });
            }
            StateOp::SessionState { state, reason } => {
                self.weigh(1, 0);
                self.extras.push_state(owner, state, reason);
            }
        }
    }

    fn add_owner(&mut self, owner: &Arc<Ownership>) {
        match self.owners.get_mut(&owner.router) {
            None => drop(self.owners.insert(owner.router.clone(), vec![Arc::clone(owner)])),
            Some(owners) if owners.iter().any(|known| Arc::ptr_eq(known, owner)) => {}
            Some(owners) => owners.push(Arc::clone(owner)),
        }
    }

    /// Returns whether a session waits for it.
    pub(super) fn is_awaited(&self) -> bool {
        self.is_awaited
    }

    fn push_start(&mut self, start: Start) {
        self.is_awaited |= start.stored.is_some();
        self.weight += start.tables.len() + start.names.len();
        self.begun.extend(start.tables.iter().map(|table| place(table)));
        self.starts.push(start);
    }

    fn push_over(&mut self, over: Over) {
        self.weight += 1 + over.stale.len();
        self.bytes += size_of::<Over>() + over.stale.len() * size_of::<Nlri>();
        self.ends.push_over(over);
    }

    /// Adds the weight of an addition whose own push does not count it.
    fn weigh(&mut self, rows: usize, bytes: usize) {
        self.weight += rows;
        self.bytes += bytes;
    }

    /// Adds a row of `session_events`.
    pub(super) fn push_event(&mut self, router: Option<RouterId>, event: SessionEvent) {
        let text = |text: Option<&str>| text.map_or(0, str::len);
        self.weigh(1, size_of::<Entry>() + text(event.reason.as_deref()) + text(event.table_name.as_deref()));
        self.extras.push_told(Entry::Event(router, event));
    }

    fn push_seen(&mut self, table: Arc<Table>) {
        self.touch(&table);
        self.weigh(1, size_of::<Arc<Table>>());
        self.extras.push_seen(table);
    }

    fn touch(&mut self, table: &Arc<Table>) {
        if self.last.as_ref().is_none_or(|last| !Arc::ptr_eq(last, table)) {
            self.touched.insert(place(table));
            self.last = Some(Arc::clone(table));
        }
    }

    fn push(&mut self, row: Row) {
        self.touch(&row.table);
        self.bytes += size_of::<Row>() + row.route.as_ref().map_or(0, EncodedRoute::size);
        self.rows.push(row);
    }

    /// Returns whether the batch has `changes` changes, as much memory as a batch may, or a long removal.
    pub(super) fn is_full(&self, changes: usize) -> bool {
        self.rows.len() + self.weight >= changes || self.bytes >= GATHERED_BYTES_MAX || self.is_long_removal()
    }

    /// Returns whether the batch removes enough routes for the rest to wait for the next one.
    pub(super) fn is_long_removal(&self) -> bool {
        self.removed >= REMOVED_ROUTES_MAX
    }

    /// Returns whether `owner`'s changes can join: not those of a session of the same router with another epoch, since
    /// one epoch is checked.
    pub(super) fn admits(&self, owner: &Ownership) -> bool {
        self.owners.get(&owner.router).is_none_or(|known| known.iter().all(|known| known.epoch == owner.epoch))
    }

    /// Returns the routers and the epochs under which they are written.
    pub(super) fn epochs(&self) -> Vec<(RouterId, i64)> {
        let one = |(router, owners): (&RouterId, &Vec<Arc<Ownership>>)| Some((router.clone(), owners.first()?.epoch));
        self.owners.iter().filter_map(one).collect()
    }

    /// Sorts the rows by key and keeps the last change of each, with the hint of the first about what existed before.
    pub(super) fn coalesce(&mut self) {
        self.rows.sort_by(|a, b| {
            // A million routes share a table: names are compared only for rows of different table objects.
            let tables =
                if Arc::ptr_eq(&a.table, &b.table) { std::cmp::Ordering::Equal } else { a.table.cmp(&b.table) };
            tables.then_with(|| a.prefix.cmp(&b.prefix)).then_with(|| a.path_id.cmp(&b.path_id))
        });
        // The sort is stable, so the changes of a key keep their order.
        self.rows.dedup_by(|later, kept| {
            let is_same = later.key() == kept.key();
            if is_same {
                kept.route = later.route.take();
            }
            is_same
        });
    }

    /// Takes the rows out, as batches of at most `rows` rows and about equal size: the keys of each batch follow those
    /// of the one before. Everything else stays.
    pub(super) fn take_parts(&mut self, rows: usize) -> Vec<Batch> {
        let rows = self.rows.len().div_ceil(self.rows.len().div_ceil(rows).max(1));
        let mut left = std::mem::take(&mut self.rows).into_iter();
        let mut parts = Vec::with_capacity(left.len().div_ceil(rows));
        while left.len() > 0 {
            let rows: Vec<Row> = left.by_ref().take(rows).collect();
            let mut owners = BTreeMap::new();
            for router in rows.chunk_by(|a, b| a.table.router == b.table.router).filter_map(|rows| rows.first()) {
                let known = self.owners.get_key_value(&router.table.router);
                owners.extend(known.map(|(router, owners)| (router.clone(), owners.clone())));
            }
            parts.push(Batch::of(owners, rows, Extras::default()));
        }
        parts
    }

    /// Returns whether any row of `range` is expected to be new.
    pub(super) fn expects_absent(&self, range: &Range<usize>) -> bool {
        self.rows[range.clone()].iter().any(|row| row.was == Existing::No && row.route.is_some())
    }

    /// Expects no row of `range` to be new any more.
    pub(super) fn expect_stored(&mut self, range: &Range<usize>) {
        self.rows[range.clone()].iter_mut().for_each(|row| row.was = Existing::Maybe);
    }

    /// Drops everything of routers that are no longer ours, except the events of their sessions.
    pub(super) fn drop_lost(&mut self) {
        let lost: BTreeSet<RouterId> =
            self.owners.values().flatten().filter(|owner| owner.is_lost()).map(|owner| owner.router.clone()).collect();
        if lost.is_empty() {
            return;
        }
        self.owners.retain(|router, _| !lost.contains(router));
        self.rows.retain(|row| !lost.contains(&row.table.router));
        self.extras.drop_routers(&lost);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Afi, Prefix};
    use crate::pipeline::{RouteChange, WithdrawReason};

    #[test]
    fn a_batch_is_full_by_changes_or_by_memory() {
        let table = Arc::new(Table::loc_rib(RouterId::new("10.0.0.1"), "a", Afi::Ipv4));
        let nlri = Nlri { prefix: Prefix::new(Afi::Ipv4, &[10], 8).unwrap(), path_id: None };
        let filled = |columns: usize, changes: usize| {
            let route = EncodedRoute::from_columns(&vec![0; columns]);
            let mut batch = Batch::default();
            while !batch.is_full(changes) {
                batch.push(Row::new(table.clone(), &nlri, RouteChange::Announce(route.clone()), Existing::Maybe));
            }
            batch.rows.len()
        };
        assert_eq!(filled(100, 1_000), 1_000);
        assert_eq!(filled(1024 * 1024, usize::MAX), 32);
    }

    #[test]
    fn parts_have_all_rows_in_order_and_who_said_them() {
        let owner = |name: &str| Arc::new(Ownership::new(RouterId::new(name), 1, Arc::default()));
        let owners = ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map(owner);
        let mut batch = Batch::default();
        for (i, rows) in [5, 1, 2].into_iter().enumerate() {
            let table = Arc::new(Table::loc_rib(owners[i].router.clone(), "a", Afi::Ipv4));
            batch.owners.insert(owners[i].router.clone(), vec![owners[i].clone()]);
            for octet in 0..rows {
                let nlri = Nlri { prefix: Prefix::new(Afi::Ipv4, &[octet], 8).unwrap(), path_id: None };
                let change = RouteChange::Withdraw(WithdrawReason::Withdrawn);
                batch.push(Row::new(table.clone(), &nlri, change, Existing::Maybe));
            }
        }
        let want: Vec<String> = batch.rows.iter().map(Row::to_string).collect();
        let parts = batch.take_parts(3);
        assert_eq!(parts.iter().map(|part| part.rows.len()).collect::<Vec<_>>(), [3, 3, 2]);
        assert_eq!(parts.iter().flat_map(|part| &part.rows).map(Row::to_string).collect::<Vec<_>>(), want);
        let routers: Vec<Vec<&str>> =
            parts.iter().map(|part| part.owners.keys().map(RouterId::as_str).collect()).collect();
        assert_eq!(routers, [vec!["10.0.0.1"], vec!["10.0.0.1", "10.0.0.2"], vec!["10.0.0.3"]]);
        assert!(batch.rows.is_empty() && batch.owners.len() == 3);
    }

    #[test]
    fn the_last_change_of_a_key_wins_and_keys_are_sorted() {
        let table = |name: &str| Arc::new(Table::loc_rib(RouterId::new("10.0.0.1"), name, Afi::Ipv4));
        let (a, b) = (table("a"), table("b"));
        let announce = || RouteChange::Announce(EncodedRoute::withdrawn());
        let withdraw = || RouteChange::Withdraw(WithdrawReason::Withdrawn);
        let nlri = |octet| Nlri { prefix: Prefix::new(Afi::Ipv4, &[octet], 8).unwrap(), path_id: None };
        let mut batch = Batch::default();
        for (table, octet, change) in [
            (&b, 1, announce()),
            (&a, 2, announce()),
            (&a, 1, announce()),
            (&a, 2, withdraw()),
            (&a, 1, withdraw()),
            (&table("a"), 1, announce()),
        ] {
            batch.push(Row::new(table.clone(), &nlri(octet), change, Existing::Maybe));
        }
        batch.coalesce();
        let got: Vec<_> =
            batch.rows.iter().map(|r| (&*r.table.name, r.prefix.to_string(), r.route.is_some())).collect();
        let want = [("a", "1.0.0.0/8", true), ("a", "2.0.0.0/8", false), ("b", "1.0.0.0/8", true)];
        assert_eq!(got, want.map(|(name, prefix, there)| (name, prefix.to_owned(), there)));
    }
}
