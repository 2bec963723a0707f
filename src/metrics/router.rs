//! What is counted per router and per table.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{CounterByLabel, Lag, Number, PeerStatistics, lock};
use crate::model::{Afi, Table, Timestamp, View};

/// A table inside its router: name and family, and of an Adj-RIB which one it is.
pub type TableKey = (Arc<str>, Afi);

/// One router, over all of its sessions since the collector started.
#[derive(Debug, Default)]
pub struct RouterMeter {
    /// Sessions that are up: 0 or 1, and 2 for a moment while a new one replaces an old one.
    pub sessions_up: Number,
    /// Sessions so far.
    pub sessions: Number,
    /// When the latest session began, microseconds since 1970; 0: never.
    pub session_began: Number,
    /// BMP messages read.
    pub messages: Number,
    /// Their bytes.
    pub bytes: Number,
    /// When the last one was read, microseconds since 1970; 0: never.
    pub last_message: Number,
    /// Each kind of router lie or leftover.
    pub anomalies: CounterByLabel,
    /// How sessions ended.
    pub ends: CounterByLabel,
    /// Time that its session waited for a full queue, and its socket with it, microseconds.
    pub blocked: Number,
    /// What the router counts of its peers.
    pub statistics: PeerStatistics,
    /// From socket to commit in `current_routes`.
    pub state: Lag,
    /// From socket to commit in `route_events`.
    pub history: Lag,
    drift: Mutex<BTreeMap<&'static str, u64>>,
    name: Mutex<Name>,
    tables: Mutex<BTreeMap<TableKey, Arc<TableMeter>>>,
}

#[derive(Clone, Debug, Default)]
struct Name {
    hostname: Option<String>,
    address: Option<IpAddr>,
}

/// One table of one router and family, as long as its session has it.
#[derive(Debug, Default)]
pub struct TableMeter {
    /// Routes that the database has or is about to have.
    pub routes: Number,
    /// Routes announced.
    pub announced: Number,
    /// Routes withdrawn.
    pub withdrawn: Number,
    /// Of the announced ones: those that the database had like this already, so that nothing was written.
    pub unchanged: Number,
    /// Routes removed because a new dump did not name them.
    pub purged: Number,
    /// When the first End-of-RIB of the session came, microseconds since 1970; 0: not yet.
    pub end_of_rib: Number,
    /// 1 when the dump is over, by an End-of-RIB or by silence.
    pub synchronized: Number,
    /// When the last message for it was read, microseconds since 1970.
    pub last_message: Number,
    /// 1 for an Adj-RIB, 0 for a Loc-RIB.
    pub adj_rib: Number,
}

impl RouterMeter {
    /// What the database knows of a router that has not connected since the start.
    pub fn is_known(&self, address: Option<IpAddr>, hostname: Option<&str>) {
        let mut name = lock(&self.name);
        if self.sessions.get() == 0 {
            *name = Name { hostname: hostname.map(str::to_owned), address };
        }
    }

    /// A session of this router begins.
    pub fn session_begins(&self, address: IpAddr, hostname: Option<&str>) {
        self.sessions.add(1);
        self.sessions_up.add(1);
        self.session_began.set_time(Timestamp::now());
        self.statistics.clear();
        *lock(&self.name) = Name { hostname: hostname.map(str::to_owned), address: Some(address) };
    }

    /// A session of this router is over; `how` is a word for its end.
    pub fn session_ends(&self, how: &'static str) {
        self.ends.count(how);
        self.set_drift(BTreeMap::new());
        self.sessions_up.lower();
        if self.sessions_up.get() == 0 {
            self.statistics.clear();
        }
    }

    /// One message of so many bytes was read.
    pub fn message(&self, bytes: usize, at: Timestamp) {
        self.messages.add(1);
        self.bytes.add(bytes);
        self.last_message.set_time(at);
    }

    /// The session waited so long for a full queue.
    pub fn blocked_for(&self, time: Duration) {
        self.blocked.add(usize::try_from(time.as_micros()).unwrap_or(usize::MAX));
    }

    /// By how many routes what is stored differs from the router's own statistics, by the name of the RIB.
    pub fn set_drift(&self, drift: BTreeMap<&'static str, u64>) {
        *lock(&self.drift) = drift;
    }

    /// What [`set_drift`](RouterMeter::set_drift) was told last, nothing once the session is over.
    pub fn drift(&self) -> BTreeMap<&'static str, u64> {
        lock(&self.drift).clone()
    }

    /// sysName of the latest session.
    pub fn hostname(&self) -> Option<String> {
        lock(&self.name).hostname.clone()
    }

    /// The address of the latest session.
    pub fn address(&self) -> Option<IpAddr> {
        lock(&self.name).address
    }

    /// The meter of a table, made if there is none yet.
    pub fn table(&self, table: &Table) -> Arc<TableMeter> {
        let mut tables = lock(&self.tables);
        let meter = tables.entry(key(table)).or_default();
        meter.adj_rib.set(u64::from(table.view != View::LocRib));
        Arc::clone(meter)
    }

    /// A table went: a Peer Down, a Termination, a stale time that ran out.
    pub fn forget_table(&self, table: &Table) {
        lock(&self.tables).remove(&key(table));
    }

    /// All tables are gone.
    pub fn forget_tables(&self) {
        lock(&self.tables).clear();
    }

    /// All tables by name and family.
    pub fn tables(&self) -> Vec<(TableKey, Arc<TableMeter>)> {
        lock(&self.tables).iter().map(|(key, meter)| (key.clone(), Arc::clone(meter))).collect()
    }
}

fn key(table: &Table) -> TableKey {
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
