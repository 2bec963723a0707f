//! The parts of a validator's set, and the checks of their values.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use crate::model::rpki::{Aspa, Vrp};
use crate::model::{Afi, Asn, Prefix, Timestamp};

/// The most VRPs and ASPAs of a set: ten times as many as there are.
pub(super) const ENTRIES_MAX: usize = 5_000_000;

/// The longest name of a trust anchor, in characters.
const TRUST_ANCHOR_MAX: usize = 64;

/// The latest time that is one, 9999-12-31: PostgreSQL has more, people do not.
const SECONDS_MAX: i64 = 253_402_300_799;

/// A set of a validator as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParsedSet {
    /// Its VRPs, sorted, each once.
    pub vrps: Vec<Vrp>,
    /// Its ASPAs by customer, each once.
    pub aspas: Vec<Aspa>,
    /// When it was made, as it says.
    pub generated: Option<Timestamp>,
    /// Until when it is valid, as it says.
    pub valid_until: Option<Timestamp>,
}

/// Returns the text of an error, which may quote the set, without markup, and cut.
pub(super) fn plain(text: &str) -> String {
    const CHARACTERS_MAX: usize = 256;
    text.chars().filter(|c| !c.is_control() && !matches!(c, '<' | '>')).take(CHARACTERS_MAX).collect()
}

/// Makes VRPs of what is written in a set.
#[derive(Debug, Default)]
pub(super) struct VrpReader {
    trust_anchors: HashSet<Arc<str>>,
}

impl VrpReader {
    /// Returns the VRP, or what is wrong with it. Without a `maxLength` it is the prefix's own length (RFC 6482 section
    /// 3.3).
    pub(super) fn vrp(
        &mut self,
        prefix: &str,
        max_length: Option<i64>,
        asn: Asn,
        trust_anchor: Option<&str>,
        expires: Option<Timestamp>,
    ) -> Result<Vrp, String> {
        let prefix = parse_prefix(prefix)?;
        let max_length = check_max_length(&prefix, max_length)?;
        let trust_anchor = self.trust_anchor(trust_anchor.unwrap_or_default())?;
        Ok(Vrp { prefix, max_length, asn, trust_anchor, is_slurm: false, expires, comment: None })
    }

    fn trust_anchor(&mut self, name: &str) -> Result<Arc<str>, String> {
        if let Some(known) = self.trust_anchors.get(name) {
            return Ok(Arc::clone(known));
        }
        // Routinator's word for a local exception.
        let name = if name == "N/A" { "" } else { name };
        let is_fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ' ');
        if name.chars().count() > TRUST_ANCHOR_MAX || !name.chars().all(is_fine) {
            let shown: String = name.escape_default().take(TRUST_ANCHOR_MAX).filter(|c| is_fine(*c)).collect();
            return Err(format!(
                "the name of a trust anchor (\"{shown}\") is not 1 to 64 letters, digits, spaces, dots, - and _"
            ));
        }
        let name: Arc<str> = name.trim().to_ascii_lowercase().into();
        self.trust_anchors.insert(Arc::clone(&name));
        Ok(name)
    }
}

/// Returns maxLength, if it can be that of the prefix.
pub(crate) fn check_max_length(prefix: &Prefix, given: Option<i64>) -> Result<u8, String> {
    let Some(given) = given else { return Ok(prefix.length()) };
    if given < i64::from(prefix.length()) {
        return Err(format!("maxLength {given} is shorter than the prefix {prefix}"));
    }
    let max = prefix.afi().max_prefix_length();
    (u8::try_from(given).ok().filter(|length| *length <= max))
        .ok_or_else(|| format!("maxLength {given} of {prefix} is longer than {max}"))
}

/// Parses a prefix without host bits.
pub(crate) fn parse_prefix(text: &str) -> Result<Prefix, String> {
    let shown = || text.escape_default().take(64).collect::<String>();
    let (address, length) = text.split_once('/').ok_or_else(|| format!("\"{}\" is not a prefix", shown()))?;
    let (Ok(address), Ok(length)) = (address.parse::<IpAddr>(), length.parse::<u8>()) else {
        return Err(format!("\"{}\" is not a prefix", shown()));
    };
    let prefix = match address {
        IpAddr::V4(address) => Prefix::new(Afi::Ipv4, &address.octets(), length),
        IpAddr::V6(address) => Prefix::new(Afi::Ipv6, &address.octets(), length),
    };
    prefix.map_err(|error| format!("{text}: {error}"))
}

/// Parses an AS number with or without `AS` before it.
pub(crate) fn parse_asn(text: &str) -> Result<Asn, String> {
    let digits = match text.get(..2) {
        Some(prefix) if prefix.eq_ignore_ascii_case("as") => &text[2..],
        Some(_) | None => text,
    };
    let is_number = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    let number = digits.parse().ok().filter(|_| is_number);
    number
        .map(Asn)
        .ok_or_else(|| format!("\"{}\" is not an AS number", text.escape_default().take(64).collect::<String>()))
}

/// Returns the time that is `seconds` after 1970.
pub(super) fn time_of_seconds(seconds: i64) -> Result<Timestamp, String> {
    if (0..=SECONDS_MAX).contains(&seconds) {
        Ok(Timestamp::from_unix_micros(seconds * 1_000_000))
    } else {
        Err(format!("{seconds} is not a time"))
    }
}

/// Parses a time: RFC 3339, `2026-11-26 03:04:05` in UTC, or seconds since 1970.
pub(super) fn parse_time(text: &str) -> Result<Timestamp, String> {
    if let Ok(seconds) = text.parse::<i64>() {
        return time_of_seconds(seconds);
    }
    let time = text.parse::<jiff::Timestamp>().ok().or_else(|| {
        let civil = text.parse::<jiff::civil::DateTime>().ok()?;
        Some(civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
    });
    time.map(|time| Timestamp::from_unix_micros(time.as_microsecond()))
        .ok_or_else(|| format!("\"{}\" is not a time", text.escape_default().take(64).collect::<String>()))
}
