//! The database connection of a thread other than the writers. Its failures are reported like those of the writers.

use std::sync::Arc;
use std::time::Instant;

use crate::pipeline::{Connection, Health};
use crate::stop::Stop;
use crate::store::{self, Client};

/// A connection whose failures are reported.
pub(super) struct Reported {
    thread: &'static str,
    connection: Connection,
    health: Arc<Health>,
    stop: Stop,
    /// The time since which every attempt has failed.
    failing_since: Option<Instant>,
    /// The value of [`Health::answered`] at the last attempt.
    answered: u64,
}

impl Reported {
    /// Creates the connection; it connects at the first attempt.
    pub(super) fn new(thread: &'static str, database_url: &str, health: &Arc<Health>, stop: &Stop) -> Reported {
        let connection = Connection::new(database_url, thread, health);
        let (health, stop) = (Arc::clone(health), stop.clone());
        Reported { thread, connection, health, stop, failing_since: None, answered: 0 }
    }

    /// Does `work` once. Returns `None` if it failed, which is reported unless the collector stops.
    pub(super) fn attempt<T>(&mut self, mut work: impl FnMut(&mut Client) -> store::Result<T>) -> Option<T> {
        loop {
            self.answered = self.health.answered();
            match self.connection.attempt(self.failing_since.is_some(), &mut work) {
                Ok(value) => {
                    if self.failing_since.take().is_some() {
                        self.health.database_back(self.thread);
                    }
                    return Some(value);
                }
                Err(None) => {}
                Err(Some(error)) => {
                    if !self.stop.is_stopping() {
                        self.failing_since.get_or_insert_with(Instant::now);
                        self.health.database_away(self.thread, &error);
                    }
                    return None;
                }
            }
        }
    }

    /// Returns the time since which every attempt has failed.
    pub(super) fn failing_since(&self) -> Option<Instant> {
        self.failing_since
    }

    /// Returns whether another thread has reached the database since this one failed: then another try is worthwhile.
    pub(super) fn is_worth_a_try(&self) -> bool {
        self.failing_since.is_some() && self.health.answered() != self.answered
    }

    /// Returns the connection, if there is one.
    pub(super) fn client(&mut self) -> Option<&mut Client> {
        self.connection.client()
    }
}

impl Drop for Reported {
    fn drop(&mut self) {
        if self.failing_since.is_some() {
            self.health.leave(self.thread);
        }
    }
}
