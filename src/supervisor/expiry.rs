//! The thread that removes what no session speaks of any more: tables that have been stale for longer than the stale time.
//!
//! It has a connection of its own, so that no router's routes wait while another's go. How long a table has been stale the
//! database says (`stale_since`), whatever sessions came and went since, and whatever process of the collector is running.

use std::sync::Arc;
use std::time::{Duration, Instant};

use log::{info, warn};

use super::heartbeat::Collector;
use super::reported::Reported;
use crate::metrics::{Heartbeat, Meters, ROUTERS_MAX};
use crate::pipeline::Health;
use crate::session::Shared;
use crate::session::sharing::names_of;
use crate::stop::Stop;
use crate::store::sync::{OwnedRouter, owned_routers};
use crate::store::{self, Client, forget, peers, stale};

/// How often it looks: an eighth of the stale time, within these bounds.
const EVERY_MIN: Duration = Duration::from_millis(250);
const EVERY_MAX: Duration = Duration::from_secs(10);

/// How often a waiting thread looks whether the collector stops.
const STOP_POLL: Duration = Duration::from_millis(100);

/// How long one step may take: the largest table goes in one statement, which has ten minutes.
pub(super) const STANDSTILL_MAX: Duration = Duration::from_secs(15 * 60);

/// Its name in `pg_stat_activity` and among the threads.
pub(super) const THREAD: &str = "expiry";

/// Removes what is due until the collector stops.
pub(super) fn run(
    collector: &Collector,
    stale_time: Duration,
    shared: &Arc<Shared>,
    health: &Arc<Health>,
    pulse: &Heartbeat,
) {
    let stop = &shared.stop;
    let every = (stale_time / 8).clamp(EVERY_MIN, EVERY_MAX);
    let mut connection = Reported::new(THREAD, &collector.database_url, health, stop);
    // While the database was away, nobody could say that a table has a session again.
    let mut grace_until = Instant::now();
    while !stop.is_stopping() {
        pulse.beat();
        let began = Instant::now();
        if began >= grace_until && health.lock.may_write() && !shared.registry.is_isolated() {
            let failing_since = connection.failing_since();
            let expired = connection.attempt(|client| {
                expire(collector, stale_time, shared, client, pulse)?;
                keep_meters(&shared.meters, &owned_routers(client, &collector.id, ROUTERS_MAX)?);
                Ok(())
            });
            if let (Some(()), Some(since)) = (expired, failing_since) {
                grace_until = Instant::now() + since.elapsed().min(stale_time);
            }
        }
        pulse.rest();
        wait(stop, began, every);
    }
}

/// Each router of this collector has its series, connected or not, and no other has.
pub(super) fn keep_meters(meters: &Meters, owned: &[OwnedRouter]) {
    for one in owned {
        meters.router(&one.router).is_known(one.address, one.hostname.as_deref());
    }
    meters.keep(&owned.iter().map(|one| &one.router).collect());
}

fn wait(stop: &Stop, began: Instant, every: Duration) {
    while !stop.is_stopping() && began.elapsed() < every {
        std::thread::sleep(STOP_POLL);
    }
}

fn expire(
    collector: &Collector,
    stale_time: Duration,
    shared: &Shared,
    client: &mut Client,
    pulse: &Heartbeat,
) -> store::Result<()> {
    for gone in shared.registry.take_gone() {
        let told = peers::forget_these(client, &collector.id, &gone.router, &names_of(&gone.peers));
        if let Err(error) = told {
            shared.registry.put_back_gone(gone);
            return Err(error);
        }
    }
    forget_removed(client, shared)?;
    for router in stale::due(client, &collector.id, stale_time)? {
        // What it said last waits to be applied.
        if shared.registry.is_spooled(&router) {
            continue;
        }
        loop {
            if shared.stop.is_stopping() || shared.registry.is_isolated() {
                return Ok(());
            }
            pulse.beat();
            let expired = stale::expire(client, &collector.id, &router, stale_time)?;
            if expired.is_whole {
                shared.meters.router(&router).forget_tables();
                warn!("router {router}: not back within the stale_time, its routes are removed, {}", expired.routes);
            } else if expired.tables > 0 {
                info!(
                    "router {router}: {} tables not seen again within the stale time are removed, {} routes",
                    expired.tables, expired.routes
                );
            }
            if !expired.is_more {
                break;
            }
        }
    }
    Ok(())
}

/// Drops what is remembered of routers that the command `forget` has removed.
fn forget_removed(client: &mut Client, shared: &Shared) -> store::Result<()> {
    let remembered = shared.registry.remembered();
    if remembered.is_empty() {
        return Ok(());
    }
    for router in forget::removed(client, &remembered)? {
        if shared.registry.forget(&router) {
            info!("router {router}: removed from the database, forgotten here as well");
        }
    }
    Ok(())
}
