//! The collector's interfaces for operators: counters, the HTTP port, the database probe, notifications to systemd.
//!
//! They start before the database is reached, so that `/readyz` can report what is missing.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use super::begin::{StartError, spawn};
use super::notify::{self, Notify};
use crate::config::Settings;
use crate::http::{BirdwatcherOptions, Http, HttpOptions, Parts, Tokens, probe};
use crate::journal::Journal;
use crate::metrics::{ComponentStatus, Meters};
use crate::pipeline::{Health, Notices, Watching};
use crate::session::Shared;
use crate::stop::Stop;
use crate::store::{self, Pool, READER};

/// The longest time for which a writer's connection may receive no octet from the database while an answer is due.
const WRITER_SILENCE_MAX: Duration = Duration::from_secs(8);

/// The same limit for readers, such as the probe, whose statements the server ends after three seconds.
const READER_SILENCE_MAX: Duration = Duration::from_secs(4);

/// The counters, and the threads that export them.
pub(super) struct Operations {
    pub(super) meters: Arc<Meters>,
    pub(super) health: Arc<Health>,
    /// The connections of everything that reads or works occasionally.
    pub(super) pool: Arc<Pool>,
    /// The way from the writers to the evaluator of watches.
    pub(super) watching: Arc<Watching>,
    /// Rows of `session_events` of which listeners are to hear.
    pub(super) notices: Arc<Notices>,
    notify: RefCell<Notify>,
    threads: Vec<JoinHandle<()>>,
}

impl Operations {
    /// Starts the HTTP port and the probe, unless HTTP is off.
    ///
    /// # Errors
    /// The port cannot be bound, or the file of tokens is invalid.
    pub(super) fn start(settings: &Settings, stop: &Stop) -> Result<Operations, StartError> {
        let (meters, health) = (Arc::new(Meters::default()), Arc::new(Health::default()));
        if let Ok(name) = store::connect::describe(&settings.database_url) {
            health.name_database(name);
        }
        let pool = Arc::new(Pool::new(&settings.database_url));
        let (watching, notices) = (Arc::default(), Arc::default());
        let notify = RefCell::new(Notify::new());
        let mut operations = Operations { meters, health, pool, watching, notices, notify, threads: Vec::new() };
        operations.meters.set_part("database", Err("not reached yet".to_owned()));
        operations.notify.borrow_mut().status(|| "waiting for the database".to_owned());
        let Some(address) = settings.http_listen else { return Ok(operations) };
        let tokens = Tokens::load(settings.api_token_file.as_deref()).map_err(StartError::Configuration)?;
        let options = HttpOptions {
            address,
            pool: &operations.pool,
            collector_id: &settings.collector_id,
            meters: &operations.meters,
            health: &operations.health,
            stop,
            tokens,
            api_rate: settings.api_rate,
            api_origins: &settings.api_cors,
            birdwatcher: BirdwatcherOptions {
                allow: settings.birdwatcher_allow.clone(),
                reasons: settings.alice_reasons,
            },
        };
        let parts = Http::bind(options).map_err(|error| {
            StartError::Failed(format!("cannot listen on {address} (RIB_INGESTER_HTTP_LISTEN): {error}"))
        })?;
        operations.threads.extend(spawn_http(parts));
        let (pool, stop, meters) = (Arc::clone(&operations.pool), stop.clone(), Arc::clone(&operations.meters));
        let heartbeat = meters.heartbeat("probe", probe::STANDSTILL_MAX);
        operations.threads.push(spawn("probe", move || probe::run(&pool, &meters, &heartbeat, &stop)));
        Ok(operations)
    }

    /// Reports, in the log and on `/readyz`, that the thread `who` waits for the database at the start.
    pub(super) fn waits_for_database(&self, who: &str, error: &store::Error) {
        self.health.database_away(who, error);
        let cause = self.health.cause().unwrap_or_else(|| error.to_string());
        if error.is_unanswered() {
            self.meters.set_part("database", Err(cause.clone()));
        }
        self.meters.set_part("writers", Err(format!("not started: {cause}")));
    }

