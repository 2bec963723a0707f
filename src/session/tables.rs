//! The life cycle of one router's tables during one session: dump, End-of-RIB, changes, Peer Down, loss.
//!
//! It turns changes and times into ops and events for the `Outbox`. It reads no clock: the timeout for a missing
//! End-of-RIB counts the time that the session spent waiting for its socket, as reported by `RouterTables::idle`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use log::Level;
use smallvec::SmallVec;

use super::changes::{Changes, FamilyTable, NewRoutes};
use super::downs::name_in_rows;
use super::due::Due;
use super::earlier_tables::{EarlierTables, TableOrigin};
use super::end::SessionEnd;
use super::event_id::EventIds;
use super::missing_withdrawals::LocRibs;
use super::outbox::Outbox;
use super::peer_id::PeerId;
use super::peers::Peers;
use super::rib_source::RibSource;
use super::rib_table::{RibTable, SyncState, Writer};
use super::rules::{Rules, Stamp};
use super::table_names::TableName;
use crate::model::{AfiSafi, RibKind, SessionEventKind, StoredRoute, TableKey, Timestamp, View};
use crate::pipeline::{PeersOf, StateOp};

/// The maximum number of tables of a session, about three kilobytes of memory each with one route: a route reflector
/// has one for each route distinguisher, family and RIB. Further ones are not stored.
const TABLES_MAX: usize = 131_072;

/// The tables of one router.
#[derive(Debug)]
pub(crate) struct RouterTables {
    pub(super) outbox: Outbox,
    pub(super) rules: Rules,
    pub(super) tables: HashMap<TableKey, RibTable>,
    pub(super) tables_max: usize,
    /// Families of tables that were refused because of [`TABLES_MAX`].
    pub(super) refused: BTreeSet<AfiSafi>,
    /// The records of the peers and instances, with the keys of their tables.
    pub(super) peers: Peers,
    /// The tables whose dumps are not over.
    pub(super) due: Due,
    /// Tables with rows from before this session that it has not begun.
    pub(super) earlier: EarlierTables,
    /// Tables that were in `earlier` when the stale time was over: the expiry deletes them, at a time that the session
    /// does not learn.
    pub(super) expired: BTreeSet<TableKey>,
    /// The stored routes of VPN tables in `earlier`, as far as they are loaded.
    pub(super) loaded: HashMap<TableKey, Vec<StoredRoute>>,
    /// True once an End-of-RIB of a VPN family has arrived, which the record of its peer has.
    pub(super) has_completed: bool,
    /// The unicast table whose name was last recorded for a labeled or VPN table, whose name is derived from it.
    pub(super) named: Option<(RibKind, TableOrigin)>,
    /// True once the stale time is over for tables from before this session that it has not begun.
    pub(super) is_stale_time_over: bool,
    /// True if the router has, or had, other sessions in the meantime: a table may have stored routes from them.
    pub(super) is_shared: bool,
    /// The ids of its events.
    pub(super) ids: EventIds,
    /// Tables of the session that this one goes on from and has not met yet, by [`mark`], and whether their dumps were
    /// over.
    pub(super) resumed: BTreeMap<String, bool>,
    /// True if a row of `session_events` that is needed to read history may not be written yet: events of a table that
    /// begins have to be later.
    pub(super) must_wait: bool,
    /// The time spent waiting for the socket since the session began.
    pub(super) idle: Duration,
    /// The value of `idle` when a route from before the session was last confirmed.
    confirmed: Duration,
    /// True if `bmp_sessions` records that all dumps are complete.
    pub(super) is_up: bool,
}

impl RouterTables {
    /// Returns the tables of a router whose session begins; `earlier` are those that the database has rows for.
    pub fn new(outbox: Outbox, rules: Rules, earlier: EarlierTables) -> RouterTables {
        RouterTables {
            outbox,
            rules,
            tables: HashMap::new(),
            tables_max: TABLES_MAX,
            refused: BTreeSet::new(),
            peers: Peers::new(),
            due: Due::default(),
            earlier,
            expired: BTreeSet::new(),
            loaded: HashMap::new(),
            has_completed: false,
            named: None,
            is_stale_time_over: false,
            is_shared: false,
            ids: EventIds::default(),
            resumed: BTreeMap::new(),
            must_wait: true,
            idle: Duration::ZERO,
            confirmed: Duration::ZERO,
            is_up: false,
        }
    }

    /// Returns the outbox to the writers.
    pub fn outbox(&mut self) -> &mut Outbox {
        &mut self.outbox
    }

    /// Begins a table of a Loc-RIB instance or a peer that came up, unless it has begun since the last Peer Down.
    pub fn begin(&mut self, source: &RibSource, name: &TableName, slot: FamilyTable) -> Result<(), SessionEnd> {
        self.table(source, name, slot).map(|_| ())
    }

