//! The life of one router's tables during one session: dump, End-of-RIB, changes, Peer Down, loss.
//!
//! Takes changes and moments, gives ops and events to the [`Outbox`]. It reads no clock: the quiet
//! fallback counts the time that the session spent waiting for its socket, told by [`RouterTables::idle`].

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use log::info;
use smallvec::SmallVec;

use super::SessionEnd;
use super::changes::{Changes, FamilyTable, NewRoutes};
use super::connection::Begun;
use super::due::Due;
use super::held::{Held, Origin};
use super::outbox::Outbox;
use super::peers::{PeerId, RibSource};
use super::remnants::LocRibs;
use super::rib_table::{RibTable, SyncState, Writer};
pub use super::rules::{Redump, Rules, Stamp};
use super::standing::Standing;
use super::table_names::TableName;
use crate::model::{AfiSafi, RibKind, TableKey, Timestamp, View};
use crate::pipeline::{
    Doubts, Existing, PeersOf, RouteChange, SessionEvent, SessionEventKind, StateOp, StoredRoute, WithdrawReason,
    cut_reason,
};

/// A session has so many tables at most, about three kilobytes of memory each with one route: a route reflector has one for each
/// route distinguisher, family and view. Further ones are not stored.
const TABLES_MAX: usize = 131_072;

/// The tables of one router.
#[derive(Debug)]
pub struct RouterTables {
    pub(super) outbox: Outbox,
    pub(super) rules: Rules,
    pub(super) tables: HashMap<TableKey, RibTable>,
    pub(super) tables_max: usize,
    /// Families of tables that found no room.
    pub(super) refused: BTreeSet<AfiSafi>,
    /// The tables of each peer or instance.
    pub(super) by_peer: HashMap<PeerId, BTreeSet<TableKey>>,
    /// Those whose dumps are not over.
    pub(super) due: Due,
    /// Tables with rows from before this session that it has not begun.
    pub(super) held: Held,
    /// Those of them that were held longer than they may be: they go by themselves, but nobody says when.
    pub(super) expired: BTreeSet<TableKey>,
    /// What is stored of VPN tables among them.
    pub(super) loaded: HashMap<TableKey, Vec<StoredRoute>>,
    /// Families of parts whose End-of-RIB has come, of each peer.
    pub(super) completed: HashMap<PeerId, BTreeSet<(View, AfiSafi)>>,
    /// The unicast table whose name was last remembered for the sake of a part.
    pub(super) named: Option<(RibKind, Origin)>,
    /// Whether the stale time is over for what is from before this session and it has not begun.
    pub(super) is_stale_time_over: bool,
    /// Whether the router has, or had, other sessions meanwhile: what those leave is stored too.
    pub(super) is_shared: bool,
    pub(super) standing: Arc<Standing>,
    /// Whether a row of `session_events` that history is read by may still be on its way: events of a table that begins have
    /// to be later.
    pub(super) must_wait: bool,
    /// Time spent waiting for the socket since the session began.
    pub(super) idle: Duration,
    /// `idle` when a route from before the session was last confirmed.
    confirmed: Duration,
    /// Whether `bmp_sessions` has been told that all dumps are complete.
    pub(super) is_up: bool,
    /// The same tables, for a newer session that takes a peer over.
    pub(super) begun: Arc<Begun>,
}

impl RouterTables {
    /// The tables of a router whose session begins; `held` are those the database has rows for.
    pub fn new(outbox: Outbox, rules: Rules, held: Held, standing: Arc<Standing>) -> RouterTables {
        RouterTables {
            outbox,
            rules,
            tables: HashMap::new(),
            tables_max: TABLES_MAX,
            refused: BTreeSet::new(),
            by_peer: HashMap::new(),
            due: Due::default(),
            held,
            expired: BTreeSet::new(),
            loaded: HashMap::new(),
            completed: HashMap::new(),
            named: None,
            is_stale_time_over: false,
            is_shared: false,
            standing,
            must_wait: true,
            idle: Duration::ZERO,
            confirmed: Duration::ZERO,
            is_up: false,
            begun: Arc::default(),
        }
    }

    /// The way to the writers.
    pub fn outbox(&mut self) -> &mut Outbox {
        &mut self.outbox
    }

    /// A Loc-RIB instance or a peer came up with this table: begins it, unless it has begun since the last Peer Down.
    ///
    /// # Errors
    /// The session cannot go on.
    pub fn begin(&mut self, source: &RibSource, name: &TableName, slot: FamilyTable) -> Result<(), SessionEnd> {
        self.table(source, name, slot).map(|_| ())
    }

