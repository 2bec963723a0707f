//! The evaluator: one round reads what changed, judges it, and writes conditions and incidents in one transaction.
//!
//! Everything it knows is in the database or can be computed from it: after any error it forgets all of it and
//! evaluates everything again. It holds nothing that a writer waits for.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use log::warn;

use crate::model::watch::{Condition, Kind, Watch, WatchId, mitigation};
use crate::model::{RouterId, Timestamp};
use crate::store::watch::accepted;
use crate::store::watch::conditions;
use crate::store::watch::conditions::ConditionRow;
use crate::store::watch::evaluate::{self, Change, WatchRow};
use crate::store::watch::unsettled::{self, Unsettled};
use crate::store::watch::watches::full_name;
use crate::store::watch::{flaps, vantages};
use crate::store::{Client, Result, Transaction};

use super::candidates::{self, Asked, is_of_tables};
use super::detail::Detail;
use super::evaluation::{ConditionKey, Evaluation, Found, Scope};
use super::incidents::Incidents;
use super::index::{Watches, asks};
use super::known_routers::{KnownRouters, Router, Stored, after, derive};
use super::origins;
use super::route_count::Medians;
use super::rpki::Memory;
use super::rpki_news;
use super::seen::Seen;
use super::summary;

/// The interval of full evaluations.
const FULL_EVERY: Duration = Duration::from_secs(600);

/// The interval at which sessions and dumps are read again where nobody said that they changed.
const ROUTERS_EVERY: Duration = Duration::from_secs(5);

/// The interval at which clocks are looked at where nothing changed.
const TICK_EVERY: Duration = Duration::from_secs(1);

/// The interval at which counts of changes are looked at.
const FLAPS_EVERY: Duration = Duration::from_secs(2);

/// The interval at which old counts are deleted.
const PRUNE_EVERY: Duration = Duration::from_secs(60);

/// The report of one round.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Changes of the outbox that were taken.
    pub changes: usize,
    /// When the oldest of them arrived, and the time of the round.
    pub oldest: Option<(Timestamp, Timestamp)>,
    /// True if everything was evaluated.
    pub is_full: bool,
    /// Conditions that a full evaluation found changed although nobody had said so.
    pub missed: usize,
    /// Changes of incidents, as log lines.
    pub lines: Vec<String>,
    /// True if there were too many changes, or too old ones, to be looked at one by one.
    pub is_emptied: bool,
    /// True if more changes wait.
    pub has_more: bool,
}

/// The evaluator of one database.
pub struct Evaluator {
    site: String,
    mitigation: Vec<String>,
    state: Option<State>,
}

/// The state between rounds.
struct State {
    version: i64,
    mitigation: Vec<String>,
    watches: Watches,
    stored: Stored,
    known_routers: KnownRouters,
    routers_read_at: Timestamp,
    /// When routers were lost before their present sessions.
    lost: HashMap<RouterId, Timestamp>,
    /// When everything of a router was looked at last.
    evaluated: HashMap<RouterId, Timestamp>,
    conditions: BTreeMap<ConditionKey, ConditionRow>,
    seen: Seen,
    incidents: Incidents,
    full_at: Option<Timestamp>,
    /// Watches that changed with this version: state writers may have matched older ones until all have it.
    unmatched: Option<(i64, HashSet<WatchId>)>,
    /// Watches of ASes with newly accepted prefixes that are not in the present version yet.
    accepting: HashSet<WatchId>,
    ticked_at: Option<Timestamp>,
    /// Where new watches were not judged yet: what is found there first is a baseline too.
    unsettled: Unsettled,
    flaps_at: Option<Timestamp>,
    medians: Medians,
    pruned_at: Option<Timestamp>,
    rpki: Memory,
}

impl Evaluator {
    /// Returns an evaluator that knows nothing yet. `site` begins the keys of its incidents.
    pub fn new(site: &str) -> Evaluator {
        Evaluator { site: site.to_owned(), mitigation: mitigation(&[]), state: None }
    }

    /// Sets the communities of the network that say that a route is mitigated.
    pub fn with_mitigation(self, communities: &[String]) -> Evaluator {
        Evaluator { mitigation: mitigation(communities), ..self }
    }

