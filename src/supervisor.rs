//! The collector as a whole: starts every thread, watches them, and stops them in order.
//!
//! Start: the database (retried forever), the migration, writers, maintenance, the BMP port. Stop: the listener and the
//! sessions first, then the channels disconnect, the writers drain within the grace period, maintenance last.

mod begin;
mod dialers;
mod expiry;
mod heartbeat;
mod identity;
mod journal;
mod listeners;
mod notify;
mod observability;
mod relay;
mod reported;
mod restart;
mod session_notify;
mod standby;
mod start;
mod watch_trie;
mod watches;

use std::fmt;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use log::{error, info};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;
use ureq::tls::TlsConfig;

use crate::config::{HistoryRedump, RouterIdFrom, Settings};
use crate::journal::{Feeds, Journal, Unfinished};
use crate::logging::Logging;
use crate::maintenance::{self, MaintenanceOptions};
use crate::pipeline::{self, Pipeline, PipelineOptions};
use crate::relay::Station;
use crate::session::drift::Resyncs;
use crate::session::identity::IdentityRule;
use crate::session::refused_connections::Refusals;
use crate::session::registry::Registry;
use crate::session::rules::{Redump, Rules};
use crate::session::standby::Standbys;
use crate::session::{Options, RawBytes, Shared};
use crate::stop::{Stop, wait_until};
use crate::store;

pub(crate) use watches::{address_rules, callback_tls};

pub use begin::StartError;
use begin::spawn;
use dialers::Dialers;
use heartbeat::Collector;
use listeners::{AccessFiles, Listeners};
use observability::Operations;
use start::Left;
pub use start::Migrate;

/// The interval at which the supervisor checks its threads and the stale time.
const TICK: Duration = Duration::from_millis(500);

/// The longest time that current routes wait for history that alone is in trouble: long enough for most who hold a lock,
/// short enough for those who watch routes.
const HISTORY_WAIT: Duration = Duration::from_secs(60);

/// The part of a stop's grace period that is reserved for saving unwritten input to the journal.
const PARKING_TIME: Duration = Duration::from_secs(3);

/// The time in which maintenance and the heartbeat may end by themselves once everything is written.
const LEFT_TO_OTHERS: Duration = Duration::from_millis(500);

/// The number of maintenance intervals within which the routes of every table are counted once.
const AUDIT_RUNS: u32 = 6;

/// The way in which the collector ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Everything that was read is written.
    Clean,
    /// Another process, described here, has taken the `COLLECTOR_ID`; unwritten input waits in the journal.
    Taken(String),
    /// The database lacks what it had committed, as described here; the next start stores it again from the journal.
    WentBack(String),
    /// Input was lost, or a thread ended unexpectedly.
    Failed,
}

/// Runs the collector until a signal stops it.
///
/// # Errors
/// Wrong credentials, no such database, a schema that cannot be migrated, a port that cannot be bound.
pub fn run(settings: &Arc<Settings>, migrate: Migrate, logging: &Logging) -> Result<Ending, StartError> {
    let stop = Stop::new();
    let signals = watch_signals()?;
    let access = AccessFiles::load(settings)?;
    let https = callback_tls(settings).map_err(StartError::Configuration)?;
    let stations = relay::stations(settings)?;
    let operations = Operations::start(settings, &stop)?;
    let (journal, replayed) = journal::open(settings)?;
    let Some(left) = start::reach_database(settings, migrate, &signals, &operations)? else {
        info!("collector: stopped before the database could be reached");
        return Ok(Ending::Clean);
    };
    let running = Running::start(settings, operations, (access, https, stations), (journal, replayed), left, stop)?;
    running.operations.ready();
    // A request to `/readyz` must not report "not yet" until the first tick.
    running.operations.measure(&running.shared);
    let died = watch(&signals, || running.reload(logging), || running.tick(logging));
    Ok(running.stop(died, signals))
}

