//! Changes since the last round of watches, routes, sessions, dumps and clocks: they become the scope of the round.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use log::warn;

use crate::model::watch::{Condition, Kind, Watch, WatchId};
use crate::model::{RouterId, Timestamp};
use crate::store::watch::conditions::ConditionRow;
use crate::store::watch::evaluate::{self, OutboxChange, WatchRow};
use crate::store::watch::watches::full_name;
use crate::store::watch::{accepted, conditions, flaps, vantages};
use crate::store::{Result, Transaction};

use super::evaluation::Scope;
use super::index::Watches;
use super::known_routers::{KnownRouters, after, derive};
use super::report::Report;
use super::state::EvaluatorState;

/// The interval at which counts of changes are looked at.
const FLAPS_EVERY: Duration = Duration::from_secs(2);

/// The interval at which old counts are deleted.
const PRUNE_EVERY: Duration = Duration::from_secs(60);

impl EvaluatorState {
    /// Reads the watches again if they have changed. Returns those that are judged in their present version for the
    /// first time.
    pub(super) fn reload_watches(
        &mut self,
        transaction: &mut Transaction<'_>,
        scope: &mut Scope,
    ) -> Result<BTreeSet<WatchId>> {
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
    pub(super) fn take_changes(
        &self,
        changes: Option<Vec<OutboxChange>>,
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
    pub(super) fn read_routers(
        &mut self,
        transaction: &mut Transaction<'_>,
        scope: &mut Scope,
        now: Timestamp,
    ) -> Result<()> {
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
    pub(super) fn add_settled(&mut self, scope: &mut Scope, now: Timestamp) {
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

    /// Adds what changes too often, each few seconds.
    pub(super) fn add_flaps(
        &mut self,
        transaction: &mut Transaction<'_>,
        scope: &mut Scope,
        now: Timestamp,
    ) -> Result<()> {
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

    /// Adds the places of what watches of ASes have found.
    pub(super) fn add_origin_cells(&self, scope: &mut Scope) {
        let is_of_origin =
            |row: &&ConditionRow| self.watches.get(row.watch).is_some_and(|watch| watch.kind == Kind::Origin);
        let rows = self.conditions.values().filter(is_of_origin);
        scope.cells.extend(rows.filter_map(|row| Some((row.router.clone(), row.prefix?))));
    }
}

/// Returns whether what earlier versions of a watch saw counts no more. What an AS originates stays accepted as long as
/// it is the same AS.
fn starts_anew(row: &WatchRow) -> bool {
    let is_of_origin = row.watch.kind == Kind::Origin;
    row.judged.as_ref().is_some_and(|(_, accepted_at, target)| {
        *accepted_at != row.accepted_at && !is_of_origin || *target != row.target
    })
}
