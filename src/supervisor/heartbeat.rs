//! The thread that says every two seconds that the collector is alive: `collectors.alive_until`.
//!
//! It has a connection of its own, and its trouble, which is told as any other with the database, stops nobody else: while the
//! database does not take its word, others take the collector for dead, which is what they would see of it anyway.

use std::sync::Arc;
use std::time::{Duration, Instant};

use log::warn;

use super::reported::Reported;
use crate::metrics::Meters;
use crate::pipeline::Health;
use crate::stop::Stop;
use crate::store::sessions::{self, Itself};

/// How often the collector says that it is alive.
const EVERY: Duration = Duration::from_secs(2);

/// For how long it says so.
pub(super) const AHEAD: Duration = Duration::from_secs(6);

/// How often a waiting thread looks whether the collector stops.
const STOP_POLL: Duration = Duration::from_millis(100);

/// How long one round may take: making a connection and one statement have a minute and a half.
const STANDSTILL_MAX: Duration = Duration::from_secs(120);

/// Its name in `pg_stat_activity` and among the threads.
pub(super) const THREAD: &str = "heartbeat";

/// What the collector is called.
pub(super) struct Collector {
    pub(super) database_url: String,
    /// `COLLECTOR_ID`.
    pub(super) id: String,
    /// This process.
    pub(super) instance: String,
}

/// This process, as `collectors` has it.
pub(super) fn itself(id: &str) -> Itself {
    Itself {
        collector: id.to_owned(),
        version: env!("CARGO_PKG_VERSION"),
        host: whoami::hostname().ok(),
        process_id: std::process::id(),
    }
}

/// Beats until the collector stops, and takes the last word back then.
pub(super) fn run(collector: &Collector, meters: &Arc<Meters>, health: &Arc<Health>, stop: &Stop) {
    let pulse = meters.pulse(THREAD, STANDSTILL_MAX);
    let mut connection = Reported::new(THREAD, &collector.database_url, health, stop);
    let process = itself(&collector.id);
    let mut is_replaced = false;
    while !stop.is_stopping() {
        pulse.beat();
        let began = Instant::now();
        let beat = connection.attempt(|client| sessions::heartbeat(client, &process, &collector.instance, AHEAD));
        if let Some(is_ours) = beat {
            if !is_ours && !is_replaced {
                warn!(
                    "heartbeat: another process runs as collector {}: give each one its own RIB_INGESTER_COLLECTOR_ID",
                    collector.id
                );
            }
            is_replaced = !is_ours;
        }
        pulse.rest();
        while !stop.is_stopping() && began.elapsed() < EVERY && !connection.is_worth_a_try() {
            std::thread::sleep(STOP_POLL);
        }
    }
    if let Some(client) = connection.client() {
        // Without it the time runs out by itself.
        let _ = sessions::end_collector(client, &collector.id, &collector.instance);
    }
}
