//! A thread's connection, made again when it breaks; and that of a writer, whose work is retried when the database is
//! unavailable.
//!
//! [`Health`] reports the start of an outage, each of its causes and its end, once for all threads that meet it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::health::Health;
use super::options::PipelineOptions;
use crate::metrics::Heartbeat;
use crate::stop::{Backoff, Stop};
use crate::store::transaction_status::{self, Outcome, TransactionId};
use crate::store::{self, Client, Error, Recovery, Transaction};

/// The first pause after a failed attempt; each further one is twice as long.
const PAUSE_MIN: Duration = Duration::from_millis(20);

/// The longest pause between two attempts.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Errors that pass by themselves are logged only for debugging until the pauses are this long.
const SILENT_PAUSE_MAX: Duration = Duration::from_millis(160);

/// The maximum age of a connection. Its staging tables are out of autovacuum's reach: in a connection of months they
/// would hold back the whole database's oldest transaction ID until PostgreSQL refuses to write.
const AGE_MAX: Duration = Duration::from_secs(6 * 60 * 60);

/// The longest time that a writer may work without a new statement. The longest statement, the loading of a table, has
/// 10 minutes.
const STANDSTILL_MAX: Duration = Duration::from_secs(15 * 60);

/// A connection that is made again when it breaks.
pub struct Connection {
    url: String,
    thread: String,
    health: Arc<Health>,
    client: Option<Client>,
    connected_at: Instant,
}

impl Connection {
    /// Creates it; it connects at the first attempt.
    pub fn new(url: &str, thread: &str, health: &Arc<Health>) -> Connection {
        let (url, thread, health) = (url.to_owned(), thread.to_owned(), Arc::clone(health));
        Connection { url, thread, health, client: None, connected_at: Instant::now() }
    }

    /// Does `work` once. `is_failing`: an earlier failure was reported.
    ///
    /// # Errors
    /// `work` fails; `None`: only because an outage that is over for other threads had broken this idle connection,
    /// which is no news. The next attempt connects again.
    pub fn attempt<T>(
        &mut self,
        is_failing: bool,
        work: impl FnOnce(&mut Client) -> store::Result<T>,
    ) -> Result<T, Option<Error>> {
        let is_leftover = self.client.is_some() && self.health.is_told(self.connected_at);
        let error = match self.connected().and_then(work) {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        match error.verdict() {
            Recovery::Reconnect if is_leftover && !is_failing => {
                self.client = None;
                log::debug!("database: {} found its connection broken: {error}", self.thread);
                return Err(None);
            }
            // A new connection may reach another server: a failover can leave this one read-only.
            Recovery::Reconnect | Recovery::NeedsOperator => self.client = None,
            Recovery::BadRow
            | Recovery::RowOrStatement
            | Recovery::TooLong
            | Recovery::NoPartition
            | Recovery::Duplicate
            | Recovery::Again
            | Recovery::Restart => {}
        }
        Err(Some(error))
    }

    /// Returns the connection, if there is one.
    pub fn client(&mut self) -> Option<&mut Client> {
        self.client.as_mut().filter(|client| !client.is_closed())
    }

    fn connected(&mut self) -> store::Result<&mut Client> {
        let is_old = self.connected_at.elapsed() >= AGE_MAX;
        if is_old || self.client().is_none() {
            self.client = None;
            self.client = Some(store::connect(&self.url, &self.thread)?);
            self.connected_at = Instant::now();
        }
        Ok(self.client.as_mut().expect("it was made above if it was missing"))
    }
}

/// A writer's connection, and its pauses while the database is unavailable.
pub(super) struct RetryingClient {
    connection: Connection,
    stop: Stop,
    health: Arc<Health>,
    heartbeat: Arc<Heartbeat>,
    backoff: Backoff,
    is_failing: bool,
}

/// One attempt at some work, and the outcome of those before it.
pub(super) struct Attempt<T> {
    /// The outcome of earlier attempts, as far as it is known.
    pub(super) prior: PriorCommit,
    /// The transaction whose COMMIT was sent, and the result of the work if it was committed.
    committing: Option<(TransactionId, T)>,
}

/// The possibility that an earlier attempt at the same work was committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PriorCommit {
    /// Nothing of the work is stored.
    No,
    /// The connection broke after a COMMIT was sent, and the server does not know the outcome.
    Maybe,
}

