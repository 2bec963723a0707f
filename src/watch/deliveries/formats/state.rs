//! Receivers that keep the state of each incident themselves.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::change::{Change, cut, generic};
use crate::model::Timestamp;

/// For how long an alert stands when nothing is heard any more: four refreshes.
const ALERT_LIFE_SECS: i64 = 240;

/// PagerDuty's limits.
const SUMMARY_CHARACTERS_MAX: usize = 1_024;
const KEY_OCTETS_MAX: usize = 255;
const DETAILS_OCTETS_MAX: usize = 400_000;

/// Returns `BgpMoreSpecific` for `more_specific`.
fn alert_name(condition: &str) -> String {
    let words = condition.split('_').map(|word| {
        let mut characters = word.chars();
        characters.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + characters.as_str())
    });
    format!("Bgp{}", words.collect::<String>())
}

/// The labels, which are the identity of an alert and so never change while it stands.
fn labels(change: &Change) -> Map<String, Value> {
    let key = change.text("/incident/key");
    let mut labels = Map::new();
    let mut add = |name: &str, value: &str| {
        if !value.is_empty() {
            labels.insert(name.to_owned(), json!(value));
        }
    };
    add("alertname", &alert_name(change.text("/incident/condition")));
    add("condition", change.text("/incident/condition"));
    add("key", key);
    add("site", key.split('/').next().unwrap_or_default());
    add("severity", change.text("/incident/first_severity"));
    add("team", change.text("/incident/team"));
    add("subject", change.text("/incident/subject"));
    add("watch", change.text("/watch/name"));
    add("prefix", change.text("/watch/prefix"));
    add("address", change.text("/watch/address"));
    add("peer", change.text("/watch/peer_address"));
    add("router", change.text("/watch/router_id"));
    labels
}

/// Alertmanager's `POST /api/v2/alerts`, for changes of different incidents.
pub(in super::super) fn alertmanager(changes: &[Change], public_url: Option<&str>, now: Timestamp) -> Value {
    let alert = |change: &Change| {
        let ends_at = match change.text("/incident/closed_at") {
            closed if change.is_end() && !closed.is_empty() => closed.to_owned(),
            _ => Timestamp::from_unix_micros(now.unix_micros() + ALERT_LIFE_SECS * 1_000_000).to_string(),
        };
        let mut annotations = json!({
            "summary": change.text("/incident/summary"),
            "severity_now": change.text("/incident/severity"),
        });
        if let Some(runbook) = change.body.pointer("/watch/runbook_url") {
            annotations["runbook_url"] = runbook.clone();
        }
        let mut alert = json!({
            "labels": labels(change),
            "annotations": annotations,
            "startsAt": change.text("/incident/since"),
            "endsAt": ends_at,
        });
        if let Some(link) = change.link(public_url) {
            alert["generatorURL"] = json!(link);
        }
        alert
    };
    Value::Array(changes.iter().map(alert).collect())
}

/// PagerDuty's Events API v2.
pub(in super::super) fn pagerduty(change: &Change, public_url: Option<&str>, routing_key: &str) -> Value {
    let action = match change.text("/event") {
        _ if change.is_end() => "resolve",
        "acknowledged" => "acknowledge",
        _ => "trigger",
    };
    let key = change.text("/incident/key");
    let dedup_key = if key.len() <= KEY_OCTETS_MAX {
        key.to_owned()
    } else {
        Sha256::digest(key.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let summary: String = change.text("/incident/summary").chars().take(SUMMARY_CHARACTERS_MAX).collect();
    let source = match change.text("/watch/router_id") {
        "" => cut(key, KEY_OCTETS_MAX),
        router => router.to_owned(),
    };
    let mut details = generic(change, public_url);
    if details.to_string().len() > DETAILS_OCTETS_MAX
        && let Some(details) = details.as_object_mut()
    {
        details.remove("found");
    }
    let mut event = json!({
        "routing_key": routing_key,
        "event_action": action,
        "dedup_key": dedup_key,
        "client": "rib-ingester",
        "payload": {
            "summary": summary,
            "source": source,
            "severity": change.text("/incident/severity"),
            "timestamp": change.text("/at"),
            "custom_details": details,
        },
    });
    if let Some(link) = change.link(public_url) {
        event["client_url"] = json!(link);
    }
    event
}
