//! The lock of `COLLECTOR_ID`: waited for at the start, watched while the collector runs, taken again when it is lost.
//!
//! Who holds it is the collector. While it is lost writers begin no transaction and input waits, as with a database that is
//! away; when another process has served under the identifier meanwhile, what this one remembers is not what is stored any
//! more, and it ends.

use std::time::{Duration, Instant};

use log::{info, warn};

use super::heartbeat::Collector;
use crate::metrics::Meters;
use crate::model::Timestamp;
use crate::pipeline::Health;
use crate::stop::Stop;
use crate::store::identity::{self, Process, THREAD};
use crate::store::{self, Client, Error, Recovery};

/// How often the server is asked for a sign of life.
const EVERY: Duration = Duration::from_secs(2);

/// How often a lock that is not to be had is tried again.
const RETRY: Duration = Duration::from_millis(500);

/// How often a waiting thread looks whether the collector stops.
const STOP_POLL: Duration = Duration::from_millis(100);

/// How often a start that waits says so.
const TELL_EVERY: Duration = Duration::from_secs(30);

/// So many times another process must have moved its `alive_until` to be alive: a dead one's last word may come late.
const SIGNS_OF_LIFE: u32 = 2;

/// How long one round may take: making a connection and some statements.
const STANDSTILL_MAX: Duration = Duration::from_secs(120);

/// Whether the lock was to be had at the start.
pub(super) enum Acquired {
    /// By the session of this connection.
    Lock(Client),
    /// Another process has it and is alive.
    Running(Process),
}

/// Takes the lock, and waits for it while its holder shows no sign of life: the server may not have noticed yet that a
/// process of before is gone. Where the collector stops, the connection is cut.
///
/// # Errors
/// As PostgreSQL reports.
pub(super) fn acquire(url: &str, id: &str, meters: &Meters) -> store::Result<Acquired> {
    let mut client = identity::connect(url)?;
    let mut seen: Option<(String, Timestamp)> = None;
    let mut signs = 0;
    let (began, mut told_at) = (Instant::now(), None::<Instant>);
    loop {
        if identity::take(&mut client, id)? {
            if told_at.is_some() {
                info!("collector: has the lock of COLLECTOR_ID {id} after {:.1} s", began.elapsed().as_secs_f64());
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

/// Why the lock is not to be had, and what ends that.
fn waits_for(client: &mut Client, id: &str, process: Option<&Process>) -> store::Result<Option<String>> {
    let Some(holder) = identity::holder(client, id)? else { return Ok(None) };
    let last = process.map_or("no process that is known".to_owned(), Process::to_string);
    Ok(Some(format!(
        "waits for the lock of COLLECTOR_ID {id}, held by {holder}; last under this name: {last}. If that one is gone, the \
         server ends its session within seconds; pg_terminate_backend does at once"
    )))
}

/// How one look at the lock ended.
enum Standing {
    /// It is ours.
    Held(Client),
    /// Another process has served under the identifier.
    Taken(Process),
}

/// Watches the lock until the writers have ended, as `written` says.
pub(super) fn run(
    collector: &Collector,
    client: Client,
    health: &Health,
    meters: &Meters,
    (stop, written): (&Stop, &Stop),
) {
    let pulse = meters.pulse(THREAD, STANDSTILL_MAX);
    let mut connection = Some(client);
    let mut lost_since: Option<Instant> = None;
    while !written.is_stopping() {
        pulse.beat();
        let asked = Instant::now();
        let standing = match connection.take() {
            Some(client) => keep(client),
            None => retake(collector),
        };
        match standing {
            Ok(Standing::Held(client)) => {
                health.lock.hold(asked);
                if let Some(since) = lost_since.take() {
                    let seconds = since.elapsed().as_secs_f64();
                    info!("collector: has the lock of COLLECTOR_ID {} again after {seconds:.1} s", collector.id);
                    health.database_back(THREAD);
                }
                connection = Some(client);
            }
            Ok(Standing::Taken(process)) => {
                health.leave(THREAD);
                health.lock.give_up(process.to_string());
                pulse.rest();
                return;
            }
            Err(error) => {
                health.lock.lose();
                lost_since.get_or_insert(asked);
                // At the end of the grace of a stop it is cut as all others are.
                if !stop.is_giving_up() {
                    health.database_away(THREAD, &error);
                }
            }
        }
        pulse.rest();
        match &mut connection {
            Some(client) => {
                let mut is_there = true;
                while is_there && !written.is_stopping() && asked.elapsed() < EVERY {
                    is_there = identity::rest(client, STOP_POLL).is_ok();
                }
            }
            None => wait(written, asked),
        }
    }
}

fn wait(written: &Stop, began: Instant) {
    while !written.is_stopping() && began.elapsed() < RETRY {
        std::thread::sleep(STOP_POLL);
    }
}

/// Whether the session that has the lock is still there: any answer of it says so.
fn keep(mut client: Client) -> store::Result<Standing> {
    match identity::check(&mut client) {
        Ok(()) => Ok(Standing::Held(client)),
        Err(error) if error.verdict() == Recovery::Reconnect => Err(error),
        Err(_) => Ok(Standing::Held(client)),
    }
}

/// Takes the lock with a new connection, unless another process has served since it was lost.
fn retake(collector: &Collector) -> store::Result<Standing> {
    let id = &collector.id;
    let mut client = identity::connect(&collector.database_url)?;
    let is_taken = identity::take(&mut client, id)?;
    match identity::process(&mut client, id)? {
        Some(process) if process.instance != collector.instance => Ok(Standing::Taken(process)),
        Some(_) | None if is_taken => Ok(Standing::Held(client)),
        Some(_) | None => {
            let holder = identity::holder(&mut client, id)?.unwrap_or_else(|| "nobody any more".to_owned());
            Err(Error::Locked(format!("the lock of COLLECTOR_ID {id} is lost and held by {holder}")))
        }
    }
}
