//! The database connection of a thread other than the writers. Its failures are reported like those of the writers.

use std::sync::Arc;
use std::time::Instant;

use crate::pipeline::Health;
use crate::stop::Stop;
use crate::store::{self, Client, Recovery};

/// A connection that is made again when it breaks.
pub(super) struct Reported {
    thread: &'static str,
    database_url: String,
    health: Arc<Health>,
    stop: Stop,
    client: Option<Client>,
    connected_at: Instant,
    /// The time since which every attempt has failed.
    failing_since: Option<Instant>,
    /// The value of [`Health::answered`] at the last attempt.
    answered: u64,
}

impl Reported {
    /// Creates the connection; it connects at the first attempt.
    pub(super) fn new(thread: &'static str, database_url: &str, health: &Arc<Health>, stop: &Stop) -> Reported {
        Reported {
            thread,
            database_url: database_url.to_owned(),
            health: Arc::clone(health),
            stop: stop.clone(),
            client: None,
            connected_at: Instant::now(),
            failing_since: None,
            answered: 0,
        }
    }

    /// Does `work` once. Returns `None` if it failed, which is reported unless the collector stops.
    pub(super) fn attempt<T>(&mut self, mut work: impl FnMut(&mut Client) -> store::Result<T>) -> Option<T> {
        loop {
            self.answered = self.health.answered();
            // An idle connection that an outage has broken is not news if the outage is already over for other threads.
            let is_leftover = self.client.is_some() && self.health.is_told(self.connected_at);
            let error = match self.connected().and_then(&mut work) {
                Ok(value) => {
                    if self.failing_since.take().is_some() {
                        self.health.database_back(self.thread);
                    }
                    return Some(value);
                }
                Err(error) => error,
            };
            self.client = None;
            if is_leftover && self.failing_since.is_none() && error.verdict() == Recovery::Reconnect {
                log::debug!("database: {} found its connection broken: {error}", self.thread);
                continue;
            }
            if !self.stop.is_stopping() {
                self.failing_since.get_or_insert_with(Instant::now);
                self.health.database_away(self.thread, &error);
            }
            return None;
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
        self.client.as_mut()
    }

    fn connected(&mut self) -> store::Result<&mut Client> {
        match &mut self.client {
            Some(client) => Ok(client),
            none => {
                let client = store::connect(&self.database_url, self.thread)?;
                self.connected_at = Instant::now();
                Ok(none.insert(client))
            }
        }
    }
}

impl Drop for Reported {
    fn drop(&mut self) {
        if self.failing_since.is_some() {
            self.health.leave(self.thread);
        }
    }
}
