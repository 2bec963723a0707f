//! Connections to PostgreSQL on which every wait is bounded.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, bounded};
use postgres::Client;

use super::error::{Error, Result};
use super::frames::statement_timeout_of;
use super::way::{Way, quieten};
use super::{suitable, watchdog};
use crate::conninfo::{ConnInfo, host_text};
use crate::tls;

/// The interval at which a thread that waits for a connection checks whether the collector must stop.
const STOP_POLL: Duration = Duration::from_millis(50);

/// The longest time an address may take to accept a connection; TLS and the login may take this long again.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest time data may stay unacknowledged before the connection counts as dead.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(30);

/// The silence after which the kernel sends the first TCP keepalive probe.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(15);

/// The interval between further probes, of which there are [`KEEPALIVE_RETRIES`].
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);

/// The number of unanswered probes after which the connection counts as dead.
const KEEPALIVE_RETRIES: u32 = 3;

/// The longest time one statement of a writer may take, unless the options of the URL set a shorter one. Long
/// statements (loads, maintenance) set their own.
const STATEMENT_TIMEOUT_MS: u32 = 60_000;

/// The longest time a statement of a writer may wait for one lock.
const LOCK_TIMEOUT_MS: u32 = 20_000;

/// The longest time one statement of the status page or of the health check may take.
const READER_STATEMENT_TIMEOUT_MS: u32 = 3_000;

/// The longest time such a statement may wait for one lock.
const READER_LOCK_TIMEOUT_MS: u32 = 1_000;

/// The longest time the server lets a transaction of ours idle: a collector that hangs must not keep its locks forever.
const IDLE_IN_TRANSACTION_TIMEOUT_MS: u32 = 120_000;

/// The largest number of attempts to connect that may hang at a time (in a name server, say); beyond it none is begun.
const LEFT_BEHIND_MAX: usize = 16;

/// The number of attempts to connect in progress: those still awaited and those abandoned.
static CONNECTING: AtomicUsize = AtomicUsize::new(0);

/// Connects to `url`; the connection's name in `pg_stat_activity` is `rib-ingester/` followed by `thread`.
///
/// # Errors
/// When the URL is invalid, or the server is unreachable, refuses the login or is unsuitable. No error text contains
/// the password.
pub fn connect(url: &str, thread: &str) -> Result<Client> {
    let mut client = open(url, thread)?;
    suitable::keeps_sessions(url, &mut client, || open(url, "pool-check"))?;
    // Set by statement, not by start-up options, which connection poolers reject. transaction_timeout came with
    // PostgreSQL 17. Compiling a plan (jit) takes longer than any statement here gains by it: a quarter of a second for
    // one that returns a row.
    client.batch_execute(&format!(
        "SET TimeZone = 'UTC'; SET statement_timeout = {}; SET lock_timeout = {LOCK_TIMEOUT_MS}; \
         SET idle_in_transaction_session_timeout = {IDLE_IN_TRANSACTION_TIMEOUT_MS}; SET client_min_messages = warning; \
         SET jit = off; \
         SELECT set_config(name, '0', false) FROM pg_settings WHERE name IN ('idle_session_timeout', 'transaction_timeout')",
        statement_timeout(url, STATEMENT_TIMEOUT_MS),
    ))?;
    Ok(client)
}

/// Returns `max`, or the statement timeout in the options of the URL if that is shorter, in milliseconds. The
/// watchdog's limit follows it too.
fn statement_timeout(url: &str, max: u32) -> u32 {
    let given = ConnInfo::parse(url).ok().and_then(|info| statement_timeout_of(info.config.get_options()?));
    given.and_then(|given| u32::try_from(given.as_millis()).ok()).map_or(max, |given| given.min(max))
}

