//! Changes that are written along with a batch's rows: peers, statistics, routers, tables that had messages, removals of
//! tables, rows of `session_events`, states of sessions, and positions.
//!
//! All of them are written with the batch's last rows, each kind as one statement, or after the commands of the batch
//! (`ends`) if it has any: what may not be written twice is in one transaction with the positions. A row that the
//! database refuses is found by halving, kind by kind and router by router, in transactions without routes: no other row
//! is rejected with it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use super::op::{Ownership, PeersOf};
use super::refused_rows::Piece;
use super::route_rows::Done;
use super::told::{Down, Entry};
use super::watching::Noted;
use crate::model::{
    AddPathPlace, AddPathRecord, Afi, AfiSafi, PeerName, PeerRecord, PeerState, RouterId, RouterRecord, SessionEvent,
    SessionEventKind, SessionState, StatisticRecord, Table, new_uuid,
};
use crate::store::journal_positions::{self, Position, PositionOf};
use crate::store::peers::{self, PeerChange};
use crate::store::watch::outbox::{Cause, OutboxRow};
use crate::store::{self, Transaction, add_path, owner, sessions, sync};

/// Changes that are written along with a batch's rows.
#[derive(Clone, Debug, Default)]
pub(super) struct Extras {
    /// The latest record of each router.
    routers: BTreeMap<RouterId, RouterRecord>,
    /// Changes of routers' peers.
    peers: BTreeMap<(RouterId, PeerName), PeerChange>,
    /// Peers that no session reports any more, by router; written after `peers`.
    forgotten: Vec<(RouterId, PeersOf)>,
    /// The latest value of each statistic of a peer.
    statistics: BTreeMap<(RouterId, PeerName, StatisticId), StatisticRecord>,
    /// The latest observation of path identifiers.
    add_path: BTreeMap<(RouterId, AddPathPlace, AfiSafi), AddPathRecord>,
    /// Tables that had messages.
    seen: BTreeSet<Arc<Table>>,
    /// Removals of tables and rows of `session_events`, in order.
    told: Vec<Entry>,
    /// The latest state of each session, by its key.
    states: BTreeMap<String, LatestState>,
    /// The positions up to which the input of sessions is stored with all this, and the collector.
    positions: Vec<Position>,
    collector: String,
}

/// The key of a peer's statistic: type, AFI, SAFI.
type StatisticId = (u16, u16, u8);

/// The router of a session, its latest state, and the reason.
type LatestState = (RouterId, SessionState, Option<String>);

impl Extras {
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of rows.
    pub(super) fn len(&self) -> usize {
        self.kinds().into_iter().sum()
    }

    fn kinds(&self) -> [usize; 9] {
        [
            self.routers.len(),
            self.peers.len(),
            self.forgotten.len(),
            self.statistics.len(),
            self.add_path.len(),
            self.seen.len(),
            self.told.len(),
            self.states.len(),
            self.positions.len(),
        ]
    }

    /// Adds a router's record; fields that it did not report this time keep their values.
    pub(super) fn push_router(&mut self, record: RouterRecord) {
        match self.routers.get_mut(&record.router) {
            None => drop(self.routers.insert(record.router.clone(), record)),
            Some(last) => {
                last.address = record.address;
                last.hostname = record.hostname.or(last.hostname.take());
                last.asn = record.asn.or(last.asn);
                last.description = record.description.or(last.description.take());
            }
        }
    }

    /// Adds a change of a peer.
    pub(super) fn push_peer(&mut self, router: &RouterId, peer: PeerRecord) {
        match self.peers.get_mut(&(router.clone(), peer.name.clone())) {
            None => drop(self.peers.insert((router.clone(), peer.name.clone()), PeerChange::new(peer))),
            Some(last) => last.then(peer),
        }
    }

    /// Notes that no session reports some of the router's peers any more.
    pub(super) fn push_forgotten(&mut self, router: &RouterId, of: PeersOf) {
        self.forgotten.push((router.clone(), of));
    }

    /// Returns whether peers of the router are to be forgotten.
    pub(super) fn forgets_peers_of(&self, router: &RouterId) -> bool {
        // One or two at the end of a session.
        self.forgotten.iter().any(|(of, _)| of == router)
    }

    pub(super) fn push_statistics(&mut self, router: &RouterId, all: Vec<StatisticRecord>) {
        let latest =
            all.into_iter().map(|one| ((router.clone(), one.peer.clone(), (one.type_code, one.afi, one.safi)), one));
        self.statistics.extend(latest);
    }

    pub(super) fn push_add_path(&mut self, router: &RouterId, record: AddPathRecord) {
        self.add_path.insert((router.clone(), record.place.clone(), record.family), record);
    }

    pub(super) fn push_seen(&mut self, table: Arc<Table>) {
        self.seen.insert(table);
    }

