//! The evaluator: one round reads what changed, judges it, and writes conditions and incidents in one transaction.
//!
//! Everything it knows is in the database or can be computed from it: after any error it forgets all of it and
//! evaluates everything again. It holds nothing that a writer waits for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::model::watch::{Condition, WatchId, mitigation};
use crate::model::{Prefix, RouterId, Timestamp};
use crate::store::watch::conditions::ConditionRow;
use crate::store::watch::evaluate::{self, WatchRow};
use crate::store::watch::{accepted, conditions, unsettled};
use crate::store::{Client, Result, Transaction};

use super::candidates::{self, Asked, is_of_tables};
use super::detail::Detail;
use super::evaluation::{ConditionKey, Found, Scope};
use super::index::asks;
use super::known_routers::{Router, after};
use super::report::Report;
use super::state::{EvaluatorState, load};
use super::{origins, rpki_news};

/// The interval of full evaluations.
const FULL_EVERY: Duration = Duration::from_secs(600);

/// The interval at which sessions and dumps are read again where nobody said that they changed.
const ROUTERS_EVERY: Duration = Duration::from_secs(5);

/// The interval at which clocks are looked at where nothing changed.
const TICK_EVERY: Duration = Duration::from_secs(1);

/// The evaluator of one database.
pub struct Evaluator {
    site: String,
    mitigation: Vec<String>,
    state: Option<EvaluatorState>,
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

impl EvaluatorState {
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
        let mut accepted = BTreeMap::new();
        if has_work {
            report.is_full = scope.is_all;
            self.medians.refresh(transaction, &self.watches, !new.is_empty(), now)?;
            accepted = self.accept_first(transaction, &scope, now)?;
            self.evaluate(transaction, &scope, &new, &mut report, now)?;
        }
        if !new.is_empty() {
            let rows: Vec<&WatchRow> = new.iter().filter_map(|id| self.watches.row(*id)).collect();
            evaluate::set_judged(transaction, &rows)?;
        }
        self.note_unsettled(transaction, &scope, &new, now)?;
        if has_work || self.ticked_at.is_none_or(|at| is_due(at, TICK_EVERY)) {
            self.ticked_at = Some(now);
            let EvaluatorState { watches, known_routers, seen, rpki, incidents, conditions, as_names, .. } = self;
            let asked = Asked { watches, known_routers, seen, rpki, now };
            let mut candidates = candidates::all(site, &asked, conditions.values());
            rpki_news::add(&mut candidates, site, watches, rpki, now);
            as_names.add(transaction, &mut candidates, now)?;
            report.lines.extend(incidents.tell_accepted(transaction, site, &accepted, &asked)?);
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

    /// Accepts what the ASes of watches originate in tables that are judged for the first time, and returns it.
    fn accept_first(
        &mut self,
        transaction: &mut Transaction<'_>,
        scope: &Scope,
        now: Timestamp,
    ) -> Result<BTreeMap<WatchId, Vec<Prefix>>> {
        let evaluation = self.evaluation(scope, now);
        let first = origins::first_tables(&evaluation);
        let mut by_watch: BTreeMap<WatchId, Vec<Prefix>> = BTreeMap::new();
        if first.is_empty() {
            return Ok(by_watch);
        }
        for (watch, prefix) in accepted::accept_originated(transaction, &first, &self.mitigation)? {
            by_watch.entry(watch).or_default().push(prefix);
        }
        conditions::set_seen(transaction, &first)?;
        let first: Vec<(WatchId, RouterId, String)> =
            first.into_iter().map(|(watch, router, table)| (watch, router.clone(), table.to_owned())).collect();
        for (watch, router, table) in &first {
            self.seen.set(*watch, router, table, now);
        }
        by_watch.retain(|watch, _| self.watches.get(*watch).is_some());
        self.accepting.extend(by_watch.keys());
        Ok(by_watch)
    }

    fn evaluate(
        &mut self,
        transaction: &mut Transaction<'_>,
        scope: &Scope,
        new: &BTreeSet<WatchId>,
        report: &mut Report,
        now: Timestamp,
    ) -> Result<()> {
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
