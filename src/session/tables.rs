//! The life of one router's tables during one session: dump, End-of-RIB, changes, Peer Down, loss.
//!
//! Takes changes and moments, gives ops and events to the [`Outbox`]. It reads no clock: the quiet
//! fallback counts the time that the session spent waiting for its socket, told by [`Tables::idle`].

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::bounded;
use log::info;

use super::SessionEnd;
use super::changes::{Changes, NewRoutes, Part, Slot};
use super::connection::Begun;
use super::held::{Held, Origin};
use super::outbox::Outbox;
use super::peers::{PeerId, Renamed, Source};
use super::remnants::LocRibs;
use super::rib::Rib;
pub use super::rules::{Redump, Rules, Stamp};
use super::standing::Standing;
use super::synced_table::{Dump, Room, SyncedTable, Writer};
use super::table_names::{GivenNames, TableName};
use crate::model::{Afi, AfiSafi, Table, TableKey, Timestamp, View};
use crate::pipeline::{
    Doubts, PeersOf, RouteChange, SessionEvent, SessionEventKind, StateOp, Was, WithdrawReason, cut_reason,
};

/// A session has so many tables at most: VRFs of a large provider edge times two families, several times over.
const TABLES_MAX: usize = 16_384;

/// The tables of one router.
#[derive(Debug)]
pub struct Tables {
    pub(super) outbox: Outbox,
    rules: Rules,
    pub(super) tables: HashMap<TableKey, SyncedTable>,
    /// The tables of each peer or instance.
    pub(super) by_peer: HashMap<PeerId, BTreeSet<TableKey>>,
    /// Tables with rows from before this session that it has not begun.
    pub(super) held: Held,
    /// Whether the hold is over for what is from before this session and it has not begun.
    is_hold_over: bool,
    pub(super) standing: Arc<Standing>,
    /// Whether a row of `session_events` that history is read by may still be on its way: events of a table that begins have
    /// to be later.
    must_wait: bool,
    /// Time spent waiting for the socket since the session began.
    idle: Duration,
    /// `idle` when a route from before the session was last confirmed.
    confirmed: Duration,
    /// Whether `bmp_sessions` has been told that all dumps are complete.
    pub(super) is_up: bool,
    /// The same tables, for a newer session that takes a peer over.
    pub(super) begun: Arc<Begun>,
}