    /// Does one round.
    ///
    /// # Errors
    /// When a statement fails or the connection is lost; nothing of the round is stored then, and the next one
    /// evaluates everything.
    pub fn round(&mut self, client: &mut Client) -> Result<Report> {
        // A round that panics leaves nothing half done either.
        let state = self.state.take();
        let mut transaction = client.transaction()?;
        let mut state = match state {
            Some(state) => state,
            None => load(&mut transaction, &self.mitigation)?,
        };
        let report = state.work(&self.site, &mut transaction)?;
        transaction.commit()?;
        self.state = Some(state);
        Ok(report)
    }

    /// Makes the next round evaluate everything.
    pub fn forget(&mut self) {
        self.state = None;
    }
}

fn load(transaction: &mut Transaction<'_>, mitigation: &[String]) -> Result<State> {
    let stored: Stored = vantages::vantages(transaction)?
        .into_iter()
        .map(|row| ((row.router.clone(), row.table.clone()), row))
        .collect();
    let is_lost = |row: &&vantages::VantageRow| row.table.is_empty() && !row.is_known;
    let lost = stored.values().filter(is_lost).map(|row| (row.router.clone(), row.since)).collect();
    let rows = conditions::conditions(transaction)?;
    Ok(State {
        version: -1,
        mitigation: mitigation.to_vec(),
        watches: Watches::default(),
        known_routers: KnownRouters::new(),
        routers_read_at: Timestamp::from_unix_micros(0),
        lost,
        evaluated: HashMap::new(),
        conditions: rows.into_iter().map(|row| (super::evaluation::key_of(&row), row)).collect(),
        seen: Seen::new(conditions::seen(transaction)?),
        incidents: Incidents::load(transaction)?,
        full_at: None,
        unmatched: None,
        accepting: HashSet::new(),
        ticked_at: None,
        unsettled: unsettled::load(transaction)?,
        flaps_at: None,
        medians: Medians::default(),
        pruned_at: None,
        rpki: Memory::default(),
        stored,
    })
}

impl State {
    fn work(&mut self, site: &str, transaction: &mut Transaction<'_>) -> Result<Report> {
        let now = evaluate::now(transaction)?;
        let mut report = Report::default();
        let mut scope = Scope::default();
        let new = self.reload_watches(transaction, &mut scope)?;
        if let Some((version, ids)) = self.unmatched.take_if(|_| new.is_empty()) {
            if evaluate::is_matched(transaction, version)? {
                scope.watches.extend(ids);
                self.add_origin_cells(&mut scope);
            } else {
                self.unmatched = Some((version, ids));
            }
        }
        let changes = evaluate::take_outbox(transaction)?;
        let is_told_of_sessions = self.take_changes(changes, &mut scope, &mut report, now);
        scope.is_all |= self.full_at.is_none_or(|at| now >= after(at, FULL_EVERY));
        let is_due = |at: Timestamp, every| now >= after(at, every);
        if scope.is_all || is_told_of_sessions || is_due(self.routers_read_at, ROUTERS_EVERY) {
            self.read_routers(transaction, &mut scope, now)?;
        }
        self.add_settled(&mut scope, now);
        self.add_flaps(transaction, &mut scope, now)?;
        if !scope.is_empty() || self.ticked_at.is_none_or(|at| is_due(at, TICK_EVERY)) {
            self.rpki.read(transaction, &self.watches, &mut scope.watches, now)?;
        }
        let has_work = !scope.is_empty();
        if has_work {
            report.is_full = scope.is_all;
            self.medians.refresh(transaction, &self.watches, !new.is_empty(), now)?;
            self.evaluate(transaction, &scope, &new, &mut report, now)?;
        }
        if !new.is_empty() {
            let rows: Vec<&WatchRow> = new.iter().filter_map(|id| self.watches.row(*id)).collect();
            evaluate::set_judged(transaction, &rows)?;
        }
        self.note_unsettled(transaction, &scope, &new, now)?;
        if has_work || self.ticked_at.is_none_or(|at| is_due(at, TICK_EVERY)) {
            self.ticked_at = Some(now);
            let State { watches, known_routers, seen, rpki, incidents, conditions, .. } = self;
            let asked = Asked { watches, known_routers, seen, rpki, now };
            let mut candidates = candidates::all(site, &asked, conditions.values());
            rpki_news::add(&mut candidates, site, watches, rpki, now);
            report.lines.extend(incidents.advance(transaction, site, &candidates, &asked)?);
        }
        Ok(report)
    }

