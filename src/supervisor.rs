//! The collector as a whole: starts every thread, watches them, and stops them in order.
//!
//! Start: the database (retried forever), the migration, writers, maintenance, the BMP port. Stop: the listener and the
//! sessions first, then the channels disconnect, the writers drain within the grace period, maintenance last.

mod expiry;
mod heartbeat;
mod identity;
mod listeners;
mod notify;
mod observability;
mod replays;
mod reported;
mod restart;
mod start;
mod watch_trie;
mod watches;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use log::{error, info, warn};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;

use crate::config::{HistoryRedump, RouterIdFrom, Settings};
use crate::logging::Logging;
use crate::maintenance::{self, MaintenanceOptions};
use crate::pipeline::{self, PipelineEnd, PipelineOptions};
use crate::session::drift::Resyncs;
use crate::session::identity::IdentityRule;
use crate::session::intakes::{self, Intakes, Parked};
use crate::session::refused_connections::Refusals;
use crate::session::registry::Registry;
use crate::session::tables::{Redump, Rules};
use crate::session::{Options, RawBytes, Shared};
use crate::spool::{Spool, Stream};
use crate::stop::{Stop, wait_until};
use crate::store;

use heartbeat::Collector;
use listeners::{AccessFiles, Listeners};
use observability::Operations;

/// The interval at which the supervisor checks its threads and the stale time.
const TICK: Duration = Duration::from_millis(500);

/// The part of a stop's grace period that is reserved for saving unwritten input to the spool.
const PARKING_TIME: Duration = Duration::from_secs(3);

/// The time in which maintenance and the heartbeat may end by themselves once everything is written.
const LEFT_TO_OTHERS: Duration = Duration::from_millis(500);

/// The number of maintenance intervals within which the routes of every table are counted once.
const AUDIT_RUNS: u32 = 6;

/// The handling of the schema by `serve`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Migrate {
    /// Apply missing migrations.
    First,
    /// Leave the schema to the operator.
    Skip,
}

/// The way in which the collector ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Everything that was read is written.
    Clean,
    /// Another process, described here, has taken the `COLLECTOR_ID`; unwritten input waits in the spool.
    Taken(String),
    /// Input was lost, or a thread ended unexpectedly.
    Failed,
}

