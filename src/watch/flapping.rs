//! The condition `flapping`: which routes and sessions change too often, from the counts of all collectors.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value, json};

use crate::model::watch::{Condition, Kind, Watch, WatchId};
use crate::model::{RouterId, Timestamp};
use crate::store::watch::evaluate::ConditionRow;
use crate::store::watch::flaps::{self, Counted, FlapRow, PathRow, SessionFlapRow};
use crate::store::{Result, Transaction};

use super::detail::{Detail, clean};
use super::evaluation::{ConditionKey, Evaluation, Found};
use super::known_routers::{Basis, Router, is_settled};

/// The changes in a quarter of an hour below which it is over.
const QUIET: i64 = 5;

/// The minutes that are told at least.
const MINUTES_MIN: i64 = 15;

/// The AS paths that are told.
const PATHS_MAX: usize = 10;

/// Returns whether it flaps. `was`: it did until now.
pub fn holds(counted: &Counted, was: bool) -> bool {
    counted.changes >= counted.limit || was && counted.recent >= QUIET.min(counted.limit)
}

/// What is known of something that flaps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlapDetail {
    /// The changes in the watch's own time.
    pub changes: i64,
    /// That time, in seconds.
    pub secs: i64,
    /// All changes since it began to flap.
    pub total: i64,
    /// The minute until which `total` is counted, and its part of it.
    pub counted: (i64, i64),
    /// The changes of the last minutes, in order.
    pub per_minute: Vec<i64>,
    /// AS paths, and how often each came and went.
    pub paths: Vec<(String, i64, i64)>,
}

impl FlapDetail {
    /// Returns the detail of the counts since `from`, with what was told before. `now`: the present minute.
    fn of(counted: &Counted, rows: &[PathRow], before: Option<&FlapDetail>, from: i64, now: i64) -> FlapDetail {
        let minutes = usize::try_from(now.saturating_sub(from) + 1).unwrap_or(1);
        let mut per_minute = vec![0; minutes];
        let mut paths: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
        for (_, minute, path, announced, withdrawn) in rows {
            let place = usize::try_from(minute.saturating_sub(from)).ok();
            if let Some(count) = place.and_then(|place| per_minute.get_mut(place)) {
                *count += announced + withdrawn;
            }
            if let Some(path) = path {
                let known = paths.entry(path).or_default();
                *known = (known.0 + announced, known.1 + withdrawn);
            }
        }
        let sum_from = |minute: i64| -> i64 {
            per_minute.iter().skip(usize::try_from(minute.saturating_sub(from)).unwrap_or(0)).sum()
        };
        let total = match before {
            Some(before) => before.total - before.counted.1 + sum_from(before.counted.0),
            None => counted.changes.max(sum_from(now.saturating_sub(counted.secs / 60))),
        };
        let mut paths: Vec<(String, i64, i64)> =
            paths.into_iter().map(|(path, (announced, withdrawn))| (clean(path), announced, withdrawn)).collect();
        paths.sort_by_key(|(_, announced, withdrawn)| -(announced + withdrawn));
        paths.truncate(PATHS_MAX);
        let counted_until = (now, per_minute.last().copied().unwrap_or(0));
        let &Counted { changes, secs, .. } = counted;
        FlapDetail { changes, secs, total, counted: counted_until, per_minute, paths }
    }

    /// Adds it to the JSON of a condition: with the names that FlapAlerted's message is made of, whose rates are changes
    /// a second, rounded up.
    pub fn put(&self, map: &mut Map<String, Value>) {
        let rates: Vec<i64> = self.per_minute.iter().map(|count| (count + 59) / 60).collect();
        let path = |(path, announced, withdrawn): &(String, i64, i64)| {
            let asns: Vec<u32> = path.split(|c: char| !c.is_ascii_digit()).filter_map(|asn| asn.parse().ok()).collect();
            json!({"Path": asns, "ac": announced, "wc": withdrawn, "path": path})
        };
        map.insert("changes".to_owned(), self.changes.into());
        map.insert("secs".to_owned(), self.secs.into());
        map.insert("total_path_changes".to_owned(), self.total.into());
        map.insert("counted".to_owned(), json!([self.counted.0, self.counted.1]));
        map.insert("changes_per_minute".to_owned(), json!(self.per_minute));
        map.insert("rate_sec".to_owned(), rates.last().copied().unwrap_or(0).into());
        map.insert("rate_sec_history".to_owned(), json!(rates));
        map.insert("path_history".to_owned(), self.paths.iter().map(path).collect());
    }

    /// Reads it from the JSON of a condition.
    pub fn from_json(value: &Value) -> Option<FlapDetail> {
        let list = |key: &str| value[key].as_array().map(Vec::as_slice).unwrap_or_default();
        let path = |path: &Value| Some((path["path"].as_str()?.to_owned(), path["ac"].as_i64()?, path["wc"].as_i64()?));
        Some(FlapDetail {
            changes: value["changes"].as_i64()?,
            secs: value["secs"].as_i64()?,
            total: value["total_path_changes"].as_i64()?,
            counted: (value["counted"][0].as_i64()?, value["counted"][1].as_i64()?),
            per_minute: list("changes_per_minute").iter().filter_map(Value::as_i64).collect(),
            paths: list("path_history").iter().filter_map(path).collect(),
        })
    }

    /// `45 changes in 10 min`.
    pub fn words(&self, what: &str) -> String {
        let plural = if self.changes == 1 { "" } else { "s" };
        let time = match self.secs {
            secs if secs % 3_600 == 0 => format!("{} h", secs / 3_600),
            secs if secs % 60 == 0 => format!("{} min", secs / 60),
            secs => format!("{secs} s"),
        };
        format!("{} {what}{plural} in {time}", self.changes)
    }
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
            let mine: Vec<PathRow> = paths[start..].iter().take_while(|path| path.0 == number).cloned().collect();
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
