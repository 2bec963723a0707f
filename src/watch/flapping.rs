//! The condition `flapping`: which routes and sessions change too often, from the counts of all collectors.

use std::collections::{BTreeMap, HashMap};

use crate::model::watch::{Condition, Kind, Watch, WatchId};
use crate::model::{RouterId, Timestamp};
use crate::store::watch::conditions::ConditionRow;
use crate::store::watch::flaps::{self, Counted, FlapRow, PathRow, SessionFlapRow};
use crate::store::{Result, Transaction};

use super::detail::{Detail, clean};
use super::evaluation::{ConditionKey, Evaluation, Found};
use super::flap_detail::FlapDetail;
use super::known_routers::{Basis, Router, is_settled};

/// The changes in a quarter of an hour below which it is over.
const QUIET: i64 = 5;

/// The minutes that are told at least.
const MINUTES_MIN: i64 = 15;

/// Returns whether it flaps. `was`: it did until now.
pub fn holds(counted: &Counted, was: bool) -> bool {
    counted.changes >= counted.limit || was && counted.recent >= QUIET.min(counted.limit)
}

fn minute_of(time: Timestamp) -> i64 {
    time.unix_micros().div_euclid(60_000_000)
}

fn rib_of(basis: Basis) -> &'static str {
    match basis {
        Basis::LocRib => "loc-rib",
        Basis::PostPolicy => "adj-rib-in-post",
        Basis::PrePolicy => "adj-rib-in-pre",
    }
}

/// Of each watch and vantage the RIB that changes most, among those that decide what is there.
fn worst(rows: Vec<FlapRow>, basis: impl Fn(&RouterId) -> Option<Basis>) -> Vec<FlapRow> {
    let mut worst: HashMap<(WatchId, RouterId, String), FlapRow> = HashMap::new();
    for row in rows {
        if basis(&row.router).is_none_or(|basis| rib_of(basis) != row.rib) {
            continue;
        }
        let key = (row.watch, row.router.clone(), row.table.clone());
        let count = |row: &FlapRow| (row.counted.changes, row.counted.recent);
        if worst.get(&key).is_none_or(|known| count(known) < count(&row)) {
            worst.insert(key, row);
        }
    }
    worst.into_values().collect()
}

type Held = BTreeMap<ConditionKey, ConditionRow>;

