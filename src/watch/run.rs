//! The thread that evaluates: one of all collectors that share a database, by an advisory lock on its own connection.
//!
//! Rounds run on that same connection: who has lost the lock cannot write any more.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use log::{info, warn};

use super::{Evaluator, Report};
use crate::metrics::{Heartbeat, Meters};
use crate::model::Timestamp;
use crate::stop::Stop;
use crate::store::{self, Client, OutageReports, Outages, watch::evaluate};

/// The thread's name, in the log, on `/readyz` and in `pg_stat_activity`.
pub const THREAD: &str = "watch";

/// The longest time that one round may take: a full evaluation has statements of minutes.
pub const STANDSTILL_MAX: Duration = Duration::from_secs(60 * 60);

/// The interval at which the outbox is read where no writer of this process says that there is something.
const POLL: Duration = Duration::from_millis(200);

/// The interval at which another evaluator's lock is tried.
const LOCK_EVERY: Duration = Duration::from_secs(2);

/// The pauses after failures.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// The options of the thread.
pub struct Options {
    /// The connection string of PostgreSQL.
    pub database_url: String,
    /// The beginning of the keys of incidents.
    pub site: String,
    /// The communities of the network that say that a route is mitigated.
    pub mitigation: Vec<String>,
    /// The meters that count the rounds.
    pub meters: Arc<Meters>,
    /// Where a database that is away is reported, once for all threads.
    pub outages: Arc<dyn Outages>,
}

/// Evaluates until the collector stops. `woken` says that a state writer of this process has left something.
pub fn run(options: &Options, woken: &Receiver<()>, pulse: &Heartbeat, stop: &Stop) {
    let mut evaluator = Evaluator::new(&options.site).with_mitigation(&options.mitigation);
    let mut pause = PAUSE_MIN;
    let mut is_failing = false;
    let mut reports = OutageReports::new(THREAD, &options.outages);
    while !stop.is_stopping() {
        pulse.beat();
        let mut is_good = || {
            if std::mem::take(&mut is_failing) {
                info!("watch: evaluating again");
            }
            pause = PAUSE_MIN;
            options.meters.set_degraded(THREAD, None);
        };
        let result = evaluate_until(options, &mut evaluator, (&mut reports, &mut is_good), woken, pulse, stop);
        let Err(error) = result else { return };
        evaluator.forget();
        if stop.is_stopping() {
            return;
        }
        if !reports.fails(&error) && !std::mem::replace(&mut is_failing, true) {
            warn!("watch: cannot evaluate: {error}; retrying");
        }
        options.meters.set_degraded(THREAD, Some(format!("watches are not evaluated: {error}")));
        pulse.rest();
        stop.wait(Instant::now() + pause, || false);
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Evaluates on one connection until it fails or the collector stops.
fn evaluate_until(
    options: &Options,
    evaluator: &mut Evaluator,
    (reports, is_good): (&mut OutageReports, &mut impl FnMut()),
    woken: &Receiver<()>,
    pulse: &Heartbeat,
    stop: &Stop,
) -> store::Result<()> {
    let mut client: Client = store::connect(&options.database_url, THREAD)?;
    reports.connected();
    while !evaluate::lock(&mut client)? {
        reports.works();
        is_good();
        pulse.rest();
        stop.wait(Instant::now() + LOCK_EVERY, || false);
        if stop.is_stopping() {
            return Ok(());
        }
        pulse.beat();
    }
    info!("watch: evaluating the watches of this database");
    while !stop.is_stopping() {
        pulse.beat();
        let began = Instant::now();
        let report = evaluator.round(&mut client)?;
        reports.works();
        is_good();
        for line in &report.lines {
            info!("{line}");
        }
        count(&options.meters, &report, began.elapsed());
        pulse.rest();
        if report.has_more {
            continue;
        }
        match woken.recv_timeout(POLL) {
            Ok(()) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => stop.wait(Instant::now() + POLL, || false),
        }
    }
    Ok(())
}

fn count(meters: &Meters, report: &Report, took: Duration) {
    let meter = &meters.watch;
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    meter.evaluated_at.set_time(Timestamp::now());
    meter.changes.add(report.changes);
    meter.emptied.add(usize::from(report.is_emptied));
    meter.incident_changes.add(report.lines.len());
    let waited = report.oldest.map_or(0, |(oldest, now)| now.unix_micros().saturating_sub(oldest.unix_micros()));
    meter.lag.set(u64::try_from(waited).unwrap_or(0));
    if report.is_full {
        meter.full_took.set(micros(took));
        meter.missed.add(report.missed);
    }
}
