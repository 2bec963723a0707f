//! Connections to PostgreSQL on which every wait is bounded.

use std::io;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use postgres::{Client, Config, NoTls};
use rustls::ClientConfig;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::{Error, Result};
use crate::conninfo::{ConnInfo, host_text};
use crate::tls;

/// How long making a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long data may stay unacknowledged before the connection counts as dead.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(30);

/// After this silence the peer is asked whether it is there.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(15);

/// How often it is asked again, [`KEEPALIVE_RETRIES`] times.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);

/// How many unanswered questions make a peer dead.
const KEEPALIVE_RETRIES: u32 = 3;

/// How long one statement of a writer may take. The long ones (loads, maintenance) set their own.
const STATEMENT_TIMEOUT_MS: u32 = 60_000;

/// How long a statement of a writer may wait for one lock.
const LOCK_TIMEOUT_MS: u32 = 20_000;

/// How long one statement of the status page or of the health check may take.
const READER_STATEMENT_TIMEOUT_MS: u32 = 3_000;

/// How long it may wait for one lock.
const READER_LOCK_TIMEOUT_MS: u32 = 1_000;

/// How long the server lets a transaction of ours idle: a collector that hangs must not hold its locks for ever.
const IDLE_IN_TRANSACTION_TIMEOUT_MS: u32 = 120_000;

/// Connects to `url`; `thread` stands behind `rib-ingester/` in `pg_stat_activity`.
///
/// # Errors
/// The URL, or whatever PostgreSQL says. No error text holds the password.
pub fn connect(url: &str, thread: &str) -> Result<Client> {
    let ConnInfo { mut config, tls, password_file } = ConnInfo::parse(url).map_err(Error::Url)?;
    let tls = tls::client(&tls).map_err(Error::Url)?;
    if let Some(file) = password_file {
        config.password(password_in(&file)?);
    }
    config.application_name(&format!("rib-ingester/{thread}"));
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_TIMEOUT);
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(TCP_USER_TIMEOUT);
    }
    config
        .keepalives(true)
        .keepalives_idle(KEEPALIVE_IDLE)
        .keepalives_interval(KEEPALIVE_INTERVAL)
        .keepalives_retries(KEEPALIVE_RETRIES);
    // A notice (of CREATE IF NOT EXISTS, say) is news to nobody.
    config.notice_callback(|notice| log::debug!("postgresql: {notice}"));
    let mut client = open(&config, tls)?;
    // By statement and not by start-up options, which connection poolers refuse.
    client.batch_execute(&format!(
        "SET TimeZone = 'UTC'; SET statement_timeout = {STATEMENT_TIMEOUT_MS}; SET lock_timeout = {LOCK_TIMEOUT_MS}; \
         SET idle_in_transaction_session_timeout = {IDLE_IN_TRANSACTION_TIMEOUT_MS}; SET client_min_messages = warning"
    ))?;
    Ok(client)
}

/// Makes the connection. The client panics when there is no file descriptor for its event loop, and a crowd at the BMP
/// port must not end the collector: whether there are enough is asked first.
fn open(config: &Config, tls: Option<ClientConfig>) -> Result<Client> {
    /// The client's event loop, the socket, the files of a login, and some to spare.
    const FILE_DESCRIPTORS: usize = 12;
    let standard_error = std::io::stderr();
    let spare: io::Result<Vec<_>> =
        (0..FILE_DESCRIPTORS).map(|_| standard_error.as_fd().try_clone_to_owned()).collect();
    drop(spare.map_err(|error| Error::Local(format!("no file descriptors for a connection: {error}")))?);
    // Someone else may have taken them since.
    let opened = catch_unwind(AssertUnwindSafe(|| match tls {
        None => config.connect(NoTls),
        Some(tls) => config.connect(MakeRustlsConnect::new(tls)),
    }));
    match opened {
        Ok(client) => Ok(client?),
        Err(_) => Err(Error::Local("the PostgreSQL client failed to start".to_owned())),
    }
}

/// As [`connect`], for a thread that only reads and must never be a burden: no writes, no long statements.
///
/// # Errors
/// As [`connect`].
pub fn connect_reader(url: &str, thread: &str) -> Result<Client> {
    let mut client = connect(url, thread)?;
    client.batch_execute(&format!(
        "SET default_transaction_read_only = on; SET statement_timeout = {READER_STATEMENT_TIMEOUT_MS}; \
         SET lock_timeout = {READER_LOCK_TIMEOUT_MS}; SET max_parallel_workers_per_gather = 0; SET work_mem = '16MB'"
    ))?;
    Ok(client)
}

/// What stands on the first line of a password file.
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

/// What stands around a password and is seldom meant; a password may hold it.
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

/// The URL's target without its password: `user@host:port/database`.
///
/// # Errors
/// The URL.
pub fn describe(url: &str) -> Result<String> {
    let config = ConnInfo::parse(url).map_err(Error::Url)?.config;
    let host = config.get_hosts().first().map(host_text).unwrap_or_default();
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let user = config.get_user().unwrap_or("?");
    Ok(format!("{user}@{host}:{port}/{}", config.get_dbname().unwrap_or(user)))
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
        check("user=me dbname=rib", Err("names no host"));
        let bad = describe("postgres://me:secret@db.example:notaport/rib").unwrap_err().to_string();
        assert!(!bad.contains("secret"), "{bad}");
    }
}
