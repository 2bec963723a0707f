//! The requests of programs: the JSON API and birdwatcher's API.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::number::{Counter, Gauge, lock};

/// A path with its parameters as names, and the class of a status, such as `2xx`.
pub(crate) type AnswerKind = (&'static str, &'static str);

/// Counters of the APIs.
#[derive(Debug, Default)]
pub struct ApiMeter {
    answers: Mutex<BTreeMap<AnswerKind, u64>>,
    /// Requests that were refused because their sender had sent too many.
    pub(crate) refused: Counter,
    /// Bytes of the bodies of answers.
    pub(crate) bytes: Counter,
    /// Streams that are being produced.
    pub(crate) streams: Gauge,
    /// Clients that hear of events.
    pub(crate) event_clients: Gauge,
}

impl ApiMeter {
    /// Counts an answer. `path` is a path of this program, never a client's text.
    pub(crate) fn count(&self, path: &'static str, status: u16) {
        let class = match status {
            0..300 => "2xx",
            300..400 => "3xx",
            400..500 => "4xx",
            _ => "5xx",
        };
        *lock(&self.answers).entry((path, class)).or_default() += 1;
    }

    /// Returns the numbers of answers by their kind.
    pub(crate) fn answers(&self) -> Vec<(AnswerKind, u64)> {
        lock(&self.answers).iter().map(|(kind, count)| (*kind, *count)).collect()
    }
}