    /// Notes at which routers watches that are judged for the first time were not judged, and where they are now.
    fn note_unsettled(
        &mut self,
        transaction: &mut Transaction<'_>,
        scope: &Scope,
        new: &BTreeSet<WatchId>,
        now: Timestamp,
    ) -> Result<()> {
        if new.is_empty() && self.unsettled.is_empty() {
            return Ok(());
        }
        let mut changed = new.clone();
        for watch in new.iter().filter_map(|id| self.watches.get(*id)) {
            let is_unsettled = |router: &&Router| asks(watch, &router.id) && !router.is_settled(watch.settle, now);
            let routers = self.known_routers.values().filter(is_unsettled).map(|router| router.id.clone());
            self.unsettled.insert(watch.id, routers.collect());
        }
        for (id, routers) in &mut self.unsettled {
            let settle = self.watches.get(*id).map(|watch| watch.settle);
            let is_judged = |router: &RouterId| {
                let known = self.known_routers.get(router);
                let is_in = scope.is_all || scope.routers.contains(router);
                known.is_none_or(|known| is_in && settle.is_none_or(|settle| known.is_settled(settle, now)))
            };
            let before = routers.len();
            routers.retain(|router| !is_judged(router));
            if routers.len() != before {
                changed.insert(*id);
            }
        }
        if !changed.is_empty() {
            unsettled::store(transaction, &changed, &self.unsettled)?;
        }
        self.unsettled.retain(|_, routers| !routers.is_empty());
        Ok(())
    }

    /// Adds what changes too often, each few seconds.
    fn add_flaps(&mut self, transaction: &mut Transaction<'_>, scope: &mut Scope, now: Timestamp) -> Result<()> {
        let is_due = |at: Option<Timestamp>, every| at.is_none_or(|at| now >= after(at, every));
        if !scope.is_all && !is_due(self.flaps_at, FLAPS_EVERY) {
            return Ok(());
        }
        self.flaps_at = Some(now);
        scope.has_flaps = self.watches.all().any(|row| row.watch.judges(Condition::Flapping));
        if is_due(self.pruned_at, PRUNE_EVERY) {
            self.pruned_at = Some(now);
            flaps::prune(transaction)?;
        }
        Ok(())
    }

    /// Reads the watches again if they have changed. Returns those that are judged in their present version for the
    /// first time.
    fn reload_watches(&mut self, transaction: &mut Transaction<'_>, scope: &mut Scope) -> Result<BTreeSet<WatchId>> {
        let version = evaluate::version(transaction)?;
        if version == self.version {
            return Ok(BTreeSet::new());
        }
        let is_first = self.version < 0;
        // A prefix of theirs may be accepted now, and writers may not have looked for it yet.
        self.add_origin_cells(scope);
        let old = std::mem::replace(&mut self.watches, Watches::new(evaluate::watches(transaction)?));
        self.version = version;
        let is_other =
            |row: &&WatchRow| row.judged.as_ref().is_none_or(|(updated_at, ..)| *updated_at != row.updated_at);
        let new: Vec<&WatchRow> = self.watches.all().filter(is_other).collect();
        if !is_first {
            scope.watches.extend(new.iter().map(|row| row.watch.id));
            // Others may judge what a removed or changed one has judged, and what a new one judges.
            let is_same =
                |row: &&WatchRow| self.watches.row(row.watch.id).is_some_and(|now| now.updated_at == row.updated_at);
            let mut teams: HashSet<Option<&str>> = HashSet::new();
            for row in old.all().filter(|row| !is_same(row)).chain(new.iter().copied()) {
                if let Some(prefix) = row.watch.prefix {
                    scope.watches.extend(self.watches.covering(&prefix).map(|watch| watch.id));
                    teams.insert(row.watch.team.as_deref());
                }
            }
            let of_team = |watch: &&Watch| teams.contains(&watch.team.as_deref());
            scope.watches.extend(self.watches.of_kind(Kind::Origin).filter(of_team).map(|watch| watch.id));
            scope.has_peers = true;
            let earlier = self.unmatched.take().map(|(_, ids)| ids).unwrap_or_default();
            let accepting = std::mem::take(&mut self.accepting);
            self.unmatched = Some((version, scope.watches.iter().copied().chain(earlier).chain(accepting).collect()));
        }
        for row in new.iter().filter(|row| row.fault.is_some()) {
            let name = full_name(row.watch.team.as_deref(), &row.watch.name);
            warn!("watch {name}: {}: that is not judged", row.fault.as_deref().unwrap_or_default());
        }
        let anew: Vec<WatchId> = new.iter().filter(|row| starts_anew(row)).map(|row| row.watch.id).collect();
        let new = new.into_iter().map(|row| row.watch.id).collect();
        if !anew.is_empty() {
            conditions::forget_seen(transaction, &anew)?;
            accepted::forget_accepted(transaction, &anew)?;
            self.seen.forget(&anew);
        }
        Ok(new)
    }

