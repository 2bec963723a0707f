//! The changes of watched routes, counted for the condition `flapping` on their way to `watch.flap_counts`.
//!
//! Sessions count, because only they know of each change whether it is part of a dump; another thread stores the counts
//! each second. Nothing waits for it, and what is counted is bounded.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::model::Prefix;
use crate::model::watch::flaps::{FlapPlace, PathCount};

/// The routes and minutes that are counted at the same time. What flaps takes one place a minute for each RIB; beyond
/// this many, changes of others are not counted.
const PLACES_MAX: usize = 20_000;

/// The AS paths that are told apart for one route in one minute.
const PATHS_MAX: usize = 8;

/// The longest AS path that is kept, in octets.
const PATH_LENGTH_MAX: usize = 512;

/// The counts, shared by all threads of the process.
#[derive(Debug, Default)]
pub struct Flaps {
    /// Changes with each set of prefixes; 0: there was none yet.
    version: AtomicU64,
    prefixes: RwLock<Arc<HashSet<Prefix>>>,
    counts: Mutex<HashMap<FlapPlace, Vec<PathCount>>>,
}

impl Flaps {
    /// Replaces the prefixes whose changes are counted.
    pub fn replace(&self, prefixes: HashSet<Prefix>) {
        *self.prefixes.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(prefixes);
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Adds to the counts of a route in a minute.
    pub fn add(&self, place: FlapPlace, path: Option<&[u8]>, announced: i32, withdrawn: i32) {
        let path = path.and_then(|path| std::str::from_utf8(path.get(..PATH_LENGTH_MAX).unwrap_or(path)).ok());
        self.add_counts(place, [PathCount { path: path.map(Into::into), announced, withdrawn }]);
    }

    fn add_counts(&self, place: FlapPlace, more: impl IntoIterator<Item = PathCount>) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= PLACES_MAX && !counts.contains_key(&place) {
            return;
        }
        let paths = counts.entry(place).or_default();
        for mut one in more {
            if paths.len() >= PATHS_MAX && !paths.iter().any(|known| known.path == one.path) {
                one.path = None;
            }
            match paths.iter_mut().find(|known| known.path == one.path) {
                Some(known) => {
                    known.announced += one.announced;
                    known.withdrawn += one.withdrawn;
                }
                None => paths.push(one),
            }
        }
    }

    /// Takes what was counted since the last call.
    pub fn take(&self) -> Vec<(FlapPlace, PathCount)> {
        let counts = std::mem::take(&mut *self.counts.lock().unwrap_or_else(PoisonError::into_inner));
        let is_some = |count: &PathCount| (count.announced, count.withdrawn) != (0, 0);
        let each = |(place, paths): (FlapPlace, Vec<PathCount>)| {
            paths.into_iter().filter(is_some).map(move |count| (place.clone(), count))
        };
        counts.into_iter().flat_map(each).collect()
    }

    /// Gives back what could not be stored.
    pub fn give_back(&self, counts: Vec<(FlapPlace, PathCount)>) {
        counts.into_iter().for_each(|(place, count)| self.add_counts(place, [count]));
    }
}

/// A session's view of the prefixes whose changes are counted: it looks for another set with one atomic load.
#[derive(Debug)]
pub(crate) struct FlapTargets {
    shared: Arc<Flaps>,
    version: u64,
    prefixes: Arc<HashSet<Prefix>>,
}

impl FlapTargets {
    pub(crate) fn new(shared: Arc<Flaps>) -> FlapTargets {
        FlapTargets { shared, version: 0, prefixes: Arc::default() }
    }

    /// Returns the counts, if changes of this prefix are counted.
    #[inline]
    pub(crate) fn of(&mut self, prefix: &Prefix) -> Option<&Flaps> {
        let version = self.shared.version.load(Ordering::Acquire);
        if version != self.version {
            self.version = version;
            self.prefixes = Arc::clone(&self.shared.prefixes.read().unwrap_or_else(PoisonError::into_inner));
        }
        (!self.prefixes.is_empty() && self.prefixes.contains(prefix)).then_some(&*self.shared)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Afi, RouterId, View};

    fn place(minute: i64) -> FlapPlace {
        let prefix = Prefix::new(Afi::Ipv4, &[10], 8).unwrap();
        FlapPlace { router: RouterId::new("10.0.0.1"), table: "global".into(), view: View::LocRib, prefix, minute }
    }

    #[test]
    fn counts_of_a_minute_are_bounded() {
        let flaps = Flaps::default();
        for path in 0..100 {
            flaps.add(place(0), Some(path.to_string().as_bytes()), 1, 0);
        }
        flaps.add(place(0), None, 0, 1);
        let counts = flaps.take();
        assert_eq!(counts.iter().map(|(_, count)| count.announced + count.withdrawn).sum::<i32>(), 101);
        assert_eq!(counts.len(), PATHS_MAX + 1);
        flaps.give_back(counts.clone());
        flaps.add(place(0), Some(b"0"), -1, 0);
        assert_eq!(flaps.take().len(), counts.len() - 1, "what adds up to nothing is left out");
        for minute in 0..=i64::try_from(PLACES_MAX).unwrap() {
            flaps.add(place(minute), None, 1, 0);
        }
        assert_eq!(flaps.take().len(), PLACES_MAX);
        assert!(flaps.take().is_empty());
    }

    #[test]
    fn sessions_see_the_newest_prefixes() {
        let shared = Arc::<Flaps>::default();
        let prefix = place(0).prefix;
        let mut targets = FlapTargets::new(Arc::clone(&shared));
        assert!(targets.of(&prefix).is_none());
        shared.replace([prefix].into());
        assert!(targets.of(&prefix).is_some());
        shared.replace(HashSet::new());
        assert!(targets.of(&prefix).is_none());
    }
}