    /// Applies one UPDATE. Returns whether there was room for all of its tables.
    pub fn apply(
        &mut self,
        source: &RibSource,
        name: impl Fn(&Peers, FamilyTable) -> TableName,
        changes: &Changes<'_>,
        stamp: Stamp,
    ) -> Result<bool, SessionEnd> {
        let mut slots: SmallVec<[FamilyTable; 2]> = changes.slots().collect();
        slots.sort_unstable();
        slots.dedup();
        let mut stamp = stamp;
        let mut has_room = true;
        for slot in slots {
            let Some(key) = self.table(source, &name(&self.peers, slot), slot)? else {
                has_room = false;
                continue;
            };
            let RouterTables { tables, outbox, rules, ids, idle, confirmed, due, .. } = self;
            let table = tables.get_mut(&key).expect("just begun");
            if let SyncState::Expected { .. } = table.dump {
                due.forget(&key, table, rules);
                table.dump = SyncState::Running { since: *idle };
                due.note(&key, table, rules);
            }
            table.is_heard = true;
            outbox.touch(&table.table);
            let mut writer = Writer { outbox, ids, stamp: &mut stamp };
            table.meter.last_message.set_time(writer.stamp.received_at);
            table.flaps.heard(writer.stamp.sent_at());
            for (_, nlri) in changes.withdrawn.iter().filter(|(of, _)| *of == slot) {
                table.meter.withdrawn.add(nlri.len());
                for nlri in nlri {
                    table.withdraw(nlri, &mut writer)?;
                }
            }
            for (_, routes) in changes.announced.iter().filter(|(of, _)| *of == slot) {
                table.meter.announced.add(routes.len());
                let mut announce = |nlri, route| {
                    if table.announce(nlri, route, *rules, &mut writer)? {
                        *confirmed = *idle;
                    }
                    Ok::<_, SessionEnd>(())
                };
                match routes {
                    NewRoutes::Alike(route, nlri) => nlri.iter().try_for_each(|nlri| announce(nlri, route))?,
                    NewRoutes::Each(all) => all.iter().try_for_each(|(nlri, route)| announce(*nlri, route))?,
                }
            }
            table.measure();
            let may_be_complete = !table.eor_seen && table.rib.unconfirmed() == 0 && self.has_completed;
            if may_be_complete && self.is_complete(&key, &self.tables[&key]) {
                self.complete_from_start(&key)?;
            }
        }
        Ok(has_room)
    }

    /// Applies the End-of-RIB of one table: routes that the session has not confirmed are stale and are deleted.
    /// Returns whether it is the table's first; true for a table that was refused.
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

    /// Ends the dump of a table when the End-of-RIB of its family arrived before its first route.
    fn complete_from_start(&mut self, key: &TableKey) -> Result<(), SessionEnd> {
        let RouterTables { tables, outbox, due, rules, .. } = self;
        let Some(table) = tables.get_mut(key) else { return Ok(()) };
        table.eor_seen = true;
        due.forget(key, table, rules);
        table.dump = SyncState::Over;
        table.measure();
        outbox.op(StateOp::EndOfRib { table: Arc::clone(&table.table), stale: Vec::new() })
    }

    pub(super) fn complete(&mut self, key: &TableKey, received_at: Timestamp) -> Result<bool, SessionEnd> {
        let RouterTables { tables, outbox, ids, due, rules, .. } = self;
        let Some(table) = tables.get_mut(key) else { return Ok(true) };
        outbox.touch(&table.table);
        if table.eor_seen {
            return Ok(false);
        }
        table.eor_seen = true;
        table.is_heard = true;
        due.forget(key, table, rules);
        table.dump = SyncState::Over;
        let stale = table.purge(outbox, ids, received_at)?;
        table.meter.end_of_rib.set_time(received_at);
        table.measure();
        let routes = table.rib.len();
        outbox.say(Level::Info, format_args!("{}: received EoR, {routes} routes, {} purged", table.table, stale.len()));
        outbox.op(StateOp::EndOfRib { table: Arc::clone(&table.table), stale })?;
        outbox.session_event(table.note(SessionEventKind::EndOfRib, None, Some(routes)))?;
        Ok(true)
    }