    /// Sorts the changes that state writers noted. Returns whether sessions or peers have changed.
    fn take_changes(
        &self,
        changes: Option<Vec<Change>>,
        scope: &mut Scope,
        report: &mut Report,
        now: Timestamp,
    ) -> bool {
        let Some(changes) = changes else {
            scope.is_all = true;
            report.is_emptied = true;
            return true;
        };
        report.changes = changes.len();
        report.oldest = changes.iter().map(|change| change.received_at).min().map(|oldest| (oldest, now));
        report.has_more = changes.len() >= evaluate::OUTBOX_CHUNK;
        let mut is_told_of_sessions = false;
        for change in changes {
            is_told_of_sessions |= change.is_of_session;
            match change.prefix {
                Some(prefix) => {
                    scope.cells.insert((change.router, prefix));
                }
                None => {
                    scope.routers.insert(change.router);
                }
            }
        }
        scope.has_peers |= is_told_of_sessions;
        // Cells of routers that are evaluated as a whole need no look of their own.
        let routers = &scope.routers;
        scope.cells.retain(|(router, _)| !routers.contains(router));
        is_told_of_sessions
    }

    /// Reads sessions and dumps again.
    fn read_routers(&mut self, transaction: &mut Transaction<'_>, scope: &mut Scope, now: Timestamp) -> Result<()> {
        let (routers, tables) = (vantages::routers(transaction)?, vantages::tables(transaction)?);
        let (mut known_routers, changed) = derive(&routers, &tables, &self.stored, now);
        for row in changed.iter().filter(|row| row.table.is_empty()) {
            let was = self.stored.get(&(row.router.clone(), String::new())).filter(|was| was.is_known);
            match (was, row.is_known) {
                (Some(_), false) => {
                    self.lost.insert(row.router.clone(), row.since);
                }
                // Lost and back between two looks.
                (Some(_), true) => {
                    let began = known_routers.get(&row.router).and_then(|router| router.began);
                    self.lost.insert(row.router.clone(), began.unwrap_or(row.since));
                }
                (None, _) => {}
            }
        }
        for router in known_routers.values_mut() {
            router.lost_before = self.lost.get(&router.id).copied();
        }
        if !changed.is_empty() {
            vantages::set_vantages(transaction, &changed.iter().collect::<Vec<_>>())?;
        }
        for row in changed {
            let key = (row.router.clone(), row.table.clone());
            if self.stored.get(&key).is_some_and(|was| was.rib != row.rib) {
                self.seen.forget_vantage(&row.router, &row.table);
            }
            self.stored.insert(key, row);
        }
        self.forget_routers(transaction, &known_routers)?;
        self.known_routers = known_routers;
        self.routers_read_at = now;
        scope.has_peers = true;
        Ok(())
    }

