//! Reads the routes that a round asks for, in sets, and judges them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;

use crate::model::watch::{Condition, Kind, Watch, WatchId};
use crate::model::{Prefix, RouterId, Timestamp};
use crate::store::watch::conditions::ConditionRow;
use crate::store::watch::peers;
use crate::store::watch::peers::WatchedPeer;
use crate::store::watch::routes;
use crate::store::watch::routes::{RouteRow, Separation};
use crate::store::{Result, Transaction};

use super::candidates::{afi_of, by_asn, is_of_tables};
use super::detail::{Detail, clean};
use super::index::{Watches, asks, host};
use super::judge::{self, is_present};
use super::known_routers::{KnownRouters, Router, is_settled};
use super::route_count::{self, Medians};
use super::rpki::{self, Memory, Vrps};
use super::seen::Seen;

/// The watches whose routes one statement reads.
const WATCHES_AT_ONCE: usize = 5_000;

/// The cells or addresses that one statement reads.
pub(super) const CELLS_AT_ONCE: usize = 5_000;

/// A condition at a vantage: what `watch.conditions` has one row for. Those of one incident follow each other.
pub type ConditionKey = (WatchId, Condition, String, RouterId, Option<String>);

/// Returns the key of a row.
pub fn key_of(row: &ConditionRow) -> ConditionKey {
    (row.watch, row.condition, row.subject.clone(), row.router.clone(), row.table.clone())
}

/// The scope of a round.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// Everything.
    pub is_all: bool,
    /// Everything of these routers.
    pub routers: HashSet<RouterId>,
    /// These watches at every router, and everything inside their prefixes.
    pub watches: HashSet<WatchId>,
    /// Single prefixes of single routers.
    pub cells: HashSet<(RouterId, Prefix)>,
    /// The peers of session watches.
    pub has_peers: bool,
    /// The counts of changes.
    pub has_flaps: bool,
}

impl Scope {
    /// Returns whether there is nothing to look at.
    pub fn is_empty(&self) -> bool {
        !self.is_all
            && !self.has_flaps
            && !self.has_peers
            && self.routers.is_empty()
            && self.watches.is_empty()
            && self.cells.is_empty()
    }

    /// Returns whether a whole evaluation looks at a watch at a router.
    pub(super) fn includes(&self, watch: WatchId, router: &RouterId) -> bool {
        self.is_all || self.routers.contains(router) || self.watches.contains(&watch)
    }

    /// Returns whether a prefix at a router is looked at.
    fn has_cell(&self, router: &RouterId, prefix: &Prefix, watches: &Watches) -> bool {
        self.is_all
            || self.routers.contains(router)
            || self.cells.contains(&(router.clone(), *prefix))
            || !self.watches.is_empty() && watches.covering(prefix).any(|watch| self.watches.contains(&watch.id))
    }

    /// Returns whether an address watch is looked at at a router.
    pub(super) fn has_address(&self, watch: &Watch, address: IpAddr, router: &RouterId) -> bool {
        let host = host(address);
        self.includes(watch.id, router) || self.cells.iter().any(|(at, prefix)| at == router && prefix.covers(&host))
    }
}

/// The findings of a round.
#[derive(Debug, Default)]
pub struct Found {
    /// The conditions that hold.
    pub rows: BTreeMap<ConditionKey, ConditionRow>,
    /// Those that may hold or not: nobody can tell now.
    pub undecided: HashSet<ConditionKey>,
    /// Where routes of watches are.
    pub present: Vec<(WatchId, RouterId, String)>,
    /// When watches have to be looked at again.
    pub due: HashMap<WatchId, Timestamp>,
}

impl Found {
    /// Notes when a watch has to be looked at again.
    pub(super) fn remind(&mut self, watch: &Watch, at: Option<Timestamp>) {
        if let Some(at) = at {
            let due = self.due.entry(watch.id).or_insert(at);
            *due = at.min(*due);
        }
    }
}

/// The judgement of one round.
pub struct Evaluation<'a> {
    /// The scope.
    pub scope: &'a Scope,
    /// The watches.
    pub watches: &'a Watches,
    /// The routers.
    pub known_routers: &'a KnownRouters,
    /// Where routes were seen.
    pub seen: &'a Seen,
    /// The communities that say that a route is mitigated.
    pub mitigation: &'a [String],
    /// The VRPs.
    pub rpki: &'a Memory,
    /// The peers' usual numbers of routes.
    pub medians: &'a Medians,
    /// The time.
    pub now: Timestamp,
}

