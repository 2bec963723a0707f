//! The settings in `registry.settings` that the round follows. A trigger has refused what cannot be followed.

use std::time::Duration;

use serde_json::{Map, Value};

use super::judge::Rules;

/// The settings.
#[derive(Debug)]
pub(super) struct Settings {
    /// True if status and error of sessions may be written: the operator has said so and has chosen the numbers.
    pub(super) may_write: bool,
    /// The way in which agents are told.
    pub(super) callback: Callback,
    /// True if watches are made of sessions.
    pub(super) has_watches: bool,
    /// The times.
    pub(super) rules: Rules,
}

/// The setting `callback`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Callback {
    /// Agents are told nothing.
    Off,
    /// Each change is posted.
    Post,
    /// This path is asked for.
    Get(String),
}

impl Settings {
    /// Reads a JSON object of strings.
    pub(super) fn parse(text: &str) -> Settings {
        let values: Map<String, Value> = serde_json::from_str(text).unwrap_or_default();
        let value = |key: &str| values.get(key).and_then(Value::as_str);
        let secs = |key: &str, default: u64| {
            Duration::from_secs(value(key).and_then(|text| text.parse().ok()).unwrap_or(default))
        };
        let callback = match value("callback") {
            Some("post") => Callback::Post,
            Some(text) => text.strip_prefix("get:").map_or(Callback::Off, |path| Callback::Get(path.to_owned())),
            None => Callback::Off,
        };
        Settings {
            may_write: value("write_status") == Some("on") && value("status_codes").is_some(),
            callback,
            has_watches: value("watches") == Some("on"),
            rules: Rules {
                down_after: secs("down_after_secs", 60),
                settle: secs("settle_secs", 300),
                overdue_after: secs("overdue_after_secs", 900),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_written_before_the_numbers_are_chosen() {
        let may_write = |text: &str| Settings::parse(text).may_write;
        assert!(!may_write("{}"));
        assert!(!may_write(r#"{"write_status": "on"}"#));
        assert!(!may_write(r#"{"status_codes": "documented"}"#));
        assert!(!may_write(r#"{"write_status": "off", "status_codes": "documented"}"#));
        assert!(may_write(r#"{"write_status": "on", "status_codes": "documented"}"#));
    }

    #[test]
    fn callbacks_are_off_unless_they_are_set() {
        let callback = |text: &str| Settings::parse(text).callback;
        assert_eq!(callback("{}"), Callback::Off);
        assert_eq!(callback(r#"{"callback": "off"}"#), Callback::Off);
        assert_eq!(callback(r#"{"callback": "post"}"#), Callback::Post);
        assert_eq!(callback(r#"{"callback": "get:/sync"}"#), Callback::Get("/sync".to_owned()));
    }
}
