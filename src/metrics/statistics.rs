//! The latest values of a router's Statistics Reports (RFC 7854 section 4.8).

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::number::lock;

/// The maximum number of values of one router that are exported, in order of arrival. The database has all of them.
pub(crate) const STATISTICS_MAX: usize = 1_024;

/// The key of a value: the peer, the statistic and the family ("" if it counts all of them).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StatisticKey {
    /// The peer, as in the label of the series.
    pub peer: String,
    /// The statistic's name; a number if it is not in the registry.
    pub name: String,
    /// The address family.
    pub family: String,
}

/// The latest values of one router.
#[derive(Debug, Default)]
pub struct PeerStatistics(Mutex<BTreeMap<StatisticKey, u64>>);

impl PeerStatistics {
    /// Records a value, unless it is a new one and there are [`STATISTICS_MAX`] already.
    pub fn note(&self, key: StatisticKey, value: u64) {
        let mut all = lock(&self.0);
        if all.len() < STATISTICS_MAX || all.contains_key(&key) {
            all.insert(key, value);
        }
    }

    /// Removes a peer's values.
    pub fn forget(&self, peer: &str) {
        lock(&self.0).retain(|key, _| key.peer != peer);
    }

    /// Removes all values when the session has ended.
    pub fn clear(&self) {
        lock(&self.0).clear();
    }

    /// Returns all values.
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
