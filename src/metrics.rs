//! The collector's counters: plain atomics, written where events happen, read by `http` and by the supervisor.
//!
//! A counter costs one relaxed addition, per message rather than per route where a message has many, so counting has no
//! measurable cost on the path of the routes. `http::exposition` defines the exported names.
//!
//! Nothing here grows without a limit: `ROUTERS_MAX` routers have meters of their own, the rest share one called
//! `(others)`; a table's meter is removed with the table; kinds are words of this program, never text from a router.

mod api;
mod connect;
mod deliveries;
mod dependents;
pub mod heartbeat;
mod incidents;
mod lag;
mod number;
mod relay;
mod router;
mod rpki;
mod statistics;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use number::lock;

use crate::model::{RouterId, Timestamp};
pub use api::ApiMeter;
pub use connect::ConnectMeter;
pub(crate) use deliveries::DeliveryMeter;
pub use dependents::{DependentsMeter, RegistryCounts};
pub(crate) use heartbeat::Heartbeat;
pub(crate) use incidents::{IncidentMeter, WatchIncidents};
pub(crate) use lag::{LAG_BUCKETS, Lag};
pub use number::{Counter, CounterByLabel, Gauge};
pub use relay::RelayMeter;
pub(crate) use router::{RouterMeter, TableMeter};
pub use rpki::{RpkiMeter, SetGauges};
pub(crate) use statistics::{PeerStatistics, StatisticKey};

/// The maximum number of routers that have meters of their own. A router may use a new identifier in every session.
pub(crate) const ROUTERS_MAX: usize = 4_096;

/// The name of the meter that routers beyond `ROUTERS_MAX` share.
pub const OTHERS: &str = "(others)";

/// All counters of one collector.
#[derive(Debug)]
pub struct Meters {
    /// The start time of the process.
    pub started: Timestamp,
    /// Refused connections, by reason.
    pub refused: CounterByLabel,
    /// Threads that were started again, by name.
    pub restarts: CounterByLabel,
    /// Values that the supervisor and maintenance measure periodically.
    pub process: ProcessMeter,
    /// The input that waits on disk.
    pub journal: JournalMeter,
    /// Deliveries to callbacks by this process.
    pub deliveries: DeliveryMeter,
    /// The evaluation of watches.
    pub watch: WatchMeter,
    /// The watches and incidents of the database.
    pub incidents: IncidentMeter,
    /// The VRPs, and the validity of routes.
    pub rpki: RpkiMeter,
    /// Registry, inventory and tenants.
    pub dependents: DependentsMeter,
    /// The APIs.
    pub api: ApiMeter,
    /// The routers that the collector connects to.
    pub connect: ConnectMeter,
    routers: Mutex<BTreeMap<RouterId, Arc<RouterMeter>>>,
    heartbeats: Mutex<Vec<Arc<Heartbeat>>>,
    queues: Mutex<BTreeMap<String, Queue>>,
    relays: Mutex<BTreeMap<String, Arc<RelayMeter>>>,
    parts: Mutex<BTreeMap<&'static str, ComponentStatus>>,
    degraded: Mutex<BTreeMap<&'static str, String>>,
}

/// Values that exist once per process.
#[derive(Debug, Default)]
pub struct ProcessMeter {
    /// Open BMP connections.
    pub connections: Gauge,
    /// Sessions of routers that another collector has.
    pub standby_sessions: Gauge,
    /// The age of the oldest message that one of them has not applied, microseconds.
    pub(crate) standby_lag: Gauge,
    /// The memory of what they keep of the last minutes, bytes.
    pub(crate) standby_window: Gauge,
    /// Connections that were closed without a byte.
    pub(crate) silent_connections: Counter,
    /// The end of the last successful maintenance run, in microseconds since 1970; 0: none yet.
    pub(crate) maintenance_done: Gauge,
    /// The duration of that run, in microseconds.
    pub(crate) maintenance_took: Gauge,
    /// Steps of maintenance that failed.
    pub(crate) maintenance_failures: Counter,
    /// The end of the last run that found or brought all of its days into files, in microseconds since 1970; 0: none yet.
    pub(crate) archive_done: Gauge,
    /// Files of the archive that failed.
    pub(crate) archive_failures: Counter,
    /// Tables whose kept number of routes was not that of their routes.
    pub(crate) counts_corrected: Counter,
    /// The number of partitions of `route_events`.
    pub partitions: Gauge,
    /// The size of these partitions including indexes, in bytes.
    pub(crate) partition_bytes: Gauge,
    /// The size of the whole database, in bytes.
    pub(crate) database_bytes: Gauge,
    /// The maximum number of routes of a table in one family; 0: unlimited.
    pub(crate) table_routes_max: Gauge,
    /// Routers of this database whose collector is not alive.
    pub(crate) routers_without_collector: Gauge,
}

