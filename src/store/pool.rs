//! The connections of everything that reads or works occasionally: pages, health checks, maintenance.
//!
//! Readers share up to [`READERS_MAX`] connections, the API [`API_MAX`] and workers [`WORKERS_MAX`], made on demand and
//! closed when idle, so that the server has few clients of this collector whatever their number. Three kinds of threads are not
//! among them. Writers keep a connection each, for their prepared statements and temporary tables. Whatever holds a
//! session-level advisory lock for long (`identity`) has a connection of its own, and a worker, which may hold one
//! while it works, closes its connection instead of returning it. Threads that are at work every few seconds
//! (`heartbeat`, `expiry`) must not wait for any of these.
//!
//! `r2d2` does the bookkeeping. `r2d2_postgres` does not fit between it and [`connect()`]: its manager keeps one
//! configuration and connector from the start, whereas here the password and the certificates are read again for each
//! connection, a Unix socket is connected by us, an attempt that hangs is abandoned, and the watch over the login has
//! to be told when it ends. By itself `r2d2` would repeat a failed attempt even if no thread waits any more, and report
//! a timeout with the error as text. So an attempt that fails makes a slot with the error in it, and the thread that
//! waits receives that error, with its SQLSTATE and immediately.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use postgres::Client;
use r2d2::{CustomizeConnection, ManageConnection, PooledConnection};
use scheduled_thread_pool::{OnPoolDropBehavior, ScheduledThreadPool};

use super::connect::{connect, reader_settings};
use super::error::{Error, Recovery, Result};
use super::prepared::Statements;

/// The name of the connections of readers in `pg_stat_activity`.
pub(crate) const READER: &str = "reader";

/// The name of a worker's connection until the work gives it its own.
const WORKER: &str = "worker";

/// The largest number of connections that readers have at a time.
const READERS_MAX: u32 = 4;

/// The name of the connections of the API.
const API: &str = "api";

/// The largest number of connections that the API has at a time: one for each of its threads, so that none waits.
const API_MAX: u32 = 11;

/// The number of threads that connect for the API.
const API_THREADS: usize = 2;

/// The largest number of connections that workers have at a time.
const WORKERS_MAX: u32 = 2;

/// The number of threads that connect: as many as there are connections, so that an attempt that hangs delays no other.
const THREADS: usize = (READERS_MAX + WORKERS_MAX) as usize;

/// The time after which an idle connection is closed, within half a minute.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// The longest wait for a connection. An attempt to connect has its own, shorter limits.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// The connections to one database.
#[derive(Debug)]
pub struct Pool {
    readers: r2d2::Pool<Connector>,
    /// Those of the API, so that its clients leave the others to pages and health checks.
    api: r2d2::Pool<Connector>,
    workers: r2d2::Pool<Connector>,
    /// The time when a reader last lost its connection: older ones are lost by the same outage.
    lost_at: Mutex<Instant>,
}

