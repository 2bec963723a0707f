//! Threads that work for all collectors of a database: one of them at a time, by an advisory lock on its own connection.
//!
//! The work runs on that same connection: who has lost the lock cannot write any more.

use std::sync::Arc;
use std::time::{Duration, Instant};

use log::{info, warn};

use crate::metrics::{Heartbeat, Meters};
use crate::stop::{Backoff, Stop};
use crate::store::{self, Client, OutageReports, Outages, lease};

/// The interval at which another process's lock is tried.
const LOCK_EVERY: Duration = Duration::from_secs(2);

/// The pauses after failures.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// One such thread.
pub(crate) struct Exclusive<'a> {
    /// Its name, in the log, on `/readyz` and in `pg_stat_activity`.
    pub name: &'static str,
    /// The consequence of a failure, for the log and `/readyz`: `watches are not evaluated`.
    pub consequence: &'static str,
    /// The connection string of PostgreSQL.
    pub database_url: &'a str,
    /// The name of this collector: when its lease is over, others may end this connection.
    pub collector: &'a str,
    /// The meters, for `/readyz`.
    pub meters: &'a Meters,
    /// Where a database that is away is reported, once for all threads.
    pub outages: &'a Arc<dyn Outages>,
    /// Its heartbeat.
    pub heartbeat: &'a Heartbeat,
    /// The stop of the collector.
    pub stop: &'a Stop,
}

/// The failures so far.
struct Failures {
    backoff: Backoff,
    is_failing: bool,
    /// The last failure may have been one of a moment: nothing is said of the first.
    was_overtaken: bool,
    reports: OutageReports,
}

impl Exclusive<'_> {
    /// Works until the collector stops. `lock` tries the lock on a new connection. `work` goes on until the collector
    /// stops, on the connection that has the lock, and calls its second parameter after each success.
    pub(crate) fn run(
        &self,
        lock: impl Fn(&mut Client) -> store::Result<bool>,
        mut work: impl FnMut(&mut Client, &mut dyn FnMut()) -> store::Result<()>,
    ) {
        let mut failures = Failures {
            backoff: Backoff::new(PAUSE_MIN, PAUSE_MAX),
            is_failing: false,
            was_overtaken: false,
            reports: OutageReports::new(self.name, self.outages),
        };
        while !self.stop.is_stopping() {
            self.heartbeat.progress();
            let result = self.attempt(&mut failures, &lock, &mut work);
            let Err(error) = result else { return };
            if self.stop.is_stopping() {
                return;
            }
            if error.may_be_overtaken() && !std::mem::replace(&mut failures.was_overtaken, true) {
                continue;
            }
            if !failures.reports.fails(&error) && !std::mem::replace(&mut failures.is_failing, true) {
                warn!("{}: {}: {error}; retrying", self.name, self.consequence);
            }
            self.meters.set_degraded(self.name, Some(format!("{}: {error}", self.consequence)));
            self.heartbeat.idle();
            self.stop.wait(Instant::now() + failures.backoff.take(), || false);
        }
    }

    /// Works on one connection until it fails or the collector stops.
    fn attempt(
        &self,
        failures: &mut Failures,
        lock: &impl Fn(&mut Client) -> store::Result<bool>,
        work: &mut impl FnMut(&mut Client, &mut dyn FnMut()) -> store::Result<()>,
    ) -> store::Result<()> {
        let mut client = store::connect(self.database_url, self.name)?;
        lease::mark_connection(&mut client, self.collector)?;
        failures.reports.connected();
        while !lock(&mut client)? {
            self.succeeded(failures);
            self.heartbeat.idle();
            self.stop.wait(Instant::now() + LOCK_EVERY, || false);
            if self.stop.is_stopping() {
                return Ok(());
            }
            self.heartbeat.progress();
        }
        info!("{}: working for all collectors of this database", self.name);
        work(&mut client, &mut || self.succeeded(failures))
    }

    fn succeeded(&self, failures: &mut Failures) {
        failures.reports.works();
        failures.was_overtaken = false;
        if std::mem::take(&mut failures.is_failing) {
            info!("{}: working again", self.name);
        }
        failures.backoff.reset();
        self.meters.set_degraded(self.name, None);
    }
}
