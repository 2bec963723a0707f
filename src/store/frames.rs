//! Frames of PostgreSQL's protocol as far as [`super::watchdog`] needs them: where a message begins and of what kind it
//! is.

use std::time::Duration;

/// The length of a message's kind and length fields, in octets.
const HEADER: usize = 5;

/// The longest message whose body is kept.
const BODY_MAX: usize = 4096;

/// The limit used for a timeout of 0, which means none: a day is as good.
const NO_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

/// One direction of a connection after its start-up message.
#[derive(Debug, Default)]
pub(super) struct Frames {
    header: [u8; HEADER],
    /// Octets of the header received so far.
    have: usize,
    /// Octets of the body still missing.
    left: usize,
    /// The body received so far, of a message whose body is kept.
    body: Vec<u8>,
}

impl Frames {
    /// Reads on. `told` is called with the kind of each message that ends here, and with its body if that is kept.
    pub(super) fn read(&mut self, mut octets: &[u8], mut told: impl FnMut(u8, &[u8])) {
        while !octets.is_empty() {
            if self.have < HEADER {
                let take = octets.len().min(HEADER - self.have);
                self.header[self.have..self.have + take].copy_from_slice(&octets[..take]);
                self.have += take;
                octets = &octets[take..];
                if self.have < HEADER {
                    return;
                }
                let [_, length @ ..] = self.header;
                // The length includes itself.
                let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
                self.left = length.saturating_sub(HEADER - 1);
            }
            let take = octets.len().min(self.left);
            if self.is_looked_into() {
                self.body.extend_from_slice(&octets[..take]);
            }
            self.left -= take;
            octets = &octets[take..];
            if self.left == 0 {
                told(self.header[0], &self.body);
                self.have = 0;
                self.body.clear();
            }
        }
    }

    /// Returns true for ReadyForQuery and short queries; the bodies of rows and COPY data are skipped.
    fn is_looked_into(&self) -> bool {
        matches!(self.header[0], b'Z' | b'Q') && self.body.len() + self.left <= BODY_MAX
    }
}

/// Returns the last value to which a query sets `statement_timeout`, and whether it is for its transaction only.
pub(super) fn statement_timeout_in(query: &[u8]) -> Option<(Duration, bool)> {
    const SET: &str = "SET ";
    const LOCAL: &str = "LOCAL ";
    const NAME: &str = "statement_timeout";
    let text = std::str::from_utf8(query).ok()?;
    let (before, after) = text.rsplit_once(NAME)?;
    let is_local = before.ends_with(LOCAL);
    if !is_local && !before.ends_with(SET) {
        return None;
    }
    Some((time_in(after.trim_start().strip_prefix('=')?)?, is_local))
}

/// Returns the last value to which the `options` of a connection string set `statement_timeout`.
pub(super) fn statement_timeout_of(options: &str) -> Option<Duration> {
    let (_, after) = options.rsplit_once("statement_timeout=")?;
    time_in(after)
}

/// Parses a time as PostgreSQL does; milliseconds if no unit is given.
fn time_in(value: &str) -> Option<Duration> {
    let value = value.trim_start().trim_start_matches('\'');
    let digits = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    let (number, unit) = value.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let unit_end = unit.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(unit.len());
    let millis = match &unit[..unit_end] {
        "" | "ms" => 1,
        "s" => 1000,
        "min" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    let timeout = Duration::from_millis(number.saturating_mul(millis));
    Some(if timeout.is_zero() { NO_TIMEOUT } else { timeout.min(NO_TIMEOUT) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap();
        [&[kind], length.to_be_bytes().as_slice(), body].concat()
    }

    #[test]
    fn messages_are_told_however_they_are_cut() {
        let stream = [message(b'D', &[7; 9000]), message(b'Q', b"SELECT 1\0"), message(b'Z', b"I"), message(b'1', b"")];
        let stream = stream.concat();
        for size in [1, 2, 3, 5, 7, 4096, stream.len()] {
            let (mut frames, mut told) = (Frames::default(), Vec::new());
            for piece in stream.chunks(size) {
                frames.read(piece, |kind, body| told.push((kind, body.to_vec())));
            }
            let expected = [(b'D', vec![]), (b'Q', b"SELECT 1\0".to_vec()), (b'Z', b"I".to_vec()), (b'1', vec![])];
            assert_eq!(told, expected, "pieces of {size}");
        }
    }

    #[test]
    fn the_time_that_a_query_sets_is_read() {
        let check = |query: &str, expected: Option<(u64, bool)>| {
            let got = statement_timeout_in(query.as_bytes()).map(|(time, is_local)| (time.as_secs(), is_local));
            assert_eq!(got, expected, "{query}");
        };
        check("SET TimeZone = 'UTC'; SET statement_timeout = 60000; SET lock_timeout = 1\0", Some((60, false)));
        check("SET statement_timeout = '30min'; SET lock_timeout = '5s'\0", Some((1800, false)));
        check("SET LOCAL statement_timeout = '10min'", Some((600, true)));
        check("SET statement_timeout = 3000; SET statement_timeout = '1h'", Some((3600, false)));
        check("SET statement_timeout = 0", Some((86_400, false)));
        check("SHOW statement_timeout", None);
        check("SELECT 'statement_timeout = 1'", None);
        check("SET statement_timeout = DEFAULT", None);
    }

    #[test]
    fn the_time_that_options_set_is_read() {
        let check = |options: &str, expected: Option<u64>| {
            assert_eq!(statement_timeout_of(options).map(|time| time.as_secs()), expected, "{options}");
        };
        check("-c statement_timeout=2s", Some(2));
        check("-c statement_timeout=1s -c work_mem=1MB --statement_timeout=7000 -c a=b", Some(7));
        check("-c statement_timeout=0", Some(86_400));
        check("-c lock_timeout=1s", None);
        check("-c statement_timeout=soon", None);
    }
}