/// The collector while routers may connect.
struct Running {
    settings: Arc<Settings>,
    operations: Operations,
    listeners: Listeners,
    dialers: Dialers,
    shared: Arc<Shared>,
    pipeline: Pipeline,
    /// Threads that read input or act on it. They end when the stop begins.
    readers: Vec<JoinHandle<()>>,
    /// The replay of the journal, a reader that ends by itself.
    replay: JoinHandle<()>,
    /// Threads that go on until everything is written.
    lasting: Vec<JoinHandle<()>>,
    /// The end of the writers. Until then the lock is held: the process that waits for it reads what this one leaves.
    written: Stop,
}

impl Running {
    /// Starts all threads.
    fn start(
        settings: &Arc<Settings>,
        operations: Operations,
        (access, https, stations): (AccessFiles, TlsConfig, Vec<Station>),
        (journal, unfinished): (Arc<Journal>, Vec<Unfinished>),
        left: Left,
        stop: Stop,
    ) -> Result<Running, StartError> {
        let Left { known, owned, positions, instance, lock } = left;
        let (database_url, id) = (settings.database_url.clone(), settings.collector_id.clone());
        let collector = Arc::new(Collector { database_url, id, instance });
        let written = Stop::new();
        let identity = spawn_identity(&collector, lock, &operations, (&stop, &written));
        let registry = Registry::new(settings.stale_routes, settings.mass_loss_stale, journal.first_number());
        let awaited = owned.iter().filter(|owned| owned.has_tables).count();
        if awaited > 0 {
            info!("collector: {awaited} routers have {:?} to reconnect", settings.stale_routes);
        }
        expiry::keep_meters(&operations.meters, &owned);
        registry.preload(known);
        let unfinished = journal::without_stored(unfinished, &owned, &positions);
        registry.expect_replays(unfinished.iter().map(journal::router_of).collect());
        let listeners = Listeners::open(settings, access)?;
        let (pipeline, sender) = pipeline::spawn(pipeline_options(settings, &operations), &stop)
            .map_err(|error| StartError::Failed(format!("no thread for a writer: {error}")))?;
        let routes_max = settings.max_routes_per_table.and_then(|max| u64::try_from(max).ok());
        operations.meters.process.table_routes_max.set(routes_max.unwrap_or(0));
        let shared = Arc::new(Shared {
            options: session_options(settings),
            registry,
            refusals: Refusals::default(),
            resyncs: Resyncs::default(),
            standbys: Standbys::default(),
            pipeline: sender,
            journal,
            feeds: Arc::new(Feeds::new(stations.len())),
            inputs: Arc::default(),
            stop,
            meters: Arc::clone(&operations.meters),
        });
        let mut readers = listeners.spawn(&shared, settings);
        let dialers = Dialers::new(settings, &listeners.key_of());
        readers.extend(dialers.spawn(&shared));
        readers.push(journal::spawn(&shared));
        readers.push(spawn_expiry(&collector, settings.stale_routes, &operations, &shared));
        readers.push(spawn_standby(&collector, &operations, &shared));
        let replay = journal::spawn_replay(&shared, unfinished);
        let mut lasting = vec![
            identity,
            spawn_maintenance(settings, &operations, &shared.stop),
            spawn_heartbeat(&collector, &operations, (&shared.stop, &written)),
            spawn_watch_trie(&collector, &operations, &shared.stop),
            spawn_session_notify(&collector, &operations, &written),
        ];
        lasting.extend(relay::start(stations, settings, &operations, &shared));
        lasting.extend(watches::spawn_evaluator(settings, &operations, &shared.stop));
        lasting.extend(watches::spawn_deliveries(settings, https, &operations, &shared.stop));
        lasting.extend(watches::spawn_rpki(settings, &operations, &shared.stop));
        lasting.extend(watches::spawn_dependents(settings, &operations, &shared.stop));
        let settings = Arc::clone(settings);
        Ok(Running { settings, operations, listeners, dialers, shared, pipeline, readers, replay, lasting, written })
    }

    fn reload(&self, logging: &Logging) {
        self.operations.reloading(|| {
            self.listeners.reload();
            match logging.reload(&self.settings) {
                Ok(level) => info!("log filter: read again, at most {level}"),
                Err(problem) => error!("log filter: old one kept: {problem}"),
            }
        });
    }