    /// Ends the dump of a table whose End-of-RIB has not come. Returns whether there is such a table.
    pub(super) fn complete_quietly(&mut self, key: &TableKey, now: Timestamp) -> Result<bool, SessionEnd> {
        let RouterTables { tables, outbox, ids, due, rules, .. } = self;
        let Some(table) = tables.get_mut(key) else { return Ok(false) };
        due.forget(key, table, rules);
        table.dump = SyncState::Over;
        let stale = table.purge(outbox, ids, now)?;
        table.measure();
        let (routes, gone) = (table.rib.len(), stale.len());
        let table_name = &table.table;
        outbox.say(
            Level::Info,
            format_args!(
                "{table_name}: no EoR within the timeout: dump considered complete, {routes} routes, {gone} purged"
            ),
        );
        outbox.op(StateOp::PurgeStale { table: Arc::clone(&table.table), stale })?;
        outbox.session_event(table.note(SessionEventKind::EorTimeout, None, Some(routes)))?;
        Ok(true)
    }

    /// Returns the tables that have begun, by [`mark`], and whether their dumps are over.
    pub(super) fn begun(&self) -> Vec<(String, bool)> {
        let begun = self.tables.iter().map(|(key, table)| (mark(key), table.dump == SyncState::Over));
        begun.chain(self.resumed.iter().map(|(mark, is_over)| (mark.clone(), *is_over))).collect()
    }

    /// Returns the tables of a peer or instance that the session has begun.
    pub(super) fn keys_of(&self, peer: &PeerId) -> impl Iterator<Item = &TableKey> {
        self.peers.record(peer).into_iter().flat_map(|record| &record.tables)
    }

    /// Returns the names that rows of `session_events` have for the removal of a peer's tables.
    pub(super) fn names_in_rows(&self, peer: &PeerId) -> BTreeSet<Arc<str>> {
        self.keys_of(peer).map(|key| name_in_rows(key, &self.tables[key].origin)).collect()
    }

    /// Returns whether tables of the peer are stored that the session has not begun.
    pub(super) fn has_earlier(&self, peer: &PeerId) -> bool {
        self.earlier.of(peer).next().is_some()
    }

    /// Makes the writers count the stored routes of every table whose dump is over.
    pub(crate) fn audit(&mut self) -> Result<(), SessionEnd> {
        for table in self.tables.values().filter(|table| table.dump == SyncState::Over) {
            self.outbox.op(StateOp::Audit { table: Arc::clone(&table.table), routes: table.rib.len() })?;
        }
        Ok(())
    }

    /// Returns the number of stored routes of each RIB and family of a peer or Loc-RIB instance; `None` where that is
    /// not comparable now, for example during a dump.
    pub fn stored_routes(&self, peer: &PeerId) -> BTreeMap<(View, AfiSafi), Option<usize>> {
        let mut all = BTreeMap::new();
        for key in self.keys_of(peer) {
            let table = &self.tables[key];
            let sum = all.entry((key.view, table.family())).or_insert(Some(0));
            *sum = sum.zip(table.settled_routes()).map(|(sum, routes)| sum + routes);
        }
        all
    }

    /// Returns the stored routes of the router's Loc-RIBs; `None` if that is not comparable now, for example during a
    /// dump, or there are none.
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

    /// Adds `waited`, spent waiting for the socket, and ends dumps in which no route was confirmed for too long.
    /// Returns the number of dumps ended.
    pub fn idle(&mut self, waited: Duration, now: Timestamp) -> Result<usize, SessionEnd> {
        self.idle += waited;
        let mut silent = 0;
        for key in self.due.take(self.idle, self.confirmed, &self.rules) {
            silent += usize::from(self.complete_quietly(&key, now)?);
        }
        if self.idle >= self.rules.stale_time && !self.is_stale_time_over {
            self.is_stale_time_over = true;
            // The expiry deletes these tables.
            self.expired = std::mem::take(&mut self.earlier).keys().cloned().collect();
            self.loaded = HashMap::new();
            let before = self.outbox.owner().reporting_since;
            self.outbox.op(StateOp::PeersUnknown(PeersOf::ReportedBefore(before)))?;
        }
        self.report_state()?;
        Ok(silent)
    }
}

/// Returns the key of a table of this peer.
pub(super) fn key_of(source: &RibSource, name: &TableName, slot: FamilyTable) -> TableKey {
    TableKey { view: slot.view(source.view), name: slot.name(Arc::clone(&name.stored)), afi: slot.afi }
}

/// Returns the RIB and name of a table, which identify it in all its families.
pub(super) fn whole(key: &TableKey) -> (View, Arc<str>) {
    (key.view, Arc::clone(&key.name))
}

/// Returns the text that identifies a table in a checkpoint.
pub(super) fn mark(key: &TableKey) -> String {
    let of = key.view.peer().map(|of| format!("{} {}", of.address, of.policy.is_post())).unwrap_or_default();
    format!("{}\0{of}\0{}\0{}", key.view.kind().as_str(), key.name, key.afi)
}

#[cfg(test)]
#[path = "tables_tests.rs"]
mod tests;
