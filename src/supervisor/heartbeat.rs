//! The thread that records every two seconds that the collector is alive: `collectors.alive_until`.
//!
//! It has its own connection. Its failures, which are reported as any other of the database, stop no other thread:
//! while the database does not accept its heartbeat, other collectors consider this one dead, which matches what they
//! observe of it anyway.

use std::sync::Arc;
use std::time::{Duration, Instant};

use log::warn;

use super::reported::Reported;
use crate::metrics::Meters;
use crate::pipeline::Health;
use crate::stop::Stop;
use crate::store::lease::LEASE;
use crate::store::sessions::{self, Itself};

/// The interval of the heartbeat.
const EVERY: Duration = Duration::from_secs(2);

/// The time after which a heartbeat expires.
pub(super) const AHEAD: Duration = LEASE;

/// The longest time that one round may take: a new connection and one statement have a minute and a half.
const STANDSTILL_MAX: Duration = Duration::from_secs(120);

/// The thread's name, also in `pg_stat_activity`.
pub(super) const THREAD: &str = "heartbeat";

/// The identity of the collector.
pub(super) struct Collector {
    pub(super) database_url: String,
    /// `COLLECTOR_ID`.
    pub(super) id: String,
    /// The identifier of this process.
    pub(super) instance: String,
}

/// Returns this process's row for `collectors`.
pub(super) fn itself(id: &str) -> Itself {
    Itself {
        collector: id.to_owned(),
        version: env!("CARGO_PKG_VERSION"),
        host: whoami::hostname().ok(),
        process_id: std::process::id(),
    }
}

/// Sends heartbeats until everything is `written`, then revokes the last one: until then the collector keeps its routers.
pub(super) fn run(collector: &Collector, meters: &Arc<Meters>, health: &Arc<Health>, (stop, written): (&Stop, &Stop)) {
    let heartbeat = meters.heartbeat(THREAD, STANDSTILL_MAX);
    let mut connection = Reported::new(THREAD, &collector.database_url, health, stop);
    let process = itself(&collector.id);
    let mut is_replaced = false;
    while !written.is_stopping() {
        heartbeat.progress();
        let began = Instant::now();
        let answer = connection.attempt(|client| sessions::heartbeat(client, &process, &collector.instance, AHEAD));
        health.lease.note_answer(answer.is_some());
        if let Some(is_ours) = answer {
            if !is_ours && !is_replaced {
                warn!(
                    "heartbeat: another process runs as collector {}: give each one its own RIB_INGESTER_COLLECTOR_ID",
                    collector.id
                );
            }
            is_replaced = !is_ours;
        }
        heartbeat.idle();
        written.wait(began + EVERY, || connection.is_worth_a_try());
    }
    if let Some(client) = connection.client() {
        // If this fails, the heartbeat expires by itself.
        let _ = sessions::end_collector(client, &collector.id, &collector.instance);
    }
}
