//! Errors of the API: problem details in JSON (RFC 9457), of one sentence.

use std::time::Duration;

use log::warn;

use super::response::{PROBLEM_JSON, Response, reason};
use crate::store;

/// The time after which a client may try again when the collector is busy or has no database.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// A request that is not answered, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::http) struct Problem {
    /// The status code.
    pub(in crate::http) status: u16,
    /// One sentence.
    pub(in crate::http) detail: String,
    /// Further headers.
    pub(in crate::http) headers: Vec<(&'static str, String)>,
}

impl Problem {
    /// Returns a problem; the text is one sentence without a full stop.
    pub(in crate::http) fn new(status: u16, detail: impl Into<String>) -> Problem {
        Problem { status, detail: detail.into(), headers: Vec::new() }
    }

    /// Returns a mistake in the request.
    pub(in crate::http) fn bad_request(detail: impl Into<String>) -> Problem {
        Problem::new(400, detail)
    }

    /// Returns an address at which there is nothing.
    pub(in crate::http) fn not_found(detail: impl Into<String>) -> Problem {
        Problem::new(404, detail)
    }

    /// Returns a method that the path does not have; `allowed` are those that it has.
    pub(in crate::http) fn method_not_allowed(allowed: &str) -> Problem {
        Problem::new(405, format!("this path answers {allowed} only")).with("Allow", allowed)
    }

    /// Returns a request that succeeds later.
    pub(in crate::http) fn later(status: u16, detail: impl Into<String>, after: Duration) -> Problem {
        let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
        Problem::new(status, detail).with("Retry-After", seconds.max(1).to_string())
    }

    /// Returns a collector that is busy.
    pub(in crate::http) fn busy(detail: impl Into<String>) -> Problem {
        Problem::later(503, detail, RETRY_AFTER)
    }

    /// Adds a header.
    pub(in crate::http) fn with(mut self, name: &'static str, value: impl Into<String>) -> Problem {
        self.headers.push((name, value.into()));
        self
    }

    /// Returns the response.
    pub(in crate::http) fn response(&self) -> Response {
        let text = serde_json::json!({
            "type": "about:blank",
            "title": reason(self.status),
            "status": self.status,
            "detail": self.detail,
        });
        let response = Response::of(self.status, PROBLEM_JSON, format!("{text}\n").into_bytes());
        self.headers.iter().fold(response, |response, (name, value)| response.with(name, value))
    }
}

/// A failing database is the collector's business: the client learns what it can do, the log has the rest.
impl From<store::Error> for Problem {
    fn from(error: store::Error) -> Problem {
        match error.code() {
            // A statement that takes too long, or waits too long for a lock.
            Some("57014") => Problem::busy("the database takes too long to answer this: narrow the request"),
            Some("55P03") => Problem::busy("the database is busy with maintenance: try again"),
            Some(code) if code.starts_with("22") => {
                Problem::bad_request(format!("the database does not take a value: {error}"))
            }
            _ if error.is_unanswered() => Problem::busy("the database does not answer: try again later"),
            Some(_) | None => {
                warn!("http: the database does not answer the API: {error}");
                Problem::busy("the database cannot answer this now: the log of the collector says why")
            }
        }
    }
}
