//! The thread that looks, every second, which routers have changed hands or are to: those that this collector stands by
//! for and may take, those that it has and that are handed over, and those that another collector has taken from it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::info;

use super::heartbeat::Collector;
use super::reported::Reported;
use crate::model::{RouterId, Timestamp};
use crate::pipeline::Health;
use crate::session::input::InputProgress;
use crate::session::{Cause, SessionEnd, Shared};
use crate::stop::wait_until;
use crate::store::lease::{self, ClaimGround};
use crate::store::sessions::StandbyRow;
use crate::store::{self, Client, owner, sessions};

/// The interval between two looks.
const EVERY: Duration = Duration::from_secs(1);

/// The number of looks after which the routers of this collector are compared with the database.
const OWN_EVERY: u32 = 5;

/// The number of looks after which the progress of sessions that stand by is stored, if it has changed.
const TELL_EVERY: u32 = 10;

/// The age up to which a session that stands by elsewhere is a reason to find out whether the router is still connected
/// here: some looks.
const PROBE_TIME: Duration = Duration::from_secs(5);

/// The time that sessions have to end when the collector stops.
const END_MAX: Duration = Duration::from_secs(2);

/// The longest time that one round may take: a new connection and some short statements.
const STANDSTILL_MAX: Duration = Duration::from_secs(300);

/// The thread's name, also in `pg_stat_activity`.
pub(super) const THREAD: &str = "standby";

/// Looks until the collector stops, then ends the sessions that stood by.
pub(super) fn run(collector: &Collector, shared: &Arc<Shared>, health: &Arc<Health>) {
    let heartbeat = shared.meters.heartbeat(THREAD, STANDSTILL_MAX);
    let stop = &shared.stop;
    let mut connection = Reported::new(THREAD, &collector.database_url, health, stop);
    let (mut round, mut told) = (0_u32, Told::default());
    while !stop.is_stopping() {
        heartbeat.progress();
        let began = Instant::now();
        round = round.wrapping_add(1);
        let progress = shared.standbys.progress(Timestamp::now());
        measure(shared, &progress);
        let is_due = round.is_multiple_of(OWN_EVERY);
        connection.attempt(|client| {
            look(collector, shared, health, client, is_due)?;
            told.tell(client, &progress, round.is_multiple_of(TELL_EVERY))
        });
        heartbeat.idle();
        stop.wait(began + EVERY, || connection.is_worth_a_try());
    }
    wait_until(Instant::now() + END_MAX, || shared.standbys.count() == 0);
    if let Some(client) = connection.client() {
        // If this fails, the next start of the collector ends them.
        let _ = store_ended(shared, client);
    }
}

fn measure(shared: &Shared, progress: &[(String, InputProgress)]) {
    let process = &shared.meters.process;
    let lag = progress.iter().map(|(_, progress)| progress.lag).max().unwrap_or_default();
    process.standby_sessions.set(shared.standbys.count());
    process.standby_lag.set(u64::try_from(lag.as_micros()).unwrap_or(u64::MAX));
    process.standby_window.set(u64::try_from(shared.standbys.memory().bytes()).unwrap_or(u64::MAX));
}

/// The progress of sessions that stand by as it is stored, by their keys.
#[derive(Default)]
struct Told(HashMap<String, InputProgress>);

impl Told {
    /// Stores what has changed: if `all`, every change, else those of a lag by a second or more.
    fn tell(&mut self, client: &mut Client, now: &[(String, InputProgress)], all: bool) -> store::Result<()> {
        let has_news = |(session, progress): &&(String, InputProgress)| match self.0.get(session) {
            Some(told) if all => told != progress,
            Some(told) => told.lag.abs_diff(progress.lag) >= Duration::from_secs(1),
            None => true,
        };
        let news: Vec<StandbyRow> = now.iter().filter(has_news).map(row_of).collect();
        if !news.is_empty() {
            sessions::note_standbys(client, &news)?;
        }
        let is_told: HashSet<&str> = news.iter().map(|row| row.session.as_str()).collect();
        let told = |(session, progress): &(String, InputProgress)| {
            let before = self.0.get(session).filter(|_| !is_told.contains(session.as_str()));
            (session.clone(), *before.unwrap_or(progress))
        };
        self.0 = now.iter().map(told).collect();
        Ok(())
    }
}

fn row_of((session, progress): &(String, InputProgress)) -> StandbyRow {
    let InputProgress { heard_until, lag, waiting } = *progress;
    StandbyRow { session: session.clone(), heard_until, lag, waiting }
}

fn look(
    collector: &Collector,
    shared: &Shared,
    health: &Health,
    client: &mut Client,
    is_own_due: bool,
) -> store::Result<()> {
    store_ended(shared, client)?;
    let routers = shared.standbys.routers();
    if !routers.is_empty() {
        let names: Vec<&str> = routers.iter().map(RouterId::as_str).collect();
        for (router, ground) in lease::grounds(client, &collector.id, &names, health.lease.may_expire())? {
            match ground {
                ClaimGround::Denied(_) => {}
                ClaimGround::Taken(from) => shared.standbys.take(&router, &from),
                ClaimGround::Own => shared.standbys.take(&router, "nobody, since no other collector has the router"),
            }
        }
    }
    for (router, taker) in lease::handed(client, &collector.id)? {
        for connection in shared.registry.connections_of(&router) {
            connection.ask_to_end(SessionEnd::new(Cause::HandedOver, &taker));
        }
    }
    // A router that has moved, or was switched off and on, may not have closed its session here.
    for router in lease::connected_elsewhere(client, &collector.id, Some(PROBE_TIME))? {
        shared.registry.connections_of(&router).iter().for_each(|connection| connection.probe());
    }
    if health.lease.is_claim_waiting(lease::CLAIM_WAIT_MAX) {
        for ended in lease::end_holders(client)? {
            info!("database: ended {ended}, which kept a router of another collector locked");
        }
    }
    if is_own_due {
        if health.lease.may_expire() {
            for ended in lease::end_frozen(client)? {
                info!("database: ended {ended} of a collector that is not alive");
            }
        }
        // The other collector must not wait forever for a session whose end the database did not take.
        for router in lease::connected_elsewhere(client, &collector.id, None)? {
            if shared.registry.connections_of(&router).is_empty() && !shared.inputs.are_of(&router) {
                sessions::release(client, &collector.id, &router)?;
            }
        }
        let owners = shared.inputs.owners();
        let epochs: Vec<_> = owners.iter().map(|owner| (owner.router.clone(), owner.epoch)).collect();
        let taken = owner::taken(client, &epochs)?;
        owners.iter().filter(|owner| taken.contains(&owner.router)).for_each(|owner| owner.set_lost());
    }
    Ok(())
}

/// Stores the ends of sessions that stood by.
fn store_ended(shared: &Shared, client: &mut Client) -> store::Result<()> {
    let ended = shared.standbys.take_ended();
    if ended.is_empty() {
        return Ok(());
    }
    sessions::end_standbys(client, &ended).inspect_err(|_| shared.standbys.put_back(ended))
}
