//! The removal of a session's tables: Peer Down, another name, another view, the end of the stale time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::changes::FamilyTable;
use super::end::SessionEnd;
use super::peer_id::PeerId;
use super::peer_records::router_note;
use super::rib_source::RibSource;
use super::rib_table::RibTable;
use super::table_names::GivenNames;
use super::table_names::Renamed;
use super::tables::{RouterTables, mark, whole};
use crate::model::{Afi, AfiSafi, SessionEventKind, TableKey, Timestamp, View};
use crate::pipeline::{StateOp, WithdrawReason};

/// The tables that a Peer Down removed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Removed {
    /// All tables of the peer or instance.
    All(PeerId),
    /// The table of this name; the peer or instance has others left.
    Table(PeerId, Arc<str>),
}

impl RouterTables {
    /// Removes the tables of a Loc-RIB instance or a peer that went down, with routes and sync rows. `None` if it had
    /// none.
    ///
    /// A peer that this session has not brought up may have tables of earlier sessions, which are found in memory.
    /// `name` is that of the table in the message; if the peer has this table among others, only this table is removed
    /// (RFC 9069 section 5.3).
    pub fn down(&mut self, peer: &PeerId, name: Option<&str>, reason: &str) -> Result<Option<Removed>, SessionEnd> {
        let peer =
            &if self.keys_of(peer).next().is_some() { *peer } else { self.earlier.meant_down(peer).unwrap_or(*peer) };
        let begun = self.keys_of(peer).map(|key| (key, &*self.tables[key].origin.given));
        let earlier = self.earlier.of(peer).map(|(key, origin)| (key, &*origin.given));
        let mut doomed: Vec<(&TableKey, &str)> = begun.chain(earlier).collect();
        let mut gone = Removed::All(*peer);
        if let Some(name) = name {
            let is_named = |(_, given): &(&TableKey, &str)| *given == name;
            if doomed.iter().any(is_named) && !doomed.iter().all(is_named) {
                doomed.retain(is_named);
                gone = Removed::Table(*peer, name.into());
            }
        }
        let default = GivenNames::default().of(peer.kind, AfiSafi::IPV4_UNICAST);
        let strays = self.earlier.strays(peer.address, name.unwrap_or(&default));
        let doomed: BTreeSet<_> = doomed.into_iter().map(|(key, _)| key).chain(strays).map(whole).collect();
        if gone == Removed::All(*peer) {
            self.forget_completed(peer);
        }
        let is_any = self.remove(&doomed, SessionEventKind::PeerDown, reason)?;
        Ok(is_any.then_some(gone))
    }

    /// Forgets which dumps of a peer are complete. The peer need not be the one that the Peer Down names: its tables may
    /// be of an earlier session.
    fn forget_completed(&mut self, peer: &PeerId) {
        if let Some(record) = self.peers.known(peer) {
            record.completed.clear();
            self.peers.drop_if_empty(peer);
        }
    }

    /// Removes tables of a peer or instance, as with a Peer Down, if they are stored under another name than a Peer Up
    /// gave them. A removal is one of all families of a name. If the name stays in use in the other family, the routes
    /// of a table that has begun are withdrawn one by one instead; one that has not begun stays stale.
    pub fn rename(&mut self, peer: &PeerId, renamed: &Renamed, received_at: Timestamp) -> Result<(), SessionEnd> {
        let begun = self.keys_of(peer).filter(|key| {
            let table = &self.tables[*key];
            renamed.before(table.family()).is_some_and(|before| before == table.origin.given)
        });
        let earlier = self.earlier.of(peer).filter(|(key, origin)| {
            let family = FamilyTable { afi: key.afi, part: origin.part }.family();
            renamed.after(family).is_some_and(|after| *after != origin.given)
        });
        let doomed: BTreeSet<TableKey> = begun.chain(earlier.map(|(key, _)| key)).cloned().collect();
        let stays = |key: &&TableKey| {
            let other = key.of_other_family();
            !doomed.contains(&other) && (self.tables.contains_key(&other) || self.earlier.contains(&other))
        };
        let (parts, all): (Vec<&TableKey>, Vec<&TableKey>) = doomed.iter().partition(stays);
        for key in parts {
            let RouterTables { tables, outbox, ids, .. } = self;
            if let Some(table) = tables.get_mut(key) {
                let routes = table.rib.nlri();
                table.withdraw_each(&routes, WithdrawReason::Stale, outbox, ids, received_at)?;
            }
        }
        let all = all.into_iter().map(whole).collect();
        self.remove(&all, SessionEventKind::PeerDown, "renamed by the router").map(|_| ())
    }

