//! The counters per router and per table.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::lag::Lag;
use super::number::{Counter, CounterByLabel, Gauge, lock};
use super::statistics::PeerStatistics;
use crate::model::{Afi, Table, Timestamp, View};

/// The key of a table within its router: name and family; the name of an Adj-RIB includes its view.
pub(crate) type MeterKey = (Arc<str>, Afi);

/// The counters of one router, over all of its sessions since the collector started.
#[derive(Debug, Default)]
pub struct RouterMeter {
    /// Sessions that are up: 0 or 1, and 2 briefly while a new one replaces an old one.
    pub(crate) sessions_up: Gauge,
    /// Sessions since the start.
    pub sessions: Counter,
    /// The start of the latest session, in microseconds since 1970; 0: never.
    pub(crate) session_began: Gauge,
    /// BMP messages read.
    pub messages: Counter,
    /// Bytes of these messages.
    pub bytes: Counter,
    /// The time at which the last message was read, in microseconds since 1970; 0: never.
    pub(crate) last_message: Gauge,
    /// Anomalies in the router's messages, and leftover routes, by kind.
    pub(crate) anomalies: CounterByLabel,
    /// Ended sessions by cause.
    pub ends: CounterByLabel,
    /// The time for which its session, and so its socket, waited for a full queue, in microseconds.
    pub blocked: Counter,
    /// The router's own statistics of its peers.
    pub statistics: PeerStatistics,
    /// The lag from socket to commit in `current_routes`.
    pub state: Lag,
    /// The lag from socket to commit in `route_events`.
    pub history: Lag,
    drift: Mutex<BTreeMap<&'static str, u64>>,
    name: Mutex<Name>,
    tables: Mutex<BTreeMap<MeterKey, Arc<TableMeter>>>,
}

#[derive(Clone, Debug, Default)]
struct Name {
    hostname: Option<String>,
    address: Option<IpAddr>,
}

/// The counters of one table and family of one router, for as long as its session has the table.
#[derive(Debug, Default)]
pub struct TableMeter {
    /// Routes that the database has or is about to have.
    pub routes: Gauge,
    /// Routes announced.
    pub announced: Counter,
    /// Routes withdrawn.
    pub withdrawn: Counter,
    /// Announced routes that the database already had unchanged, so that nothing was written.
    pub unchanged: Counter,
    /// Routes removed because a new dump did not contain them.
    pub purged: Counter,
    /// The time of the session's first End-of-RIB, in microseconds since 1970; 0: not yet.
    pub end_of_rib: Gauge,
    /// 1 when the dump is complete, by an End-of-RIB or by silence.
    pub synchronized: Gauge,
    /// The time at which the last message for the table was read, in microseconds since 1970.
    pub(crate) last_message: Gauge,
    /// 1 for an Adj-RIB, 0 for a Loc-RIB.
    pub adj_rib: Gauge,
}

impl RouterMeter {
    /// Records the address and name that the database has of a router that has not connected since the start.
    pub(crate) fn is_known(&self, address: Option<IpAddr>, hostname: Option<&str>) {
        let mut name = lock(&self.name);
        if self.sessions.get() == 0 {
            *name = Name { hostname: hostname.map(str::to_owned), address };
        }
    }

    /// Records that a session of this router begins.
    pub(crate) fn session_begins(&self, address: IpAddr, hostname: Option<&str>) {
        self.sessions.add(1);
        self.sessions_up.raise();
        self.session_began.set_time(Timestamp::now());
        self.statistics.clear();
        *lock(&self.name) = Name { hostname: hostname.map(str::to_owned), address: Some(address) };
    }

    /// Records that a session of this router has ended; `how` is the word for the cause.
    pub(crate) fn session_ends(&self, how: &'static str) {
        self.ends.count(how);
        self.set_drift(BTreeMap::new());
        self.sessions_up.lower();
        if self.sessions_up.get() == 0 {
            self.statistics.clear();
        }
    }

    /// Counts one message of `bytes` bytes.
    pub fn message(&self, bytes: usize, at: Timestamp) {
        self.messages.add(1);
        self.bytes.add(bytes);
        self.last_message.set_time(at);
    }

    /// Adds the time for which the session waited for a full queue.
    pub(crate) fn blocked_for(&self, time: Duration) {
        self.blocked.add(usize::try_from(time.as_micros()).unwrap_or(usize::MAX));
    }

    /// Records the differences between the stored routes and the router's own statistics, by RIB name, in routes.
    pub(crate) fn set_drift(&self, drift: BTreeMap<&'static str, u64>) {
        *lock(&self.drift) = drift;
    }

    /// Returns the latest value of [`set_drift`](RouterMeter::set_drift); empty once the session has ended.
    pub fn drift(&self) -> BTreeMap<&'static str, u64> {
        lock(&self.drift).clone()
    }

    /// Returns the sysName of the latest session.
    pub fn hostname(&self) -> Option<String> {
        lock(&self.name).hostname.clone()
    }

    /// Returns the address of the latest session.
    pub fn address(&self) -> Option<IpAddr> {
        lock(&self.name).address
    }

    /// Returns the meter of a table, created if necessary.
    pub fn table(&self, table: &Table) -> Arc<TableMeter> {
        let mut tables = lock(&self.tables);
        let meter = tables.entry(key(table)).or_default();
        meter.adj_rib.set(u64::from(table.view != View::LocRib));
        Arc::clone(meter)
    }

    /// Removes a table's meter: after a Peer Down, a Termination, or the end of the stale time.
    pub(crate) fn forget_table(&self, table: &Table) {
        lock(&self.tables).remove(&key(table));
    }

    /// Removes the meters of all tables.
    pub(crate) fn forget_tables(&self) {
        lock(&self.tables).clear();
    }

    /// Returns all tables by name and family.
    pub fn tables(&self) -> Vec<(MeterKey, Arc<TableMeter>)> {
        lock(&self.tables).iter().map(|(key, meter)| (key.clone(), Arc::clone(meter))).collect()
    }
}

fn key(table: &Table) -> MeterKey {
    let name = match table.view {
        View::LocRib => Arc::clone(&table.name),
        view => format!("{} {view}", table.name).into(),
    };
    (name, table.afi)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::RouterId;

    #[test]
    fn tables_leave_one_by_one() {
        let meter = RouterMeter::default();
        let table = |name: &str, afi| Table::loc_rib(RouterId::new("r"), name, afi);
        for (name, afi) in [("a", Afi::Ipv4), ("a", Afi::Ipv6), ("b", Afi::Ipv4)] {
            meter.table(&table(name, afi)).routes.set(7);
        }
        meter.forget_table(&table("a", Afi::Ipv4));
        meter.forget_table(&table("a", Afi::Ipv6));
        let left: Vec<_> =
            meter.tables().iter().map(|((name, afi), t)| (name.to_string(), *afi, t.routes.get())).collect();
        assert_eq!(left, [("b".to_owned(), Afi::Ipv4, 7)]);
    }

    #[test]
    fn a_session_that_replaces_another_leaves_one() {
        let meter = RouterMeter::default();
        let address = "192.0.2.1".parse().unwrap();
        meter.session_begins(address, Some("edge1"));
        meter.session_begins(address, None);
        meter.session_ends("superseded");
        assert_eq!((meter.sessions_up.get(), meter.sessions.get()), (1, 2));
        assert_eq!((meter.hostname(), meter.address()), (None, Some(address)));
    }
}