    pub(super) fn push_told(&mut self, entry: Entry) {
        self.told.push(entry);
    }

    /// Sets the state of a session. A session without a row is skipped, and one that has ended stays ended.
    pub(super) fn push_state(&mut self, owner: &Ownership, state: SessionState, reason: Option<String>) {
        let is_over = |(_, state, _): &LatestState| *state == SessionState::Ended;
        if !owner.session.is_empty() && !self.states.get(&owner.session).is_some_and(is_over) {
            self.states.insert(owner.session.clone(), (owner.router.clone(), state, reason));
        }
    }

    /// Adds the positions that everything before completes.
    pub(super) fn push_positions(&mut self, collector: &str, positions: Vec<Position>) {
        collector.clone_into(&mut self.collector);
        self.positions = positions;
    }

    /// Notes that the transaction that wrote all of it is committed.
    pub(super) fn committed(&self) {
        self.positions.iter().for_each(Position::commit);
    }

    /// Drops everything of these routers, except the events and the states of their sessions.
    pub(super) fn drop_routers(&mut self, lost: &BTreeSet<RouterId>) {
        self.routers.retain(|router, _| !lost.contains(router));
        self.peers.retain(|(router, _), _| !lost.contains(router));
        self.forgotten.retain(|(router, _)| !lost.contains(router));
        self.statistics.retain(|(router, ..), _| !lost.contains(router));
        self.add_path.retain(|(router, ..), _| !lost.contains(router));
        self.seen.retain(|table| !lost.contains(&table.router));
        self.told.retain(|entry| entry.as_down().is_none_or(|down| !lost.contains(&down.owner.router)));
        self.positions.retain(|position| !lost.contains(&position.router));
    }

    /// Notes what watches may care about.
    pub(super) fn note(&self, noted: &mut Noted) {
        for (router, peer) in self.peers.keys() {
            noted.push(|| OutboxRow {
                peer: Some((peer.address, Some(peer.asn))),
                ..OutboxRow::of_router(router.clone(), Cause::Peer)
            });
        }
        for down in self.told.iter().filter_map(Entry::as_down) {
            for (view, name) in &down.tables {
                noted.push(|| OutboxRow {
                    table: Some(Arc::clone(name)),
                    peer: view.peer().map(|peer| (peer.address, None)),
                    ..OutboxRow::of_router(down.owner.router.clone(), Cause::Removal)
                });
            }
        }
        let forgotten = self.forgotten.iter().map(|(router, _)| router);
        for router in forgotten.chain(self.states.values().map(|(router, ..)| router)) {
            noted.push(|| OutboxRow::of_router(router.clone(), Cause::Session));
        }
    }

    /// Writes all of it, and adds the removed routes to `done`. Returns the numbers of the rows of `session_events`.
    pub(super) fn write(&self, transaction: &mut Transaction<'_>, done: &mut Done) -> store::Result<Vec<i64>> {
        owner::upsert_routers(transaction, self.routers.values())?;
        peers::upsert(transaction, self.peers.iter().map(|((router, _), change)| (router, change)))?;
        for (router, of) in &self.forgotten {
            match of {
                PeersOf::Router => peers::forget(transaction, router)?,
                PeersOf::ReportedBefore(began) => peers::forget_unreported(transaction, router, *began)?,
                PeersOf::Named(names) => peers::forget_named(transaction, router, names)?,
            }
        }
        peers::statistics(transaction, self.statistics.iter().map(|((router, ..), one)| (router, one)))?;
        add_path::upsert(transaction, self.add_path.iter().map(|((router, ..), record)| (router, record)))?;
        sync::seen(transaction, &self.seen.iter().map(|table| &**table).collect::<Vec<_>>())?;
        journal_positions::put(transaction, PositionOf::State, &self.collector, &self.positions)?;
        let events = self.tell(transaction, done)?;
        if !self.states.is_empty() {
            let states =
                self.states.iter().map(|(session, (_, state, reason))| (&**session, *state, reason.as_deref()));
            sessions::set_states(transaction, &states.collect::<Vec<_>>())?;
        }
        Ok(events)
    }

    /// Deletes the routes of tables with their status and writes the rows of `session_events`, in order: readers see all
    /// of it or nothing.
    fn tell(&self, transaction: &mut Transaction<'_>, done: &mut Done) -> store::Result<Vec<i64>> {
        let downs = self.told.iter().filter_map(Entry::as_down);
        let mut removed = Down::remove(downs, transaction, &mut done.counts)?.into_iter();
        let mut events: Vec<(Option<&RouterId>, SessionEvent)> = Vec::with_capacity(self.told.len());
        for entry in &self.told {
            match entry {
                Entry::Event(_, event) => events.push((entry.router(), event.clone())),
                Entry::Down(down) => {
                    let routes: u64 = removed.by_ref().take(down.tables.len()).sum();
                    done.deleted += routes;
                    let routes = i64::try_from(routes).unwrap_or(i64::MAX);
                    let all = |of: &SessionEvent| Some(of.routes.unwrap_or(0).saturating_add(routes));
                    let event = down.event.clone().map(|of| SessionEvent { routes: all(&of), ..of });
                    events.extend(event.map(|event| (entry.router(), event)));
                }
            }
        }
        let events: Vec<_> = events.iter().map(|(router, event)| (*router, event)).collect();
        sync::insert_events(transaction, &events)
    }