impl Tables {
    /// The tables of a router whose session begins; `held` are those the database has rows for.
    pub fn new(outbox: Outbox, rules: Rules, held: Held, standing: Arc<Standing>) -> Tables {
        Tables {
            outbox,
            rules,
            tables: HashMap::new(),
            by_peer: HashMap::new(),
            held,
            is_hold_over: false,
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

    /// A Loc-RIB instance or a neighbour came up with this table: begins it, unless it has begun since the last Peer Down.
    ///
    /// # Errors
    /// The session cannot go on.
    pub fn begin(&mut self, source: &Source, name: &TableName, slot: Slot) -> Result<(), SessionEnd> {
        self.table(source, name, slot).map(|_| ())
    }

    /// Applies one UPDATE.
    ///
    /// # Errors
    /// The session cannot go on.
    pub fn apply(
        &mut self,
        source: &Source,
        name: impl Fn(Slot) -> TableName,
        changes: &Changes<'_>,
        stamp: Stamp,
    ) -> Result<(), SessionEnd> {
        let slots: BTreeSet<Slot> = changes.slots().collect();
        let mut stamp = stamp;
        for slot in slots {
            let key = self.table(source, &name(slot), slot)?;
            let Tables { tables, outbox, rules, standing, idle, confirmed, .. } = self;
            let table = tables.get_mut(&key).expect("just begun");
            table.dump = table.dump.with_routes(*idle);
            table.is_heard = true;
            outbox.seen(&table.table);
            let mut writer = Writer { outbox, standing, stamp: &mut stamp };
            table.meter.last_message.set_time(writer.stamp.received_at);
            for (_, nlri) in changes.withdrawn.iter().filter(|(of, _)| *of == slot) {
                table.meter.withdrawn.add(nlri.len());
                for nlri in nlri {
                    let change = RouteChange::Withdraw(WithdrawReason::Withdrawn);
                    writer.event(&table.table, nlri, change.clone(), Doubts::default())?;
                    if table.rib.withdraw(&nlri) {
                        writer.op(&table.table, nlri, change, Was::Stored)?;
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
        }
        Ok(())
    }

    /// End-of-RIB of one table: what the session has not confirmed is stale and goes. Whether it is the table's first.
    ///
    /// # Errors
    /// The session cannot go on.
    pub fn end_of_rib(
        &mut self,
        source: &Source,
        name: &TableName,
        slot: Slot,
        received_at: Timestamp,
    ) -> Result<bool, SessionEnd> {
        let key = self.table(source, name, slot)?;
        self.complete(&key, received_at)
    }

    /// End-of-RIB of a VPN family: of the tables of all its route distinguishers. Whether it is the first of any.
    ///
    /// # Errors
    /// The session cannot go on.
    pub fn end_of_vpn_rib(&mut self, source: &Source, afi: Afi, received_at: Timestamp) -> Result<bool, SessionEnd> {
        let is_vpn = |key: &TableKey| matches!(self.tables[key].origin.part, Part::Vpn(_));
        let is_meant = |key: &&TableKey| key.view == source.view && key.afi == afi && is_vpn(key);
        let keys: Vec<TableKey> = self.keys_of(&source.peer).filter(is_meant).cloned().collect();
        let mut is_first = keys.is_empty();
        for key in &keys {
            is_first |= self.complete(key, received_at)?;
        }
        Ok(is_first)
    }

    fn complete(&mut self, key: &TableKey, received_at: Timestamp) -> Result<bool, SessionEnd> {
        let Tables { tables, outbox, standing, .. } = self;
        let Some(table) = tables.get_mut(key) else { return Ok(true) };
        outbox.seen(&table.table);
        if table.eor_seen {
            return Ok(false);
        }
        table.eor_seen = true;
        table.is_heard = true;
        table.dump = Dump::Over;
        standing.table_over(mark(key));
        let stale = table.purge(outbox, standing, received_at)?;
        table.meter.end_of_rib.set_time(received_at);
        table.measure();
        let routes = table.rib.len();
        info!("{}: received EoR, {routes} routes, {} purged", table.table, stale.len());
        outbox.op(StateOp::EndOfRib { table: Arc::clone(&table.table), stale })?;
        outbox.note(table.note(SessionEventKind::EndOfRib, None, Some(routes)))?;
        Ok(true)
    }

    /// The tables that the session has begun of a peer or instance.
    fn keys_of(&self, peer: &PeerId) -> impl Iterator<Item = &TableKey> {
        self.by_peer.get(peer).into_iter().flatten()
    }

    /// A Loc-RIB instance or a peer went down: its tables go, routes and sync rows. `None`: it had none.
    ///
    /// One that this session has not brought up may have tables of sessions before: that is looked up in memory. `name` is
    /// that of the table in the message; where the peer has it beside others, it alone goes (RFC 9069 section 5.3).
    ///
    /// # Errors
    /// The session cannot go on.
    pub fn down(&mut self, peer: &PeerId, name: Option<&str>, reason: &str) -> Result<Option<Gone>, SessionEnd> {
        let peer = &if self.by_peer.contains_key(peer) { *peer } else { self.held.meant_down(peer).unwrap_or(*peer) };
        let begun = self.keys_of(peer).map(|key| (key, &*self.tables[key].origin.given));
        let held = self.held.of(peer).map(|(key, origin)| (key, &*origin.given));
        let mut doomed: Vec<(&TableKey, &str)> = begun.chain(held).collect();
        let mut gone = Gone::All(*peer);
        if let Some(name) = name {
            let is_named = |(_, given): &(&TableKey, &str)| *given == name;
            if doomed.iter().any(is_named) && !doomed.iter().all(is_named) {
                doomed.retain(is_named);
                gone = Gone::Table(*peer, name.into());
            }
        }
        let default = GivenNames::default().of(peer.kind, AfiSafi::IPV4_UNICAST);
        let strays = self.held.strays(peer.address, name.unwrap_or(&default));
        let doomed: BTreeSet<_> = doomed.into_iter().map(|(key, _)| key).chain(strays).map(whole).collect();
        let is_any = self.remove(&doomed, SessionEventKind::PeerDown, reason)?;
        Ok(is_any.then_some(gone))
    }

    /// A Peer Up gave tables of a peer or instance another name: what is stored under the old one goes, as with a Peer Down.
    ///
    /// # Errors
    /// The session cannot go on.
    pub fn rename(&mut self, peer: &PeerId, renamed: &Renamed) -> Result<(), SessionEnd> {
        let begun = self.keys_of(peer).filter(|key| {
            let table = &self.tables[*key];
            renamed.before(table.family()).is_some_and(|before| before == table.origin.given)
        });
        let held = self.held.of(peer).filter(|(key, origin)| {
            let family = Slot { afi: key.afi, part: origin.part }.family();
            renamed.after(family).is_some_and(|after| *after != origin.given)
        });
        let doomed: BTreeSet<_> = begun.chain(held.map(|(key, _)| key)).map(whole).collect();
        self.remove(&doomed, SessionEventKind::PeerDown, "renamed by the router").map(|_| ())
    }

    /// A peer that is up has another BGP session: what it had is stale until it is said again.
    ///
    /// # Errors
    /// The session cannot go on.
    pub fn restart(&mut self, peer: &PeerId) -> Result<(), SessionEnd> {
        let keys: Vec<TableKey> = self.keys_of(peer).cloned().collect();
        for key in keys {
            let Some(table) = self.tables.remove(&key) else { continue };
            self.outbox.forget(&table.table);
            self.standing.table_gone(mark(&key));
            self.start(key, &table.table, table.origin, true)?;
        }
        Ok(())
    }

    /// A neighbour sends other views than those that its Peer Up made expect: they go, unless routes of them are stored.
    fn drop_expected(&mut self, source: &Source) -> Result<(), SessionEnd> {
        if source.view == View::LocRib {
            return Ok(()); // It has no other view; a router with thousands of instances need not have them all looked at.
        }
        let is_silent = |table: &SyncedTable| !table.is_heard && table.rib.is_empty();
        let is_other = |key: &&TableKey| key.view != source.view && key.view.kind() == source.view.kind();
        let its_own = || self.keys_of(&source.peer).filter(is_other);
        // A table goes in all its families: if one of them is alive, none does.
        let alive: BTreeSet<_> = its_own().filter(|key| !is_silent(&self.tables[*key])).map(whole).collect();
        let gone: Vec<_> = its_own().filter(|key| !alive.contains(&whole(key))).cloned().collect();
        let mut tables = BTreeSet::new();
        for key in gone {
            self.take(&key);
            tables.insert(whole(&key));
        }
        if tables.is_empty() {
            return Ok(());
        }
        self.must_wait = true;
        self.outbox.op(StateOp::TablesDown { tables: tables.into_iter().collect(), event: None })
    }

    /// A neighbour's view is not stored any more: its tables go.
    ///
    /// # Errors
    /// The session cannot go on.
    pub fn drop_view(&mut self, source: &Source, view: View, reason: &str) -> Result<bool, SessionEnd> {
        let doomed = self.keys_of(&source.peer).filter(|key| key.view == view).map(whole).collect();
        self.remove(&doomed, SessionEventKind::ViewDropped, reason)
    }

    /// Takes a table out of the session's memory.
    pub(super) fn take(&mut self, key: &TableKey) -> Option<SyncedTable> {
        let table = self.tables.remove(key)?;
        self.unshare(&table.origin.peer, key);
        if let Some(keys) = self.by_peer.get_mut(&table.origin.peer) {
            keys.remove(key);
            if keys.is_empty() {
                self.by_peer.remove(&table.origin.peer);
            }
        }
        self.outbox.forget(&table.table);
        self.outbox.owner().meter.forget_table(&table.table);
        Some(table)
    }

    /// Lets the stored routes of every table be counted whose dump is over.
    ///
    /// # Errors
    /// The session cannot go on.
    pub fn audit(&mut self) -> Result<(), SessionEnd> {
        for table in self.tables.values().filter(|table| table.dump == Dump::Over) {
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
        let Tables { tables, outbox, rules, standing, idle, confirmed, .. } = self;
        for (key, table) in tables.iter_mut() {
            let over = match table.dump {
                Dump::Over => false,
                // Nothing is stored that could be missed.
                Dump::Expected { since } if table.rib.is_empty() => *idle >= since + rules.quiet,
                Dump::Expected { since } => *idle >= since + rules.hold.max(rules.quiet),
                Dump::Running { since } => *idle >= since.max(*confirmed) + rules.quiet,
            };
            if over {
                silent += 1;
                table.dump = Dump::Over;
                standing.table_over(mark(key));
                let stale = table.purge(outbox, standing, now)?;
                table.measure();
                let (routes, gone) = (table.rib.len(), stale.len());
                info!("{}: no EoR, but quiet: dump taken as complete, {routes} routes, {gone} purged", table.table);
                outbox.op(StateOp::PurgeStale { table: Arc::clone(&table.table), stale })?;
                outbox.note(table.note(SessionEventKind::ResyncQuiet, None, Some(routes)))?;
            }
        }
        if *idle >= rules.hold && !self.is_hold_over {
            self.is_hold_over = true;
            // The expiry takes them.
            self.held = Held::default();
            let before = self.outbox.owner().reporting_since;
            self.outbox.op(StateOp::PeersUnknown(PeersOf::ReportedBefore(before)))?;
        }
        self.report_state()?;
        Ok(silent)
    }

    /// Tables go in all their families. What goes of one neighbour is one row of `session_events`, and so is each table of a
    /// Loc-RIB: that row stands for the end of every route when history is read (`table_removals`), so no earlier event may
    /// be dated later than it.
    pub(super) fn remove(
        &mut self,
        doomed: &BTreeSet<(View, Arc<str>)>,
        kind: SessionEventKind,
        reason: &str,
    ) -> Result<bool, SessionEnd> {
        if !doomed.is_empty() {
            self.outbox.settle()?;
            self.must_wait = true;
        }
        let mut together: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (view, name) in doomed {
            let address = view.neighbour().map(|of| of.address);
            let unicast = self.doom(*view, name);
            let name_of_all = if address.is_some() { unicast.unwrap_or(Arc::clone(name)) } else { Arc::clone(name) };
            together.entry((address, name_of_all)).or_default().push((*view, Arc::clone(name)));
        }
        for ((peer_address, name), tables) in together {
            let mut event = router_note(kind, Some(reason), None);
            event.peer_address = peer_address;
            event.table_name = Some(name);
            self.outbox.op(StateOp::TablesDown { tables, event: Some(event) })?;
        }
        Ok(!doomed.is_empty())
    }

    /// Takes a table out of the session's memory in all its families, begun or not; what the unicast table beside it is called.
    fn doom(&mut self, view: View, name: &Arc<str>) -> Option<Arc<str>> {
        let mut unicast = None;
        for afi in [Afi::Ipv4, Afi::Ipv6] {
            let key = TableKey { view, name: Arc::clone(name), afi };
            if let Some(origin) = self.held.origin(&key) {
                unicast = Some(Arc::clone(&origin.unicast));
            }
            self.held.remove(&key);
            if let Some(table) = self.take(&key) {
                unicast = Some(table.origin.unicast);
                self.standing.table_gone(mark(&key));
            }
        }
        unicast
    }

    /// The table's key, begun if it is not yet: its `session_start_time` is committed and what is stored of it loaded.
    fn table(&mut self, source: &Source, name: &TableName, slot: Slot) -> Result<TableKey, SessionEnd> {
        let key = key_of(source, name, slot);
        if self.tables.contains_key(&key) {
            return Ok(key);
        }
        self.drop_expected(source)?;
        if self.tables.len() >= TABLES_MAX {
            return Err(SessionEnd::TooManyTables(TABLES_MAX));
        }
        let router = self.outbox.owner().router.clone();
        let (view, afi, speaker) = (source.view, slot.afi, source.speaker);
        let table = Arc::new(Table { view, router, name: Arc::clone(&key.name), afi, speaker });
        let (peer, part) = (source.peer, slot.part);
        let origin = Origin { peer, given: Arc::clone(&name.given), unicast: Arc::clone(&name.stored), part };
        // What was held longer than it may be goes by itself, but nobody says when.
        let is_stored = self.held.contains(&key) || self.is_hold_over;
        self.start(key.clone(), &table, origin, is_stored)?;
        Ok(key)
    }

    /// Begins a table that is not begun, of which something may be stored or nothing is.
    fn start(
        &mut self,
        key: TableKey,
        table: &Arc<Table>,
        origin: Origin,
        may_be_stored: bool,
    ) -> Result<(), SessionEnd> {
        let tables = vec![Arc::clone(table)];
        let stored = if self.must_wait || may_be_stored {
            let (reply, answer) = bounded(1);
            self.outbox.op(StateOp::SyncStart { tables, stored: Some(reply) })?;
            self.outbox.flush()?;
            let answer = answer.recv().map_err(|_| self.no_answer())?;
            self.must_wait = false;
            answer.into_iter().next().unwrap_or_default()
        } else {
            self.outbox.op(StateOp::SyncStart { tables, stored: None })?;
            Vec::new()
        };
        info!("{table}: dump begins, {} routes stored", stored.len());
        // A removal takes the row with it: where there is none, no event of the table counts.
        let has_past = self.held.contains(&key) || !stored.is_empty();
        self.held.remove(&key);
        let mut dump = Dump::Expected { since: self.idle };
        let mut rib = Rib::stored(key.afi, &stored);
        let mut is_heard = false;
        if let Some(is_over) = self.standing.table_begun(mark(&key)) {
            // Part of the dump was applied by an earlier process: what this one does not see is not stale.
            rib.confirm_all();
            is_heard = true;
            dump = if is_over { Dump::Over } else { Dump::Running { since: self.idle } };
        }
        self.start_other_families(&key, table, &origin)?;
        let meter = self.outbox.owner().meter.table(table);
        let table = Arc::clone(table);
        self.by_peer.entry(origin.peer).or_default().insert(key.clone());
        self.show(&origin, &key);
        let begun = SyncedTable {
            table,
            origin,
            rib,
            has_past,
            dump,
            eor_seen: false,
            is_heard,
            left_out: 0,
            room: Room::Left,
            meter,
        };
        begun.meter.end_of_rib.set(0);
        begun.measure();
        self.tables.insert(key, begun);
        Ok(())
    }

    /// A table goes on in the families that are stored of it, whether or not they are heard of again: what of it is stale at
    /// the end of the hold goes route by route, because the table as a whole is there.
    fn start_other_families(&mut self, key: &TableKey, table: &Table, origin: &Origin) -> Result<(), SessionEnd> {
        for afi in [Afi::Ipv4, Afi::Ipv6] {
            let other = TableKey { afi, ..key.clone() };
            if afi != key.afi && self.held.contains(&other) {
                self.start(other, &Arc::new(Table { afi, ..table.clone() }), origin.clone(), true)?;
            }
        }
        Ok(())
    }

    /// Why a command had no answer.
    fn no_answer(&self) -> SessionEnd {
        let owner = self.outbox.owner();
        match owner.refusal() {
            _ if owner.is_lost() => SessionEnd::OwnershipLost,
            Some(refusal) => SessionEnd::DatabaseRefused(refusal.0.clone()),
            None => SessionEnd::WritersGone,
        }
    }
}

/// What went with a Peer Down.
#[derive(Debug, PartialEq, Eq)]
pub enum Gone {
    /// All that the peer or instance had.
    All(PeerId),
    /// The table of this name; others of it are left.
    Table(PeerId, Arc<str>),
}

/// The key of a table of this peer.
pub(super) fn key_of(source: &Source, name: &TableName, slot: Slot) -> TableKey {
    TableKey { view: source.view, name: slot.name(Arc::clone(&name.stored)), afi: slot.afi }
}

/// A table in all its families.
pub(super) fn whole(key: &TableKey) -> (View, Arc<str>) {
    (key.view, Arc::clone(&key.name))
}

/// How [`Standing`] knows a table.
fn mark(key: &TableKey) -> String {
    let of = key.view.neighbour().map(|of| format!("{} {}", of.address, of.policy.is_post())).unwrap_or_default();
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
