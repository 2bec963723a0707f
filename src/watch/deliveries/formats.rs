//! The formats of receivers, made from the body of a delivery, which is `generic`.
//!
//! All of it is pure. Limits are those of the receivers' documentation; what is longer is cut, because a receiver that
//! refuses a message for its length never gets it.

mod change;
mod chat;
mod state;

use serde_json::{Map, Value, json};

use crate::model::Timestamp;

pub(super) use change::{Change, generic};
pub(super) use state::{alertmanager, pagerduty};

/// A delivery counts as late when this many seconds have passed since the change.
pub(super) const LATE_SECS: f64 = 60.0;

/// The largest number of changes in one digest of the format `generic`.
pub(super) const DIGEST_MAX: usize = 100;

/// The column `format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Format {
    Generic,
    Alertmanager,
    PagerDuty,
    Slack,
    Teams,
    Ntfy,
    FlapAlerted,
    Heartbeat,
    RegistryPost,
    RegistryGet,
}

impl Format {
    const ALL: [(Format, &'static str); 10] = [
        (Format::Generic, "generic"),
        (Format::Alertmanager, "alertmanager"),
        (Format::PagerDuty, "pagerduty"),
        (Format::Slack, "slack"),
        (Format::Teams, "teams"),
        (Format::Ntfy, "ntfy"),
        (Format::FlapAlerted, "flapalerted"),
        (Format::Heartbeat, "heartbeat"),
        (Format::RegistryPost, "registry_post"),
        (Format::RegistryGet, "registry_get"),
    ];

    pub(super) fn parse(text: &str) -> Option<Format> {
        Format::ALL.iter().find(|(_, name)| *name == text).map(|(format, _)| *format)
    }

    /// Returns how messages of this format relate to deliveries.
    pub(super) fn kind(self) -> FormatKind {
        match self {
            Format::Generic | Format::FlapAlerted | Format::RegistryPost => FormatKind::Events,
            Format::Slack | Format::Teams | Format::Ntfy => FormatKind::Texts,
            Format::Alertmanager => FormatKind::States,
            Format::PagerDuty => FormatKind::StateOfEach,
            Format::Heartbeat => FormatKind::Beats,
            Format::RegistryGet => FormatKind::Wakes,
        }
    }
}

/// The relation of messages to deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FormatKind {
    /// Each change is a message, in order.
    Events,
    /// The changes of a key that wait are one text.
    Texts,
    /// The newest state of every key is one message.
    States,
    /// The newest state of a key is a message.
    StateOfEach,
    /// No changes at all.
    Beats,
    /// All changes that wait are one request, which says only that there are some.
    Wakes,
}

/// Events that are more than the receiver takes in a minute.
pub(super) fn generic_digest(changes: &[Change], public_url: Option<&str>) -> Value {
    let events: Vec<Value> = changes.iter().map(|change| generic(change, public_url)).collect();
    json!({"type": "digest", "count": events.len(), "events": events})
}

/// The message of FlapAlerted's webhook, by its own names.
pub(super) fn flapalerted(change: &Change) -> Value {
    let found = |name: &str| change.body.pointer("/found").and_then(|found| found.get(name)).cloned();
    let prefix = match change.text("/watch/prefix") {
        "" => change.text("/incident/subject"),
        prefix => prefix,
    };
    let since = change.text("/incident/since").parse::<jiff::Timestamp>().map_or(0, jiff::Timestamp::as_second);
    json!({
        "Prefix": prefix,
        "FirstSeen": since,
        "TotalPathChanges": found("total_path_changes").unwrap_or(json!(0)),
        "RateSec": found("rate_sec").unwrap_or(json!(-1)),
        "RateSecHistory": found("rate_sec_history").unwrap_or(json!([])),
        "PathHistory": found("path_history").unwrap_or(json!([])),
    })
}

/// The message that says that all is well with the collector itself.
pub(super) fn heartbeat(now: Timestamp) -> Value {
    json!({"type": "heartbeat", "at": now.to_string(), "version": env!("CARGO_PKG_VERSION")})
}

/// Changes as text: one message for the formats `slack`, `teams` and `ntfy`.
pub(super) fn text(format: Format, changes: &[Change], public_url: Option<&str>, topic: &str) -> Value {
    match format {
        Format::Slack => chat::slack(changes, public_url),
        Format::Teams => chat::teams(changes, public_url),
        Format::Ntfy => chat::ntfy(changes, public_url, topic),
        Format::Generic
        | Format::FlapAlerted
        | Format::Alertmanager
        | Format::PagerDuty
        | Format::Heartbeat
        | Format::RegistryPost
        | Format::RegistryGet => Value::Object(Map::new()),
    }
}

/// Returns the URL to which a message for the topic in an ntfy URL is posted, and the topic.
pub(super) fn ntfy_target(url: &str) -> (String, String) {
    let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
    let path = rest.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    match path.rsplit_once('/') {
        Some((base, topic)) => (format!("{scheme}://{base}/"), topic.to_owned()),
        None => (url.to_owned(), String::new()),
    }
}

#[cfg(test)]
mod tests;
