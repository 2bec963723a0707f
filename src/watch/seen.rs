//! Where the routes of watches were seen since they were accepted: there they can be missing.

use std::collections::{HashMap, HashSet};

use crate::model::watch::WatchId;
use crate::model::{RouterId, Timestamp};
use crate::store::watch::conditions::SeenRow;

/// Watches and vantages. Vantages have numbers: with many watches, each name would be kept thousands of times.
#[derive(Debug, Default)]
pub struct Seen {
    numbers: HashMap<RouterId, HashMap<String, u32>>,
    count: u32,
    last: HashMap<(WatchId, u32), Timestamp>,
}

impl Seen {
    /// Returns what is stored.
    pub fn new(rows: Vec<SeenRow>) -> Seen {
        let mut seen = Seen::default();
        for (watch, router, table, at) in rows {
            seen.set(watch, &router, &table, at);
        }
        seen
    }

    fn number(&self, router: &RouterId, table: &str) -> Option<u32> {
        self.numbers.get(router)?.get(table).copied()
    }

    /// Returns when a watch's route was seen last at a vantage, as far as that was noted.
    pub fn last(&self, watch: WatchId, router: &RouterId, table: &str) -> Option<Timestamp> {
        self.last.get(&(watch, self.number(router, table)?)).copied()
    }

    /// Returns whether it was ever seen there.
    pub fn has(&self, watch: WatchId, router: &RouterId, table: &str) -> bool {
        self.last(watch, router, table).is_some()
    }

    /// Returns the number of watches whose routes were seen at a router.
    pub fn watches_at(&self, router: &RouterId) -> usize {
        let numbers: HashSet<u32> = self.numbers.get(router).into_iter().flat_map(HashMap::values).copied().collect();
        let watches: HashSet<WatchId> =
            self.last.keys().filter(|(_, number)| numbers.contains(number)).map(|(watch, _)| *watch).collect();
        watches.len()
    }

    /// Notes that it is there. Returns whether that is new.
    pub fn set(&mut self, watch: WatchId, router: &RouterId, table: &str, at: Timestamp) -> bool {
        let number = match self.number(router, table) {
            Some(number) => number,
            None => {
                self.count += 1;
                self.numbers.entry(router.clone()).or_default().insert(table.to_owned(), self.count);
                self.count
            }
        };
        self.last.insert((watch, number), at).is_none()
    }

    /// Forgets some watches.
    pub fn forget(&mut self, watches: &[WatchId]) {
        self.last.retain(|(watch, _), _| !watches.contains(watch));
    }

    /// Forgets a vantage.
    pub fn forget_vantage(&mut self, router: &RouterId, table: &str) {
        let gone = self.numbers.get_mut(router).and_then(|tables| tables.remove(table));
        self.last.retain(|(_, number), _| Some(*number) != gone);
    }

    /// Forgets a router.
    pub fn forget_router(&mut self, router: &RouterId) {
        let gone: Vec<u32> = self.numbers.remove(router).into_iter().flat_map(HashMap::into_values).collect();
        self.last.retain(|(_, number), _| !gone.contains(number));
    }
}