    /// Applies one UPDATE. Whether there was room for all of its tables.
    ///
    /// # Errors
    /// The session cannot go on.
    pub fn apply(
        &mut self,
        source: &RibSource,
        name: impl Fn(FamilyTable) -> TableName,
        changes: &Changes<'_>,
        stamp: Stamp,
    ) -> Result<bool, SessionEnd> {
        let mut slots: SmallVec<[FamilyTable; 2]> = changes.slots().collect();
        slots.sort_unstable();
        slots.dedup();
        let mut stamp = stamp;
        let mut has_room = true;
        for slot in slots {
            let Some(key) = self.table(source, &name(slot), slot)? else {
                has_room = false;
                continue;
            };
            let RouterTables { tables, outbox, rules, standing, idle, confirmed, due, .. } = self;
            let table = tables.get_mut(&key).expect("just begun");
            if let SyncState::Expected { .. } = table.dump {
                due.forget(&key, table, rules);
                table.dump = SyncState::Running { since: *idle };
                due.note(&key, table, rules);
            }
            table.is_heard = true;
            outbox.touch(&table.table);
            let mut writer = Writer { outbox, standing, stamp: &mut stamp };
            table.meter.last_message.set_time(writer.stamp.received_at);
            for (_, nlri) in changes.withdrawn.iter().filter(|(of, _)| *of == slot) {
                table.meter.withdrawn.add(nlri.len());
                for nlri in nlri {
                    let change = RouteChange::Withdraw(WithdrawReason::Withdrawn);
                    let is_shared = table.dump != SyncState::Over && writer.is_taken_over();
                    writer.event(&table.table, nlri, change.clone(), Doubts { is_shared, ..Doubts::default() })?;
                    if table.rib.withdraw(&nlri) {
                        writer.op(&table.table, nlri, change, Existing::Maybe)?;
                    }
                }
            }
            for (_, routes) in changes.announced.iter().filter(|(of, _)| *of == slot) {
                table.meter.announced.add(routes.len());
                let mut announce = |nlri, route| {
                    if table.announce(nlri, route, *rules, &mut writer)? {
                        *confirmed = *idle;
                    }
                    Ok(())
                };
                match routes {
                    NewRoutes::Alike(route, nlri) => nlri.iter().try_for_each(|nlri| announce(nlri, route))?,
                    NewRoutes::Each(all) => all.iter().try_for_each(|(nlri, route)| announce(*nlri, route))?,
                }
            }
            table.measure();
            let may_be_complete = !table.eor_seen && table.rib.unconfirmed() == 0 && !self.completed.is_empty();
            if may_be_complete && self.is_complete(&key, &self.tables[&key]) {
                self.complete_from_start(&key)?;
            }
        }
        Ok(has_room)
    }

    /// End-of-RIB of one table: what the session has not confirmed is stale and goes. Whether it is the table's first.
    ///
    /// # Errors
    /// The session cannot go on.
    pub fn end_of_rib(
        &mut self,
        source: &RibSource,
        name: &TableName,
        slot: FamilyTable,
        received_at: Timestamp,
    ) -> Result<bool, SessionEnd> {
        let Some(key) = self.table(source, name, slot)? else { return Ok(true) };
        self.complete(&key, received_at)
    }

    /// The End-of-RIB of the table's family came before its first route.
    fn complete_from_start(&mut self, key: &TableKey) -> Result<(), SessionEnd> {
        let RouterTables { tables, outbox, standing, due, rules, .. } = self;
        let Some(table) = tables.get_mut(key) else { return Ok(()) };
        table.eor_seen = true;
        due.forget(key, table, rules);
        table.dump = SyncState::Over;
        standing.table_over(mark(key));
        table.measure();
        outbox.op(StateOp::EndOfRib { table: Arc::clone(&table.table), stale: Vec::new() })
    }

    pub(super) fn complete(&mut self, key: &TableKey, received_at: Timestamp) -> Result<bool, SessionEnd> {
        let RouterTables { tables, outbox, standing, due, rules, .. } = self;
        let Some(table) = tables.get_mut(key) else { return Ok(true) };
        outbox.touch(&table.table);
        if table.eor_seen {
            return Ok(false);
        }
        table.eor_seen = true;
        table.is_heard = true;
        due.forget(key, table, rules);
        table.dump = SyncState::Over;
        standing.table_over(mark(key));
        let stale = table.purge(outbox, standing, received_at)?;
        table.meter.end_of_rib.set_time(received_at);
        table.measure();
        let routes = table.rib.len();
        info!("{}: received EoR, {routes} routes, {} purged", table.table, stale.len());
        outbox.op(StateOp::EndOfRib { table: Arc::clone(&table.table), stale })?;
        outbox.session_event(table.note(SessionEventKind::EndOfRib, None, Some(routes)))?;
        Ok(true)
    }