    /// Removes the views that a Peer Up made expected when the peer sends others, unless routes of them have arrived or
    /// are stored.
    pub(super) fn drop_expected(&mut self, source: &RibSource) -> Result<(), SessionEnd> {
        if source.view == View::LocRib {
            return Ok(()); // It has no other view; a router with thousands of instances need not have them all looked at.
        }
        let is_silent = |table: &RibTable| !table.is_heard && table.rib.is_empty();
        let is_other = |key: &&TableKey| key.view != source.view && key.view.kind() == source.view.kind();
        let its_own = || self.keys_of(&source.peer).filter(is_other);
        // A table is removed in all its families: if one of them is alive, none is removed.
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
        self.outbox.op(StateOp::TablesDown { tables: tables.into_iter().collect(), routes: 0, event: None })
    }

    /// Removes the tables of a peer's view that is no longer stored. Returns true if there were any.
    pub(crate) fn drop_view(&mut self, source: &RibSource, view: View, reason: &str) -> Result<bool, SessionEnd> {
        let doomed = self
            .keys_of(&source.peer)
            .filter(|key| key.view == view || key.view == view.of_nlri())
            .map(whole)
            .collect();
        self.remove(&doomed, SessionEventKind::ViewDropped, reason)
    }

    /// Removes a table from the session's memory and returns it.
    pub(super) fn take(&mut self, key: &TableKey) -> Option<RibTable> {
        let table = self.tables.remove(key)?;
        self.outbox.unshare(&table.origin.peer, key);
        if let Some(record) = self.peers.known(&table.origin.peer) {
            record.tables.remove(key);
            self.peers.drop_if_empty(&table.origin.peer);
        }
        self.due.forget(key, &table, &self.rules);
        self.outbox.forget(&table.table);
        Some(table)
    }

    /// Removes tables in all their families; returns true if there are any. The removed tables of one peer share a row
    /// of `session_events`, and each table of a Loc-RIB has its own. That row marks the end of every route when history
    /// is read (`table_removals`), so no earlier event may have a later date.
    pub(super) fn remove(
        &mut self,
        doomed: &BTreeSet<(View, Arc<str>)>,
        kind: SessionEventKind,
        reason: &str,
    ) -> Result<bool, SessionEnd> {
        if !doomed.is_empty() {
            self.outbox.wait_until_stored()?;
            self.must_wait = true;
        }
        let mut together: BTreeMap<_, (Vec<_>, usize)> = BTreeMap::new();
        for (view, name) in doomed {
            let address = view.peer().map(|of| of.address);
            let (unicast, known) = self.doom(*view, name);
            let name_of_all = if address.is_some() { unicast.unwrap_or(Arc::clone(name)) } else { Arc::clone(name) };
            let (tables, routes) = together.entry((address, name_of_all)).or_default();
            tables.push((*view, Arc::clone(name)));
            *routes += known;
        }
        for ((peer_address, name), (tables, routes)) in together {
            let mut event = router_note(kind, Some(reason), None);
            event.peer_address = peer_address;
            event.table_name = Some(name);
            self.outbox.op(StateOp::TablesDown { tables, routes, event: Some(event) })?;
        }
        Ok(!doomed.is_empty())
    }

    /// Removes a table from the session's memory in all its families, begun or not; returns the name of its unicast
    /// table, and how many routes the session knew of.
    fn doom(&mut self, view: View, name: &Arc<str>) -> (Option<Arc<str>>, usize) {
        let (mut unicast, mut routes) = (None, 0);
        for afi in [Afi::Ipv4, Afi::Ipv6] {
            let key = TableKey { view, name: Arc::clone(name), afi };
            if let Some(origin) = self.earlier.origin(&key) {
                unicast = Some(Arc::clone(&origin.unicast));
            }
            self.earlier.remove(&key);
            self.loaded.remove(&key);
            self.resumed.remove(&mark(&key));
            if let Some(table) = self.take(&key) {
                unicast = Some(table.origin.unicast);
                routes += table.rib.len();
            }
        }
        (unicast, routes)
    }
}
