//! A change of an incident in the format `generic`, which the others are made from.

use serde_json::{Value, json};

/// A change of an incident, as it is told.
#[derive(Clone, Debug)]
pub(in super::super) struct Change {
    /// The body of the delivery.
    pub(in super::super) body: Value,
    /// True if it waited.
    pub(in super::super) is_late: bool,
}

impl Change {
    pub(in super::super) fn text(&self, pointer: &str) -> &str {
        self.body.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// Returns whether the incident is over, or was from the beginning: what a watch accepts opens and closes at once.
    pub(in super::super) fn is_end(&self) -> bool {
        self.text("/event") == "closed" || self.text("/incident/state") == "closed"
    }

    /// Returns the page of the incident.
    pub(in super::super) fn link(&self, public_url: Option<&str>) -> Option<String> {
        let id = self.body.pointer("/incident/id")?;
        Some(format!("{}/incidents?id={id}", public_url?.trim_end_matches('/')))
    }
}

/// One event, in the format `generic`.
pub(in super::super) fn generic(change: &Change, public_url: Option<&str>) -> Value {
    let mut body = change.body.as_object().cloned().unwrap_or_default();
    body.insert("type".to_owned(), json!("incident"));
    if change.is_late {
        body.insert("late".to_owned(), json!(true));
    }
    if let Some(link) = change.link(public_url) {
        body.insert("url".to_owned(), json!(link));
    }
    Value::Object(body)
}

/// Returns the text's beginning of at most `max` octets, with a mark if anything is missing.
pub(in super::super) fn cut(text: &str, max: usize) -> String {
    const MARK: &str = "…";
    if text.len() <= max {
        return text.to_owned();
    }
    let mut end = max.saturating_sub(MARK.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{MARK}", &text[..end])
}
