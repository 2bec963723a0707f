//! The connection of a thread beside the writers. What keeps it from its work is told as writers' troubles are.

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
    /// Since when nothing gets through.
    failing_since: Option<Instant>,
    /// What [`Health::answered`] was at the last attempt.
    answered: u64,
}

impl Reported {
    /// It connects at the first attempt.
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

    /// Does `work` once. `None`: it did not get through, which is told unless the collector stops.
    pub(super) fn attempt<T>(&mut self, mut work: impl FnMut(&mut Client) -> store::Result<T>) -> Option<T> {
        loop {
            self.answered = self.health.answered();
            // What ended an outage for others is no news when an idle connection turns out to be broken by it.
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

    /// Since when nothing gets through.
    pub(super) fn failing_since(&self) -> Option<Instant> {
        self.failing_since
    }

    /// Whether somebody else got through since this one did not: then it is worth another try.
    pub(super) fn is_worth_a_try(&self) -> bool {
        self.failing_since.is_some() && self.health.answered() != self.answered
    }

    /// The connection, while there is one.
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
