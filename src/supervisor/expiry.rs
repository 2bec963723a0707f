//! The thread that removes tables that have been stale for longer than the stale time.
//!
//! It has its own connection, so that no router's routes wait while another's are deleted. The age of a stale table is
//! taken from the database (`stale_since`), so it does not depend on sessions in between or on the process that is
//! running.

use std::sync::Arc;
use std::time::{Duration, Instant};

use log::{info, warn};

use super::heartbeat::Collector;
use super::reported::Reported;
use crate::metrics::{Heartbeat, Meters, ROUTERS_MAX};
use crate::pipeline::Health;
use crate::session::Shared;
use crate::session::sharing::names_of;
use crate::store::sync::{OwnedRouter, owned_routers};
use crate::store::{self, Client, forget, peers, stale};

/// The interval between checks: an eighth of the stale time, within these bounds.
const EVERY_MIN: Duration = Duration::from_millis(250);
const EVERY_MAX: Duration = Duration::from_secs(10);

/// The longest time that one step may take: the largest table is deleted in one statement, whose limit is ten minutes.
pub(super) const STANDSTILL_MAX: Duration = Duration::from_secs(15 * 60);

/// The thread's name, also in `pg_stat_activity`.
pub(super) const THREAD: &str = "expiry";

/// Removes expired tables until the collector stops.
pub(super) fn run(
    collector: &Collector,
    stale_time: Duration,
    shared: &Arc<Shared>,
    health: &Arc<Health>,
    heartbeat: &Heartbeat,
) {
    let stop = &shared.stop;
    let every = (stale_time / 8).clamp(EVERY_MIN, EVERY_MAX);
    let mut connection = Reported::new(THREAD, &collector.database_url, health, stop);
    // While the database was away, no session could mark its table as live again.
    let mut grace_until = Instant::now();
    while !stop.is_stopping() {
        heartbeat.progress();
        let began = Instant::now();
        if began >= grace_until && health.lock.may_write() && !shared.registry.is_isolated() {
            let failing_since = connection.failing_since();
            let expired = connection.attempt(|client| {
                expire(collector, stale_time, shared, client, heartbeat)?;
                keep_meters(&shared.meters, &owned_routers(client, &collector.id, ROUTERS_MAX)?);
                Ok(())
            });
            if let (Some(()), Some(since)) = (expired, failing_since) {
                grace_until = Instant::now() + since.elapsed().min(stale_time);
            }
        }
        heartbeat.idle();
        stop.wait(began + every, || false);
    }
}

/// Keeps a meter for each router of this collector, connected or not, and for no other.
pub(super) fn keep_meters(meters: &Meters, owned: &[OwnedRouter]) {
    for one in owned {
        meters.router(&one.router).is_known(one.address, one.hostname.as_deref());
    }
    meters.keep(&owned.iter().map(|one| &one.router).collect());
}

fn expire(
    collector: &Collector,
    stale_time: Duration,
    shared: &Shared,
    client: &mut Client,
    heartbeat: &Heartbeat,
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
        // The router's last input still waits to be applied.
        if shared.registry.has_replay(&router) {
            continue;
        }
        loop {
            if shared.stop.is_stopping() || shared.registry.is_isolated() {
                return Ok(());
            }
            heartbeat.progress();
            let expired = stale::expire(client, &collector.id, &router, stale_time)?;
            if expired.is_whole {
                shared.meters.router(&router).forget_tables();
                warn!("router {router}: not back within the stale time, removed its {} routes", expired.routes);
            } else if expired.tables > 0 {
                info!(
                    "router {router}: {} tables not seen again within the stale time removed, with {} routes",
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

/// Drops the in-memory state of routers that the command `forget` has removed.
fn forget_removed(client: &mut Client, shared: &Shared) -> store::Result<()> {
    let remembered = shared.registry.remembered();
    if remembered.is_empty() {
        return Ok(());
    }
    for router in forget::removed(client, &remembered)? {
        if shared.registry.forget(&router) {
            info!("router {router}: removed from the database, forgotten here too");
        }
    }
    Ok(())
}