    /// Returns canary rows of the same kinds, which cannot be at fault.
    pub(super) fn harmless(&self) -> Extras {
        let router = RouterId::new("canary");
        let address = "192.0.2.1".parse().expect("an address");
        let mut like = Extras::default();
        let name = PeerName {
            kind: "global".to_owned(),
            distinguisher: String::new(),
            address,
            asn: crate::model::Asn(64_496),
        };
        if !self.routers.is_empty() {
            let router = router.clone();
            like.push_router(RouterRecord { router, address, hostname: None, asn: None, description: None });
        }
        if !self.peers.is_empty() {
            let record = PeerRecord {
                name: name.clone(),
                bgp_id: None,
                local_address: None,
                local_port: None,
                remote_port: None,
                hold_time: None,
                capabilities: None,
                description: None,
                state: PeerState::Down,
                reason: None,
            };
            like.push_peer(&router, record);
        }
        like.forgotten = self.forgotten.iter().map(|(_, of)| (router.clone(), of.clone())).collect();
        if !self.statistics.is_empty() {
            let one = StatisticRecord { peer: name, type_code: 0, afi: 0, safi: 0, name: "0".to_owned(), value: 0 };
            like.push_statistics(&router, vec![one]);
        }
        if let Some(record) = self.add_path.values().next() {
            like.push_add_path(&router, record.clone());
        }
        if let Some(table) = self.seen.first() {
            like.push_seen(Arc::new(Table {
                router: router.clone(),
                name: "canary".into(),
                afi: Afi::Ipv4,
                ..(**table).clone()
            }));
        }
        if let Some(entry) = self.told.first() {
            let kind = SessionEventKind::SessionUp;
            let event =
                SessionEvent { kind, table_name: None, peer_address: None, afi: None, reason: None, routes: None };
            like.push_told(match entry {
                Entry::Event(..) => Entry::Event(Some(router.clone()), event),
                Entry::Down(down) => Entry::Down(Down {
                    owner: Arc::new(Ownership::new(router.clone(), 0, Arc::default())),
                    tables: down.tables.first().map(|(view, _)| (*view, "canary".into())).into_iter().collect(),
                    event: Some(event),
                }),
            });
        }
        if let Some((_, state, _)) = self.states.values().next() {
            like.states.insert(new_uuid(), (router.clone(), *state, None));
        }
        if !self.positions.is_empty() {
            let session = new_uuid();
            like.push_positions(
                &self.collector,
                vec![Position { session, router, octet: 0, committed: Arc::default() }],
            );
        }
        like
    }

    /// Returns its only row for the rejected file, with the router.
    pub(super) fn only(&self) -> Option<(RouterId, &dyn fmt::Debug)> {
        let routers = self.routers.iter().map(|(router, record)| (router.clone(), record as &dyn fmt::Debug));
        let peers = self.peers.iter().map(|((router, _), peer)| (router.clone(), peer as &dyn fmt::Debug));
        let forgotten = self.forgotten.iter().map(|(router, of)| (router.clone(), of as &dyn fmt::Debug));
        let statistics = self.statistics.iter().map(|((router, ..), one)| (router.clone(), one as &dyn fmt::Debug));
        let add_path = self.add_path.iter().map(|((router, ..), one)| (router.clone(), one as &dyn fmt::Debug));
        let seen = self.seen.iter().map(|table| (table.router.clone(), table as &dyn fmt::Debug));
        let nobody = || RouterId::new("unknown");
        let told =
            self.told.iter().map(|entry| (entry.router().cloned().unwrap_or_else(nobody), entry as &dyn fmt::Debug));
        let states = self.states.values().map(|state| (state.0.clone(), state as &dyn fmt::Debug));
        let positions = self.positions.iter().map(|position| (position.router.clone(), position as &dyn fmt::Debug));
        routers
            .chain(peers)
            .chain(forgotten)
            .chain(statistics)
            .chain(add_path)
            .chain(seen)
            .chain(told)
            .chain(states)
            .chain(positions)
            .next()
    }

    /// Returns the session that sent the only row, if that is a removal of tables.
    pub(super) fn only_down(&self) -> Option<&Arc<Ownership>> {
        self.told.first().and_then(Entry::as_down).map(|down| &down.owner)
    }
}

