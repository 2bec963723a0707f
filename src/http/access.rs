//! Who may use the API: the tokens of `API_TOKEN_FILE`, and how often anybody may ask.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use log::{error, info, warn};

use super::problem::Problem;
use crate::config::tokens::{self, Token, TokenScope};

/// The interval at which the file is checked for changes.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The number of addresses and tokens whose rates are remembered.
const RATES_MAX: usize = 4096;

/// The tokens in force.
#[derive(Debug)]
pub(crate) struct Tokens {
    file: Option<PathBuf>,
    tokens: RwLock<Vec<Token>>,
    /// When the file was last checked, and what was seen then.
    checked: Mutex<(Instant, Option<Stamp>)>,
}

/// The time of a file's last change, and its length.
type Stamp = (SystemTime, u64);

impl Tokens {
    /// Reads the file, if there is one.
    ///
    /// # Errors
    /// It cannot be read, or a line is invalid.
    pub(crate) fn load(file: Option<&Path>) -> Result<Tokens, String> {
        let (stamp, tokens) = match file {
            Some(path) => (stamp(path), read(path)?),
            None => (None, Vec::new()),
        };
        let checked = Mutex::new((Instant::now(), stamp));
        Ok(Tokens { file: file.map(Path::to_owned), tokens: RwLock::new(tokens), checked })
    }

    /// Returns whether there is a file.
    pub(super) fn is_configured(&self) -> bool {
        self.file.is_some()
    }

    /// Returns the line of a token.
    pub(in crate::http) fn find(&self, presented: &str) -> Option<Token> {
        tokens::find(&self.tokens.read().unwrap_or_else(PoisonError::into_inner), presented).cloned()
    }

    /// Reads the file again if it has changed; an invalid one keeps the previous tokens.
    pub(super) fn refresh(&self) {
        let Some(path) = &self.file else { return };
        let Ok(mut checked) = self.checked.try_lock() else { return };
        if checked.0.elapsed() < CHECK_INTERVAL {
            return;
        }
        let seen = stamp(path);
        if std::mem::replace(&mut *checked, (Instant::now(), seen)).1 == seen {
            return;
        }
        match read(path) {
            Ok(read) => {
                info!("API tokens: read again, {} tokens", read.len());
                *self.tokens.write().unwrap_or_else(PoisonError::into_inner) = read;
            }
            Err(why) => error!("API tokens: old ones kept: {why}"),
        }
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

/// Reads the file; warns if other users may read it.
fn read(path: &Path) -> Result<Vec<Token>, String> {
    use std::os::unix::fs::PermissionsExt;
    const OTHERS: u32 = 0o007;
    let tokens = tokens::read(path).map_err(|problem| problem.to_string())?;
    if std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & OTHERS != 0) {
        warn!("API tokens: every user of this machine may read or write {}", path.display());
    }
    Ok(tokens)
}

/// Who asks.
#[derive(Clone, Debug)]
pub(in crate::http) struct Caller {
    /// The client's address.
    pub(in crate::http) client: IpAddr,
    /// The valid token that it has sent.
    pub(in crate::http) token: Option<Token>,
    /// True if it has sent a token that is not valid.
    pub(in crate::http) is_mistaken: bool,
    /// True if the port is bound to a loopback address: whoever reaches it is on this machine.
    pub(in crate::http) is_local: bool,
    /// True if there is a file of tokens.
    pub(in crate::http) has_tokens: bool,
}

impl Caller {
    /// Checks that the caller may read the API.
    ///
    /// # Errors
    /// It needs a valid token, or there is no API beyond loopback.
    pub(in crate::http) fn may_read(&self) -> Result<(), Problem> {
        if !self.is_local && !self.has_tokens {
            return Err(Problem::not_found("there is no API here: RIB_INGESTER_API_TOKEN_FILE is not set"));
        }
        if self.token.is_some() || (self.is_local && !self.is_mistaken) {
            return Ok(());
        }
        Err(unauthorized(if self.is_mistaken { "this token is not valid" } else { "the API needs a token" }))
    }

    /// Checks that the caller may change something, and returns its token.
    ///
    /// # Errors
    /// It has no valid token, or one for reading.
    pub(in crate::http) fn may_write(&self) -> Result<&Token, Problem> {
        self.may_read()?;
        match &self.token {
            Some(token) if token.scope == TokenScope::Write => Ok(token),
            Some(_) => Err(Problem::new(403, "this token is for reading only")),
            None => Err(unauthorized("a change needs a token of scope write")),
        }
    }
}

fn unauthorized(why: &str) -> Problem {
    Problem::new(401, why).with("WWW-Authenticate", "Bearer")
}

/// The one whose requests are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum RateKey {
    Token(String),
    /// An address, of IPv6 its /64, since a host may have all of them.
    Address(IpAddr),
}

/// The number of requests that one may still send, as of a moment.
#[derive(Debug)]
struct Allowance {
    requests: f64,
    at: Instant,
}

