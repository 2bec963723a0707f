//! `callbacks test`: sends the opening and the end of an incident that never was, and returns the answers.

use serde_json::{Value, json};
use ureq::tls::TlsConfig;

use super::address::{AddressRules, target};
use super::formats::{self, Format};
use super::plan::{self, Context, Outgoing};
use super::post::Poster;
use super::send;
use crate::model::Timestamp;
use crate::store::watch::callbacks::Callback;
use crate::store::watch::deliveries::DueDelivery;

/// The answer to one message of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestAnswer {
    /// `opened`, `closed` or `heartbeat`.
    pub event: &'static str,
    /// Scheme and host of the receiver.
    pub target: String,
    /// The HTTP status and the beginning of the body, or the reason why there is none.
    pub answer: Result<(u16, String), String>,
    /// True if the message counts as delivered.
    pub is_accepted: bool,
}

/// Sends the messages and returns the answers, one for each URL.
pub fn send_test(
    (rules, https): (&AddressRules, &TlsConfig),
    callback: &Callback,
    site: &str,
    public_url: Option<&str>,
) -> Vec<TestAnswer> {
    let Some(format) = Format::parse(&callback.format) else { return Vec::new() };
    let (poster, now) = (Poster::new(rules, https), Timestamp::now());
    let context = Context { public_url, now };
    let mut answers = Vec::new();
    let mut post = |event, message: &Outgoing| {
        for url in &message.urls {
            let reply = send::post(&poster, callback, format, message, url);
            let is_accepted = matches!(send::judge(format, reply.clone()), send::Verdict::Accepted(_));
            let answer = reply.map(|reply| (reply.status, reply.text));
            answers.push(TestAnswer { event, target: target(url), answer, is_accepted });
        }
    };
    if format == Format::Heartbeat {
        let message = plan::heartbeat(vec![callback.url.clone()], &formats::heartbeat(now), now);
        post("heartbeat", &message);
        return answers;
    }
    for (id, event) in [(1, "opened"), (2, "closed")] {
        let due = due(callback, site, event, id, now);
        for message in plan::plan(callback, vec![due], 1, context).messages {
            post(event, &message);
        }
    }
    answers
}

fn due(callback: &Callback, site: &str, event: &str, id: i64, now: Timestamp) -> DueDelivery {
    let key = format!("{site}/TEST/{}/missing", now.unix_micros());
    DueDelivery {
        id,
        callback: callback.clone(),
        target_url: None,
        subject: event.to_owned(),
        ordering_key: key.clone(),
        attempts: 0,
        body: body(&key, event, now).to_string(),
        is_orphan: false,
        age_secs: 0.0,
    }
}

fn body(key: &str, event: &str, now: Timestamp) -> Value {
    let summary = match event {
        "opened" => "TEST: this is a test of a callback of rib-ingester, nothing has happened".to_owned(),
        _ => "OVER: the test of a callback of rib-ingester is over".to_owned(),
    };
    let mut incident = json!({
        "id": 0, "key": key, "condition": "missing", "severity": "info", "first_severity": "info",
        "state": if event == "closed" { "closed" } else { "open" },
        "opened_at": now.to_string(), "since": now.to_string(), "affected": 0, "known": 0, "summary": summary,
    });
    if event == "closed" {
        incident["closed_at"] = json!(now.to_string());
    }
    json!({
        "event": event, "at": now.to_string(), "test": true, "incident": incident,
        "watch": {"name": "TEST", "kind": "prefix", "prefix": "192.0.2.0/24"}, "found": {},
    })
}
