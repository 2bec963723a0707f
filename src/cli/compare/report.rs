//! The words of a comparison: its result, and a line or a JSON object for each difference.

use serde_json::{Map, Value, json};

use super::super::command::counted;
use crate::compare::Check;
use crate::model::text::{printable, printable_json};
use crate::store::compare::Difference;

/// The output that is wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Listing {
    /// True for JSON, false for a terminal.
    pub(super) is_json: bool,
    /// The largest number of differences that are listed.
    pub(super) limit: i64,
}

/// The beginning of a comparison's output: the result, and how many prefixes differ.
pub(super) fn head(check: &Check, ends: &[String; 2], counts: &[(String, i64)], listing: Listing) -> String {
    if !listing.is_json {
        return format!("{}: {}\n", printable(&check.name), printable(&check.summary));
    }
    let total: i64 = counts.iter().map(|(_, count)| count).sum();
    let not_listed = (total - listing.limit).max(0);
    let counts: Map<String, Value> = counts.iter().map(|(kind, count)| (kind.clone(), json!(count))).collect();
    let head = json!({"name": check.name, "result": check.outcome.as_str(), "ends": ends, "counts": counts,
                      "not_listed": not_listed});
    printable_json(&format!("{}, \"differences\": [", head.to_string().trim_end_matches('}'))).into_owned()
}

/// The number of prefixes that differ, by kind.
pub(super) fn summary(ends: &[String; 2], counts: &[(String, i64)]) -> String {
    if counts.is_empty() {
        return "equal".to_owned();
    }
    let total: i64 = counts.iter().map(|(_, count)| count).sum();
    let parts: Vec<String> = counts.iter().map(|(kind, count)| format!("{count} {}", words(ends, kind))).collect();
    let verb = if total == 1 { "prefix differs" } else { "prefixes differ" };
    format!("{total} {verb}: {}", parts.join(", "))
}

fn words(ends: &[String; 2], kind: &str) -> String {
    match kind {
        "only_a" => format!("only at {}", ends[0]),
        "only_b" => format!("only at {}", ends[1]),
        "paths" => "with other paths".to_owned(),
        other => other.to_owned(),
    }
}

/// Formats a difference in a line: `changed 192.0.2.0/24 med 10, now 20`.
pub(super) fn text(ends: &[String; 2], found: &Difference) -> String {
    let (first, second) = (paths(&found.first), paths(&found.second));
    let table = found.table.as_ref().map_or(String::new(), |table| format!(" table {table}"));
    let peer = found.peer.as_ref().map_or(String::new(), |peer| format!(" peer {peer}"));
    let what = format!("{}{peer}{table} {}", words(ends, &found.kind), found.prefix);
    let short = |paths: &[Map<String, Value>]| {
        let path = |path: &Map<String, Value>| {
            let value = |name| path.get(name).map_or_else(|| "-".to_owned(), plain);
            format!("via {} path {}", value("nexthop"), value("as_path"))
        };
        paths.iter().map(path).collect::<Vec<_>>().join(" | ")
    };
    match (first.as_slice(), second.as_slice()) {
        ([], second) => format!("{what}: {}", short(second)),
        (first, []) => format!("{what}: {}", short(first)),
        (first, second) if found.attributes.is_empty() => {
            let count = |paths: &[Map<String, Value>]| counted(paths.len() as u64, "path");
            format!("{what}: {} ({}), {} ({})", count(first), short(first), count(second), short(second))
        }
        (first, second) => {
            let values = |paths: &[Map<String, Value>], name: &str| {
                let mut values: Vec<String> = paths
                    .iter()
                    .map(|path| {
                        path.get(name).or_else(|| path.get("attrs")?.get(name)).map_or_else(|| "none".to_owned(), plain)
                    })
                    .collect();
                values.dedup();
                values.join(" | ")
            };
            let one = |name: &String| format!("{name} {} / {}", values(first, name), values(second, name));
            format!("{what}: {}", found.attributes.iter().map(one).collect::<Vec<_>>().join(", "))
        }
    }
}

fn paths(json: &str) -> Vec<Map<String, Value>> {
    serde_json::from_str(json).unwrap_or_default()
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) if text.is_empty() => "(empty)".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(list) => list.iter().map(plain).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

/// Formats a difference as a JSON object.
pub(super) fn as_json(found: &Difference) -> String {
    let Difference { peer, table, prefix, kind, attributes, first, second } = found;
    let mut head = json!({"table": table, "prefix": prefix, "difference": kind, "attributes": attributes});
    if let Some(peer) = peer {
        head["peer"] = json!(peer);
    }
    let head = head.to_string();
    format!("{}, \"before\": {first}, \"after\": {second}}}", head.trim_end_matches('}'))
}
