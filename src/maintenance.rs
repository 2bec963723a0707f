//! Periodic tasks: tomorrow's partition, the archive, retention, the summary, statistics, daily snapshots.
//!
//! One of the collectors that share a database does them, under an advisory lock; each collector creates partitions,
//! because without them no history can be written. Nothing here makes writers or readers wait (`store::partitions`),
//! and a step that fails is tried again at the next run and prevents none of the others.

mod compare_order;
mod history;
mod report;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use compare_order::CompareOrder;
pub(crate) use history::Archiving;
pub use report::Report;

use jiff::ToSpan;
use jiff::civil::Date;

use crate::metrics::Meters;
use crate::model::Timestamp;
use crate::pipeline::Health;
use crate::stop::Stop;
use crate::store::partitions::{EVENTS, NLRI_EVENTS, SNAPSHOTS};
use crate::store::watch::retention;
use crate::store::{
    self, Client, Pool, Recovery, add_path, counts, events, journal_positions, maintenance, partitions, sessions,
    snapshots,
};
use crate::store::{index_sizes, lease};

/// The number of days for which `session_events` are kept, or as long as `route_events` if that is longer: they record
/// the removal of whole tables.
const SESSION_EVENTS_DAYS: u32 = 400;

/// The number of days for which a peer that is gone is remembered.
const PEERS_DAYS: u32 = 400;

/// The number of days for which the numbers of routes of peers are kept.
const PEER_COUNTS_DAYS: u32 = 400;

/// The thread's name, in the log and in `pg_stat_activity`.
const THREAD: &str = "maintenance";

/// The pause after a run that failed as a whole, if the interval is not shorter.
const RETRY_PAUSE: Duration = Duration::from_secs(15);

/// The longest time that a run may take; one statement of it has half an hour, the rebuild of an index an hour.
const STANDSTILL_MAX: Duration = Duration::from_secs(2 * 60 * 60);

/// The options of maintenance.
#[derive(Clone)]
pub struct MaintenanceOptions {
    /// The connections to PostgreSQL.
    pub pool: Arc<Pool>,
    /// The name of this collector: when its lease is over, others may end the connection.
    pub collector: String,
    /// The days of history before today that are kept; 0: all of them.
    pub retention_days: u32,
    /// The days that closed incidents are kept; 0: forever.
    pub incident_retention_days: u32,
    /// The folder for days of history as files; `None`: nowhere.
    pub archive_dir: Option<PathBuf>,
    /// True if all routes are copied once a day.
    pub daily_snapshots: bool,
    /// The time from the start of one run to the start of the next.
    pub interval: Duration,
    /// The meters that count the runs.
    pub meters: Arc<Meters>,
    /// The health to which an unavailable database is reported.
    pub health: Arc<Health>,
}

/// Runs immediately and then at every interval until the collector stops.
pub fn run(options: &MaintenanceOptions, stop: &Stop) {
    let heartbeat = options.meters.heartbeat(THREAD, STANDSTILL_MAX);
    let mut is_failing = false;
    let mut is_away = false;
    let mut order = CompareOrder::default();
    let mut archiving = Archiving::new(options.archive_dir.clone());
    while !stop.is_stopping() {
        let started = Instant::now();
        heartbeat.progress();
        let answered = options.health.answered();
        // Without a connection the work below does not begin.
        let was_away = std::mem::replace(&mut is_away, true);
        let result = options.pool.work(THREAD, |client| {
            is_away = false;
            if was_away {
                options.health.database_back(THREAD);
            }
            lease::mark_connection(client, &options.collector)?;
            let mut report = run_some(client, options.retention_days, &mut archiving, Some(&mut order))?;
            forget_incidents(client, options.incident_retention_days, &mut report)?;
            if options.daily_snapshots {
                take_snapshots(client, &mut report)?;
            }
            Ok(report)
        });
        let pause = match result {
            Ok(report) => {
                report.log();
                report.count(&options.meters.process, started.elapsed());
                is_failing = false;
                options.interval
            }
            Err(error) => {
                options.meters.process.maintenance_failures.add(1);
                is_away |= error.verdict() == Recovery::Reconnect;
                if is_away {
                    options.health.database_away(THREAD, &error);
                } else if !is_failing {
                    log::error!("maintenance: {error}; retrying");
                }
                is_failing = !is_away;
                options.interval.min(RETRY_PAUSE)
            }
        };
        heartbeat.idle();
        // If the database has answered another thread, a retry is worthwhile.
        stop.wait(started + pause, || is_away && options.health.answered() != answered);
    }
}

/// Deletes incidents that have been closed for this many days, and silences that have been over; 0: none.
///
/// # Errors
/// The connection broke.
pub fn forget_incidents(client: &mut Client, days: u32, report: &mut Report) -> store::Result<()> {
    let now = events::clock(client)?;
    // A clock that is wrong must not delete anything.
    if days == 0 || is_far_from(partitions::day_of(now), partitions::day_of(Timestamp::now())) {
        return Ok(());
    }
    let forgotten = |client: &mut Client| retention::forget(client, now, days);
    report.forgotten_incidents = report.step(client, "forgetting old incidents", forgotten)?.unwrap_or(0);
    Ok(())
}

/// Does one run with all that there is to do, as the `maintenance` command does.
///
/// # Errors
/// The connection broke; failures of single steps are in [`Report::failures`].
pub fn run_once(client: &mut Client, retention_days: u32) -> store::Result<Report> {
    run_with(client, retention_days, &mut Archiving::new(None))
}

/// The same with an archive.
///
/// # Errors
/// As [`run_once`].
pub(crate) fn run_with(client: &mut Client, retention_days: u32, archiving: &mut Archiving) -> store::Result<Report> {
    run_some(client, retention_days, archiving, None)
}

