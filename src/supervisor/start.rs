//! The start: reaches the database, however long that takes, and updates its schema, while signals are handled.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded, select};
use log::{info, warn};
use signal_hook::consts::SIGHUP;

use super::begin::{StartError, spawn};
use super::heartbeat;
use super::identity::{self, Acquired};
use super::observability::Operations;
use crate::config::Settings;
use crate::metrics::{Meters, ROUTERS_MAX};
use crate::model::RouterId;
use crate::pipeline::StoredPositions;
use crate::stop::Backoff;
use crate::store::identity::Process;
use crate::store::migrate::Step;
use crate::store::sync::OwnedRouter;
use crate::store::{self, Client};

/// The handling of the schema by `serve`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Migrate {
    /// Apply missing migrations.
    First,
    /// Leave the schema to the operator.
    Skip,
}

/// The thread's name, in the log and in `pg_stat_activity`.
const THREAD: &str = "start";

/// The first pause between two tries.
const PAUSE_MIN: Duration = Duration::from_millis(500);

/// The longest pause between two tries.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// The state that earlier runs left in the database.
pub(super) struct Left {
    /// Router identifiers by the source addresses of their sessions.
    pub(super) known: Vec<(IpAddr, RouterId)>,
    /// Routers of this collector: those that have tables get the stale time to reconnect.
    pub(super) owned: Vec<OwnedRouter>,
    /// The positions up to which the input of each session of this collector is stored.
    pub(super) positions: HashMap<String, StoredPositions>,
    /// The identifier of this process in `collectors`.
    pub(super) instance: String,
    /// The connection that holds the lock of `COLLECTOR_ID`.
    pub(super) lock: Client,
}

/// The result of one try.
enum Opened {
    /// The database is ready for writing.
    Ready(Box<Left>),
    /// Another process holds this `COLLECTOR_ID`.
    Taken(Process),
}

/// Connects, migrates and reads the stored state, retrying until it succeeds or a signal arrives (`None`).
///
/// # Errors
/// A failure that waiting does not fix.
pub(super) fn reach_database(
    settings: &Arc<Settings>,
    migrate: Migrate,
    signals: &Receiver<i32>,
    operations: &Operations,
) -> Result<Option<Left>, StartError> {
    let mut backoff = Backoff::new(PAUSE_MIN, PAUSE_MAX);
    let mut away_since = None;
    loop {
        let Some(opened) = open_beside(settings, migrate, signals, &operations.meters) else { return Ok(None) };
        match opened {
            Ok(Opened::Taken(process)) => {
                return Err(StartError::Failed(taken_by(&settings.collector_id, &process.to_string())));
            }
            Ok(Opened::Ready(left)) => {
                operations.health.leave(THREAD);
                match away_since.map(|since: Instant| since.elapsed().as_secs_f64()) {
                    Some(seconds) => info!("database: connected after {seconds:.1} s"),
                    None => info!("database: connected"),
                }
                return Ok(Some(*left));
            }
            // A password file is renewed before or after the role's password: a refused login may succeed soon.
            Err(error)
                if error.is_configuration() && !(error.is_login_refused() && settings.has_rotated_password()) =>
            {
                return Err(StartError::Configuration(format!("database: {error}")));
            }
            Err(error) => {
                away_since.get_or_insert_with(Instant::now);
                operations.waits_for_database(THREAD, &error);
            }
        }
        match signals.recv_timeout(backoff.take()) {
            Ok(SIGHUP) | Err(RecvTimeoutError::Timeout) => {}
            Ok(_) | Err(RecvTimeoutError::Disconnected) => return Ok(None),
        }
    }
}

/// Returns the message for an identifier that another process holds.
pub(super) fn taken_by(id: &str, process: &str) -> String {
    format!(
        "COLLECTOR_ID {id} is in use by another process: {process}; give each collector its own RIB_INGESTER_COLLECTOR_ID"
    )
}

/// Runs one try in its own thread, so that signals are handled at any time. `None`: a signal asked for a stop.
fn open_beside(
    settings: &Arc<Settings>,
    migrate: Migrate,
    signals: &Receiver<i32>,
    meters: &Arc<Meters>,
) -> Option<store::Result<Opened>> {
    let (done, opened) = bounded(1);
    let (for_thread, meters) = (Arc::clone(settings), Arc::clone(meters));
    spawn(THREAD, move || {
        // The receiver may be gone already.
        let _ = done.send(open(&for_thread, migrate, &meters));
    });
    loop {
        select! {
            recv(opened) -> result => match result {
                Ok(result) => return Some(result),
                Err(_) => return Some(Err(store::Error::Local("the thread that connects ended by itself".to_owned()))),
            },
            recv(signals) -> signal => match signal {
                Ok(SIGHUP) => {}
                Ok(_) | Err(_) => {
                    // A running migration is rolled back with its connection.
                    store::abandon();
                    return None;
                }
            },
        }
    }
}

fn open(settings: &Settings, migrate: Migrate, meters: &Meters) -> store::Result<Opened> {
    let mut client = store::connect(&settings.database_url, THREAD)?;
    store::suitable::check_encoding(&mut client)?;
    if migrate == Migrate::First {
        store::migrate::migrate_telling(&mut client, |name, step| match step {
            Step::Waits { holder } => warn!("database: the migration waits for its lock, which is held by {holder}"),
            Step::Begins { number, of } => info!("database: migration {name} begins, {number} of {of}"),
            Step::Applied(took) => info!("database: migration {name} applied in {:.1} s", took.as_secs_f64()),
        })?;
    }
    let lock = match identity::acquire(&settings.database_url, &settings.collector_id, meters)? {
        Acquired::Lock(client) => client,
        Acquired::Running(process) => return Ok(Opened::Taken(process)),
    };
    let known = store::owner::known_addresses(&mut client)?;
    let owned = store::sync::owned_routers(&mut client, &settings.collector_id, ROUTERS_MAX)?;
    let positions = store::journal_positions::of_collector(&mut client, &settings.collector_id)?;
    let process = heartbeat::itself(&settings.collector_id);
    let instance = store::sessions::begin_collector(&mut client, &process, heartbeat::AHEAD)?;
    let shared = store::sessions::SharedSettings {
        stale: settings.stale_routes,
        mass_loss_stale: settings.mass_loss_stale,
        watch: settings.watch,
    };
    store::sessions::note_settings(&mut client, &settings.collector_id, shared)?;
    Ok(Opened::Ready(Box::new(Left { known, owned, positions, instance, lock })))
}