/// The rates of all callers: each may send this many requests a second, and as many at once.
#[derive(Debug)]
pub(super) struct Rates {
    per_second: f64,
    allowances: HashMap<RateKey, Allowance>,
}

impl Rates {
    /// Returns a table without callers.
    pub(super) fn new(per_second: usize) -> Rates {
        Rates { per_second: u32::try_from(per_second).unwrap_or(u32::MAX).into(), allowances: HashMap::new() }
    }

    /// Counts a request.
    ///
    /// # Errors
    /// It is one too many.
    pub(super) fn take(&mut self, caller: &Caller, now: Instant) -> Result<(), Problem> {
        let key = match &caller.token {
            Some(token) => RateKey::Token(token.name.clone()),
            None => RateKey::Address(network(caller.client)),
        };
        if self.allowances.len() >= RATES_MAX && !self.allowances.contains_key(&key) {
            self.make_room(now);
        }
        let (rate, full) = (self.per_second, Allowance { requests: self.per_second, at: now });
        let allowance = self.allowances.entry(key).or_insert(full);
        allowance.requests = allowance.requests_at(now, rate);
        allowance.at = now;
        if allowance.requests < 1.0 {
            let wait = Duration::from_secs_f64((1.0 - allowance.requests) / rate);
            return Err(Problem::later(429, format!("more than {rate} requests a second: send fewer"), wait));
        }
        allowance.requests -= 1.0;
        Ok(())
    }

    /// Forgets those who have sent nothing for a second; if there are none, the one who has been silent the longest.
    fn make_room(&mut self, now: Instant) {
        let rate = self.per_second;
        self.allowances.retain(|_, allowance| allowance.requests_at(now, rate) < rate);
        if self.allowances.len() >= RATES_MAX
            && let Some(oldest) = self.allowances.iter().min_by_key(|(_, one)| one.at).map(|(key, _)| key.clone())
        {
            self.allowances.remove(&oldest);
        }
    }
}

impl Allowance {
    fn requests_at(&self, now: Instant, rate: f64) -> f64 {
        (self.requests + now.saturating_duration_since(self.at).as_secs_f64() * rate).min(rate)
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => Ipv6Addr::from(u128::from(v6) & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(client: &str) -> Caller {
        let client = client.parse().unwrap();
        Caller { client, token: None, is_mistaken: false, is_local: true, has_tokens: false }
    }

    #[test]
    fn each_address_has_its_own_rate() {
        let (mut rates, now) = (Rates::new(2), Instant::now());
        let mut status = |client: &str, millis: u64| {
            let taken = rates.take(&caller(client), now + Duration::from_millis(millis));
            taken.map_or_else(|problem| (problem.status, problem.headers[0].1.clone()), |()| (200, String::new()))
        };
        let (fine, refused) = ((200, String::new()), (429, "1".to_owned()));
        assert_eq!([status("192.0.2.1", 0), status("192.0.2.1", 0)], [fine.clone(), fine.clone()]);
        assert_eq!(status("192.0.2.1", 100), refused);
        assert_eq!(status("192.0.2.2", 100), fine);
        assert_eq!(status("192.0.2.1", 600), fine);
        // One host of IPv6 has many addresses.
        assert_eq!([status("2001:db8::1", 0), status("2001:db8::2", 0)], [fine.clone(), fine]);
        assert_eq!(status("2001:db8::3", 0), refused);
    }

    #[test]
    fn the_table_of_rates_is_bounded() {
        let (mut rates, now) = (Rates::new(1), Instant::now());
        for i in 0..RATES_MAX * 2 {
            let client = Ipv6Addr::from((u128::try_from(i).unwrap()) << 64).to_string();
            let micros = u64::try_from(i).unwrap();
            assert!(rates.take(&caller(&client), now + Duration::from_micros(micros)).is_ok());
        }
        assert_eq!(rates.allowances.len(), RATES_MAX);
        rates.take(&caller("192.0.2.1"), now + Duration::from_secs(60)).unwrap();
        assert_eq!(rates.allowances.len(), 1);
    }

    #[test]
    fn who_may_read_and_write() {
        let status = |is_local, has_tokens, scope: Option<TokenScope>, is_mistaken| {
            let hash = crate::config::tokens::TokenHash::of("t");
            let token = scope.map(|scope| Token::new("bot", hash, scope));
            let caller = Caller { token, is_mistaken, is_local, has_tokens, ..caller("192.0.2.1") };
            let of = |result: Result<(), Problem>| result.map_or_else(|problem| problem.status, |()| 200);
            (of(caller.may_read()), of(caller.may_write().map(|_| ())))
        };
        let (read, write) = (Some(TokenScope::Read), Some(TokenScope::Write));
        assert_eq!(status(true, false, None, false), (200, 401));
        assert_eq!(status(true, true, None, true), (401, 401));
        assert_eq!(status(true, true, read, false), (200, 403));
        assert_eq!(status(false, true, write, false), (200, 200));
        assert_eq!(status(false, true, None, false), (401, 401));
        assert_eq!(status(false, true, None, true), (401, 401));
        assert_eq!(status(false, false, None, false), (404, 404));
    }
}