/// The evaluation of watches, where this collector does it.
#[derive(Debug, Default)]
pub struct WatchMeter {
    /// The end of the last round, in microseconds since 1970; 0: this collector does not evaluate.
    pub evaluated_at: Gauge,
    /// The time for which the oldest change of the last round that had any waited for it, in microseconds.
    pub lag: Gauge,
    /// The duration of the last full evaluation, in microseconds.
    pub full_took: Gauge,
    /// Changes that were taken out of the outbox.
    pub changes: Counter,
    /// The times that the outbox was emptied unread, because it had too many changes or too old ones.
    pub emptied: Counter,
    /// Conditions that a full evaluation found changed although no writer had noted it.
    pub missed: Counter,
    /// Changes of incidents.
    pub incident_changes: Counter,
}

/// The contents of the journal and its events, as the supervisor measured them last.
#[derive(Debug, Default)]
pub struct JournalMeter {
    /// Bytes on disk.
    pub bytes: Gauge,
    /// Bytes of input that the database does not have.
    pub unstored: Gauge,
    /// The maximum number of bytes; 0: there is no journal.
    pub(crate) bytes_max: Gauge,
    /// Segment files on disk.
    pub segments: Gauge,
    /// Streams, one for each session.
    pub streams: Gauge,
    /// The time at which the oldest message was received that the database does not have, in microseconds since 1970; 0: none waits.
    pub oldest: Gauge,
    /// Bytes appended since the start.
    pub(crate) appended_bytes: Counter,
    /// Bytes that could not be read back since the start.
    pub(crate) damaged_bytes: Counter,
    /// The number of times that input of a session was lost since the start.
    pub gaps: Counter,
    /// The number of failed writes to the disk since the start.
    pub(crate) write_errors: Counter,
}

impl JournalMeter {
    /// Returns the time for which the oldest message has been waiting; zero when none waits.
    pub(crate) fn oldest_age(&self, now: Timestamp) -> Duration {
        let oldest = self.oldest.get();
        if oldest == 0 {
            return Duration::ZERO;
        }
        Duration::from_micros(u64::try_from(now.unix_micros()).unwrap_or(0).saturating_sub(oldest))
    }
}

/// The fill level of one writer's queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queue {
    /// The number of waiting items.
    pub waiting: usize,
    /// The maximum number of waiting items.
    pub(crate) capacity: usize,
}

/// The status of one component of the collector; an error says why it does not work.
pub(crate) type ComponentStatus = Result<(), String>;

impl Default for Meters {
    fn default() -> Meters {
        Meters {
            started: Timestamp::now(),
            refused: CounterByLabel::default(),
            restarts: CounterByLabel::default(),
            process: ProcessMeter::default(),
            journal: JournalMeter::default(),
            deliveries: DeliveryMeter::default(),
            watch: WatchMeter::default(),
            incidents: IncidentMeter::default(),
            rpki: RpkiMeter::default(),
            dependents: DependentsMeter::default(),
            api: ApiMeter::default(),
            connect: ConnectMeter::default(),
            routers: Mutex::default(),
            heartbeats: Mutex::default(),
            queues: Mutex::default(),
            relays: Mutex::default(),
            parts: Mutex::default(),
            degraded: Mutex::default(),
        }
    }
}

impl Meters {
    /// Returns the meter of a router, created if necessary.
    pub fn router(&self, router: &RouterId) -> Arc<RouterMeter> {
        let mut routers = lock(&self.routers);
        let others = RouterId::new(OTHERS);
        if routers.len() >= ROUTERS_MAX && !routers.contains_key(router) {
            // A router that has not connected yet makes room.
            let idle = routers.iter().find(|(_, meter)| meter.sessions.get() == 0 && Arc::strong_count(meter) == 1);
            if let Some(idle) = idle.map(|(router, _)| router.clone()).filter(|idle| *idle != others) {
                routers.remove(&idle);
            }
        }
        let key = if routers.contains_key(router) || routers.len() < ROUTERS_MAX { router } else { &others };
        Arc::clone(routers.entry(key.clone()).or_default())
    }

    /// Removes the meters of routers that are neither `owned` nor have a session nor are in use at this moment: a
    /// router that another collector has taken over, or that was forgotten, is removed with its series.
    pub fn keep(&self, owned: &BTreeSet<&RouterId>) {
        let others = RouterId::new(OTHERS);
        lock(&self.routers).retain(|router, meter| {
            *router == others || owned.contains(router) || meter.sessions_up.get() > 0 || Arc::strong_count(meter) > 1
        });
    }

    /// Returns the meter of a router that has one of its own.
    pub(crate) fn known_router(&self, router: &RouterId) -> Option<Arc<RouterMeter>> {
        lock(&self.routers).get(router).map(Arc::clone)
    }

    /// Returns all routers by identifier.
    pub fn routers(&self) -> Vec<(RouterId, Arc<RouterMeter>)> {
        lock(&self.routers).iter().map(|(router, meter)| (router.clone(), Arc::clone(meter))).collect()
    }

