//! Timestamps of routers' messages.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

/// Microseconds since 1970-01-01T00:00:00Z, the time scale of the BMP per-peer header (RFC 7854 section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp {
    micros: i64,
}

impl Timestamp {
    /// Returns the time of the per-peer header's whole seconds and microseconds. Microseconds of a million or more
    /// carry over.
    pub fn from_wire(seconds: u32, micros: u32) -> Timestamp {
        Timestamp { micros: i64::from(seconds) * 1_000_000 + i64::from(micros) }
    }

    /// Returns the time this many microseconds after 1970-01-01T00:00:00Z.
    pub const fn from_unix_micros(micros: i64) -> Timestamp {
        Timestamp { micros }
    }

    /// Returns the current time by this machine's clock.
    pub fn now() -> Timestamp {
        Timestamp { micros: jiff::Timestamp::now().as_microsecond() }
    }

    /// Returns the microseconds since 1970-01-01T00:00:00Z.
    pub fn unix_micros(self) -> i64 {
        self.micros
    }
}

impl Timestamp {
    /// Returns the time to the second, for people: `2026-11-21 07:45:12 UTC`.
    pub(crate) fn to_utc(self) -> String {
        let time = jiff::Timestamp::from_microsecond(self.micros).unwrap_or(jiff::Timestamp::MAX);
        time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
    }
}

/// Writes RFC 3339 in UTC with microseconds: `2026-11-21T06:27:14.000000Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = jiff::Timestamp::from_microsecond(self.micros).unwrap_or(jiff::Timestamp::MAX);
        write!(f, "{time:.6}")
    }
}

/// The same text in JSON.
impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Formats an age in one unit: `12 s`, `3 min`, `5 h`, `20 d`.
pub fn age(age: Duration) -> String {
    let seconds = age.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_read_seconds_and_the_zone() {
        assert_eq!(Timestamp::from_unix_micros(1_700_000_000_923_456).to_utc(), "2023-11-14 22:13:20 UTC");
    }

    #[test]
    fn rfc_3339_with_six_digits() {
        assert_eq!(Timestamp::from_wire(0, 5).to_string(), "1970-01-01T00:00:00.000005Z");
        assert_eq!(Timestamp::from_wire(u32::MAX, u32::MAX).to_string(), "2106-02-07T07:39:49.967295Z");
    }

    #[test]
    fn an_age_has_one_unit() {
        let ages = [0, 119, 120, 7_199, 7_200, 172_799, 172_800].map(|seconds| age(Duration::from_secs(seconds)));
        assert_eq!(ages, ["0 s", "119 s", "2 min", "119 min", "2 h", "47 h", "2 d"]);
    }
}
