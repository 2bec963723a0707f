//! What has to be done now and then: tomorrow's partition, retention, the summary, statistics.
//!
//! One collector of those that share a database does it, under an advisory lock; partitions are made by each, because
//! without them no history can be written. Nothing here makes writers or readers wait (`store::partitions`), and a step
//! that fails is tried again at the next run and keeps none of the others from theirs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::ToSpan;

use crate::metrics::{Meters, ProcessMeter};
use crate::model::Timestamp;
use crate::stop::Stop;
use crate::store::{self, Client, partitions, upkeep};

/// How long `session_events` are kept.
const SESSION_EVENTS_DAYS: i32 = 400;

/// The pause after a run that failed as a whole, if the interval is not shorter.
const RETRY_PAUSE: Duration = Duration::from_secs(15);

/// How long a run may take; one statement of it has half an hour.
const STANDSTILL_MAX: Duration = Duration::from_secs(2 * 60 * 60);

/// How often a waiting thread looks whether the collector stops.
const STOP_POLL: Duration = Duration::from_millis(100);

/// What maintenance needs to know.
#[derive(Clone)]
pub struct MaintenanceOptions {
    /// Where PostgreSQL is.
    pub database_url: String,
    /// The days of history before today that are kept; 0: all of them.
    pub retention_days: u32,
    /// The time from the start of one run to the start of the next.
    pub interval: Duration,
    /// Where it is counted.
    pub meters: Arc<Meters>,
}

/// What one run did.
#[derive(Debug, Default)]
pub struct Report {
    /// Names of new partitions.
    pub created: Vec<String>,
    /// Names of dropped partitions.
    pub dropped: Vec<String>,
    /// Another collector holds the lock and does everything but the partitions.
    pub is_elsewhere: bool,
    /// Whether `route_summary` was refreshed.
    pub refreshed: bool,
    /// Rows of `session_events` that were too old.
    pub forgotten: u64,
    /// What failed and will be tried again, in words.
    pub failures: Vec<String>,
}

/// Runs at once and then at every interval until the collector stops.
pub fn run(options: &MaintenanceOptions, stop: &Stop) {
    let pulse = options.meters.pulse("maintenance", STANDSTILL_MAX);
    let mut is_failing = false;
    while !stop.is_stopping() {
        let started = Instant::now();
        pulse.beat();
        let result = store::connect(&options.database_url, "maintenance")
            .and_then(|mut client| run_once(&mut client, options.retention_days));
        let pause = match result {
            Ok(report) => {
                report.log();
                report.count(&options.meters.process, started.elapsed());
                is_failing = false;
                options.interval
            }
            Err(error) => {
                options.meters.process.maintenance_failures.add(1);
                if !is_failing {
                    log::error!("maintenance: {error}; trying again until it can");
                }
                is_failing = true;
                options.interval.min(RETRY_PAUSE)
            }
        };
        pulse.rest();
        while !stop.is_stopping() && started.elapsed() < pause {
            std::thread::sleep(STOP_POLL.min(pause));
        }
    }
}

/// One run: what the `maintenance` command does, and the thread at every interval.
///
/// # Errors
/// The connection broke; what a single step says is in [`Report::failures`].
pub fn run_once(client: &mut Client, retention_days: u32) -> store::Result<Report> {
    let mut report = Report::default();
    let today = partitions::today(client)?;
    for day in [Some(today), today.tomorrow().ok()].into_iter().flatten() {
        let name = partitions::name_of(day);
        let made = report.step(client, &format!("creating {name}"), |client| partitions::ensure(client, day))?;
        if made == Some(true) {
            report.created.push(name);
        }
    }
    if !upkeep::begin(client)? {
        report.is_elsewhere = true;
        return Ok(report);
    }
    if retention_days > 0
        && let Ok(oldest) = today.checked_sub(i64::from(retention_days).days())
        && let Some(retired) = report.step(client, "listing partitions", |client| partitions::retire(client, oldest))?
    {
        report.dropped = retired.dropped;
        let waiting = retired.waiting.into_iter().map(|(name, why)| format!("dropping {name}: {why}"));
        report.failures.extend(waiting);
    }
    let forgotten = |client: &mut Client| upkeep::forget_session_events(client, SESSION_EVENTS_DAYS);
    report.forgotten = report.step(client, "forgetting old session_events", forgotten)?.unwrap_or(0);
    report.refreshed = report.step(client, "refreshing route_summary", upkeep::refresh_summary)?.is_some();
    report.step(client, "analysing route_events", upkeep::analyze_history)?;
    upkeep::end(client)?;
    Ok(report)
}

impl Report {
    /// Does one step; only a broken connection ends the run.
    fn step<T>(
        &mut self,
        client: &mut Client,
        what: &str,
        work: impl FnOnce(&mut Client) -> store::Result<T>,
    ) -> store::Result<Option<T>> {
        match work(client) {
            Ok(value) => Ok(Some(value)),
            Err(error) if client.is_closed() => Err(error),
            Err(error) => {
                self.failures.push(format!("{what}: {error}"));
                Ok(None)
            }
        }
    }

    fn count(&self, meter: &ProcessMeter, took: Duration) {
        meter.maintenance_failures.add(self.failures.len());
        if self.failures.is_empty() {
            meter.maintenance_done.set_time(Timestamp::now());
            meter.maintenance_took.set(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        }
    }

    fn log(&self) {
        for name in &self.created {
            log::info!("partition {name}: created");
        }
        for name in &self.dropped {
            log::info!("partition {name}: dropped, its retention is over");
        }
        for failure in &self.failures {
            log::warn!("maintenance: {failure}; trying again at the next run");
        }
    }
}
