//! Numbers, sizes and times in human-readable form.

use std::time::Duration;

use indicatif::{HumanBytes, HumanCount};
use maud::{Markup, html};

use crate::model::{Timestamp, time};

/// The placeholder for an unknown value.
pub(super) const NOTHING: &str = "–";

/// Formats a whole number in groups of three digits.
pub(super) fn grouped(number: u64) -> String {
    HumanCount(number).to_string().replace(',', "\u{202f}")
}

/// Formats a number in thousands, millions, ..., with three digits.
pub(super) fn short(number: u64) -> String {
    const UNITS: [&str; 5] = ["", " k", " M", " G", " T"];
    let (mut tenths, mut unit) = (u128::from(number) * 10, 0);
    while tenths >= 10_000 && unit + 1 < UNITS.len() {
        tenths /= 1_000;
        unit += 1;
    }
    let (whole, tenth) = (tenths / 10, tenths % 10);
    if unit == 0 || whole >= 100 {
        format!("{whole}{}", UNITS[unit])
    } else {
        format!("{whole}.{tenth}{}", UNITS[unit])
    }
}

/// Formats a number of bytes in powers of 1024.
pub(super) fn bytes(number: u64) -> String {
    HumanBytes(number).to_string()
}

/// Converts a count from the database; a negative one becomes 0.
pub(super) fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// Formats a duration in the largest unit that fits.
pub(super) fn age(micros: i64) -> String {
    time::age(Duration::from_micros(u64::try_from(micros).unwrap_or(0)))
}

/// Formats a lag in milliseconds or seconds.
pub(super) fn lag(micros: u128) -> String {
    match micros / 1_000 {
        millis @ 0..1_000 => format!("{millis} ms"),
        millis @ 1_000..60_000 => format!("{}.{} s", millis / 1_000, millis / 100 % 10),
        millis => format!("{} min", millis / 60_000),
    }
}

/// Shows a time relative to now; the full time, in UTC, is the tooltip.
pub(super) fn ago(now: Timestamp, time: Option<Timestamp>) -> Markup {
    match time {
        None => html! { span.faint { (NOTHING) } },
        Some(time) => html! {
            time datetime=(time) title=(time.to_utc()) { (age(now.unix_micros() - time.unix_micros())) " ago" }
        },
    }
}

/// Shows a time as `21 Nov 10:17:03 UTC`.
pub(super) fn moment(time: Timestamp) -> Markup {
    let text = jiff::Timestamp::from_microsecond(time.unix_micros())
        .map_or_else(|_| time.to_string(), |time| time.strftime("%d %b %H:%M:%S UTC").to_string());
    html! { time datetime=(time) title=(time.to_utc()) { (text) } }
}

/// Converts a counter of microseconds since 1970, where 0 means never.
pub(super) fn from_micros(micros: u64) -> Option<Timestamp> {
    i64::try_from(micros).ok().filter(|micros| *micros > 0).map(Timestamp::from_unix_micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times() {
        assert_eq!(["0", "999"].map(str::to_owned), [grouped(0), grouped(999)]);
        assert_eq!(grouped(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!([short(999), short(1_000), short(1_250_000), short(99_999)], ["999", "1.0 k", "1.2 M", "99.9 k"]);
        assert_eq!([bytes(1_023), bytes(1_536), age(-1_000_000)], ["1023 B", "1.50 KiB", "0 s"]);
        assert!(moment(Timestamp::from_wire(1_700_000_000, 0)).into_string().contains(">14 Nov 22:13:20 UTC<"));
        assert_eq!([lag(1_999), lag(1_200_000), lag(61_000_000)], ["1 ms", "1.2 s", "1 min"]);
    }
}