    /// Forgets routers that an operator has removed.
    fn forget_routers(&mut self, transaction: &mut Transaction<'_>, known_routers: &KnownRouters) -> Result<()> {
        let gone: HashSet<RouterId> = self
            .stored
            .keys()
            .map(|(router, _)| router)
            .filter(|router| !known_routers.contains_key(*router))
            .cloned()
            .collect();
        if gone.is_empty() {
            return Ok(());
        }
        vantages::forget_vantages(transaction, &gone.iter().collect::<Vec<_>>())?;
        self.stored.retain(|(router, _), _| !gone.contains(router));
        self.conditions.retain(|_, row| !gone.contains(&row.router));
        for router in &gone {
            self.seen.forget_router(router);
            self.lost.remove(router);
            self.evaluated.remove(router);
        }
        Ok(())
    }

    /// Adds routers whose vantages have been known for as long as some watch asks for since they were looked at last.
    fn add_settled(&mut self, scope: &mut Scope, now: Timestamp) {
        let settles: BTreeSet<Duration> = self.watches.all().map(|row| row.watch.settle).collect();
        for router in self.known_routers.values() {
            let known = router.tables().values().flat_map(|table| table.known_at()).chain(router.known);
            let evaluated = self.evaluated.get(&router.id).copied();
            let is_due = |since: Timestamp| {
                settles.iter().any(|settle| {
                    let due = after(since, *settle);
                    due <= now && evaluated.is_none_or(|evaluated| evaluated < due)
                })
            };
            if known.into_iter().any(is_due) {
                scope.routers.insert(router.id.clone());
                scope.has_peers = true;
            }
        }
        if scope.is_all {
            self.evaluated = self.known_routers.keys().map(|router| (router.clone(), now)).collect();
            self.full_at = Some(now);
        } else {
            self.evaluated.extend(scope.routers.iter().map(|router| (router.clone(), now)));
        }
    }

    /// Adds the places of what watches of ASes have found.
    fn add_origin_cells(&self, scope: &mut Scope) {
        let is_of_origin =
            |row: &&ConditionRow| self.watches.get(row.watch).is_some_and(|watch| watch.kind == Kind::Origin);
        let rows = self.conditions.values().filter(is_of_origin);
        scope.cells.extend(rows.filter_map(|row| Some((row.router.clone(), row.prefix?))));
    }

    fn evaluation<'a>(&'a self, scope: &'a Scope, now: Timestamp) -> Evaluation<'a> {
        let State { watches, known_routers, seen, mitigation, medians, rpki, .. } = self;
        Evaluation { scope, watches, known_routers, seen, mitigation, medians, rpki, now }
    }

    /// Accepts what the ASes of watches originate in tables that are judged for the first time.
    fn accept_first(
        &mut self,
        transaction: &mut Transaction<'_>,
        scope: &Scope,
        report: &mut Report,
        now: Timestamp,
    ) -> Result<()> {
        let evaluation = self.evaluation(scope, now);
        let first = origins::first_tables(&evaluation);
        if first.is_empty() {
            return Ok(());
        }
        let accepted = accepted::accept_originated(transaction, &first, &self.mitigation)?;
        conditions::set_seen(transaction, &first)?;
        let first: Vec<(WatchId, RouterId, String)> =
            first.into_iter().map(|(watch, router, table)| (watch, router.clone(), table.to_owned())).collect();
        for (watch, router, table) in &first {
            self.seen.set(*watch, router, table, now);
        }
        let mut by_watch: BTreeMap<WatchId, Vec<String>> = BTreeMap::new();
        for (watch, prefix) in accepted {
            by_watch.entry(watch).or_default().push(prefix.to_string());
        }
        for (id, prefixes) in by_watch {
            let Some(watch) = self.watches.get(id) else { continue };
            self.accepting.insert(id);
            report.lines.push(summary::accepted(watch, &prefixes));
        }
        Ok(())
    }

