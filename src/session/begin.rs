//! The start of tables in a session. VPN tables are started together, since a route reflector has one for each of
//! thousands of route distinguishers.

use std::collections::BTreeSet;
use std::sync::Arc;

use log::Level;

use super::changes::{FamilyTable, TableKind};
use super::earlier_tables::TableOrigin;
use super::end::{Cause, SessionEnd};
use super::flaps::TableFlaps;
use super::peer_id::PeerId;
use super::peer_records;
use super::peer_records::router_note;
use super::rib_source::RibSource;
use super::rib_table::{LimitState, RibTable, SyncState};
use super::route_map::RouteMap;
use super::table_names::TableName;
use super::tables::{RouterTables, key_of, mark, whole};
use crate::model::{Afi, AfiSafi, SessionEventKind, StoredRoute, Table, TableKey, TableNameRecord, Timestamp};
use crate::pipeline::StateOp;

impl RouterTables {
    /// Handles a new BGP session of a peer that is up: its routes are stale until they are announced again.
    pub fn restart(&mut self, peer: &PeerId) -> Result<(), SessionEnd> {
        let keys: Vec<TableKey> = self.keys_of(peer).cloned().collect();
        let begun: Vec<_> = keys.into_iter().filter_map(|key| self.take(&key).map(|table| (key, table))).collect();
        if begun.is_empty() {
            return Ok(());
        }
        let tables: Vec<Arc<Table>> = begun.iter().map(|(_, table)| Arc::clone(&table.table)).collect();
        let stored = self.ask(tables, vec![], vec![])?;
        for ((key, RibTable { table, origin, .. }), stored) in begun.into_iter().zip(stored) {
            self.insert(key, &table, origin, &stored);
        }
        Ok(())
    }

    /// Handles an End-of-RIB of a VPN family (RFC 4724 section 2). It applies to the tables of all route
    /// distinguishers: those that the session has not sent are removed, and those that begin later are complete from
    /// their start. Returns true if it is the first End-of-RIB for any of them.
    pub(crate) fn end_of_vpn_rib(
        &mut self,
        source: &RibSource,
        afi: Afi,
        received_at: Timestamp,
    ) -> Result<bool, SessionEnd> {
        self.begin_earlier(source, afi)?;
        let is_vpn = |key: &TableKey| matches!(self.tables[key].origin.part, TableKind::Vpn(_));
        let is_meant = |key: &&TableKey| key.view == source.view && key.afi == afi && is_vpn(key);
        let keys: Vec<TableKey> = self.keys_of(&source.peer).filter(is_meant).cloned().collect();
        let mut is_first = keys.is_empty();
        let (mut gone, mut routes) = (BTreeSet::new(), 0);
        for key in &keys {
            let is_sent = self.tables[key].is_heard;
            // The distinguisher's table of the other family has the same name, and is kept or removed together with
            // this one.
            let other = key.of_other_family();
            if is_sent || self.tables.contains_key(&other) || self.earlier.contains(&other) {
                is_first |= self.complete(key, received_at)?;
            } else if let Some(mut table) = self.take(key) {
                is_first = true;
                routes += table.rib.len();
                table.purge(&mut self.outbox, &mut self.ids, received_at)?;
                gone.insert(whole(key));
            }
        }
        let family = AfiSafi { safi: 128, ..afi.into() };
        // Peers that are not up are not limited in number. The dumps of further ones end when they fall quiet.
        if let Some(record) = self.peers.record_of(source.peer) {
            record.completed.insert((source.view, family));
            self.has_completed = true;
        }
        if !gone.is_empty() {
            let (router, count) = (self.outbox.router(), gone.len());
            self.outbox.say(
                Level::Info,
                format_args!("router {router}: {count} VPN tables that were not sent any more are removed"),
            );
            self.must_wait = true;
            self.outbox.op(StateOp::TablesDown { tables: gone.into_iter().collect(), routes, event: None })?;
        }
        Ok(is_first)
    }