    /// The tables that the session has begun of a peer or instance.
    pub(super) fn keys_of(&self, peer: &PeerId) -> impl Iterator<Item = &TableKey> {
        self.by_peer.get(peer).into_iter().flatten()
    }

    /// Lets the stored routes of every table be counted whose dump is over.
    ///
    /// # Errors
    /// The session cannot go on.
    pub fn audit(&mut self) -> Result<(), SessionEnd> {
        for table in self.tables.values().filter(|table| table.dump == SyncState::Over) {
            self.outbox.op(StateOp::Audit { table: Arc::clone(&table.table), routes: table.rib.len() })?;
        }
        Ok(())
    }

    /// How many routes are stored of each RIB and family of a peer or Loc-RIB instance; `None` where that says nothing now,
    /// during a dump for one.
    pub fn stored_routes(&self, peer: &PeerId) -> BTreeMap<(View, AfiSafi), Option<usize>> {
        let mut all = BTreeMap::new();
        for key in self.keys_of(peer) {
            let table = &self.tables[key];
            let sum = all.entry((key.view, table.family())).or_insert(Some(0));
            *sum = sum.zip(table.settled_routes()).map(|(sum, routes)| sum + routes);
        }
        all
    }

    /// What is stored of the router's Loc-RIBs; `None` where that says nothing now, during a dump for one, or there are none.
    pub fn loc_ribs(&self) -> Option<LocRibs> {
        let mut all = LocRibs { routes: 0, left_out: 0 };
        let mut is_any = false;
        for table in self.tables.values().filter(|table| table.table.view == View::LocRib) {
            is_any = true;
            all.routes += u64::try_from(table.settled_routes()?).unwrap_or(u64::MAX);
            all.left_out += u64::try_from(table.left_out).unwrap_or(u64::MAX);
        }
        is_any.then_some(all)
    }

    /// The session has waited for its socket for another `waited`: ends dumps that fell silent. How many dumps it ended.
    ///
    /// # Errors
    /// The session cannot go on.
    pub fn idle(&mut self, waited: Duration, now: Timestamp) -> Result<usize, SessionEnd> {
        self.idle += waited;
        let mut silent = 0;
        let RouterTables { tables, outbox, rules, standing, idle, confirmed, due, .. } = self;
        for key in due.take(*idle, *confirmed, rules) {
            let Some(table) = tables.get_mut(&key) else { continue };
            silent += 1;
            table.dump = SyncState::Over;
            standing.table_over(mark(&key));
            let stale = table.purge(outbox, standing, now)?;
            table.measure();
            let (routes, gone) = (table.rib.len(), stale.len());
            info!("{}: no EoR, but quiet: dump taken as complete, {routes} routes, {gone} purged", table.table);
            outbox.op(StateOp::PurgeStale { table: Arc::clone(&table.table), stale })?;
            outbox.session_event(table.note(SessionEventKind::EorTimeout, None, Some(routes)))?;
        }
        if *idle >= rules.stale_time && !self.is_stale_time_over {
            self.is_stale_time_over = true;
            // The expiry takes them.
            self.expired = std::mem::take(&mut self.held).keys().cloned().collect();
            self.loaded = HashMap::new();
            let before = self.outbox.owner().reporting_since;
            self.outbox.op(StateOp::PeersUnknown(PeersOf::ReportedBefore(before)))?;
        }
        self.report_state()?;
        Ok(silent)
    }
}

/// The key of a table of this peer.
pub(super) fn key_of(source: &RibSource, name: &TableName, slot: FamilyTable) -> TableKey {
    TableKey { view: source.view, name: slot.name(Arc::clone(&name.stored)), afi: slot.afi }
}

/// A table in all its families.
pub(super) fn whole(key: &TableKey) -> (View, Arc<str>) {
    (key.view, Arc::clone(&key.name))
}

/// How [`Standing`] knows a table.
pub(super) fn mark(key: &TableKey) -> String {
    let of = key.view.peer().map(|of| format!("{} {}", of.address, of.policy.is_post())).unwrap_or_default();
    format!("{}\0{of}\0{}\0{}", key.view.kind().as_str(), key.name, key.afi)
}

/// A row of `session_events` about the router as a whole.
pub fn router_note(kind: SessionEventKind, reason: Option<&str>, routes: Option<usize>) -> SessionEvent {
    SessionEvent {
        kind,
        table_name: None,
        peer_address: None,
        afi: None,
        reason: reason.map(|reason| cut_reason(reason).to_owned()),
        routes: routes.map(|count| i64::try_from(count).unwrap_or(i64::MAX)),
    }
}

#[cfg(test)]
#[path = "tables_tests.rs"]
mod tests;