    /// Does periodic work. Returns the reason to end, if there is one.
    fn tick(&self, logging: &Logging) -> Option<Died> {
        logging.write_due_summaries();
        self.operations.measure(&self.shared);
        self.dialers.measure(&self.shared.meters);
        // The thread `identity` also ends when the identifier is taken, and notes that before.
        if let Some(process) = self.operations.health.lock.taken_by() {
            return Some(Died::Taken(process));
        }
        if let Some(what) = self.operations.health.lock.went_back() {
            return Some(Died::WentBack(what.to_owned()));
        }
        if self.pipeline.has_ended() {
            return Some(Died::Thread("writer".to_owned()));
        }
        let ended = self.readers.iter().chain(&self.lasting).find(|thread| thread.is_finished());
        ended.map(|thread| Died::Thread(thread.thread().name().unwrap_or("without a name").to_owned()))
    }

    /// Stops everything in order.
    fn stop(self, died: Option<Died>, signals: Receiver<i32>) -> Ending {
        let Running { settings, operations, shared, pipeline, mut readers, replay, lasting, written, .. } = self;
        info!("collector: stopping, {} sessions", shared.registry.connections());
        operations.stopping();
        shared.stop.begin();
        shared.registry.stop_reading();
        let ending = match died {
            None => Ending::Clean,
            Some(Died::Thread(_)) => Ending::Failed,
            Some(Died::Taken(process)) => {
                // Nothing may be written any more: all of it is saved to the journal.
                shared.stop.give_up();
                Ending::Taken(start::taken_by(&settings.collector_id, &process))
            }
            Some(Died::WentBack(what)) => {
                shared.stop.give_up();
                Ending::WentBack(format!("{what}: start the collector again, it goes on from there"))
            }
        };
        spawn_deadline(&shared.stop, settings.shutdown_timeout, signals);
        readers.push(replay);
        let (journal, inputs) = (Arc::clone(&shared.journal), Arc::clone(&shared.inputs));
        let mut is_whole = join_all(readers);
        drop(shared);
        let end = pipeline.join();
        let parked = inputs.park(&journal, matches!(ending, Ending::WentBack(_)));
        journal::report_left(&end, parked, &journal);
        written.begin();
        // Maintenance checks for the stop between its steps. A long step is repeated by the next run. If the heartbeat
        // could not be revoked, it expires six seconds later anyway.
        wait_until(Instant::now() + LEFT_TO_OTHERS, || lasting.iter().all(JoinHandle::is_finished));
        store::abandon();
        is_whole &= join_all(lasting) && parked.failed == 0 && parked.lost == 0 && end.panicked == 0;
        operations.join();
        info!("collector: stopped");
        if is_whole || ending != Ending::Clean { ending } else { Ending::Failed }
    }
}

/// Waits for threads. Returns whether none panicked.
fn join_all(threads: Vec<JoinHandle<()>>) -> bool {
    let joined: Vec<_> = threads.into_iter().map(JoinHandle::join).collect();
    joined.iter().all(Result::is_ok)
}

/// The reason why the collector ends without a signal.
enum Died {
    /// A thread ended by itself.
    Thread(String),
    /// Another process has taken the `COLLECTOR_ID`.
    Taken(String),
    /// The database lacks what it had committed.
    WentBack(String),
}

/// Runs until a signal asks for a stop, or `tick` returns a reason to end.
fn watch(signals: &Receiver<i32>, reload: impl Fn(), tick: impl Fn() -> Option<Died>) -> Option<Died> {
    loop {
        match signals.recv_timeout(TICK) {
            Ok(SIGHUP) => reload(),
            Ok(_) => return None,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Some(Died::Thread("signals".to_owned())),
        }
        if let Some(died) = tick() {
            match &died {
                Died::Thread(name) => error!("collector: thread {name} ended by itself, stopping"),
                Died::Taken(process) => error!("collector: its COLLECTOR_ID is taken by {process}, stopping"),
                Died::WentBack(what) => error!("collector: {what}; stopping, to go on from the journal"),
            }
            return Some(died);
        }
    }
}