impl PriorCommit {
    /// Returns what is known after one more attempt, which was not seen to commit. That it was rolled back says nothing
    /// about those before it.
    fn after(self, outcome: Outcome) -> PriorCommit {
        if outcome == Outcome::Unknown { PriorCommit::Maybe } else { self }
    }
}

impl<T> Attempt<T> {
    /// Commits. If the connection breaks here, the next attempt asks the server for the outcome of the transaction.
    pub(super) fn commit(&mut self, mut transaction: Transaction<'_>, value: T) -> store::Result<T> {
        let id = transaction_status::id_of(&mut transaction)?;
        self.committing = Some((id, value));
        if let Err(error) = transaction.commit() {
            let error = Error::from(error);
            // Only a lost connection leaves a doubt, which includes a server that shuts down: it may report that after
            // the commit.
            if error.verdict() != Recovery::Reconnect {
                self.committing = None;
            }
            return Err(error);
        }
        let (_, value) = self.committing.take().expect("it was put there above, and the commit went well");
        Ok(value)
    }

    /// Returns the result of the work, if its transaction was committed after all.
    fn recall(&mut self, client: &mut Client) -> store::Result<Option<T>> {
        let Some((id, _)) = &self.committing else { return Ok(None) };
        let outcome = transaction_status::outcome_of(client, id)?;
        if outcome == Outcome::Committed {
            return Ok(self.committing.take().map(|(_, value)| value));
        }
        self.prior = self.prior.after(outcome);
        self.committing = None;
        Ok(None)
    }
}

/// The reason why an attempt ended without a result, after waiting for everything that passes by itself.
#[derive(Debug)]
pub(super) enum Failure {
    /// A value is at fault: a data error, or a violated constraint that no other variant covers.
    BadRow(Error),
    /// A value or the statement is at fault.
    RowOrStatement(Error),
    /// The statement took too long.
    TooLong(Error),
    /// The partition or table does not exist.
    NoPartition(Error),
    /// A key exists already.
    Duplicate(Error),
    /// The collector stops and its grace period is over.
    GaveUp,
}

impl RetryingClient {
    /// Creates a client that connects at the first attempt.
    pub(super) fn new(options: &PipelineOptions, thread: &str, stop: Stop, health: Arc<Health>) -> RetryingClient {
        let connection = Connection::new(&options.database_url, thread, &health);
        let heartbeat = options.meters.heartbeat(thread, STANDSTILL_MAX);
        let backoff = Backoff::new(PAUSE_MIN, PAUSE_MAX);
        RetryingClient { connection, stop, health, heartbeat, backoff, is_failing: false }
    }

    /// Returns the name of the thread that uses the connection.
    pub(super) fn thread(&self) -> &str {
        &self.connection.thread
    }

    /// Returns whether the shutdown grace period is over.
    pub(super) fn is_giving_up(&self) -> bool {
        self.stop.is_giving_up()
    }

    /// Records a heartbeat of a writer that waits.
    pub(super) fn progress(&self) {
        self.heartbeat.progress();
    }

    /// Waits for input by `wait`, which may take forever and is not reported as a stall.
    pub(super) fn while_idle<T>(&self, wait: impl FnOnce() -> T) -> T {
        self.heartbeat.idle();
        let got = wait();
        self.heartbeat.progress();
        got
    }

    /// Does `work`, and repeats it until it succeeds, fails for a reason that does not pass by itself, or the shutdown
    /// grace period is over.
    pub(super) fn retry<T>(
        &mut self,
        mut work: impl FnMut(&mut Client, &mut Attempt<T>) -> store::Result<T>,
    ) -> Result<T, Failure> {
        let mut attempt = Attempt { prior: PriorCommit::No, committing: None };
        loop {
            self.wait_for_lock()?;
            self.heartbeat.progress();
            let result = self.connection.attempt(self.is_failing, |client| match attempt.recall(client)? {
                Some(value) => Ok(value),
                None => work(client, &mut attempt),
            });
            let error = match result {
                Ok(value) => {
                    self.recovered();
                    return Ok(value);
                }
                Err(None) => {
                    Health::count(&self.health.retries, 1);
                    continue;
                }
                Err(Some(error)) => error,
            };
            match error.verdict() {
                Recovery::BadRow => return Err(Failure::BadRow(error)),
                Recovery::RowOrStatement => return Err(Failure::RowOrStatement(error)),
                Recovery::TooLong => return Err(Failure::TooLong(error)),
                Recovery::NoPartition => return Err(Failure::NoPartition(error)),
                Recovery::Duplicate => return Err(Failure::Duplicate(error)),
                Recovery::Restart => self.health.lock.set_went_back(&error.to_string()),
                Recovery::Again | Recovery::Reconnect | Recovery::NeedsOperator => self.wait_after(&error)?,
            }
        }
    }

