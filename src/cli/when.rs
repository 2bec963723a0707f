//! Times and durations as operators write them.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Span, SpanRelativeTo};

use crate::config::value::quoted;
use crate::model::Timestamp;

/// The allowed forms of a time.
const TIME: &str = "allowed: '2026-11-26 01:00 Europe/Berlin', '2026-11-26 01:00 UTC' or 2026-11-26T01:00:00+01:00";

/// Parses a time with its zone. A time that a change of the clocks skips or repeats is refused: it must be given with
/// its offset.
pub(super) fn time(text: &str) -> Result<Timestamp, String> {
    let text = text.trim();
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Ok(Timestamp::from_unix_micros(time.as_microsecond()));
    }
    let wrong = |why: &str| format!("{} {why}; {TIME}", quoted(text));
    if text.parse::<DateTime>().is_ok() {
        return Err(wrong("has no time zone"));
    }
    let (time, zone) = text.rsplit_once(' ').ok_or_else(|| wrong("is not a time"))?;
    let time: DateTime = time.trim().parse().map_err(|_| wrong("is not a time"))?;
    if zone.starts_with(['+', '-']) {
        let joined = format!("{time}{zone}").parse::<jiff::Timestamp>().map_err(|_| wrong("has no known offset"))?;
        return Ok(Timestamp::from_unix_micros(joined.as_microsecond()));
    }
    let zone = TimeZone::get(zone).map_err(|_| wrong("names no known time zone"))?;
    let ambiguous = zone.to_ambiguous_zoned(time);
    let zoned = ambiguous
        .unambiguous()
        .map_err(|_| wrong("is a time that the change of the clocks skips or repeats: give it with its offset"))?;
    Ok(Timestamp::from_unix_micros(zoned.timestamp().as_microsecond()))
}

/// The longest duration, in seconds: a year.
const SECONDS_MAX: i64 = 366 * 86_400;

/// Parses a duration: `3h`, `90m`, `1d 12h`. Returns its microseconds.
pub(super) fn duration(text: &str) -> Result<i64, String> {
    let wrong = || format!("{} is not a duration; allowed: 1 s to 366 d, as 90m, 3h or 1d 12h", quoted(text));
    let span: Span = text.parse().map_err(|_| wrong())?;
    let length = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| wrong())?;
    if !(1..=SECONDS_MAX).contains(&length.as_secs()) {
        return Err(wrong());
    }
    Ok(length.as_secs() * 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_zone() {
        let check = |text: &str, want: Result<&str, &str>| match (time(text), want) {
            (Ok(time), Ok(want)) => assert_eq!(time.to_utc(), want, "{text}"),
            (Err(why), Err(want)) => assert!(why.contains(want), "{text}: {why}"),
            (got, want) => panic!("{text}: {got:?}, not {want:?}"),
        };
        check("2026-11-26 01:00 Europe/Berlin", Ok("2026-11-26 00:00:00 UTC"));
        check("2026-07-26 01:00:30 America/New_York", Ok("2026-07-26 05:00:30 UTC"));
        check("2026-11-26 01:00 UTC", Ok("2026-11-26 01:00:00 UTC"));
        check("2026-11-26T01:00:00+05:30", Ok("2026-11-25 19:30:00 UTC"));
        check("2026-11-26T01:00:00Z", Ok("2026-11-26 01:00:00 UTC"));
        check("2026-11-26 01:00 +02:00", Ok("2026-11-25 23:00:00 UTC"));
        check(
            "2026-11-26 01:00",
            Err("\"2026-11-26 01:00\" has no time zone; allowed: '2026-11-26 01:00 Europe/Berlin'"),
        );
        check("2026-11-26", Err("has no time zone"));
        check("2026-11-26 01:00 Berlin", Err("names no known time zone"));
        check("2026-11-26 25:00 UTC", Err("is not a time"));
        check("tomorrow", Err("is not a time"));
        check("", Err("is not a time"));
        // The night in which the clocks go forward, and the one in which they go back.
        check("2026-03-29 02:30 Europe/Berlin", Err("skips or repeats"));
        check("2026-10-25 02:30 Europe/Berlin", Err("give it with its offset"));
        check("2026-10-25 02:30+02:00", Ok("2026-10-25 00:30:00 UTC"));
    }

    #[test]
    fn durations_have_a_unit() {
        let check = |text, want: Option<i64>| assert_eq!(duration(text).ok(), want.map(|s| s * 1_000_000), "{text}");
        check("3h", Some(10_800));
        check("90m", Some(5_400));
        check("1d 12h", Some(129_600));
        check("2h30m", Some(9_000));
        check("45 s", Some(45));
        for wrong in ["", "3", "0s", "-3h", "3 fortnights", "400d", "99999999999h"] {
            check(wrong, None);
        }
    }
}