    /// Updates the meters that are not counted at their source; called at every tick.
    pub(super) fn measure(&self, shared: &Shared) {
        shared.pipeline.measure(&self.meters);
        let (unstored, oldest) = shared.inputs.unstored();
        self.health.unstored.store(unstored, Ordering::Relaxed);
        self.meters.journal.unstored.set(unstored);
        match oldest {
            Some(oldest) => self.meters.journal.oldest.set_time(oldest),
            None => self.meters.journal.oldest.set(0),
        }
        self.meters.process.connections.set(u64::try_from(shared.registry.connections()).unwrap_or(u64::MAX));
        let silence = silence_of(&["state-", "events-"], WRITER_SILENCE_MAX);
        let cannot = || format!("cannot write: {}", self.health.cause().as_deref().unwrap_or("see the log"));
        // Without the lock of `COLLECTOR_ID` nothing is written, regardless of everything else.
        let history = self.health.history_trouble().filter(|_| self.health.lock.may_write());
        let writers = match (history, self.health.is_ready() && self.health.lock.may_write()) {
            (Some(why), _) => {
                let silence = silence.err().map_or_else(String::new, |silence| format!("; {silence}"));
                Err(format!("state waits for history, which is stalled: {why}{silence}"))
            }
            (None, false) => Err(cannot()),
            (None, true) => silence,
        };
        self.meters.set_part("writers", writers);
        // A probe that gives up reports that itself.
        if let Err(why) = silence_of(&[READER], READER_SILENCE_MAX) {
            self.meters.set_part("database", Err(why));
        }
        self.measure_journal(&shared.journal);
        let troubles = self.meters.relays().into_iter();
        let troubles = troubles.filter_map(|(station, meter)| Some(format!("{station}: {}", meter.trouble()?)));
        let troubles: Vec<String> = troubles.collect();
        self.meters.set_degraded("stations", (!troubles.is_empty()).then(|| troubles.join("; ")));
        let mut notify = self.notify.borrow_mut();
        notify.ping_watchdog(&self.meters.threads());
        notify.status(|| notify::summary(&self.meters));
    }

    fn measure_journal(&self, journal: &Journal) {
        let (meter, counters) = (&self.meters.journal, journal.counters());
        let contents = [
            (&meter.bytes, &counters.bytes),
            (&meter.segments, &counters.segments),
            (&meter.streams, &counters.streams),
        ];
        for (shown, counted) in contents {
            shown.set(counted.load(Ordering::Relaxed));
        }
        let events = [
            (&meter.appended_bytes, &counters.appended_bytes),
            (&meter.damaged_bytes, &counters.damaged_bytes),
            (&meter.gaps, &counters.gaps),
            (&meter.write_errors, &counters.write_errors),
        ];
        for (shown, counted) in events {
            shown.raise_to(counted.load(Ordering::Relaxed));
        }
        meter.bytes_max.set(journal.bytes_max());
        let full = || {
            format!(
                "no room, {} of {} bytes taken: input that the database does not take at once is lost",
                meter.bytes.get(),
                journal.bytes_max()
            )
        };
        let part = match journal.trouble() {
            Some(error) => {
                Err(format!("cannot be written: {error}: input that the database does not take at once is lost"))
            }
            None if journal.is_full() => Err(full()),
            None => Ok(()),
        };
        self.meters.set_part("journal", part);
    }

    /// Reports that routers may connect.
    pub(super) fn ready(&self) {
        // The probe, if there is one, soon reports more.
        self.meters.set_part("database", Ok(()));
        self.notify.borrow_mut().ready();
    }

    /// Runs the reload that SIGHUP asks for.
    pub(super) fn reloading(&self, reload: impl FnOnce()) {
        self.notify.borrow_mut().reloading(reload);
    }

    /// Reports that no router is read any more.
    pub(super) fn stopping(&self) {
        self.notify.borrow_mut().stopping();
    }

    /// Waits for the threads; each of them checks for the stop every half second or more often.
    pub(super) fn join(self) {
        for thread in self.threads {
            // These threads only answer queries; a panic has been reported and leaves nothing half done.
            let _ = thread.join();
        }
    }
}

/// Starts the threads of the HTTP port.
fn spawn_http(Parts { http, pages, workers, streams, feeder }: Parts) -> Vec<JoinHandle<()>> {
    let mut threads = vec![spawn("http", move || http.serve("http")), spawn("http-pages", move || pages.run())];
    threads.push(spawn("http-events", move || feeder.run("http-events")));
    for (i, worker) in workers.into_iter().enumerate() {
        let name = format!("http-api-{i}");
        threads.push(spawn(&name.clone(), move || worker.run(&name)));
    }
    for (i, worker) in streams.into_iter().enumerate() {
        let name = format!("http-stream-{i}");
        threads.push(spawn(&name.clone(), move || worker.run(&name)));
    }
    threads
}

/// Checks that the database answers these threads within `max`.
fn silence_of(threads: &[&str], max: Duration) -> ComponentStatus {
    match store::longest_silence(threads) {
        Some((thread, silence)) if silence >= max => {
            Err(format!("{thread} has had no answer from the database for {} s", silence.as_secs()))
        }
        Some(_) | None => Ok(()),
    }
}
