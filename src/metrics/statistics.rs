//! The latest values of a router's Statistics Reports (RFC 7854 section 4.8).

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::lock;

/// So many values of one router are shown, those that came first. The database has all of them.
pub const STATISTICS_MAX: usize = 1_024;

/// Of which value: the peer, the statistic and the family ("" where it counts all of them).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StatisticKey {
    /// The peer, as the series names it.
    pub peer: String,
    /// The statistic's name; a number where the registry has none.
    pub name: String,
    /// The address family.
    pub family: String,
}

/// The latest values of one router.
#[derive(Debug, Default)]
pub struct PeerStatistics(Mutex<BTreeMap<StatisticKey, u64>>);

impl PeerStatistics {
    /// Notes a value, unless it is a new one and there are [`STATISTICS_MAX`].
    pub fn note(&self, key: StatisticKey, value: u64) {
        let mut all = lock(&self.0);
        if all.len() < STATISTICS_MAX || all.contains_key(&key) {
            all.insert(key, value);
        }
    }

    /// A peer went.
    pub fn forget(&self, peer: &str) {
        lock(&self.0).retain(|key, _| key.peer != peer);
    }

    /// The session is over.
    pub fn clear(&self) {
        lock(&self.0).clear();
    }

    /// All values.
    pub fn all(&self) -> Vec<(StatisticKey, u64)> {
        lock(&self.0).iter().map(|(key, value)| (key.clone(), *value)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(peer: &str, number: usize) -> StatisticKey {
        StatisticKey { peer: peer.to_owned(), name: number.to_string(), family: String::new() }
    }

    #[test]
    fn those_that_came_first_stay_and_are_renewed() {
        let statistics = PeerStatistics::default();
        for number in 0..2 * STATISTICS_MAX {
            statistics.note(key("a", number), 1);
        }
        statistics.note(key("a", 7), 2);
        let all = statistics.all();
        assert_eq!(all.len(), STATISTICS_MAX);
        assert!(all.contains(&(key("a", 7), 2)));
        statistics.forget("b");
        assert_eq!(statistics.all().len(), STATISTICS_MAX);
        statistics.forget("a");
        assert_eq!(statistics.all(), []);
    }
}