impl Piece for Extras {
    fn rows(&self) -> usize {
        self.len()
    }

    /// Splits off the first kind that has rows, or half of the rows if all are of one kind.
    fn halve(mut self) -> (Extras, Extras) {
        let mut first = Extras::default();
        let is_one_kind = self.kinds().into_iter().filter(|rows| *rows > 0).count() == 1;
        // The number of rows of a kind that stay with the rest.
        let cut = |rows: usize| if is_one_kind { rows / 2 } else { 0 };
        if !self.routers.is_empty() {
            let key = self.routers.keys().nth(cut(self.routers.len())).cloned().expect("there are more");
            first.routers = self.routers.split_off(&key);
        } else if !self.peers.is_empty() {
            let key = self.peers.keys().nth(cut(self.peers.len())).cloned().expect("there are more");
            first.peers = self.peers.split_off(&key);
        } else if !self.forgotten.is_empty() {
            first.forgotten = self.forgotten.split_off(cut(self.forgotten.len()));
        } else if !self.statistics.is_empty() {
            let key = self.statistics.keys().nth(cut(self.statistics.len())).cloned().expect("there are more");
            first.statistics = self.statistics.split_off(&key);
        } else if !self.add_path.is_empty() {
            let key = self.add_path.keys().nth(cut(self.add_path.len())).cloned().expect("there are more");
            first.add_path = self.add_path.split_off(&key);
        } else if !self.seen.is_empty() {
            let key = self.seen.iter().nth(cut(self.seen.len())).cloned().expect("there are more");
            first.seen = self.seen.split_off(&key);
        } else if !self.told.is_empty() {
            first.told = self.told.split_off(cut(self.told.len()));
        } else if !self.states.is_empty() {
            let key = self.states.keys().nth(cut(self.states.len())).cloned().expect("there are more");
            first.states = self.states.split_off(&key);
        } else {
            first.positions = self.positions.split_off(cut(self.positions.len()));
        }
        first.collector.clone_from(&self.collector);
        // Halves of one kind keep their order.
        if is_one_kind { (self, first) } else { (first, self) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(number: i64) -> SessionEvent {
        SessionEvent {
            kind: SessionEventKind::SessionUp,
            table_name: None,
            peer_address: None,
            afi: None,
            reason: None,
            routes: Some(number),
        }
    }

    #[test]
    fn each_row_comes_to_stand_alone_in_its_order() {
        let mut extras = Extras::default();
        for i in 0..5i64 {
            let router = RouterId::new(&format!("10.0.0.{i}"));
            let address = "192.0.2.1".parse().unwrap();
            extras.push_router(RouterRecord {
                router: router.clone(),
                address,
                hostname: None,
                asn: None,
                description: None,
            });
            extras.push_seen(Arc::new(Table::loc_rib(router.clone(), "a", Afi::Ipv4)));
            extras.push_forgotten(&router, PeersOf::Router);
            let mut owner = Ownership::new(router.clone(), 1, Arc::default());
            owner.session = i.to_string();
            extras.push_state(&owner, SessionState::Up, None);
            extras.push_told(Entry::Event(Some(router), event(i)));
        }
        let router = RouterId::new("10.0.0.1");
        let position =
            |octet| Position { session: new_uuid(), router: router.clone(), octet, committed: Arc::default() };
        extras.push_positions("one", (0..5).map(position).collect());
        let (mut waiting, mut alone) = (vec![extras], Vec::new());
        while let Some(extras) = waiting.pop() {
            if extras.len() > 1 {
                let (first, second) = extras.halve();
                assert!(!first.is_empty() && !second.is_empty());
                waiting.extend([second, first]);
            } else {
                alone.push(extras);
            }
        }
        assert_eq!(alone.len(), 30);
        let events = alone.iter().flat_map(|one| &one.told).filter_map(|entry| match entry {
            Entry::Event(_, event) => event.routes,
            Entry::Down(_) => None,
        });
        assert_eq!(events.collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        assert!(alone.iter().all(|one| one.only().is_some() && one.harmless().len() == 1));
    }

    #[test]
    fn later_reports_of_a_router_add_to_earlier_ones() {
        let (router, address) = (RouterId::new("10.0.0.1"), "192.0.2.1".parse().unwrap());
        let said = |hostname: Option<&str>, description: Option<&str>| RouterRecord {
            router: router.clone(),
            address,
            hostname: hostname.map(str::to_owned),
            asn: None,
            description: description.map(str::to_owned),
        };
        let mut extras = Extras::default();
        extras.push_router(said(Some("edge1"), None));
        extras.push_router(said(None, Some("a router")));
        assert_eq!(extras.routers[&router], said(Some("edge1"), Some("a router")));
    }
}
