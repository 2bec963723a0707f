//! The facts about something that flaps, as stored in the detail of a condition.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::store::watch::flaps::{Counted, PathRow};

/// The AS paths that are told.
const PATHS_MAX: usize = 10;

/// The facts about something that flaps.
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
    pub fn of(counted: &Counted, rows: &[PathRow], before: Option<&FlapDetail>, from: i64, now: i64) -> FlapDetail {
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
            paths.into_iter().map(|(path, (announced, withdrawn))| (path.to_owned(), announced, withdrawn)).collect();
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