    /// Waits until this process is the collector: nothing is written under an identifier that another process may have.
    /// The thread that watches the lock reports why; each check after a pause counts as a retry.
    fn wait_for_lock(&mut self) -> Result<(), Failure> {
        loop {
            if self.stop.is_giving_up() {
                return Err(Failure::GaveUp);
            }
            if self.health.lock.may_write() {
                return Ok(());
            }
            Health::count(&self.health.retries, 1);
            self.stop.wait_to_write(Instant::now() + self.backoff.take(), || {
                self.heartbeat.progress();
                self.health.lock.may_write()
            });
        }
    }

    /// Returns whether the database accepts `work`, which is rolled back.
    pub(super) fn would_do(&mut self, mut work: impl FnMut(&mut Transaction<'_>) -> store::Result<()>) -> bool {
        let done = self.retry(|client, _| {
            let mut transaction = client.transaction()?;
            work(&mut transaction)?;
            Ok(transaction.rollback()?)
        });
        done.is_ok()
    }

    /// Does `work` once, on the existing connection. A failure is logged only for debugging.
    pub(super) fn glance<T>(&mut self, work: impl FnOnce(&mut Client) -> store::Result<T>) -> Option<T> {
        let done = work(self.connection.client()?);
        if let Err(error) = &done {
            log::debug!("database: {} did not learn what it asked for: {error}", self.thread());
            self.connection.client = None;
        }
        done.ok()
    }

    /// Repeats `work`, for which no row can be at fault, whatever error the database returns. `None`: the shutdown
    /// grace period is over.
    pub(super) fn retry_forever<T>(&mut self, mut work: impl FnMut(&mut Client) -> store::Result<T>) -> Option<T> {
        loop {
            let error = match self.retry(|client, _| work(client)) {
                Ok(value) => return Some(value),
                Err(Failure::GaveUp) => return None,
                Err(
                    Failure::BadRow(error)
                    | Failure::RowOrStatement(error)
                    | Failure::TooLong(error)
                    | Failure::NoPartition(error)
                    | Failure::Duplicate(error),
                ) => error,
            };
            self.wait_after(&error).ok()?;
        }
    }

    /// Notes that an attempt failed and pauses, longer each time.
    pub(super) fn wait_after(&mut self, error: &Error) -> Result<(), Failure> {
        Health::count(&self.health.retries, 1);
        // A deadlock is over before anyone has read about it.
        let is_passing = error.verdict() == Recovery::Again && self.backoff.next() < SILENT_PAUSE_MAX;
        let answered = self.health.answered();
        if self.is_failing {
            // Another cause gets another line in the log.
            self.health.database_away(self.thread(), error);
        } else if !is_passing {
            self.is_failing = true;
            self.health.begin_failing(self.thread(), error);
        } else {
            log::debug!("database: {} cannot write: {error}", self.thread());
        }
        let goes_on = self.stop.wait_to_write(Instant::now() + self.backoff.take(), || {
            self.heartbeat.progress();
            // Another thread succeeded: no need to wait for the end of a long pause.
            self.health.answered() != answered
        });
        if goes_on { Ok(()) } else { Err(Failure::GaveUp) }
    }

    fn recovered(&mut self) {
        self.backoff.reset();
        if std::mem::take(&mut self.is_failing) {
            self.health.end_failing(self.thread());
        }
    }
}

impl Drop for RetryingClient {
    fn drop(&mut self) {
        if self.is_failing {
            self.health.leave_failing(self.thread());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_doubt_outlasts_a_later_rollback() {
        let after =
            |outcomes: &[Outcome]| outcomes.iter().fold(PriorCommit::No, |prior, outcome| prior.after(*outcome));
        assert_eq!(after(&[Outcome::RolledBack]), PriorCommit::No);
        assert_eq!(after(&[Outcome::RolledBack, Outcome::Unknown]), PriorCommit::Maybe);
        assert_eq!(after(&[Outcome::Unknown, Outcome::RolledBack]), PriorCommit::Maybe);
    }
}
