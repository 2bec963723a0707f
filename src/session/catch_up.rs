//! The tables of a session that stood by, when it takes its router over: what it has heard is compared with what is
//! stored, and the differences are sent with their attributes and times from its window.
//!
//! To the database this is a dump like any other: the tables begin, routes that are stored as they were heard are
//! confirmed, others are written, and at the end of a dump that was complete what is left is gone.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::changes::FamilyTable;
use super::downs::{HeardDown, is_over_until};
use super::end::{Cause, SessionEnd};
use super::new_events::{announced, first_new, says};
use super::rib_source::RibSource;
use super::rib_table::{RibTable, SyncState};
use super::route_map::RouteEffect;
use super::table_names::TableName;
use super::tables::RouterTables;
use super::window::{EventsByKey, place_of};
use crate::model::{Nlri, TableKey, Timestamp};
use crate::pipeline::{Existing, NewestEvent, Recent, RouteChange, RouteEvent, StateOp};

/// The newest stored event of keys of one table.
type NewestByKey = HashMap<Nlri, NewestEvent>;

/// A table that has begun and is to be brought up to what was heard.
struct Behind {
    key: TableKey,
    /// As the session heard it.
    heard: RibTable,
    events: EventsByKey,
    newest: NewestByKey,
    /// The keys whose stored routes are others, or none.
    differing: HashSet<Nlri>,
}

impl RouterTables {
    /// Sends the events of tables that a Peer Down removed which was not stored, and takes them out of `events`, the
    /// window of a session that stood by: its tables `heard` are those that are there now.
    ///
    /// # Errors
    /// The state writer or the history writer is gone.
    pub(super) fn send_removed(
        &mut self,
        down: &HeardDown,
        heard: &RouterTables,
        events: &mut HashMap<usize, EventsByKey>,
        recent: &Recent,
    ) -> Result<(), SessionEnd> {
        let places: HashSet<usize> = heard.tables.values().map(|table| place_of(&table.table)).collect();
        let is_removed = |of_table: &EventsByKey| {
            let mut all = of_table.values().flatten();
            all.all(|event| down.removes(&event.table) && event.received_at <= down.received_at)
        };
        let gone = events.extract_if(|place, of_table| !places.contains(place) && is_removed(of_table));
        let gone: Vec<EventsByKey> = gone.map(|(_, of_table)| of_table).collect();
        if !self.outbox.keeps_history() {
            return Ok(());
        }
        let mut new: Vec<RouteEvent> = Vec::new();
        for of_table in gone {
            let Some(table) = of_table.values().flatten().next().map(|event| Arc::clone(&event.table)) else {
                continue;
            };
            let is_of = |key: &TableKey| (key.view, &key.name, key.afi) == (table.view, &table.name, table.afi);
            let stored = recent.newest.iter().filter(|newest| is_of(&newest.table));
            let stored: HashMap<Nlri, &NewestEvent> = stored.map(|newest| (newest.nlri, newest)).collect();
            for (nlri, all) in of_table {
                let first = first_new(&all, stored.get(&nlri).copied());
                new.extend(all.into_iter().skip(first));
            }
        }
        new.sort_by_key(|event| event.received_at);
        new.into_iter().try_for_each(|event| self.outbox.event(event))
    }

    /// Brings the tables up to what a session has heard that stood by: `heard`, and the events of its window. `recent` is
    /// what was stored of the time of the window before the Peer Downs `downs`, which were not.
    ///
    /// # Errors
    /// As [`RouterTables::table`]; [`Cause::DatabaseDiffers`]: a route is stored otherwise than it was heard, so long
    /// ago that only a dump has it. Nothing was changed then.
    pub(super) fn catch_up(
        &mut self,
        (mut heard, mut events): (RouterTables, HashMap<usize, EventsByKey>),
        mut recent: Recent,
        downs: &[HeardDown],
        now: Timestamp,
    ) -> Result<(), SessionEnd> {
        let mut newest = by_table(std::mem::take(&mut recent.newest));
        let mut keys: Vec<TableKey> = heard.tables.keys().cloned().collect();
        keys.sort_unstable();
        let mut all = Vec::new();
        for key in keys {
            let Some(table) = heard.tables.remove(&key) else { continue };
            if !matches!(table.dump, SyncState::Expected { .. }) {
                let events = events.remove(&place_of(&table.table)).unwrap_or_default();
                let mut newest = newest.remove(&key).unwrap_or_default();
                // What was stored before the table was removed says nothing of its routes any more.
                let over = is_over_until((&key, &table.origin), &recent, downs);
                newest.retain(|_, event| over.is_none_or(|over| event.stored_at >= over));
                all.push(self.begin_heard(key, table, events, newest)?);
            }
        }
        for behind in &all {
            self.send_differences(behind)?;
        }
        let mut vpn = HashMap::new();
        for (peer, record) in heard.peers.all() {
            if record.sends_post_policy
                && let Some(own) = self.peers.record_of(*peer)
            {
                own.sends_post_policy = true;
            }
            let of_vpn = record.completed.iter().filter(|(_, family)| family.safi == 128);
            vpn.extend(of_vpn.map(|(view, family)| ((*peer, *view, *family), None)));
        }
        for Behind { key, heard, .. } in &all {
            let source = source_of(heard);
            match vpn.get_mut(&(source.peer, source.view, heard.family())) {
                Some(of_dump) => *of_dump = Some((source, key.afi)),
                None => self.end_heard(key, heard, now)?,
            }
        }
        for (source, afi) in vpn.into_values().flatten() {
            self.end_of_vpn_rib(&source, afi, now)?;
        }
        Ok(())
    }

