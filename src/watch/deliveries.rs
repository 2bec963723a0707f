//! Deliveries: tells receivers of incidents, at least once and in order per incident.
//!
//! Whoever changes an incident writes a delivery for each receiver in the same transaction
//! ([`store::watch::deliveries::insert`]). This thread reads what is due, makes the messages (`plan`, `formats`) and
//! gives those of a receiver to a thread of their own (`send`, `post`), whose results it writes back. A process that is
//! killed in between sends again, with the same `Idempotency-Key`.
//!
//! One process per database delivers: the one that has the advisory lock, on the connection that everything else uses.

mod address;
mod formats;
mod pace;
mod plan;
mod post;
mod send;
mod test;

use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use log::{error, info, warn};
use ureq::tls::TlsConfig;

pub use address::AddressRules;
pub use test::{TestAnswer, send_test};

use crate::metrics::{Heartbeat, Meters};
use crate::model::Timestamp;
use crate::stop::Stop;
use crate::store::watch::callbacks::{self, Callback};
use crate::store::watch::deliveries::{self, DeliveryBacklog, DeliveryState, DueDelivery};
use crate::store::{self, Client, OutageReports, Outages, lease};
use formats::Change;
use pace::Allowance;
use plan::Context;
use post::Poster;
use send::{Job, JobReport};

/// The thread's name, also in `pg_stat_activity`.
pub const THREAD: &str = "deliveries";

/// The longest time that one round may take: its statements have `STATEMENT_TIMEOUT_MS` each.
pub const STANDSTILL_MAX: Duration = Duration::from_secs(120);

/// The interval at which due deliveries are looked for.
const TICK: Duration = Duration::from_millis(250);

/// The interval of everything that is not urgent: repeats, fallbacks, what is given up, the counters.
const CARE_EVERY: Duration = Duration::from_secs(10);

/// The interval at which open alerts and heartbeats are sent.
const BEAT_EVERY: Duration = Duration::from_secs(60);

/// The pause after an error of the database, and between tries to take the lock.
const PAUSE: Duration = Duration::from_secs(2);

/// The longest time that a stop waits for answers. Unanswered messages are sent again after the next start.
const STOP_WAIT: Duration = Duration::from_secs(2);

/// The longest time that a statement may take.
const STATEMENT_TIMEOUT_MS: u32 = 20_000;

/// The number of receivers that are sent to at a time.
const JOBS_MAX: usize = 64;

/// The number of deliveries of one receiver that are looked at at a time.
const DUE_MAX: i64 = 200;

/// The number of alerts in one refresh.
const ALERTS_MAX: usize = 1_000;

/// The time for which a callback fails before its fallback is used.
const FALLBACK_AFTER_SECS: f64 = 300.0;

/// The days for which deliveries of closed incidents are kept, and how many are deleted at a time.
const KEPT_DAYS: i32 = 30;
const PRUNED_MAX: i64 = 5_000;

/// The options of the thread.
pub struct DeliveryOptions {
    /// The connection string of PostgreSQL.
    pub database_url: String,
    /// The name of this collector.
    pub collector: String,
    /// Where callbacks may be sent to.
    pub rules: AddressRules,
    /// The authorities that callbacks are trusted by.
    pub https: TlsConfig,
    /// The address of the status page for readers: `RIB_INGESTER_PUBLIC_URL`.
    pub public_url: Option<String>,
    /// The counters.
    pub meters: Arc<Meters>,
    /// Where a database that is away is reported, once for all threads.
    pub outages: Arc<dyn Outages>,
    /// The thread's heartbeat.
    pub heartbeat: Arc<Heartbeat>,
    /// The signal to stop.
    pub stop: Stop,
}

/// Delivers until the collector stops.
pub fn run(options: &DeliveryOptions) {
    let mut dispatcher = Dispatcher::new(options);
    while !options.stop.is_stopping() {
        options.heartbeat.progress();
        if let Err(error) = dispatcher.connect_and_deliver()
            && !options.stop.is_stopping()
        {
            if !dispatcher.database.fails(&error) {
                warn!("deliveries: {error}; trying again");
            }
            options.meters.set_degraded(THREAD, Some(format!("database: {error}")));
        }
        options.heartbeat.idle();
        options.stop.wait(Instant::now() + PAUSE, || false);
    }
    options.meters.set_degraded(THREAD, None);
}

struct Dispatcher<'a> {
    options: &'a DeliveryOptions,
    database: OutageReports,
    poster: Arc<Poster>,
    /// Receivers that are being sent to.
    busy: HashSet<i64>,
    allowances: HashMap<i64, Allowance>,
    /// The results that are not stored yet.
    reports: Vec<JobReport>,
    sender: Sender<JobReport>,
    receiver: Receiver<JobReport>,
    cared_at: Option<Instant>,
    beat_at: Option<Instant>,
    /// Receivers whose refresh waits until they are idle.
    to_refresh: Vec<Job>,
}

