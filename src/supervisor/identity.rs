//! The lock of `COLLECTOR_ID`: acquired at the start, watched while the collector runs, acquired again when it is lost.
//!
//! The process that holds the lock is the collector. While the lock is lost, writers begin no transaction and input
//! waits, as when the database is away; if another process has served under the identifier meanwhile, this one's memory
//! no longer matches the stored routes, and it ends.

use std::time::{Duration, Instant};

use log::{info, warn};

use super::heartbeat::Collector;
use crate::metrics::Meters;
use crate::model::Timestamp;
use crate::pipeline::Health;
use crate::stop::Stop;
use crate::store::identity::{self, Process, THREAD};
use crate::store::{self, Client, Error, Recovery};

/// The interval at which the connection is checked.
const EVERY: Duration = Duration::from_secs(2);

/// The interval at which an unavailable lock is tried again.
const RETRY: Duration = Duration::from_millis(500);

/// The interval at which a waiting start is logged.
const TELL_EVERY: Duration = Duration::from_secs(30);

/// The number of changes of another process's `alive_until` that prove it alive: a dead one's last update may arrive
/// late.
const SIGNS_OF_LIFE: u32 = 2;

/// The longest time that one round may take: a new connection and some statements.
const STANDSTILL_MAX: Duration = Duration::from_secs(120);

/// The outcome of acquiring the lock at the start.
pub(super) enum Acquired {
    /// The session of this connection holds the lock.
    Lock(Client),
    /// Another process holds it and is alive.
    Running(Process),
}

/// Acquires the lock, and waits for it while its holder shows no sign of life: the server may not have noticed yet that
/// an earlier process is gone. When the collector stops, the connection is cut.
///
/// # Errors
/// The database cannot be reached or a statement fails.
pub(super) fn acquire(url: &str, id: &str, meters: &Meters) -> store::Result<Acquired> {
    let mut client = identity::connect(url)?;
    let mut seen: Option<(String, Timestamp)> = None;
    let mut signs = 0;
    let (began, mut told_at) = (Instant::now(), None::<Instant>);
    loop {
        if identity::take(&mut client, id)? {
            if told_at.is_some() {
                info!("collector: acquired the lock of COLLECTOR_ID {id} after {:.1} s", began.elapsed().as_secs_f64());
            }
            return Ok(Acquired::Lock(client));
        }
        let process = identity::process(&mut client, id)?;
        if let Some(process) = &process {
            let sign = (process.instance.clone(), process.alive_until);
            let has_moved = seen.as_ref().is_some_and(|last| sign.0 != last.0 || sign.1 > last.1);
            signs += u32::from(has_moved);
            seen = Some(sign);
        }
        if let Some(process) = process.clone().filter(|_| signs >= SIGNS_OF_LIFE) {
            return Ok(Acquired::Running(process));
        }
        if told_at.is_none_or(|at| at.elapsed() >= TELL_EVERY) {
            told_at = Some(Instant::now());
            if let Some(why) = waits_for(&mut client, id, process.as_ref())? {
                warn!("collector: {why}");
                meters.set_part("writers", Err(format!("not started: {why}")));
            }
        }
        std::thread::sleep(RETRY);
    }
}

/// Returns the reason why the lock is unavailable, and how to release it.
fn waits_for(client: &mut Client, id: &str, process: Option<&Process>) -> store::Result<Option<String>> {
    let Some(holder) = identity::holder(client, id)? else { return Ok(None) };
    let last = process.map_or("no known process".to_owned(), Process::to_string);
    Ok(Some(format!(
        "waits for the lock of COLLECTOR_ID {id}, held by {holder}; last under this name: {last}. If that one is gone, the \
         server ends its session within seconds; pg_terminate_backend does at once"
    )))
}

/// The result of one check of the lock.
enum LockCheck {
    /// This process holds the lock.
    Held(Client),
    /// Another process has served under the identifier.
    Taken(Process),
}

/// Watches the lock until the writers have ended, which `written` signals.
pub(super) fn run(
    collector: &Collector,
    client: Client,
    health: &Health,
    meters: &Meters,
    (stop, written): (&Stop, &Stop),
) {
    let heartbeat = meters.heartbeat(THREAD, STANDSTILL_MAX);
    let mut connection = Some(client);
    let mut lost_since: Option<Instant> = None;
    while !written.is_stopping() {
        heartbeat.progress();
        let asked = Instant::now();
        let standing = match connection.take() {
            Some(client) => keep(client),
            None => retake(collector),
        };
        match standing {
            Ok(LockCheck::Held(client)) => {
                health.lock.hold(asked);
                if let Some(since) = lost_since.take() {
                    let seconds = since.elapsed().as_secs_f64();
                    info!("collector: acquired the lock of COLLECTOR_ID {} again after {seconds:.1} s", collector.id);
                    health.database_back(THREAD);
                }
                connection = Some(client);
            }
            Ok(LockCheck::Taken(process)) => {
                health.leave(THREAD);
                health.lock.give_up(process.to_string());
                heartbeat.idle();
                return;
            }
            Err(error) => {
                health.lock.lose();
                lost_since.get_or_insert(asked);
                // At the end of a stop's grace period this connection is cut like all others.
                if !stop.is_giving_up() {
                    health.database_away(THREAD, &error);
                }
            }
        }
        heartbeat.idle();
        match &mut connection {
            Some(client) => written.wait(asked + EVERY, || identity::is_gone(client)),
            None => written.wait(asked + RETRY, || false),
        }
    }
}

/// Checks whether the session that holds the lock still exists: any answer proves it.
fn keep(mut client: Client) -> store::Result<LockCheck> {
    match identity::check(&mut client) {
        Ok(()) => Ok(LockCheck::Held(client)),
        Err(error) if error.verdict() == Recovery::Reconnect => Err(error),
        Err(_) => Ok(LockCheck::Held(client)),
    }
}

/// Acquires the lock with a new connection, unless another process has served since it was lost.
fn retake(collector: &Collector) -> store::Result<LockCheck> {
    let id = &collector.id;
    let mut client = identity::connect(&collector.database_url)?;
    let is_taken = identity::take(&mut client, id)?;
    match identity::process(&mut client, id)? {
        Some(process) if process.instance != collector.instance => Ok(LockCheck::Taken(process)),
        Some(_) | None if is_taken => Ok(LockCheck::Held(client)),
        Some(_) | None => {
            let holder = identity::holder(&mut client, id)?.unwrap_or_else(|| "no session any more".to_owned());
            Err(Error::Locked(format!("the lock of COLLECTOR_ID {id} is lost and held by {holder}")))
        }
    }
}