    /// Begins a table that was heard. What is stored as it was heard is confirmed.
    fn begin_heard(
        &mut self,
        key: TableKey,
        heard: RibTable,
        events: EventsByKey,
        newest: NewestByKey,
    ) -> Result<Behind, SessionEnd> {
        let origin = &heard.origin;
        let name = TableName { given: Arc::clone(&origin.given), stored: Arc::clone(&origin.unicast) };
        let stored = self.peers.names().of(key.view.kind().of_routes(), &origin.peer, &origin.given);
        let slot = FamilyTable { afi: key.afi, part: origin.part };
        if stored != origin.unicast || self.table(&source_of(&heard), &name, slot)?.as_ref() != Some(&key) {
            return Err(Cause::DatabaseDiffers.into());
        }
        let RouterTables { tables, due, rules, idle, .. } = self;
        let table = tables.get_mut(&key).ok_or(Cause::DatabaseDiffers)?;
        due.forget(&key, table, rules);
        table.dump = SyncState::Running { since: *idle };
        due.note(&key, table, rules);
        (table.is_heard, table.room) = (heard.is_heard, heard.room);
        let differing = table.rib.confirm_equal(&heard.rib, key.afi);
        let is_known = |nlri: &Nlri| {
            let last = events.get(nlri).and_then(|events| events.last()).and_then(announced);
            last.is_some_and(|fingerprint| heard.rib.has(nlri, fingerprint))
        };
        if !differing.iter().all(is_known) {
            let unknown = differing.iter().filter(|nlri| !is_known(nlri)).count();
            let (table, routes) = (&heard.table, heard.rib.len());
            log::warn!("{table}: {unknown} of {routes} routes are not stored as they are, and changed long ago");
            return Err(Cause::DatabaseDiffers.into());
        }
        Ok(Behind { key, heard, events, newest, differing: differing.into_iter().collect() })
    }

    fn send_differences(&mut self, behind: &Behind) -> Result<(), SessionEnd> {
        let RouterTables { tables, outbox, .. } = self;
        let Some(table) = tables.get_mut(&behind.key) else { return Ok(()) };
        let keeps_history = outbox.keeps_history();
        let mut keys: Vec<&Nlri> = behind.events.keys().collect();
        keys.sort_unstable();
        for nlri in keys {
            let events = &behind.events[nlri];
            let (Some(last), newest) = (events.last(), behind.newest.get(nlri)) else { continue };
            let is_gone = !behind.heard.rib.knows(nlri) && table.rib.knows(nlri);
            let differs = is_gone || behind.differing.contains(nlri);
            if keeps_history {
                let is_last_stored = newest.is_some_and(|newest| says(last, newest));
                let mut new = &events[first_new(events, newest)..];
                // A dump announces what has long been there.
                let is_there = |event: &RouteEvent| {
                    event.doubts.is_dumped && announced(event).is_some_and(|route| table.rib.has(nlri, route))
                };
                while let Some((first, rest)) = new.split_first()
                    && is_there(first)
                {
                    new = rest;
                }
                if new.is_empty() && differs && !is_last_stored {
                    new = std::slice::from_ref(last);
                }
                for event in new {
                    outbox.event(RouteEvent { table: Arc::clone(&table.table), ..event.clone() })?;
                }
            }
            if differs {
                let was = match &last.change {
                    RouteChange::Announce(route) => match table.rib.announce(nlri, route.fingerprint()).verdict {
                        RouteEffect::New => Existing::No,
                        RouteEffect::Changed | RouteEffect::Same => Existing::Maybe,
                    },
                    RouteChange::Withdraw(_) if table.rib.withdraw(nlri) => Existing::Maybe,
                    RouteChange::Withdraw(_) => continue,
                };
                let (table, change) = (Arc::clone(&table.table), last.change.clone());
                outbox.op(StateOp::Route { table, nlri: *nlri, change, was })?;
            }
        }
        outbox.touch(&table.table);
        table.measure();
        Ok(())
    }

    /// Ends the dump of a table that was over when it was heard.
    fn end_heard(&mut self, key: &TableKey, heard: &RibTable, now: Timestamp) -> Result<(), SessionEnd> {
        match heard.dump {
            SyncState::Over if heard.eor_seen => self.complete(key, now).map(|_| ()),
            SyncState::Over => self.complete_quietly(key, now).map(|_| ()),
            SyncState::Expected { .. } | SyncState::Running { .. } => Ok(()),
        }
    }
}

/// Returns the peer and RIB that a table is of.
fn source_of(table: &RibTable) -> RibSource {
    RibSource { peer: table.origin.peer, view: table.table.view, speaker: table.table.speaker }
}

fn by_table(newest: Vec<NewestEvent>) -> HashMap<TableKey, NewestByKey> {
    let mut all: HashMap<TableKey, NewestByKey> = HashMap::new();
    for event in newest {
        all.entry(event.table.clone()).or_default().insert(event.nlri, event);
    }
    all
}
