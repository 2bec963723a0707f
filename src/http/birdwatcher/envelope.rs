//! The members of every answer beside its content: the version, and the time for which the answer holds.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::http::reply::Reply;
use crate::http::response::Response;
use crate::model::Timestamp;

/// The version of this API is the collector's.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The time for which clients keep an answer. One that is over at once is asked for again with every click.
const TTL: Duration = Duration::from_secs(60);

/// Returns the members of every answer.
pub(super) fn members(now: Timestamp) -> Map<String, Value> {
    let ttl = Timestamp::from_unix_micros(now.unix_micros() + i64::try_from(TTL.as_micros()).unwrap_or(0));
    let mut members = Map::new();
    let cached_at = json!({ "date": now, "timezone_type": "UTC", "timezone": "UTC" });
    let api = json!({ "Version": VERSION, "result_from_cache": false, "cache_status": { "cached_at": cached_at } });
    members.insert("api".to_owned(), api);
    members.insert("ttl".to_owned(), json!(ttl));
    members
}

/// Returns an answer with one more member.
pub(super) fn answer(name: &str, value: Value) -> Reply {
    let mut members = members(Timestamp::now());
    members.insert(name.to_owned(), value);
    Reply::Whole(Response::json(format!("{}\n", Value::Object(members))))
}

/// Formats a time as BIRD does with `timeformat iso long`: `2026-11-21 07:45:12`, in UTC.
pub(super) fn time(time: Timestamp) -> String {
    let mut text = time.to_utc();
    text.truncate("2026-11-21 07:45:12".len());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_holds_for_a_minute() {
        let now = Timestamp::from_unix_micros(1_700_000_000_000_000);
        let members = Value::Object(members(now));
        assert_eq!(members["api"]["cache_status"]["cached_at"]["date"], "2023-11-14T22:13:20.000000Z");
        assert_eq!(members["ttl"], "2023-11-14T22:14:20.000000Z");
        assert_eq!(time(now), "2023-11-14 22:13:20");
    }
}