    /// Begins all VPN tables of a family that the database has and the session has not sent, in one request.
    fn begin_earlier(&mut self, source: &RibSource, afi: Afi) -> Result<(), SessionEnd> {
        let all: Vec<(TableKey, TableOrigin)> =
            self.earlier_vpn(source, afi).map(|(key, of)| (key.clone(), of.clone())).collect();
        if all.is_empty() {
            return Ok(());
        }
        let tables: Vec<Arc<Table>> = all.iter().map(|(key, _)| self.new_table(source, key)).collect();
        let loaded: Option<Vec<_>> = all.iter().map(|(key, _)| self.loaded.remove(key)).collect();
        let stored = match loaded.filter(|_| !self.must_wait) {
            Some(loaded) => {
                self.outbox.op(unasked(tables.clone(), vec![]))?;
                loaded
            }
            None => self.ask(tables.clone(), vec![], vec![])?,
        };
        for (((key, origin), table), stored) in all.into_iter().zip(&tables).zip(stored) {
            self.insert(key, table, origin, &stored);
        }
        Ok(())
    }

    /// Returns the VPN tables of this family that the session has not begun.
    fn earlier_vpn<'a>(
        &'a self,
        source: &RibSource,
        afi: Afi,
    ) -> impl Iterator<Item = (&'a TableKey, &'a TableOrigin)> {
        let view = source.view;
        let is_meant = move |key: &TableKey, of: &TableOrigin| {
            key.view == view && key.afi == afi && matches!(of.part, TableKind::Vpn(_))
        };
        self.earlier.of(&source.peer).filter(move |(key, of)| is_meant(key, of))
    }

    fn new_table(&self, source: &RibSource, key: &TableKey) -> Arc<Table> {
        let router = self.outbox.router().clone();
        let TableKey { view, ref name, afi } = *key;
        Arc::new(Table { view, router, name: Arc::clone(name), afi, speaker: source.speaker })
    }

    /// Returns the table's key and begins the table if necessary: its `session_start_time` is committed and its stored
    /// routes are loaded. `None` if there is no room for it.
    pub(super) fn table(
        &mut self,
        source: &RibSource,
        name: &TableName,
        slot: FamilyTable,
    ) -> Result<Option<TableKey>, SessionEnd> {
        let key = key_of(source, name, slot);
        if self.tables.contains_key(&key) {
            return Ok(Some(key));
        }
        self.drop_expected(source)?;
        if !self.has_room(slot.family())? {
            return Ok(None);
        }
        let table = self.new_table(source, &key);
        let (peer, part) = (source.peer, slot.part);
        let origin = TableOrigin { peer, given: Arc::clone(&name.given), unicast: Arc::clone(&name.stored), part };
        let is_stored = self.earlier.contains(&key) || self.expired.remove(&key) || self.is_shared;
        // A VPN has thousands of tables: the stored routes of all of them are requested with the first.
        let mut beside = Vec::new();
        if is_stored && matches!(part, TableKind::Vpn(_)) && !self.loaded.contains_key(&key) {
            let of_both = [Afi::Ipv4, Afi::Ipv6].into_iter().flat_map(|afi| self.earlier_vpn(source, afi));
            let others = of_both.filter(|(other, _)| **other != key && !self.loaded.contains_key(*other));
            beside.extend(others.map(|(other, _)| self.new_table(source, other)));
        }
        self.start(key.clone(), &table, origin, is_stored, beside)?;
        Ok(Some(key))
    }

    /// Returns true if there is room for another table; a lack of room is logged once per family.
    fn has_room(&mut self, family: AfiSafi) -> Result<bool, SessionEnd> {
        if self.tables.len() < self.tables_max {
            return Ok(true);
        }
        if self.refused.insert(family) {
            let (router, tables) = (self.outbox.router(), self.tables.len());
            self.outbox.say(
                Level::Warn,
                format_args!(
                    "router {router}: further tables of {family} are not stored: the session has {tables} tables"
                ),
            );
            let reason = format!("further tables of {family} are not stored: {tables} tables");
            self.outbox.session_event(router_note(SessionEventKind::TableFull, Some(&reason), None))?;
        }
        Ok(false)
    }

    /// Begins a table that has not begun; `may_be_stored` is false if the database certainly has no routes of it.
    fn start(
        &mut self,
        key: TableKey,
        table: &Arc<Table>,
        origin: TableOrigin,
        may_be_stored: bool,
        beside: Vec<Arc<Table>>,
    ) -> Result<(), SessionEnd> {
        let names = self.names(&key, &origin);
        let loaded = self.loaded.remove(&key);
        let stored = if self.must_wait || (may_be_stored && loaded.is_none()) {
            self.ask(vec![Arc::clone(table)], names, beside)?.into_iter().next().unwrap_or_default()
        } else {
            self.outbox.op(unasked(vec![Arc::clone(table)], names))?;
            loaded.unwrap_or_default()
        };
        self.insert(key.clone(), table, origin.clone(), &stored);
        self.start_other_families(&key, table, &origin)
    }

    /// Continues a table in the other families that are stored, even if the router does not send them again: the table
    /// as a whole exists, so its stale routes are removed one by one at the end of the stale time.
    fn start_other_families(&mut self, key: &TableKey, table: &Table, origin: &TableOrigin) -> Result<(), SessionEnd> {
        let other = key.of_other_family();
        if !self.earlier.contains(&other) {
            return Ok(());
        }
        let table = Arc::new(Table { afi: other.afi, ..table.clone() });
        self.start(other, &table, origin.clone(), true, vec![])
    }

    /// Begins tables and waits for their stored routes; loads those of the tables `beside`, which do not begin yet.
    fn ask(
        &mut self,
        tables: Vec<Arc<Table>>,
        names: Vec<TableNameRecord>,
        beside: Vec<Arc<Table>>,
    ) -> Result<Vec<Vec<StoredRoute>>, SessionEnd> {
        let keys: Vec<TableKey> = beside.iter().map(|table| place_of(table)).collect();
        let mut answer = self.outbox.begin(tables, names, beside)?;
        let asked = answer.len().checked_sub(keys.len()).ok_or(Cause::DatabaseDiffers)?;
        let of_beside = answer.split_off(asked);
        self.loaded.extend(keys.into_iter().zip(of_beside));
        self.must_wait = false;
        Ok(answer)
    }

    /// Returns the names to store for a table; none if they are stored already.
    fn names(&mut self, key: &TableKey, origin: &TableOrigin) -> Vec<TableNameRecord> {
        let rib = key.view.kind();
        let mut names = Vec::new();
        if self.earlier.origin(key) == Some(origin) {
            return names;
        }
        names.push(peer_records::table_name(rib, origin, &key.name));
        // The unicast name is stored too: it distinguishes a peer that has no unicast table of its own.
        let unicast = TableOrigin { part: TableKind::Unicast, ..origin.clone() };
        if origin.part != TableKind::Unicast && self.named.as_ref() != Some(&(rib, unicast.clone())) {
            names.push(peer_records::table_name(rib, &unicast, &unicast.unicast));
            self.named = Some((rib, unicast));
        }
        names
    }

    fn insert(&mut self, key: TableKey, table: &Arc<Table>, origin: TableOrigin, stored: &[StoredRoute]) {
        self.outbox.say(Level::Info, format_args!("{table}: dump begins, {} routes stored", stored.len()));
        // Removing a table also removes its row: if there is none, no event of the table counts.
        let has_past = self.earlier.contains(&key) || !stored.is_empty();
        self.earlier.remove(&key);
        let mut dump = SyncState::Expected { since: self.idle };
        let mut rib = RouteMap::stored(key.afi, stored);
        let mut is_heard = false;
        if let Some(is_over) = self.resumed.remove(&mark(&key)) {
            // Part of the dump was applied by an earlier process: routes that this process does not see are not stale.
            rib.confirm_all();
            is_heard = true;
            dump = if is_over { SyncState::Over } else { SyncState::Running { since: self.idle } };
        }
        let meter = self.outbox.table_meter(table);
        let table = Arc::clone(table);
        self.peers.record_of_table(origin.peer).tables.insert(key.clone());
        self.outbox.show(origin.peer, &key, &origin);
        let begun = RibTable {
            was_stored: !rib.is_empty(),
            table,
            origin,
            rib,
            has_past,
            dump,
            eor_seen: false,
            is_heard,
            left_out: 0,
            room: LimitState::Left,
            meter,
            flaps: TableFlaps::default(),
        };
        begun.meter.end_of_rib.set(0);
        begun.measure();
        self.due.note(&key, &begun, &self.rules);
        self.tables.insert(key, begun);
    }

    /// Returns true if the End-of-RIB of the table's family arrived before the table began.
    pub(super) fn is_complete(&self, key: &TableKey, table: &RibTable) -> bool {
        let record = self.peers.record(&table.origin.peer);
        record.is_some_and(|record| record.completed.contains(&(key.view, table.family())))
    }
}

/// Returns the beginning of tables of which nothing has to be loaded.
fn unasked(tables: Vec<Arc<Table>>, names: Vec<TableNameRecord>) -> StateOp {
    StateOp::SyncStart { tables, names, beside: Vec::new(), stored: None }
}

fn place_of(table: &Table) -> TableKey {
    TableKey { view: table.view, name: Arc::clone(&table.name), afi: table.afi }
}
