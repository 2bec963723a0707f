//! What the collector counts: plain atomics, written where things happen, read by `http` and by the supervisor.
//!
//! A counter is one relaxed addition, and per message rather than per route wherever a message has many, so counting costs
//! the path of the routes nothing that can be measured. What is exported under which name stands in
//! `http::exposition`.
//!
//! Nothing here grows without a limit: [`ROUTERS_MAX`] routers have meters of their own, the rest share one called
//! `(others)`; a router's tables leave with the table; kinds are words of this program, never text from a router.

pub mod heartbeat;
mod lag;
mod router;
mod statistics;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::model::{RouterId, Timestamp};
pub use heartbeat::Heartbeat;
pub use lag::{LAG_BUCKETS, Lag, LagCounts};
pub use router::{RouterMeter, TableMeter};
pub use statistics::{PeerStatistics, STATISTICS_MAX, StatisticKey};

/// So many routers have meters of their own. A router may call itself by a new identifier in every session.
pub const ROUTERS_MAX: usize = 4_096;

/// The name of the meter that routers beyond [`ROUTERS_MAX`] share.
pub const OTHERS: &str = "(others)";

/// A number that only grows, or a gauge that is set.
#[derive(Debug, Default)]
pub struct Number(AtomicU64);

impl Number {
    /// Adds `by`.
    pub fn add(&self, by: usize) {
        self.0.fetch_add(u64::try_from(by).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Takes one away, not below zero.
    pub fn lower(&self) {
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |value| value.checked_sub(1));
    }

    /// Sets it.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Sets it to a moment, in microseconds since 1970.
    pub fn set_time(&self, time: Timestamp) {
        self.set(u64::try_from(time.unix_micros()).unwrap_or(0));
    }

    /// Its value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counts by kind. Kinds are words of this program, so there are few.
#[derive(Debug, Default)]
pub struct CounterByLabel(Mutex<BTreeMap<&'static str, u64>>);

impl CounterByLabel {
    /// Counts one.
    pub fn count(&self, kind: &'static str) {
        self.add(kind, 1);
    }

    /// Counts so many.
    pub fn add(&self, kind: &'static str, by: u64) {
        *lock(&self.0).entry(kind).or_default() += by;
    }

    /// All kinds that were met.
    pub fn all(&self) -> Vec<(&'static str, u64)> {
        lock(&self.0).iter().map(|(kind, count)| (*kind, *count)).collect()
    }
}

/// Everything that one collector counts.
#[derive(Debug)]
pub struct Meters {
    /// When the process started.
    pub started: Timestamp,
    /// Connections that were not let in, by reason.
    pub refused: CounterByLabel,
    /// What the supervisor and maintenance measure now and then.
    pub process: ProcessMeter,
    /// What waits on the disk.
    pub spool: SpoolMeter,
    routers: Mutex<BTreeMap<RouterId, Arc<RouterMeter>>>,
    pulses: Mutex<Vec<Arc<Heartbeat>>>,
    queues: Mutex<BTreeMap<String, Queue>>,
    parts: Mutex<BTreeMap<&'static str, ComponentStatus>>,
}

/// What there is once per process.
#[derive(Debug, Default)]
pub struct ProcessMeter {
    /// Open BMP connections.
    pub connections: Number,
    /// Connections that were closed without a byte.
    pub silent_connections: Number,
    /// The end of the last maintenance run that went well, microseconds since 1970; 0: none yet.
    pub maintenance_done: Number,
    /// How long it took, microseconds.
    pub maintenance_took: Number,
    /// Steps of maintenance that failed.
    pub maintenance_failures: Number,
    /// Partitions of `route_events`.
    pub partitions: Number,
    /// Their bytes with indexes.
    pub partition_bytes: Number,
    /// Bytes of the whole database.
    pub database_bytes: Number,
    /// Routes that a table may hold in one family; 0: any number.
    pub table_routes_max: Number,
    /// Routers of this database whose collector is not alive.
    pub routers_without_collector: Number,
}

/// What the spool holds and what happened to it, as the supervisor measured it last.
#[derive(Debug, Default)]
pub struct SpoolMeter {
    /// Bytes on the disk.
    pub bytes: Number,
    /// Bytes that it may take; 0: there is no spool.
    pub bytes_max: Number,
    /// Segment files on the disk.
    pub segments: Number,
    /// Streams, one per session whose input waits.
    pub streams: Number,
    /// When the oldest message that waits was received, microseconds since 1970; 0: none waits.
    pub oldest: Number,
    /// Bytes appended since the start.
    pub appended_bytes: Number,
    /// Bytes that could not be read back since the start.
    pub damaged_bytes: Number,
    /// How often input of a session was lost since the start.
    pub gaps: Number,
    /// How often the disk refused to be written since the start.
    pub write_errors: Number,
}

impl SpoolMeter {
    /// How long the oldest message has been waiting; zero when none does.
    pub fn oldest_age(&self, now: Timestamp) -> Duration {
        let oldest = self.oldest.get();
        if oldest == 0 {
            return Duration::ZERO;
        }
        Duration::from_micros(u64::try_from(now.unix_micros()).unwrap_or(0).saturating_sub(oldest))
    }
}

/// What waits in front of one writer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queue {
    /// Items that wait.
    pub waiting: usize,
    /// Items that may wait.
    pub capacity: usize,
}

/// Whether one part of the collector does its work; if not, why.
pub type ComponentStatus = Result<(), String>;

impl Default for Meters {
    fn default() -> Meters {
        Meters {
            started: Timestamp::now(),
            refused: CounterByLabel::default(),
            process: ProcessMeter::default(),
            spool: SpoolMeter::default(),
            routers: Mutex::default(),
            pulses: Mutex::default(),
            queues: Mutex::default(),
            parts: Mutex::default(),
        }
    }
}

impl Meters {
    /// The meter of a router, made if there is none yet.
    pub fn router(&self, router: &RouterId) -> Arc<RouterMeter> {
        let mut routers = lock(&self.routers);
        let others = RouterId::new(OTHERS);
        if routers.len() >= ROUTERS_MAX && !routers.contains_key(router) {
            // One that has not connected yet makes room.
            let idle = routers.iter().find(|(_, meter)| meter.sessions.get() == 0 && Arc::strong_count(meter) == 1);
            if let Some(idle) = idle.map(|(router, _)| router.clone()).filter(|idle| *idle != others) {
                routers.remove(&idle);
            }
        }
        let key = if routers.contains_key(router) || routers.len() < ROUTERS_MAX { router } else { &others };
        Arc::clone(routers.entry(key.clone()).or_default())
    }

    /// Only `owned` routers keep their meters, beside those that have a session or are in use at this moment: one that another
    /// collector has taken, or that was forgotten, leaves with its series.
    pub fn keep(&self, owned: &BTreeSet<&RouterId>) {
        let others = RouterId::new(OTHERS);
        lock(&self.routers).retain(|router, meter| {
            *router == others || owned.contains(router) || meter.sessions_up.get() > 0 || Arc::strong_count(meter) > 1
        });
    }

    /// The meter of a router that has one of its own.
    pub fn known_router(&self, router: &RouterId) -> Option<Arc<RouterMeter>> {
        lock(&self.routers).get(router).map(Arc::clone)
    }

    /// All routers by identifier.
    pub fn routers(&self) -> Vec<(RouterId, Arc<RouterMeter>)> {
        lock(&self.routers).iter().map(|(router, meter)| (router.clone(), Arc::clone(meter))).collect()
    }

    /// A pulse for a thread that must not stand still for `limit`, `name` for the log.
    pub fn pulse(&self, name: &str, limit: Duration) -> Arc<Heartbeat> {
        let pulse = Arc::new(Heartbeat::new(name, limit));
        lock(&self.pulses).push(Arc::clone(&pulse));
        pulse
    }

    /// All pulses.
    pub fn pulses(&self) -> Vec<Arc<Heartbeat>> {
        lock(&self.pulses).clone()
    }

    /// Notes what waits in front of a writer.
    pub fn set_queue(&self, writer: &str, queue: Queue) {
        lock(&self.queues).insert(writer.to_owned(), queue);
    }

    /// The queues by writer.
    pub fn queues(&self) -> BTreeMap<String, Queue> {
        lock(&self.queues).clone()
    }

    /// Notes whether a part of the collector does its work: what `/readyz` answers. Known parts are `database`, `schema`,
    /// `writers`, `threads` and `spool`.
    pub fn set_part(&self, name: &'static str, part: ComponentStatus) {
        lock(&self.parts).insert(name, part);
    }

    /// All parts.
    pub fn parts(&self) -> BTreeMap<&'static str, ComponentStatus> {
        lock(&self.parts).clone()
    }
}

/// A panic elsewhere leaves these maps whole: every change is a single insert.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_routers_of_this_collector_and_connected_ones_keep_their_meters() {
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
    fn a_router_that_connects_has_a_meter_though_lost_ones_fill_the_room() {
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
