//! `RESYNC_ON_DRIFT`: the size and duration of a difference between stored and reported routes that causes a resync.

use std::time::Duration;

use super::value;

/// The unit of a share: millionths.
const WHOLE: u128 = 1_000_000;

/// The maximum duration.
const LASTING_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The limit beyond which a router has to dump again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResyncOnDrift {
    /// The share of the larger number of routes that may be missing or surplus, in millionths.
    share: u32,
    /// The time for which the difference has to exceed the share.
    pub(crate) lasting: Duration,
}

impl ResyncOnDrift {
    /// Returns whether the `stored` and `reported` numbers of routes differ by more than the share.
    pub(crate) fn is_above(self, stored: u64, reported: u64) -> bool {
        let difference = u128::from(stored.abs_diff(reported));
        difference * WHOLE > u128::from(self.share) * u128::from(stored.max(reported))
    }
}

/// Parses a share and a duration: `1%,5m`.
pub fn resync_on_drift(text: &str) -> Result<ResyncOnDrift, String> {
    let (share, lasting) = text.split_once(',').ok_or("is not a share and a duration, such as 1%,5m")?;
    Ok(ResyncOnDrift { share: parse_share(share.trim())?, lasting: parse_duration(lasting.trim())? })
}

fn parse_share(text: &str) -> Result<u32, String> {
    let wrong = || format!("{} is not a share, such as 1% or 0.5%", value::quoted(text));
    let number = text.strip_suffix('%').ok_or_else(wrong)?;
    let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty();
    if !digits(whole) || !digits(decimals) || decimals.len() > 4 {
        return Err(wrong());
    }
    // One percent is ten thousand millionths.
    let share: u32 = format!("{whole}{decimals:0<4}").parse().map_err(|_| wrong())?;
    if share < 1_000_000 { Ok(share) } else { Err(format!("{text} is too large")) }
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{} is not a duration, such as 90s, 5m or 1h", value::quoted(text));
    let seconds_of = |unit| match unit {
        "s" => Some(1),
        "m" => Some(60),
        "h" => Some(60 * 60),
        _ => None,
    };
    let (number, unit) = text.split_at(text.find(|of: char| !of.is_ascii_digit()).ok_or_else(wrong)?);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let lasting = Duration::from_secs(number.saturating_mul(seconds_of(unit).ok_or_else(wrong)?));
    match lasting {
        Duration::ZERO => Err(format!("{text} is too short")),
        _ if lasting > LASTING_MAX => Err(format!("{text} is too long")),
        _ => Ok(lasting),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_and_a_duration() {
        let parsed = |text| resync_on_drift(text).map(|rule| (rule.share, rule.lasting.as_secs()));
        assert_eq!(parsed("1%,5m"), Ok((10_000, 300)));
        assert_eq!(parsed("0.25%, 90s"), Ok((2_500, 90)));
        assert_eq!(parsed("0%,2h"), Ok((0, 7_200)));
        let wrong =
            ["1%", "1,5m", "%,5m", "1.%,5m", "-1%,5m", "0.00001%,5m", "100%,5m", "1%,5", "1%,m", "1%,0s", "1%,8d"];
        for text in wrong.into_iter().chain(["1%,169h", "1%,5m,6m", "99999999999%,5m"]) {
            assert!(resync_on_drift(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_share_is_of_the_larger_number() {
        let rule = resync_on_drift("10%,1s").unwrap();
        assert!(!rule.is_above(100, 90) && rule.is_above(100, 89));
        assert!(!rule.is_above(90, 100) && rule.is_above(89, 100));
        assert!(rule.is_above(0, 1) && rule.is_above(1, 0) && !rule.is_above(0, 0));
        assert!(rule.is_above(0, u64::MAX));
        assert!(!resync_on_drift("0%,1s").unwrap().is_above(7, 7) && resync_on_drift("0%,1s").unwrap().is_above(7, 8));
    }
}