/// Routes by router and prefix.
pub(super) type Cells = HashMap<(RouterId, Prefix), Vec<RouteRow>>;

impl Evaluation<'_> {
    /// Reads and judges everything in the scope but what watches of ASes ask for. Returns the routes too.
    ///
    /// # Errors
    /// When a statement fails or the connection is lost.
    pub(super) fn run(&self, transaction: &mut Transaction<'_>) -> Result<(Found, Cells)> {
        let mut found = Found::default();
        let cells = self.read_cells(transaction)?;
        let vrps = Vrps::read(transaction, self.rpki, cells.keys().map(|(_, prefix)| *prefix))?;
        for ((router, prefix), routes) in &cells {
            if let Some(router) = self.known_routers.get(router) {
                self.judge_cell(&mut found, &vrps, router, prefix, routes);
            }
        }
        self.judge_missing(&mut found, &cells);
        self.judge_addresses(transaction, &mut found)?;
        if self.scope.has_peers || self.scope.is_all {
            let (addresses, asns) = self.watches.peers();
            if !addresses.is_empty() || !asns.is_empty() {
                let began = |router: &RouterId| self.known_routers.get(router).and_then(|router| router.began);
                let peers = peers::peers(transaction, (&addresses, &asns), began)?;
                self.watches.of_kind(Kind::Session).for_each(|watch| self.judge_session(&mut found, watch, &peers));
            }
            self.judge_route_counts(transaction, &mut found)?;
        }
        Ok((found, cells))
    }

    /// Returns what tells routes apart.
    pub(super) fn separation(&self) -> Separation<'_> {
        Separation { paths: self.watches.has_paths, mitigation: self.mitigation }
    }

    fn judge_route_counts(&self, transaction: &mut Transaction<'_>, found: &mut Found) -> Result<()> {
        let condition = Condition::RouteCount;
        for finding in route_count::find(transaction, self.watches, self.known_routers, self.medians, self.now)? {
            let (watch, router) = (self.watches.get(finding.watch), self.known_routers.get(&finding.router));
            match (watch.zip(router), finding.detail) {
                (Some((watch, router)), Some(detail)) => {
                    self.add(found, watch, router, None, (condition, finding.subject, None, detail));
                }
                _ => {
                    found.undecided.insert((finding.watch, condition, finding.subject, finding.router, None));
                }
            }
        }
        Ok(())
    }

    fn read_cells(&self, transaction: &mut Transaction<'_>) -> Result<Cells> {
        let mut cells = Cells::new();
        let mut add = |rows: Vec<RouteRow>| {
            for row in rows {
                let cell: &mut Vec<RouteRow> = cells.entry((row.router.clone(), row.prefix)).or_default();
                if !cell.contains(&row) {
                    cell.push(row);
                }
            }
        };
        let separation = self.separation();
        let all: Vec<WatchId> = self.watches.of_kind(Kind::Prefix).map(|watch| watch.id).collect();
        if self.scope.is_all {
            for some in all.chunks(WATCHES_AT_ONCE) {
                add(routes::routes_in(transaction, some, None, separation)?);
            }
            return Ok(cells);
        }
        if !self.scope.routers.is_empty() {
            let routers: Vec<&RouterId> = self.scope.routers.iter().collect();
            for some in all.chunks(WATCHES_AT_ONCE) {
                add(routes::routes_in(transaction, some, Some(&routers), separation)?);
            }
        }
        let changed: Vec<WatchId> = all.into_iter().filter(|id| self.scope.watches.contains(id)).collect();
        for some in changed.chunks(WATCHES_AT_ONCE) {
            add(routes::routes_in(transaction, some, None, separation)?);
        }
        let single: Vec<(&RouterId, Prefix)> =
            self.scope.cells.iter().map(|(router, prefix)| (router, *prefix)).collect();
        for some in single.chunks(CELLS_AT_ONCE) {
            add(routes::routes_of(transaction, some, separation)?);
        }
        Ok(cells)
    }

    /// Judges origins and paths at one prefix of one router, in every table and view.
    fn judge_cell(&self, found: &mut Found, vrps: &Vrps, router: &Router, prefix: &Prefix, routes: &[RouteRow]) {
        let mut tables: BTreeMap<&str, Vec<&RouteRow>> = BTreeMap::new();
        for route in routes {
            tables.entry(&route.table).or_default().push(route);
        }
        for (table, routes) in tables {
            let known = router.known_table(table, prefix.afi());
            for watch in self.watches.judges(prefix, &router.id, table) {
                if !is_settled(known, watch.settle, self.now) {
                    continue;
                }
                let judged = rpki::judge(vrps, watch, &routes, router.asn, self.now);
                found.remind(watch, judged.due);
                let findings = judge::judge(watch, prefix, &routes, router.asn);
                for (condition, subject, mut detail) in findings.into_iter().chain(judged.findings) {
                    vrps.describe(condition, prefix, &mut detail);
                    self.add(found, watch, router, Some(table), (condition, subject, Some(*prefix), detail));
                }
            }
        }
    }

    fn judge_missing(&self, found: &mut Found, cells: &Cells) {
        if self.scope.is_all || !self.scope.routers.is_empty() || !self.scope.watches.is_empty() {
            for watch in self.watches.of_kind(Kind::Prefix) {
                for router in self.known_routers.values() {
                    if asks(watch, &router.id) && self.scope.includes(watch.id, &router.id) {
                        self.judge_presence(found, watch, router, cells);
                    }
                }
            }
        }
        for (router, prefix) in &self.scope.cells {
            let Some(router) = self.known_routers.get(router) else { continue };
            for watch in self.watches.at(prefix, &router.id) {
                self.judge_presence(found, watch, router, cells);
            }
        }
    }

    fn judge_presence(&self, found: &mut Found, watch: &Watch, router: &Router, cells: &Cells) {
        let Some(prefix) = watch.prefix else { return };
        let routes = cells.get(&(router.id.clone(), prefix)).map_or(&[][..], Vec::as_slice);
        let is_there = |table: &str| routes.iter().any(|route| route.table == table && is_present(route, router.basis));
        self.judge_tables(found, watch, router, Condition::Missing, &is_there);
    }

    /// Judges whether what a watch wants is in the tables of a router.
    pub(super) fn judge_tables(
        &self,
        found: &mut Found,
        watch: &Watch,
        router: &Router,
        condition: Condition,
        is_there: &dyn Fn(&str) -> bool,
    ) {
        let Some(afi) = watch.prefix.map(|prefix| prefix.afi()).or(watch.address.map(afi_of)) else { return };
        let is_seen = |table: &str| self.seen.has(watch.id, &router.id, table);
        let is_seen_anywhere = router.tables().keys().any(|table| is_seen(table));
        for (i, (table, families)) in router.tables().iter().enumerate() {
            if watch.table.as_ref().is_some_and(|only| only != table) {
                continue;
            }
            let family = families.of(afi);
            if family.known.is_none() {
                continue;
            }
            if is_there(table) {
                found.present.push((watch.id, router.id.clone(), table.clone()));
                continue;
            }
            // The watch names the table, or the router, whose first table stands for it.
            let is_named = watch.router.is_some() && !is_seen_anywhere && (watch.table.is_some() || i == 0);
            if !is_seen(table) && !is_named || !watch.judges(condition) {
                continue;
            }
            if !is_settled(family.known, watch.settle, self.now) || family.is_dumping {
                let key = (watch.id, condition, String::new(), router.id.clone(), Some(table.clone()));
                found.undecided.insert(key);
                continue;
            }
            let detail = self.absence(watch, router, table, family.known);
            self.add(found, watch, router, Some(table), (condition, String::new(), watch.prefix, detail));
        }
    }

    /// Returns the detail of a route that is missing: it did not come back after the router did, or went while it was
    /// known.
    fn absence(&self, watch: &Watch, router: &Router, table: &str, known: Option<Timestamp>) -> Detail {
        let last = self.seen.last(watch.id, &router.id, table);
        let is_after_reload = last.zip(known).is_some_and(|(last, known)| last < known);
        let cause_at = if is_after_reload { router.lost_before.or(last) } else { None };
        Detail { is_after_reload, cause_at, ..Detail::default() }
    }

    fn judge_session(&self, found: &mut Found, watch: &Watch, peers: &[WatchedPeer]) {
        if !watch.judges(Condition::SessionDown) {
            return;
        }
        let is_settled = |router: &Router| is_settled(router.known, watch.settle, self.now);
        let of_watch = |peer: &&WatchedPeer| {
            asks(watch, &peer.router)
                && watch.peer.is_none_or(|address| address == peer.address)
                && watch.asn.is_none_or(|asn| asn == peer.asn)
        };
        let mine: Vec<&WatchedPeer> = peers.iter().filter(of_watch).collect();
        if by_asn(watch) {
            // Peers of routers that nobody knows of may be up.
            let may_be_up = |peer: &&&WatchedPeer| {
                peer.is_up || self.known_routers.get(&peer.router).is_some_and(|router| !is_settled(router))
            };
            let up = mine.iter().filter(may_be_up).count();
            if u32::try_from(up).is_ok_and(|up| up >= watch.min_up) {
                return;
            }
        }
        let mut by_router: BTreeMap<&RouterId, Vec<&WatchedPeer>> = BTreeMap::new();
        for peer in mine {
            by_router.entry(&peer.router).or_default().push(peer);
        }
        if let Some(router) = &watch.router {
            by_router.entry(router).or_default();
        }
        for (router, peers) in by_router {
            let Some(router) = self.known_routers.get(router) else { continue };
            let is_down = peers.iter().all(|peer| !peer.is_up) || by_asn(watch);
            if !is_down || peers.iter().all(|peer| peer.is_up) && !peers.is_empty() {
                continue;
            }
            if is_settled(router) {
                let peer = peers.iter().find(|peer| !peer.is_up).copied();
                let detail = session_detail(watch, router, peer);
                self.add(found, watch, router, None, (Condition::SessionDown, String::new(), None, detail));
            }
        }
    }

    pub(super) fn add(
        &self,
        found: &mut Found,
        watch: &Watch,
        router: &Router,
        table: Option<&str>,
        (condition, subject, prefix, detail): (Condition, String, Option<Prefix>, Detail),
    ) {
        let row = ConditionRow {
            watch: watch.id,
            team: watch.team.clone(),
            router: router.id.clone(),
            table: table.map(str::to_owned),
            condition,
            subject,
            prefix,
            since: self.now,
            detail: detail.to_json(),
        };
        found.rows.insert(key_of(&row), row);
    }

    /// Returns whether a stored condition that was not found again is over: it is in the scope, and its vantage is
    /// known.
    pub fn is_over(&self, row: &ConditionRow) -> bool {
        let (Some(watch), Some(router)) = (self.watches.get(row.watch), self.known_routers.get(&row.router)) else {
            return true;
        };
        if !watch.judges(row.condition) || !asks(watch, &row.router) {
            return true;
        }
        if row.condition == Condition::Flapping {
            return self.is_quiet(watch, router, row.table.as_deref());
        }
        if rpki::is_of_rpki(row.condition) && !self.rpki.is_usable() {
            return self.rpki.set().is_none();
        }
        let Some(table) = &row.table else {
            return (self.scope.has_peers || self.scope.is_all) && is_settled(router.known, watch.settle, self.now);
        };
        let is_in = match (watch.address, row.prefix) {
            (Some(address), _) => self.scope.has_address(watch, address, &row.router),
            (None, Some(prefix)) => {
                self.scope.watches.contains(&watch.id) && watch.kind == Kind::Origin
                    || self.scope.has_cell(&row.router, &prefix, self.watches)
            }
            (None, None) => self.scope.includes(watch.id, &row.router),
        };
        let afi = row.prefix.or(watch.prefix).map(|prefix| prefix.afi()).or(watch.address.map(afi_of));
        let known = afi.and_then(|afi| {
            if is_of_tables(row.condition) {
                router.tables().get(table)?.of(afi).known
            } else {
                router.known_table(table, afi)
            }
        });
        is_in && is_settled(known, watch.settle, self.now)
    }
}

/// Returns the detail of a BGP session that is not up.
fn session_detail(watch: &Watch, router: &Router, peer: Option<&WatchedPeer>) -> Detail {
    let since = router.began.map(Timestamp::to_utc).unwrap_or_default();
    let reason = match peer {
        None => "never reported".to_owned(),
        Some(peer) if peer.is_reported => peer.reason.clone().unwrap_or_else(|| "no reason was reported".to_owned()),
        Some(_) => format!("not up since the BMP session began at {since}"),
    };
    Detail {
        peer: peer.map(|peer| peer.address).or(watch.peer),
        peer_asn: peer.map(|peer| peer.asn.0),
        description: peer.and_then(|peer| peer.description.as_deref()).map(clean),
        reason: Some(clean(&reason)),
        routes: peer.filter(|peer| peer.is_reported).and_then(|peer| peer.routes),
        cause_at: peer.filter(|peer| peer.is_reported).map(|peer| peer.since),
        is_after_reload: peer.is_some_and(|peer| !peer.is_reported),
        ..Detail::default()
    }
}
