//! The thread that periodically checks whether the database responds, whether its schema is ours, and how large it is.
//!
//! Its results are kept in the meters, so that HTTP requests cause no database queries.

use std::time::{Duration, Instant};

use crate::metrics::{Heartbeat, IncidentMeter, Meters, WatchIncidents};
use crate::stop::Stop;
use crate::store::watch::incident_list::{self, WatchCounts, WatchSeries};
use crate::store::{self, Client, Pool, Recovery, orphans, overview};

/// The interval at which the database is checked.
const EVERY: Duration = Duration::from_secs(5);

/// The interval while our schema is missing: a migration is about to create it.
const EVERY_WITHOUT_SCHEMA: Duration = Duration::from_millis(500);

/// The interval at which sizes are read, for which the database checks each file.
const SIZES_EVERY: Duration = Duration::from_secs(60);

/// The longest time that one round may take; its statements have limits of seconds.
pub(crate) const STANDSTILL_MAX: Duration = Duration::from_secs(120);

/// Checks the database until the collector stops.
pub fn run(pool: &Pool, meters: &Meters, heartbeat: &Heartbeat, stop: &Stop) {
    let mut sizes_at: Option<Instant> = None;
    while !stop.is_stopping() {
        heartbeat.progress();
        let began = Instant::now();
        let asked = pool.read(|client| {
            let has_schema = ask(client, meters)?;
            if has_schema && sizes_at.is_none_or(|at| at.elapsed() >= SIZES_EVERY) {
                measure(client, meters)?;
                // A new database has no partitions until maintenance has run.
                sizes_at = (meters.process.partitions.get() > 0).then_some(began);
            }
            Ok(has_schema)
        });
        let every = if matches!(asked, Ok(false)) { EVERY_WITHOUT_SCHEMA } else { EVERY };
        if let Err(error) = asked {
            meters.set_part("database", Err(error.to_string()));
        }
        stop.wait(began + every, || false);
    }
    heartbeat.idle();
}

/// Checks that the database responds. Returns whether it has our schema.
fn ask(client: &mut Client, meters: &Meters) -> store::Result<bool> {
    let missing = store::migrate::missing(client)?;
    meters.set_part("database", Ok(()));
    let schema = if missing.is_empty() { Ok(()) } else { Err(format!("lacks {}", missing.join(", "))) };
    meters.set_part("schema", schema);
    if missing.is_empty() {
        match orphans::count(client) {
            Ok(routers) => meters.process.routers_without_collector.set(routers),
            Err(error) if error.verdict() == Recovery::Reconnect => return Err(error),
            // The database responds anyway.
            Err(error) => log::debug!("probe: routers without a collector are not counted: {error}"),
        }
        match incident_list::counts(client) {
            Ok(counts) => count_watches(counts, &meters.incidents),
            Err(error) if error.verdict() == Recovery::Reconnect => return Err(error),
            Err(error) => log::debug!("probe: watches and incidents are not counted: {error}"),
        }
    }
    Ok(missing.is_empty())
}

fn count_watches(counts: WatchCounts, meter: &IncidentMeter) {
    meter.watches.set(counts.watches);
    meter.evaluators.set(counts.evaluators);
    meter.outbox_oldest_secs.set(counts.outbox_oldest_secs);
    let series = |WatchSeries { team, name, kind, incidents }| WatchIncidents { team, watch: name, kind, incidents };
    meter.set_by_watch(counts.by_watch.into_iter().map(series).collect());
    let incidents = counts.incidents.into_iter().map(|(condition, severity, count)| ((condition, severity), count));
    meter.set_incidents(incidents.collect());
}

fn measure(client: &mut Client, meters: &Meters) -> store::Result<()> {
    let sizes = overview::sizes(client)?;
    meters.process.partitions.set(sizes.partitions);
    meters.process.partition_bytes.set(sizes.partition_bytes);
    meters.process.database_bytes.set(sizes.database_bytes);
    Ok(())
}