impl Pool {
    /// Creates the pool; the first connection is made when it is needed.
    pub fn new(url: &str) -> Pool {
        let threads = |count: usize, pattern: &str| {
            let builder = ScheduledThreadPool::builder().num_threads(count).thread_name_pattern(pattern);
            Arc::new(builder.on_drop_behavior(OnPoolDropBehavior::DiscardPendingScheduled).build())
        };
        let (for_all, for_api) = (threads(THREADS, "db-pool-{}"), threads(API_THREADS, "db-pool-api-{}"));
        let pool = |thread: &'static str, max: u32, settings: String, threads: &Arc<ScheduledThreadPool>| {
            r2d2::Pool::builder()
                .max_size(max)
                .min_idle(Some(0))
                .idle_timeout(Some(IDLE_MAX))
                .test_on_check_out(false)
                .connection_customizer(Box::new(ReaderSettings(settings)))
                .thread_pool(Arc::clone(threads))
                .build_unchecked(Connector { url: url.to_owned(), thread })
        };
        Pool {
            readers: pool(READER, READERS_MAX, reader_settings(url), &for_all),
            api: pool(API, API_MAX, reader_settings(url), &for_api),
            workers: pool(WORKER, WORKERS_MAX, String::new(), &for_all),
            lost_at: Mutex::new(Instant::now()),
        }
    }

    /// Reads on a connection that cannot write and whose statements end after seconds.
    ///
    /// # Errors
    /// As [`connect()`], when all connections are in use for too long, or when `question` fails.
    pub fn read<T>(&self, question: impl FnOnce(&mut Client) -> Result<T>) -> Result<T> {
        self.read_from(&self.readers, |client, _| question(client))
    }

    /// The same on a connection of the API.
    ///
    /// # Errors
    /// As [`Pool::read`].
    pub(crate) fn read_for_api<T>(&self, question: impl FnOnce(&mut Client) -> Result<T>) -> Result<T> {
        self.read_from(&self.api, |client, _| question(client))
    }

    /// The same with the statements that the connection has prepared.
    ///
    /// # Errors
    /// As [`Pool::read`].
    pub(crate) fn read_prepared<T>(
        &self,
        question: impl FnOnce(&mut Client, &mut Statements) -> Result<T>,
    ) -> Result<T> {
        self.read_from(&self.api, question)
    }

    fn read_from<T>(
        &self,
        pool: &r2d2::Pool<Connector>,
        question: impl FnOnce(&mut Client, &mut Statements) -> Result<T>,
    ) -> Result<T> {
        let lost_at = *self.lost_at.lock().unwrap_or_else(PoisonError::into_inner);
        let mut slot = take(pool, lost_at)?;
        let mut statements = std::mem::take(&mut slot.statements);
        let result = question(slot.client()?, &mut statements);
        if result.is_err() {
            statements.clear();
        }
        slot.statements = statements;
        if result.as_ref().is_err_and(|error| error.verdict() == Recovery::Reconnect) {
            slot.is_spent = true;
            *self.lost_at.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        }
        result
    }

    /// Does `work` on a connection named after the thread. It is closed afterwards, with its settings and the locks
    /// that an error may have left.
    ///
    /// # Errors
    /// As [`connect()`], when all connections are in use for too long, or when `work` fails.
    pub fn work<T>(&self, thread: &str, work: impl FnOnce(&mut Client) -> Result<T>) -> Result<T> {
        let mut slot = take(&self.workers, Instant::now())?;
        slot.is_spent = true;
        let client = slot.client()?;
        client.batch_execute(&format!("SET application_name = 'rib-ingester/{thread}'"))?;
        work(client)
    }
}

/// Takes a connection made after `made_after`, if it is there already, or a new one.
fn take(pool: &r2d2::Pool<Connector>, made_after: Instant) -> Result<PooledConnection<Connector>> {
    let asked = Instant::now();
    loop {
        let left = WAIT_MAX.saturating_sub(asked.elapsed());
        let mut slot = pool
            .get_timeout(left)
            .map_err(|_| Error::NoAnswer(format!("no connection of the pool was free for {} s", WAIT_MAX.as_secs())))?;
        // The thread that wanted this slot did not wait for it.
        let is_old = slot.at < if slot.opened.is_ok() { made_after } else { asked };
        if !is_old {
            return Ok(slot);
        }
        slot.is_spent = true;
    }
}

/// A connection, or the error with which the attempt to make it ended.
struct PoolSlot {
    opened: Result<Client>,
    statements: Statements,
    /// The time when the attempt ended.
    at: Instant,
    /// True if it must not be used again.
    is_spent: bool,
}

impl PoolSlot {
    /// Returns the connection; the error is returned only once.
    fn client(&mut self) -> Result<&mut Client> {
        match &mut self.opened {
            Ok(client) => Ok(client),
            Err(error) => Err(std::mem::replace(error, Error::NoAnswer("no connection".to_owned()))),
        }
    }
}

/// Makes the connections. It does not fail: a slot has the error.
#[derive(Debug)]
struct Connector {
    url: String,
    thread: &'static str,
}

impl ManageConnection for Connector {
    type Connection = PoolSlot;
    type Error = Infallible;

    fn connect(&self) -> std::result::Result<PoolSlot, Infallible> {
        let opened = connect(&self.url, self.thread);
        Ok(PoolSlot { opened, statements: Statements::default(), at: Instant::now(), is_spent: false })
    }

    fn is_valid(&self, _: &mut PoolSlot) -> std::result::Result<(), Infallible> {
        // Not called: a test at each check-out would cost a round trip, and the next statement finds out anyway.
        Ok(())
    }

    fn has_broken(&self, slot: &mut PoolSlot) -> bool {
        // A panic leaves a session in an unknown state.
        slot.is_spent || std::thread::panicking() || slot.opened.as_ref().map_or(true, Client::is_closed)
    }
}

/// The session settings of new connections, beyond those of all connections.
#[derive(Debug)]
struct ReaderSettings(String);

impl CustomizeConnection<PoolSlot, Infallible> for ReaderSettings {
    fn on_acquire(&self, slot: &mut PoolSlot) -> std::result::Result<(), Infallible> {
        if let Ok(client) = &mut slot.opened
            && let Err(error) = client.batch_execute(&self.0)
        {
            slot.opened = Err(error.into());
        }
        Ok(())
    }
}