impl Evaluation<'_> {
    /// Judges what flaps, if it is time to. `held`: the conditions that hold until now.
    ///
    /// # Errors
    /// When a statement fails or the connection is lost.
    pub fn judge_flaps(&self, transaction: &mut Transaction<'_>, found: &mut Found, held: &Held) -> Result<()> {
        let is_judged = |kind| self.watches.of_kind(kind).any(|watch| watch.judges(Condition::Flapping));
        if self.scope.has_flaps && is_judged(Kind::Prefix) {
            self.judge_routes(transaction, found, held)?;
        }
        if self.scope.has_flaps && is_judged(Kind::Session) {
            for row in flaps::session_flaps(transaction)? {
                self.judge_session_flaps(found, held, &row);
            }
        }
        Ok(())
    }

    fn judge_routes(&self, transaction: &mut Transaction<'_>, found: &mut Found, held: &Held) -> Result<()> {
        let now = minute_of(self.now);
        let rows = worst(flaps::flaps(transaction)?, |router| self.known_routers.get(router).map(|known| known.basis));
        let mut news = Vec::new();
        for row in &rows {
            let (Some(watch), Some(router)) = (self.watches.get(row.watch), self.known_routers.get(&row.router)) else {
                continue;
            };
            let Some(prefix) = watch.prefix else { continue };
            let key: ConditionKey =
                (watch.id, Condition::Flapping, String::new(), row.router.clone(), Some(row.table.clone()));
            let was = held.get(&key).map(|row| Detail::from_json(&row.detail));
            if !holds(&row.counted, was.is_some()) {
                continue;
            }
            let known = router.tables().get(&row.table).and_then(|families| families.of(prefix.afi()).known);
            if !is_settled(known, watch.settle, self.now) {
                found.undecided.insert(key);
                continue;
            }
            match was.filter(|was| was.flaps.as_ref().is_some_and(|flaps| flaps.counted.0 == now)) {
                // Once a minute is often enough to tell more.
                Some(was) => self.add_flap(found, watch, router, Some(&row.table), was),
                None => news.push((row, prefix, now - (row.counted.secs / 60).max(MINUTES_MIN))),
            }
        }
        if news.is_empty() {
            return Ok(());
        }
        let paths = flaps::paths(transaction, &news)?;
        for (number, (row, _, from)) in news.into_iter().enumerate() {
            let (Some(watch), Some(router)) = (self.watches.get(row.watch), self.known_routers.get(&row.router)) else {
                continue;
            };
            let key: ConditionKey =
                (watch.id, Condition::Flapping, String::new(), row.router.clone(), Some(row.table.clone()));
            let before = held.get(&key).and_then(|row| Detail::from_json(&row.detail).flaps);
            let start = paths.partition_point(|path| path.0 < number);
            let mut mine: Vec<PathRow> = paths[start..].iter().take_while(|path| path.0 == number).cloned().collect();
            mine.iter_mut().for_each(|path| path.2 = path.2.take().map(|path| clean(&path)));
            let flaps = FlapDetail::of(&row.counted, &mine, before.as_ref(), from, now);
            let first = mine.iter().map(|path| path.1).min().unwrap_or(now);
            let detail = Detail {
                peer: row.peer,
                path: flaps.paths.first().map(|(path, ..)| path.clone()),
                cause_at: Some(Timestamp::from_unix_micros(first.saturating_mul(60_000_000))),
                flaps: Some(flaps),
                ..Detail::default()
            };
            self.add_flap(found, watch, router, Some(&row.table), detail);
        }
        Ok(())
    }

    fn judge_session_flaps(&self, found: &mut Found, held: &Held, row: &SessionFlapRow) {
        let (Some(watch), Some(router)) = (self.watches.get(row.watch), self.known_routers.get(&row.router)) else {
            return;
        };
        let key: ConditionKey = (watch.id, Condition::Flapping, String::new(), row.router.clone(), None);
        if !watch.judges(Condition::Flapping) || !holds(&row.counted, held.contains_key(&key)) {
            return;
        }
        if !is_settled(router.known, watch.settle, self.now) {
            found.undecided.insert(key);
            return;
        }
        let flaps = FlapDetail {
            changes: row.counted.changes,
            secs: row.counted.secs,
            total: row.counted.changes,
            ..FlapDetail::default()
        };
        let detail = Detail {
            peer: Some(row.peer),
            peer_asn: row.asn,
            description: row.description.as_deref().map(clean),
            reason: row.reason.as_deref().map(clean),
            cause_at: Some(row.first),
            flaps: Some(flaps),
            ..Detail::default()
        };
        self.add_flap(found, watch, router, None, detail);
    }

    fn add_flap(&self, found: &mut Found, watch: &Watch, router: &Router, table: Option<&str>, detail: Detail) {
        self.add(found, watch, router, table, (Condition::Flapping, String::new(), watch.prefix, detail));
    }

    /// Returns whether something that flapped and was not found again is over.
    pub(super) fn is_quiet(&self, watch: &Watch, router: &Router, table: Option<&str>) -> bool {
        let known = match (table, watch.prefix) {
            (Some(table), Some(prefix)) => {
                router.tables().get(table).and_then(|families| families.of(prefix.afi()).known)
            }
            _ => router.known,
        };
        self.scope.has_flaps && is_settled(known, watch.settle, self.now)
    }
}

#[cfg(test)]
#[path = "flapping_tests.rs"]
mod tests;
