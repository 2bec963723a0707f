//! Messages for people.

use serde_json::{Value, json};

use super::change::{Change, cut};

/// Slack cuts a text at 40,000 characters, Mattermost refuses more than 16,383; nobody reads more than this.
const SLACK_OCTETS_MAX: usize = 8_000;

/// Teams refuses messages of more than 28 kB, escapes and frame included.
const TEAMS_OCTETS_MAX: usize = 12_000;

/// ntfy makes a longer message an attachment.
const NTFY_OCTETS_MAX: usize = 4_096;

/// The longest title of ntfy.
const NTFY_TITLE_OCTETS_MAX: usize = 250;

/// One line for a change: what happened, the line of the incident, and the time in the receiver's zone.
fn line(change: &Change) -> String {
    let summary = change.text("/incident/summary");
    let who = change.text("/who");
    let by = if who.is_empty() { String::new() } else { format!(" by {who}") };
    let mut line = match change.text("/event") {
        "acknowledged" => format!("ACKNOWLEDGED{by}: {summary}"),
        "snoozed" => format!("SNOOZED{by}: {summary}"),
        "worse" => format!("WORSE: {summary}"),
        "reopened" => format!("AGAIN: {summary}"),
        "flapping" => format!("FLAPPING: {summary}"),
        "repeated" => format!("STILL: {summary}"),
        _ => summary.to_owned(),
    };
    if let Some(local) = change.body.get("local") {
        let of = |name: &str| local.get(name).and_then(Value::as_str).unwrap_or_default();
        let at = if change.is_end() { of("at") } else { of("since") };
        line.push_str(&format!(" ({at} {})", of("zone")));
    }
    if change.is_late {
        line.push_str(&format!(" [late: {}]", change.text("/at")));
    }
    line
}

/// The lines of changes, as many as fit into `max` octets with the number of the others.
fn lines(changes: &[Change], max: usize, escape: impl Fn(&str) -> String) -> String {
    // Room for the line that counts the others.
    const OTHERS_OCTETS: usize = 32;
    let mut out = String::new();
    for (told, change) in changes.iter().enumerate() {
        let line = escape(&line(change));
        let room = max.saturating_sub(OTHERS_OCTETS);
        if told == 0 {
            out.push_str(&cut(&line, room));
        } else if out.len() + 1 + line.len() <= room {
            out.push('\n');
            out.push_str(&line);
        } else {
            out.push_str(&format!("\nand {} more", changes.len() - told));
            break;
        }
    }
    out
}

fn title(changes: &[Change]) -> String {
    match changes {
        [one] => line(one),
        _ => format!("{} changes", changes.len()),
    }
}

/// Slack and Mattermost: `text`, with the characters that begin a link or a mention escaped.
pub(super) fn slack(changes: &[Change], public_url: Option<&str>) -> Value {
    let escape = |text: &str| {
        let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        // Mattermost knows @all and @channel; a zero-width space ends the word.
        text.replace('@', "@\u{200b}")
    };
    let mut text = lines(changes, SLACK_OCTETS_MAX, escape);
    if let Some(link) = changes.last().and_then(|change| change.link(public_url)) {
        text.push('\n');
        text.push_str(&link);
    }
    json!({"text": text})
}

/// Teams: an Adaptive Card for a Workflows URL.
pub(super) fn teams(changes: &[Change], public_url: Option<&str>) -> Value {
    let text = lines(changes, TEAMS_OCTETS_MAX, str::to_owned).replace('\n', "\n\n");
    let mut card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [{"type": "TextBlock", "text": text, "wrap": true}],
    });
    if let Some(link) = changes.last().and_then(|change| change.link(public_url)) {
        card["actions"] = json!([{"type": "Action.OpenUrl", "title": "Incident", "url": link}]);
    }
    json!({
        "type": "message",
        "attachments": [{"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": null, "content": card}],
    })
}

/// ntfy: JSON to the root of the server.
pub(super) fn ntfy(changes: &[Change], public_url: Option<&str>, topic: &str) -> Value {
    let is_over = changes.iter().all(Change::is_end);
    let severity = |change: &Change| match change.text("/incident/severity") {
        "critical" => 5,
        "error" => 4,
        "warning" => 3,
        _ => 2,
    };
    let priority = if is_over { 3 } else { changes.iter().map(severity).max().unwrap_or(3) };
    let mut message = json!({
        "topic": topic,
        "title": cut(&title(changes), NTFY_TITLE_OCTETS_MAX),
        "message": lines(changes, NTFY_OCTETS_MAX, str::to_owned),
        "priority": priority,
        "tags": [if is_over { "white_check_mark" } else { "rotating_light" }],
    });
    if let Some(link) = changes.last().and_then(|change| change.link(public_url)) {
        message["click"] = json!(link);
    }
    message
}