/// Does one run, which compares the kept numbers of routes of the routers whose turn it is, or of all.
fn run_some(
    client: &mut Client,
    retention_days: u32,
    archiving: &mut Archiving,
    order: Option<&mut CompareOrder>,
) -> store::Result<Report> {
    let mut report = Report::default();
    // Ages are counted from here: a clock that leaps during the run must not delete anything either.
    let now = events::clock(client)?;
    let today = partitions::day_of(now);
    create_partitions(client, today, &mut report)?;
    if !maintenance::begin(client)? {
        report.is_elsewhere = true;
        return Ok(report);
    }
    let ours = partitions::day_of(Timestamp::now());
    let is_wrong = is_far_from(today, ours);
    // The oldest day that stays.
    let oldest = today.checked_sub(i64::from(retention_days).days()).ok().filter(|_| retention_days > 0 && !is_wrong);
    report.keep_history(client, archiving, today, oldest)?;
    if retention_days > 0 && is_wrong {
        let why = format!("it is {today} by the database's clock and {ours} by the collector's: correct the wrong one");
        report.failures.push(format!("dropping what is old: {why}"));
    } else if retention_days > 0 {
        let days = retention_days.saturating_add(1).max(SESSION_EVENTS_DAYS);
        let forgotten = |client: &mut Client| maintenance::forget_session_events(client, now, days);
        report.forgotten = report.step(client, "forgetting old session_events", forgotten)?.unwrap_or(0);
    }
    if !is_wrong {
        let ended = |client: &mut Client| sessions::forget_ended(client, now);
        report.step(client, "forgetting sessions that have ended", ended)?;
        let ended = |client: &mut Client| journal_positions::forget_old(client, now);
        report.step(client, "forgetting positions of sessions that have ended", ended)?;
        let gone = |client: &mut Client| maintenance::forget_peers(client, now, PEERS_DAYS);
        report.step(client, "forgetting peers that are gone", gone)?;
        let forgotten = |client: &mut Client| add_path::forget(client, now, PEERS_DAYS);
        report.step(client, "forgetting path identifiers of peers that are gone", forgotten)?;
    }
    for series in [&EVENTS, &NLRI_EVENTS, &SNAPSHOTS] {
        let list = |client: &mut Client| partitions::list(client, series);
        let partitions = report.step(client, "listing partitions", list)?.unwrap_or_default();
        let troubles = partitions.iter().filter_map(|partition| partition.trouble(series.parent));
        report.remarks.extend(troubles.map(|(found, remedy)| format!("{found}: {remedy}")));
    }
    let corrected = report.step(client, "comparing route_counts with the routes", |client| match order {
        None => counts::correct(client, None),
        Some(order) => {
            let due = order.next(counts::of_routers(client)?, Instant::now());
            counts::correct(client, Some(&due))
        }
    })?;
    report.corrected = corrected.unwrap_or_default();
    report.step(client, "noting the routes of peers", counts::sample)?;
    if !is_wrong {
        let forget = |client: &mut Client| counts::forget(client, now, PEER_COUNTS_DAYS);
        report.step(client, "forgetting old numbers of routes", forget)?;
    }
    report.refreshed = report.step(client, "refreshing route_summary", maintenance::refresh_summary)?.is_some();
    report.step(client, "analyzing the history", maintenance::analyze_history)?;
    let rebuild = |client: &mut Client| index_sizes::rebuild_outgrown(client, index_sizes::SMALLEST);
    report.rebuilt = report.step(client, "rebuilding an index", rebuild)?.flatten();
    maintenance::end(client)?;
    Ok(report)
}

/// Creates the partitions of today and tomorrow; those of other families where NLRI of such are stored.
fn create_partitions(client: &mut Client, today: Date, report: &mut Report) -> store::Result<()> {
    let others = report.step(client, "looking for other families", maintenance::has_other_families)?;
    let all = [Some(&EVENTS), Some(&NLRI_EVENTS).filter(|_| others == Some(true))];
    for series in all.into_iter().flatten() {
        for day in [Some(today), today.tomorrow().ok()].into_iter().flatten() {
            let name = series.name_of(day);
            let fill = |client: &mut Client| partitions::fill(client, series, day);
            let made = report.step(client, &format!("creating {name}"), fill)?;
            report.created.extend(made.into_iter().flatten());
        }
    }
    Ok(())
}

/// Returns whether the days of two clocks differ by more than midnight explains. A clock that is wrong by years, as
/// after a battery failure, must not make all history look old.
fn is_far_from(one: Date, other: Date) -> bool {
    const DAYS_MAX: i32 = 1;
    one.since(other).map_or(true, |apart| apart.get_days().abs() > DAYS_MAX)
}

/// Copies the routes of every table that has no snapshot of today yet.
///
/// # Errors
/// As [`run_once`].
pub(crate) fn take_snapshots(client: &mut Client, report: &mut Report) -> store::Result<()> {
    if !maintenance::begin(client)? {
        return Ok(());
    }
    let today = partitions::today(client)?;
    let due = report.step(client, "listing snapshots", |client| snapshots::due(client, today))?.unwrap_or_default();
    if !due.is_empty() {
        let name = SNAPSHOTS.name_of(today);
        let fill = |client: &mut Client| partitions::fill(client, &SNAPSHOTS, today);
        let made = report.step(client, &format!("creating {name}"), fill)?;
        report.created.extend(made.into_iter().flatten());
    }
    for (router, table) in due {
        let what = format!("copying table {table} of router {router}");
        let take = |client: &mut Client| snapshots::take(client, today, &router, &table);
        if let Some(routes) = report.step(client, &what, take)? {
            report.snapshots.push((router, table, routes));
        }
    }
    maintenance::end(client)
}