    fn evaluate(
        &mut self,
        transaction: &mut Transaction<'_>,
        scope: &Scope,
        new: &BTreeSet<WatchId>,
        report: &mut Report,
        now: Timestamp,
    ) -> Result<()> {
        self.accept_first(transaction, scope, report, now)?;
        let evaluation = self.evaluation(scope, now);
        let mut found = origins::evaluate(&evaluation, transaction)?;
        evaluation.judge_flaps(transaction, &mut found, &self.conditions)?;
        let Found { rows, undecided, present, due } = found;
        evaluate::prefer_indexes(transaction)?;
        let is_over = |(key, row): &(&ConditionKey, &ConditionRow)| {
            !rows.contains_key(*key) && !undecided.contains(*key) && evaluation.is_over(row)
        };
        let over: Vec<ConditionKey> = self.conditions.iter().filter(is_over).map(|(key, _)| key.clone()).collect();
        let mut changed: Vec<ConditionKey> = Vec::new();
        let mut gone: Vec<(WatchId, RouterId, String)> = Vec::new();
        let gone_rows: Vec<ConditionRow> = over.iter().filter_map(|key| self.conditions.remove(key)).collect();
        for (key, mut row) in rows {
            match self.conditions.get_mut(&key) {
                Some(known) => {
                    let (told, now) = (Detail::from_json(&known.detail), Detail::from_json(&row.detail));
                    // How it began stays as it was found.
                    let Detail { cause_at, is_after_reload, is_baseline, .. } = told;
                    let now = Detail { cause_at, is_after_reload, is_baseline, ..now };
                    if now != told {
                        known.detail = now.to_json();
                        changed.push(key);
                    }
                }
                None => {
                    let mut detail = Detail::from_json(&row.detail);
                    if let Some(table) =
                        row.table.as_ref().filter(|_| is_of_tables(row.condition) && !detail.is_after_reload)
                    {
                        gone.push((row.watch, row.router.clone(), table.clone()));
                    }
                    let unsettled = self.unsettled.get(&row.watch);
                    if new.contains(&row.watch) || unsettled.is_some_and(|routers| routers.contains(&row.router)) {
                        detail.is_baseline = true;
                        row.detail = detail.to_json();
                    }
                    self.conditions.insert(key.clone(), row);
                    changed.push(key);
                }
            }
        }
        self.rpki.remind(due);
        report.missed = if scope.is_all { missed(&over, &changed) } else { 0 };
        if !gone_rows.is_empty() {
            conditions::delete_conditions(transaction, &gone_rows.iter().collect::<Vec<_>>())?;
        }
        if !changed.is_empty() {
            let rows: Vec<&ConditionRow> = changed.iter().filter_map(|key| self.conditions.get(key)).collect();
            conditions::set_conditions(transaction, &rows)?;
        }
        self.note_seen(transaction, &present, &gone, now)
    }

    /// Stores where routes are now, and where they were until now.
    fn note_seen(
        &mut self,
        transaction: &mut Transaction<'_>,
        present: &[(WatchId, RouterId, String)],
        gone: &[(WatchId, RouterId, String)],
        now: Timestamp,
    ) -> Result<()> {
        let mut noted: Vec<(WatchId, &RouterId, &str)> = Vec::new();
        for (watch, router, table) in present {
            if self.seen.set(*watch, router, table, now) {
                noted.push((*watch, router, table));
            }
        }
        noted.extend(gone.iter().map(|(watch, router, table)| (*watch, router, table.as_str())));
        if noted.is_empty() { Ok(()) } else { conditions::set_seen(transaction, &noted) }
    }
}

/// Returns how many conditions a full evaluation found changed although nobody had said so. Counts of changes and of
/// routes come by other ways, which are looked at often.
fn missed(over: &[ConditionKey], changed: &[ConditionKey]) -> usize {
    over.iter().chain(changed).filter(|key| !matches!(key.1, Condition::Flapping | Condition::RouteCount)).count()
}

/// Returns whether what earlier versions of a watch saw counts no more. What an AS originates stays accepted as long as
/// it is the same AS.
fn starts_anew(row: &WatchRow) -> bool {
    let is_of_origin = row.watch.kind == Kind::Origin;
    row.judged.as_ref().is_some_and(|(_, accepted_at, target)| {
        *accepted_at != row.accepted_at && !is_of_origin || *target != row.target
    })
}