    /// Creates a heartbeat for a thread that must not stall for longer than `limit`; `name` identifies it in reports.
    pub(crate) fn heartbeat(&self, name: &str, limit: Duration) -> Arc<Heartbeat> {
        let heartbeat = Arc::new(Heartbeat::new(name, limit));
        lock(&self.heartbeats).push(Arc::clone(&heartbeat));
        heartbeat
    }

    /// Returns all heartbeats.
    pub(crate) fn heartbeats(&self) -> Vec<Arc<Heartbeat>> {
        lock(&self.heartbeats).clone()
    }

    /// Checks the collector's threads: an error names those that are stalled, each with its time.
    pub fn threads(&self) -> ComponentStatus {
        let heartbeats = self.heartbeats();
        let stuck: Vec<String> = heartbeats
            .iter()
            .filter(|heartbeat| heartbeat.is_stuck())
            .map(|heartbeat| format!("{} has not moved for {} s", heartbeat.name(), heartbeat.stalled_for().as_secs()))
            .collect();
        if stuck.is_empty() { Ok(()) } else { Err(stuck.join(", ")) }
    }

    /// Records the fill level of a writer's queue.
    pub(crate) fn set_queue(&self, writer: &str, queue: Queue) {
        lock(&self.queues).insert(writer.to_owned(), queue);
    }

    /// Returns the queues by writer.
    pub fn queues(&self) -> BTreeMap<String, Queue> {
        lock(&self.queues).clone()
    }

    /// Returns the meter of a station that sessions are relayed to, created if necessary.
    pub fn relay(&self, station: &str) -> Arc<RelayMeter> {
        Arc::clone(lock(&self.relays).entry(station.to_owned()).or_default())
    }

    /// Returns the stations that sessions are relayed to, by name.
    pub fn relays(&self) -> Vec<(String, Arc<RelayMeter>)> {
        lock(&self.relays).iter().map(|(station, meter)| (station.clone(), Arc::clone(meter))).collect()
    }

    /// Records the status of a component, which `/readyz` reports. Known components are `database`, `schema`,
    /// `writers`, `threads` and `journal`.
    pub(crate) fn set_part(&self, name: &'static str, part: ComponentStatus) {
        lock(&self.parts).insert(name, part);
    }

    /// Returns the status of all components.
    pub fn parts(&self) -> BTreeMap<&'static str, ComponentStatus> {
        lock(&self.parts).clone()
    }

    /// Records that a component without which the collector does its main work is impaired, and why; `None`: it is not.
    /// `/readyz` reports it and stays at 200.
    pub(crate) fn set_degraded(&self, name: &'static str, why: Option<String>) {
        let mut degraded = lock(&self.degraded);
        match why {
            Some(why) => degraded.insert(name, why),
            None => degraded.remove(name),
        };
    }

    /// Returns the components that are impaired, and why.
    pub(crate) fn degraded(&self) -> BTreeMap<&'static str, String> {
        lock(&self.degraded).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_connected_routers_of_this_one_keep_meters() {
        let meters = Meters::default();
        let [owned, taken, connected] = ["owned", "taken", "connected"].map(RouterId::new);
        for router in [&owned, &taken, &connected] {
            meters.router(router);
        }
        meters.router(&connected).session_begins("192.0.2.1".parse().unwrap(), None);
        meters.keep(&[&owned].into());
        let left: Vec<RouterId> = meters.routers().into_iter().map(|(router, _)| router).collect();
        assert_eq!(left, [connected, owned]);
    }

    #[test]
    fn a_new_router_has_a_meter_when_lost_ones_fill_up() {
        let meters = Meters::default();
        for i in 0..ROUTERS_MAX {
            meters.router(&RouterId::new(&format!("lost-{i}"))).is_known(None, Some("lost"));
        }
        meters.router(&RouterId::new("new")).session_begins("192.0.2.1".parse().unwrap(), None);
        let routers = meters.routers();
        assert_eq!(routers.len(), ROUTERS_MAX);
        assert!(routers.iter().any(|(router, meter)| router.as_str() == "new" && meter.sessions_up.get() == 1));
    }

    #[test]
    fn routers_beyond_the_limit_share_a_meter() {
        let meters = Meters::default();
        for i in 0..2 * ROUTERS_MAX {
            let meter = meters.router(&RouterId::new(&format!("router-{i}")));
            meter.sessions.add(1);
            meter.messages.add(1);
        }
        let routers = meters.routers();
        assert_eq!(routers.len(), ROUTERS_MAX + 1);
        assert_eq!(meters.router(&RouterId::new("router-7")).messages.get(), 1);
        assert_eq!(usize::try_from(meters.router(&RouterId::new(OTHERS)).messages.get()), Ok(ROUTERS_MAX));
    }
}