/// The reason why the collector did not start.
#[derive(Debug)]
pub enum StartError {
    /// Only the operator can fix it: wrong credentials, no such database, an invalid file.
    Configuration(String),
    /// The next try may succeed: a port is in use, a resource is exhausted.
    Failed(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Configuration(why) | StartError::Failed(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for StartError {}

/// Runs the collector until a signal stops it.
///
/// # Errors
/// Wrong credentials, no such database, a schema that cannot be migrated, a port that cannot be bound.
pub fn run(settings: &Arc<Settings>, migrate: Migrate, logging: &Logging) -> Result<Ending, StartError> {
    let stop = Stop::new();
    let signals = watch_signals()?;
    let admission = AccessFiles::load(settings)?;
    let operations = Operations::start(settings, &stop)?;
    let (spool, spooled) = open_spool(settings)?;
    let Some(left) = start::reach_database(settings, migrate, &signals, &operations)? else {
        info!("collector: stopped before the database could be reached");
        return Ok(Ending::Clean);
    };
    let (database_url, id) = (settings.database_url.clone(), settings.collector_id.clone());
    let collector = Arc::new(Collector { database_url, id, instance: left.instance });
    // The lock is held until everything is written: the process that waits for it reads what this one leaves.
    let written = Stop::new();
    let identity = spawn_identity(&collector, left.lock, &operations, (&stop, &written));
    let registry = Registry::new(settings.stale_routes, settings.mass_loss_stale, spool.first_number());
    let awaited = left.owned.iter().filter(|owned| owned.has_tables).count();
    if awaited > 0 {
        info!("collector: {awaited} routers have {:?} to reconnect", settings.stale_routes);
    }
    expiry::keep_meters(&operations.meters, &left.owned);
    registry.preload(left.known);
    registry.expect_spooled(spooled.iter().map(replays::spooled_router).collect());
    let doors = Listeners::open(settings, admission)?;

    let (pipeline, sender) = pipeline::spawn(pipeline_options(settings, &operations), &stop)
        .map_err(|error| StartError::Failed(format!("no thread for a writer: {error}")))?;
    let routes_max = settings.max_routes_per_table.and_then(|max| u64::try_from(max).ok());
    operations.meters.process.table_routes_max.set(routes_max.unwrap_or(0));
    let shared = Arc::new(Shared {
        options: session_options(settings),
        registry,
        refusals: Refusals::default(),
        resyncs: Resyncs::default(),
        pipeline: sender,
        spool: Arc::clone(&spool),
        intakes: Arc::default(),
        stop: stop.clone(),
        meters: Arc::clone(&operations.meters),
    });
    let intakes = Arc::clone(&shared.intakes);
    let spooler = spawn_spooler(&intakes, &spool, settings.stall, &stop);
    let spool_sync = spawn_spool_sync(&spool, &stop);
    let replay = replays::spawn_replay(&shared, spooled);
    let listeners = doors.spawn(&shared, settings);
    let maintenance = spawn_maintenance(settings, &operations, &stop);
    let heartbeat = spawn_heartbeat(&collector, &operations, &stop);
    let watch_trie = spawn_watch_trie(&collector, &operations, &stop);
    let expiry = spawn_expiry(&collector, settings.stale_routes, &operations, &shared);
    let deliveries = watches::spawn_deliveries(settings, &operations, &stop);

    operations.ready();
    // A request to `/readyz` must not report "not yet" until the first tick.
    operations.measure(&shared);
    let reload = || {
        operations.reloading(|| {
            doors.reload();
            match logging.reload(settings) {
                Ok(level) => info!("log filter: read again, at most {level}"),
                Err(problem) => error!("log filter: old one kept: {problem}"),
            }
        })
    };
    let tick = || {
        logging.write_due_summaries();
        operations.measure(&shared);
        let ended = [
            ("identity", identity.is_finished()),
            ("listener", listeners.iter().any(JoinHandle::is_finished)),
            ("writer", pipeline.has_ended()),
            ("maintenance", maintenance.is_finished()),
            (heartbeat::THREAD, heartbeat.is_finished()),
            ("spooler", spooler.is_finished()),
            (expiry::THREAD, expiry.is_finished()),
            ("spool-sync", spool_sync.is_finished()),
        ];
        // The thread `identity` also ends when the identifier is taken, and notes that before.
        let taken = operations.health.lock.taken_by().map(Died::Taken);
        taken.or_else(|| ended.into_iter().find(|(_, ended)| *ended).map(|(name, _)| Died::Thread(name)))
    };
    let died = watch(&signals, reload, tick);
    info!("collector: stopping, {} sessions", shared.registry.connections());
    operations.stopping();
    stop.begin();
    shared.registry.stop_reading();
    let mut ending = match died {
        None => Ending::Clean,
        Some(Died::Thread(_)) => Ending::Failed,
        Some(Died::Taken(process)) => {
            // Nothing may be written any more: all of it is saved to the spool.
            stop.give_up();
            Ending::Taken(start::taken_by(&settings.collector_id, &process))
        }
    };
    spawn_deadline(&stop, settings.shutdown_timeout, signals);
    let mut readers = listeners;
    readers.extend([spooler, spool_sync, replay, expiry]);
    let joined: Vec<_> = readers.into_iter().map(JoinHandle::join).collect();
    let panicked = joined.iter().any(Result::is_err);
    drop(shared);
    let end = pipeline.join();
    let parked = intakes.park(&spool);
    report_left(&end, parked, &spool);
    written.begin();
    // Maintenance checks for the stop between its steps. A long step is repeated by the next run.
    wait_until(Instant::now() + LEFT_TO_OTHERS, || {
        maintenance.is_finished() && heartbeat.is_finished() && identity.is_finished()
    });
    store::abandon();
    // A panic in it is caught; what it had not sent or noted is sent after the next start.
    let _ = deliveries.map(JoinHandle::join);
    let maintenance = maintenance.join();
    if panicked || parked.failed > 0 || parked.lost > 0 || end.panicked > 0 || maintenance.is_err() {
        ending = if ending == Ending::Clean { Ending::Failed } else { ending };
    }
    let _ = identity.join();
    // If it could not revoke its heartbeat, that expires six seconds later anyway.
    let _ = heartbeat.join();
    let _ = watch_trie.join();
    operations.join();
    info!("collector: stopped");
    Ok(ending)
}

/// Logs input that was read and is not in the database.
fn report_left(end: &PipelineEnd, parked: Parked, spool: &Spool) {
    if parked.failed > 0 {
        error!(
            "collector: {} changes not written, and the input of {} sessions is not in the spool and is lost",
            end.given_up, parked.failed
        );
    }
    if parked.lost > 0 {
        error!("collector: input of {} sessions was lost, see above", parked.lost);
    }
    if parked.sessions > 0 {
        warn!(
            "collector: unwritten input of {} sessions stays in the spool for the next start, {} bytes",
            parked.sessions,
            spool.counters().bytes.load(Ordering::Relaxed)
        );
    }
}

/// Opens the spool, with the streams that an earlier process left in it. Without the folder there is no spool, and the
/// collector runs anyway.
fn open_spool(settings: &Settings) -> Result<(Arc<Spool>, Vec<Stream>), StartError> {
    let folder = settings.state_dir.join("spool");
    match Spool::open(&folder, settings.spool_max_bytes) {
        Ok(opened) => Ok(opened),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(StartError::Failed(format!(
            "{}: another collector uses this folder; give each one its own RIB_INGESTER_STATE_DIR",
            folder.display()
        ))),
        Err(error) => {
            error!("spool: {}: {error}; without it routers wait while the database is down", folder.display());
            Ok((Spool::off(), Vec::new()))
        }
    }
}

fn spawn_spooler(intakes: &Arc<Intakes>, spool: &Arc<Spool>, stall: Duration, stop: &Stop) -> JoinHandle<()> {
    let (intakes, spool, stop) = (Arc::clone(intakes), Arc::clone(spool), stop.clone());
    spawn("spooler", move || intakes.run_spooler(&spool, stall, &stop))
}

fn spawn_spool_sync(spool: &Arc<Spool>, stop: &Stop) -> JoinHandle<()> {
    let (spool, stop) = (Arc::clone(spool), stop.clone());
    spawn("spool-sync", move || intakes::run_sync(&spool, &stop))
}

/// The reason why the collector ends without a signal.
enum Died {
    /// A thread ended by itself.
    Thread(&'static str),
    /// Another process has taken the `COLLECTOR_ID`.
    Taken(String),
}

/// Runs until a signal asks for a stop, or `tick` returns a reason to end.
fn watch(signals: &Receiver<i32>, reload: impl Fn(), tick: impl Fn() -> Option<Died>) -> Option<Died> {
    loop {
        match signals.recv_timeout(TICK) {
            Ok(SIGHUP) => reload(),
            Ok(_) => return None,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Some(Died::Thread("signals")),
        }
        if let Some(died) = tick() {
            match &died {
                Died::Thread(name) => error!("collector: thread {name} ended by itself, stopping"),
                Died::Taken(process) => error!("collector: its COLLECTOR_ID is taken by {process}, stopping"),
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
/// time that saving unwritten input to the spool takes, limits the writers' attempts.
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
    }
}

fn session_options(settings: &Arc<Settings>) -> Options {
    let (for_identity, for_paths, for_views) = (Arc::clone(settings), Arc::clone(settings), Arc::clone(settings));
    Options {
        message_max: settings.max_message_bytes,
        audit_every: settings.maintenance_interval * AUDIT_RUNS,
        message_time_max: settings.message_timeout,
        stall: settings.stall,
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
        resync_on_drift: settings.resync_on_drift,
        rejected_dir: settings.state_dir.join("rejected"),
    }
}

fn spawn_maintenance(settings: &Settings, operations: &Operations, stop: &Stop) -> JoinHandle<()> {
    let options = MaintenanceOptions {
        pool: Arc::clone(&operations.pool),
        retention_days: settings.retention_days,
        daily_snapshots: settings.daily_snapshots,
        interval: settings.maintenance_interval,
        meters: Arc::clone(&operations.meters),
        health: Arc::clone(&operations.health),
    };
    let stop = stop.clone();
    spawn("maintenance", move || maintenance::run(&options, &stop))
}

fn spawn_heartbeat(collector: &Arc<Collector>, operations: &Operations, stop: &Stop) -> JoinHandle<()> {
    let (collector, stop) = (Arc::clone(collector), stop.clone());
    let (meters, health) = (Arc::clone(&operations.meters), Arc::clone(&operations.health));
    spawn(heartbeat::THREAD, move || heartbeat::run(&collector, &meters, &health, &stop))
}

fn spawn_watch_trie(collector: &Arc<Collector>, operations: &Operations, stop: &Stop) -> JoinHandle<()> {
    let (collector, stop, watching) = (Arc::clone(collector), stop.clone(), Arc::clone(&operations.watching));
    let (meters, health) = (Arc::clone(&operations.meters), Arc::clone(&operations.health));
    let pulse = meters.pulse(watch_trie::THREAD, watch_trie::STANDSTILL_MAX);
    spawn(watch_trie::THREAD, move || {
        let work = || watch_trie::run(&collector, &watching, &health, &pulse, &stop);
        restart::run(watch_trie::THREAD, &meters, &pulse, &stop, work);
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
    let pulse = shared.meters.pulse(expiry::THREAD, expiry::STANDSTILL_MAX);
    spawn(expiry::THREAD, move || expiry::run(&collector, stale_time, &shared, &health, &pulse))
}

/// Starts one of the collector's own threads; without it there is no collector.
fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    thread::Builder::new().name(name.to_owned()).spawn(work).expect("the system has a thread for the collector itself")
}