impl<'a> Dispatcher<'a> {
    fn new(options: &'a DeliveryOptions) -> Dispatcher<'a> {
        let (sender, receiver) = bounded(JOBS_MAX);
        Dispatcher {
            options,
            database: OutageReports::new(THREAD, &options.outages),
            poster: Arc::new(Poster::new(&options.rules, &options.https)),
            busy: HashSet::new(),
            allowances: HashMap::new(),
            reports: Vec::new(),
            sender,
            receiver,
            cared_at: None,
            beat_at: None,
            to_refresh: Vec::new(),
        }
    }

    /// Delivers until the connection is lost or the collector stops.
    fn connect_and_deliver(&mut self) -> store::Result<()> {
        let mut client = deliveries::connect(&self.options.database_url, THREAD, STATEMENT_TIMEOUT_MS)?;
        lease::mark_connection(&mut client, &self.options.collector)?;
        self.database.connected();
        self.options.meters.set_degraded(THREAD, None);
        while !deliveries::take_lock(&mut client)? {
            self.database.works();
            self.options.heartbeat.idle();
            self.options.stop.wait(Instant::now() + PAUSE, || false);
            if self.options.stop.is_stopping() {
                return Ok(());
            }
            self.options.heartbeat.progress();
        }
        self.database.works();
        info!("deliveries: this collector delivers");
        while !self.options.stop.is_stopping() {
            self.options.heartbeat.progress();
            self.gather(TICK);
            self.write_reports(&mut client)?;
            self.send_due(&mut client)?;
            if is_due(&mut self.cared_at, CARE_EVERY) {
                self.care(&mut client)?;
            }
            if is_due(&mut self.beat_at, BEAT_EVERY) {
                self.collect_beats(&mut client)?;
            }
            self.send_beats();
        }
        let until = Instant::now() + STOP_WAIT;
        while !self.busy.is_empty() && Instant::now() < until {
            self.gather(TICK);
        }
        self.write_reports(&mut client)
    }

    /// Waits for results of jobs, at most for `time`.
    fn gather(&mut self, time: Duration) {
        let first = self.receiver.recv_timeout(time).ok();
        let more: Vec<JobReport> = self.receiver.try_iter().collect();
        for report in first.into_iter().chain(more) {
            self.busy.remove(&report.callback_id);
            self.reports.push(report);
        }
    }

    fn write_reports(&mut self, client: &mut Client) -> store::Result<()> {
        let finished: Vec<_> = self.reports.iter().flat_map(|report| report.finished.clone()).collect();
        let answers: Vec<_> = self.reports.iter().flat_map(|report| report.answers.clone()).collect();
        if finished.is_empty() && answers.is_empty() {
            self.reports.clear();
            return Ok(());
        }
        deliveries::finish(client, &finished, &answers)?;
        let meter = &self.options.meters.deliveries;
        for one in &finished {
            match one.state {
                DeliveryState::Delivered => meter.delivered.add(1),
                DeliveryState::Pending => meter.failed.add(1),
                DeliveryState::Dead => meter.given_up.add(1),
                DeliveryState::Superseded => {}
            }
        }
        self.reports.clear();
        Ok(())
    }

    /// Starts a job for each idle receiver that something is due for.
    fn send_due(&mut self, client: &mut Client) -> store::Result<()> {
        let busy: Vec<i64> = self.busy.iter().copied().collect();
        let due = deliveries::due(client, &busy, DUE_MAX)?;
        let mut of_callbacks: Vec<(Callback, Vec<DueDelivery>)> = Vec::new();
        for one in due {
            match of_callbacks.last_mut() {
                Some((callback, list)) if callback.id == one.callback.id => list.push(one),
                Some(_) | None => of_callbacks.push((one.callback.clone(), vec![one])),
            }
        }
        let now = Instant::now();
        for (callback, due) in of_callbacks {
            if self.busy.len() >= JOBS_MAX {
                break;
            }
            let allowance =
                self.allowances.entry(callback.id).or_insert_with(|| Allowance::new(callback.max_per_minute, now));
            let context = Context { public_url: self.options.public_url.as_deref(), now: Timestamp::now() };
            let plan = plan::plan(&callback, due, allowance.available(now), context);
            allowance.take(plan.messages.len());
            for one in &plan.settled {
                warn!(
                    "callback {}: delivery {} not sent: {}",
                    callback.name,
                    one.id,
                    one.error.as_deref().unwrap_or("")
                );
            }
            if !plan.settled.is_empty() {
                let report = JobReport { callback_id: callback.id, finished: plan.settled, answers: Vec::new() };
                self.reports.push(report);
            }
            if !plan.messages.is_empty() {
                self.start(Job { callback, messages: plan.messages });
            }
        }
        Ok(())
    }

    /// Gives a job to a thread of its own.
    fn start(&mut self, job: Job) {
        let callback_id = job.callback.id;
        let (poster, sender) = (Arc::clone(&self.poster), self.sender.clone());
        let work = move || {
            let sent = catch_unwind(AssertUnwindSafe(|| send::send(&poster, &job)));
            let report = sent.unwrap_or_else(|_| JobReport { callback_id, ..JobReport::default() });
            log_answer(&job.callback, &report);
            // The channel has room for every job, and the dispatcher may be gone.
            let _ = sender.send(report);
        };
        match std::thread::Builder::new().name("deliver".to_owned()).spawn(work) {
            Ok(_) => {
                self.busy.insert(callback_id);
            }
            Err(error) => error!("deliveries: no thread for a receiver: {error}"),
        }
    }

    fn care(&mut self, client: &mut Client) -> store::Result<()> {
        let given_up = deliveries::expire(client)?;
        if given_up > 0 {
            warn!("deliveries: {given_up} given up after 24 hours; `rib-ingester callbacks retry` sends them again");
        }
        let told = deliveries::insert_fallbacks(client, FALLBACK_AFTER_SECS)?;
        if told > 0 {
            warn!("deliveries: {told} go to fallbacks, because their callbacks fail");
        }
        deliveries::insert_repeats(client)?;
        deliveries::prune(client, KEPT_DAYS, PRUNED_MAX)?;
        self.show(&deliveries::backlog(client)?);
        // Callbacks that are gone.
        if self.allowances.len() > 10 * JOBS_MAX {
            self.allowances.clear();
        }
        Ok(())
    }

    /// Puts what waits into the counters.
    fn show(&self, backlog: &DeliveryBacklog) {
        let meter = &self.options.meters.deliveries;
        meter.pending.set(backlog.pending);
        meter.dead.set(backlog.dead);
        meter.oldest_secs.set(whole_seconds(backlog.oldest_secs));
        let name = |name: &str, team: Option<&String>| team.map_or(name.to_owned(), |team| format!("{team}:{name}"));
        let failing = backlog.failing.iter();
        meter.set_failing(failing.map(|(of, team, secs)| (name(of, team.as_ref()), whole_seconds(*secs))).collect());
    }

    /// Makes the messages that say that all is as it was: only while the evaluator does its work.
    fn collect_beats(&mut self, client: &mut Client) -> store::Result<()> {
        self.to_refresh.clear();
        if !deliveries::is_evaluated(client)? {
            return Ok(());
        }
        let now = Timestamp::now();
        for (callback, bodies) in deliveries::open_for_alertmanager(client)? {
            let changes: Vec<Change> = (bodies.iter())
                .filter_map(|body| Some(Change { body: serde_json::from_str(body).ok()?, is_late: false }))
                .collect();
            let urls: Vec<String> = callback.url.split_whitespace().map(plan::alerts_url).collect();
            let message = |changes: &[Change]| {
                let body = formats::alertmanager(changes, self.options.public_url.as_deref(), now);
                plan::heartbeat(urls.clone(), &body, now)
            };
            let messages = changes.chunks(ALERTS_MAX).map(message).collect();
            self.to_refresh.push(Job { callback, messages });
        }
        for callback in callbacks::heartbeats(client)? {
            let messages = vec![plan::heartbeat(vec![callback.url.clone()], &formats::heartbeat(now), now)];
            self.to_refresh.push(Job { callback, messages });
        }
        Ok(())
    }

    fn send_beats(&mut self) {
        for job in std::mem::take(&mut self.to_refresh) {
            if self.busy.contains(&job.callback.id) || self.busy.len() >= JOBS_MAX {
                self.to_refresh.push(job);
            } else {
                self.start(job);
            }
        }
    }
}

fn whole_seconds(secs: f64) -> u64 {
    Duration::try_from_secs_f64(secs).map_or(0, |time| time.as_secs())
}

/// Returns whether `every` has passed since the last time that this was true.
fn is_due(last: &mut Option<Instant>, every: Duration) -> bool {
    let is_due = last.is_none_or(|at| at.elapsed() >= every);
    if is_due {
        *last = Some(Instant::now());
    }
    is_due
}

/// Logs the beginning and the end of a receiver's failure, and what it refused.
fn log_answer(callback: &Callback, report: &JobReport) {
    let target = address::target(&callback.url);
    for one in report.finished.iter().filter(|one| one.state == DeliveryState::Dead) {
        let why = one.error.as_deref().unwrap_or_default();
        warn!("callback {} ({target}): delivery {} given up: {why}", callback.name, one.id);
    }
    for answer in &report.answers {
        match &answer.error {
            Some(why) if !answer.is_accepted => {
                if callback.failures == 0 {
                    warn!("callback {} ({target}): {why}; trying again", callback.name);
                }
            }
            Some(_) | None if callback.failures > 0 => {
                info!("callback {} ({target}): accepts again", callback.name);
            }
            Some(_) | None => {}
        }
    }
}