/// Returns signals as messages; SIGTERM and SIGINT mean stop, SIGHUP reload.
fn watch_signals() -> Result<Receiver<i32>, StartError> {
    let cannot = |error: &dyn fmt::Display| StartError::Failed(format!("cannot watch for signals: {error}"));
    let (sender, receiver) = bounded(16);
    // The handler does not keep the channel open: that the thread below has ended must show.
    let sender = Arc::new(sender);
    let from_terminal = Arc::downgrade(&sender);
    ctrlc::set_handler(move || {
        // Once the collector has ended by itself, there is no receiver.
        let _ = from_terminal.upgrade().map(|sender| sender.send(SIGINT));
    })
    .map_err(|error| cannot(&error))?;
    let mut signals = Signals::new([SIGTERM, SIGHUP]).map_err(|error| cannot(&error))?;
    // A write beyond the process's limit of file sizes is an error, like a full disk, and must not end the process.
    signal_hook::flag::register(SIGXFSZ, Arc::default()).map_err(|error| cannot(&error))?;
    spawn("signals", move || {
        for signal in signals.forever() {
            if sender.send(signal).is_err() {
                return;
            }
        }
    });
    Ok(receiver)
}

/// Starts the thread that enforces a stop: a second signal ends the process immediately, and the grace period, less the
/// time that saving unwritten input to the journal takes, limits the writers' attempts.
fn spawn_deadline(stop: &Stop, grace: Duration, signals: Receiver<i32>) {
    let stop = stop.clone();
    let end = Instant::now() + grace - (grace / 4).min(PARKING_TIME);
    spawn("grace", move || {
        loop {
            match signals.recv_deadline(end) {
                Ok(SIGHUP) => {}
                Ok(_) => {
                    error!("collector: second signal, ending at once");
                    std::process::exit(1);
                }
                Err(RecvTimeoutError::Timeout) => {
                    error!("collector: not everything could be written within {grace:?}");
                    stop.give_up();
                    // This also wakes threads that wait for an answer of the database.
                    store::abandon();
                    return;
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    });
}

fn pipeline_options(settings: &Settings, operations: &Operations) -> PipelineOptions {
    PipelineOptions {
        history_wait: HISTORY_WAIT,
        database_url: settings.database_url.clone(),
        collector_id: settings.collector_id.clone(),
        state_writers: settings.state_writers,
        history_writers: if settings.history { settings.history_writers } else { 0 },
        batch_routes: settings.batch_routes,
        flush: settings.flush,
        compress_raw: settings.store_raw_bytes_compress,
        state_dir: settings.state_dir.clone(),
        meters: Arc::clone(&operations.meters),
        health: Arc::clone(&operations.health),
        watching: Arc::clone(&operations.watching),
        notices: Arc::clone(&operations.notices),
    }
}

fn session_options(settings: &Arc<Settings>) -> Options {
    let (for_identity, for_paths, for_views) = (Arc::clone(settings), Arc::clone(settings), Arc::clone(settings));
    Options {
        message_max: settings.max_message_bytes,
        audit_every: settings.maintenance_interval * AUDIT_RUNS,
        message_time_max: settings.message_timeout,
        rules: Rules {
            stale_time: settings.stale_routes,
            quiet: settings.eor_timeout,
            redump: match settings.history_redump {
                HistoryRedump::Skip => Redump::Skip,
                HistoryRedump::Record => Redump::Record,
            },
            routes_max: settings.max_routes_per_table,
        },
        raw: if settings.store_raw_bytes { RawBytes::Stored } else { RawBytes::Dropped },
        identity_rule: Box::new(move |source| match for_identity.router_id_rule(source) {
            RouterIdFrom::BgpId => IdentityRule::BgpId,
            RouterIdFrom::Address => IdentityRule::Address,
            RouterIdFrom::SysName => IdentityRule::SysName,
        }),
        ignore_path_id: Box::new(move |source| for_paths.ignores_path_id(source)),
        stored_views: Box::new(move |source| for_views.stored_views(source)),
        stored_families: settings.stored_families.iter().copied().collect(),
        resync_on_drift: settings.resync_on_drift,
        standby_window: settings.standby_window,
        rejected_dir: settings.state_dir.join("rejected"),
    }
}

fn spawn_maintenance(settings: &Settings, operations: &Operations, stop: &Stop) -> JoinHandle<()> {
    let options = MaintenanceOptions {
        pool: Arc::clone(&operations.pool),
        collector: settings.collector_id.clone(),
        retention_days: settings.retention_days,
        incident_retention_days: settings.incident_retention_days,
        archive_dir: settings.archive_dir.clone(),
        daily_snapshots: settings.daily_snapshots,
        interval: settings.maintenance_interval,
        meters: Arc::clone(&operations.meters),
        health: Arc::clone(&operations.health),
    };
    let stop = stop.clone();
    spawn("maintenance", move || maintenance::run(&options, &stop))
}

fn spawn_heartbeat(
    collector: &Arc<Collector>,
    operations: &Operations,
    (stop, written): (&Stop, &Stop),
) -> JoinHandle<()> {
    let (collector, stop, written) = (Arc::clone(collector), stop.clone(), written.clone());
    let (meters, health) = (Arc::clone(&operations.meters), Arc::clone(&operations.health));
    spawn(heartbeat::THREAD, move || heartbeat::run(&collector, &meters, &health, (&stop, &written)))
}

fn spawn_standby(collector: &Arc<Collector>, operations: &Operations, shared: &Arc<Shared>) -> JoinHandle<()> {
    let (collector, health, shared) = (Arc::clone(collector), Arc::clone(&operations.health), Arc::clone(shared));
    spawn(standby::THREAD, move || standby::run(&collector, &shared, &health))
}

fn spawn_session_notify(collector: &Arc<Collector>, operations: &Operations, written: &Stop) -> JoinHandle<()> {
    let (collector, written, notices) = (Arc::clone(collector), written.clone(), Arc::clone(&operations.notices));
    let health = Arc::clone(&operations.health);
    let heartbeat = operations.meters.heartbeat(session_notify::THREAD, session_notify::STANDSTILL_MAX);
    spawn(session_notify::THREAD, move || session_notify::run(&collector, &notices, &health, &heartbeat, &written))
}

fn spawn_watch_trie(collector: &Arc<Collector>, operations: &Operations, stop: &Stop) -> JoinHandle<()> {
    let (collector, stop, watching) = (Arc::clone(collector), stop.clone(), Arc::clone(&operations.watching));
    let (meters, health) = (Arc::clone(&operations.meters), Arc::clone(&operations.health));
    let heartbeat = meters.heartbeat(watch_trie::THREAD, watch_trie::STANDSTILL_MAX);
    spawn(watch_trie::THREAD, move || {
        let work = || watch_trie::run(&collector, &watching, &health, &heartbeat, &stop);
        restart::run(watch_trie::THREAD, &meters, &heartbeat, &stop, work);
    })
}

fn spawn_identity(
    collector: &Arc<Collector>,
    lock: store::Client,
    operations: &Operations,
    (stop, written): (&Stop, &Stop),
) -> JoinHandle<()> {
    let (collector, stop, written) = (Arc::clone(collector), stop.clone(), written.clone());
    let (health, meters) = (Arc::clone(&operations.health), Arc::clone(&operations.meters));
    // From here on writers check the lock.
    health.lock.hold(Instant::now());
    spawn(store::identity::THREAD, move || identity::run(&collector, lock, &health, &meters, (&stop, &written)))
}

fn spawn_expiry(
    collector: &Arc<Collector>,
    stale_time: Duration,
    operations: &Operations,
    shared: &Arc<Shared>,
) -> JoinHandle<()> {
    let (collector, health, shared) = (Arc::clone(collector), Arc::clone(&operations.health), Arc::clone(shared));
    let heartbeat = shared.meters.heartbeat(expiry::THREAD, expiry::STANDSTILL_MAX);
    spawn(expiry::THREAD, move || expiry::run(&collector, stale_time, &shared, &health, &heartbeat))
}