/// Connects in a thread that is abandoned if it hangs: name resolution has no time limit, and a stop must not wait for
/// it.
fn open(url: &str, thread: &str) -> Result<Client> {
    let ConnInfo { mut config, tls, password_file } = ConnInfo::parse(url).map_err(Error::Url)?;
    let tls_config = tls::client(&tls).map_err(Error::Url)?;
    if let Some(file) = password_file {
        config.password(password_in(&file)?);
    }
    config.application_name(&format!("rib-ingester/{thread}"));
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(TCP_USER_TIMEOUT);
    }
    let time_max = *config.get_connect_timeout().unwrap_or(&CONNECT_TIMEOUT);
    config
        .connect_timeout(time_max)
        .keepalives(true)
        .keepalives_idle(KEEPALIVE_IDLE)
        .keepalives_interval(KEEPALIVE_INTERVAL)
        .keepalives_retries(KEEPALIVE_RETRIES);
    quieten(&mut config);
    let hosts = u32::try_from(config.get_hosts().len()).unwrap_or(1);
    let ways = Way::all(config, thread, time_max, tls_config.as_ref())?;
    let places = CONNECTING.fetch_add(1, Ordering::AcqRel);
    let place = ConnectSlot;
    if places >= LEFT_BEHIND_MAX {
        return Err(Error::Local(format!("{places} attempts to connect hang, perhaps in a name server")));
    }
    let (done, opened) = bounded(1);
    let attempt = move || {
        let _place = place;
        // The receiver may have stopped waiting.
        let _ = done.send(take_first(ways));
    };
    std::thread::Builder::new()
        .name("db-connect".to_owned())
        .spawn(attempt)
        .map_err(|error| Error::Local(format!("no thread for a connection: {error}")))?;
    // Each host gets this time for TCP and the same again for the login; one more share is for name resolution.
    let deadline = Instant::now() + time_max.saturating_mul(hosts.saturating_mul(2).saturating_add(1));
    loop {
        match opened.recv_timeout(STOP_POLL) {
            Ok(result) => return result,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Error::Local("the PostgreSQL client failed to start".to_owned()));
            }
            Err(RecvTimeoutError::Timeout) if watchdog::is_abandoned() || Instant::now() >= deadline => {
                return Err(Error::NoAnswer("making the connection takes too long".to_owned()));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// Returns a client by the first way that reaches a server; otherwise the error of the last one.
fn take_first(ways: Vec<Way>) -> Result<Client> {
    let mut last = Error::Url("has no host".to_owned());
    for way in ways {
        match way.take() {
            Ok(client) => return Ok(client),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// One of the [`LEFT_BEHIND_MAX`] places for attempts; freed on drop.
struct ConnectSlot;

impl Drop for ConnectSlot {
    fn drop(&mut self) {
        CONNECTING.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Returns the statements that set up a connection which only reads and must not load the server: no writes, no long
/// statements.
pub(super) fn reader_settings(url: &str) -> String {
    format!(
        "SET default_transaction_read_only = on; SET statement_timeout = {}; \
         SET lock_timeout = {READER_LOCK_TIMEOUT_MS}; SET max_parallel_workers_per_gather = 0; SET work_mem = '16MB'",
        statement_timeout(url, READER_STATEMENT_TIMEOUT_MS),
    )
}

/// Returns the first line of a password file.
fn password_in(file: &Path) -> Result<String> {
    static IS_WARNED: AtomicBool = AtomicBool::new(false);
    let wrong = |why: &str| Error::Url(format!("password file {}: {why}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| wrong(&error.to_string()))?;
    let password = text.lines().next().unwrap_or_default();
    if password.starts_with('\u{feff}') {
        return Err(wrong("begins with a byte-order mark: save it as plain UTF-8"));
    }
    if password.is_empty() {
        return Err(wrong("its first line is empty"));
    }
    if let Some(around) = around_password(password)
        && !IS_WARNED.swap(true, Ordering::Relaxed)
    {
        log::warn!(
            "database: password file {}: the first line has {around} around it, taken as part of the password",
            file.display()
        );
    }
    Ok(password.to_owned())
}

/// Returns the name of characters around a password that are seldom intended (blanks, quotes); they are legal in a
/// password.
fn around_password(password: &str) -> Option<&'static str> {
    let is_in = |quote| password.len() >= 2 && password.starts_with(quote) && password.ends_with(quote);
    if password.trim() != password {
        Some("blanks")
    } else if is_in('"') || is_in('\'') {
        Some("quotes")
    } else {
        None
    }
}

/// Returns the URL's target without its password: `user@host:port/database`, with every host if there are several.
///
/// # Errors
/// When the URL is invalid.
pub fn describe(url: &str) -> Result<String> {
    let config = ConnInfo::parse(url).map_err(Error::Url)?.config;
    let ports = config.get_ports();
    let port = |i: usize| ports.get(i).or(ports.first()).copied().unwrap_or(5432);
    let hosts = config.get_hosts().iter().enumerate().map(|(i, host)| format!("{}:{}", host_text(host), port(i)));
    let hosts = hosts.collect::<Vec<_>>().join(",");
    let user = config.get_user().unwrap_or("?");
    Ok(format!("{user}@{hosts}/{}", config.get_dbname().unwrap_or(user)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let check = |url: &str, want: std::result::Result<&str, &str>| {
            let got = describe(url).map_err(|error| error.to_string());
            match want {
                Ok(text) => assert_eq!(got.as_deref(), Ok(text)),
                Err(part) => assert!(got.as_ref().is_err_and(|error| error.contains(part)), "{url}: {got:?}"),
            }
        };
        check("postgres://me:secret@db.example:5433/rib", Ok("me@db.example:5433/rib"));
        check("host=/run/postgresql user=me dbname=rib", Ok("me@/run/postgresql:5432/rib"));
        check("postgres://me:secret@db.example/rib?sslmode=verify-full", Ok("me@db.example:5432/rib"));
        check("postgres://me:secret@db1,db2:5433/rib", Ok("me@db1:5432,db2:5433/rib"));
        check("user=me dbname=rib", Err("has no host"));
        let bad = describe("postgres://me:secret@db.example:notaport/rib").unwrap_err().to_string();
        assert!(!bad.contains("secret"), "{bad}");
    }
}
