//! The thread that evaluates, for all collectors of a database.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use log::info;

use super::{Evaluator, Report};
use crate::exclusive::Exclusive;
use crate::metrics::{Heartbeat, Meters};
use crate::model::Timestamp;
use crate::stop::Stop;
use crate::store::{Outages, watch::evaluate};

/// The thread's name, in the log, on `/readyz` and in `pg_stat_activity`.
pub const THREAD: &str = "watch";

/// The longest time that one round may take: a full evaluation has statements of minutes.
pub const STANDSTILL_MAX: Duration = Duration::from_secs(60 * 60);

/// The interval at which the outbox is read where no writer of this process says that there is something.
const POLL: Duration = Duration::from_millis(200);

/// The options of the thread.
pub struct Options {
    /// The connection string of PostgreSQL.
    pub database_url: String,
    /// The name of this collector.
    pub collector: String,
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
pub fn run(options: &Options, woken: &Receiver<()>, heartbeat: &Heartbeat, stop: &Stop) {
    let mut evaluator = Evaluator::new(&options.site).with_mitigation(&options.mitigation);
    let thread = Exclusive {
        name: THREAD,
        consequence: "watches are not evaluated",
        database_url: &options.database_url,
        collector: &options.collector,
        meters: &options.meters,
        outages: &options.outages,
        heartbeat,
        stop,
    };
    thread.run(evaluate::lock, |client, succeeded| {
        // Another evaluator may have worked since the last connection.
        evaluator.forget();
        while !stop.is_stopping() {
            heartbeat.progress();
            let began = Instant::now();
            let report = evaluator.round(client)?;
            succeeded();
            for line in &report.lines {
                info!("{line}");
            }
            count(&options.meters, &report, began.elapsed());
            heartbeat.idle();
            if report.has_more {
                continue;
            }
            match woken.recv_timeout(POLL) {
                Ok(()) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => stop.wait(Instant::now() + POLL, || false),
            }
        }
        Ok(())
    });
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
