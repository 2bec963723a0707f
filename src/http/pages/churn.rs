//! The number of routes that each router announced and withdrew in each of the last sixty minutes.
//!
//! The counts are taken from the meters once a minute: the database would have to read all events of the hour.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::metrics::{Meters, RouterMeter};
use crate::model::RouterId;

/// The width of one bar of a plot.
pub(super) const MINUTE: Duration = Duration::from_secs(60);

/// The number of minutes that are kept.
pub(super) const MINUTES_MAX: usize = 60;

/// The routes announced and withdrawn in one minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct MinuteChanges {
    pub(super) announced: u64,
    pub(super) withdrawn: u64,
}

/// The last hour of all routers that this collector has seen.
#[derive(Debug)]
pub(super) struct Churn {
    sampled: Instant,
    rings: HashMap<RouterId, Ring>,
}

#[derive(Debug, Default)]
struct Ring {
    /// The counters at the last sample.
    last: MinuteChanges,
    /// The minutes, oldest first.
    minutes: VecDeque<MinuteChanges>,
}

impl Churn {
    pub(super) fn new() -> Churn {
        Churn { sampled: Instant::now(), rings: HashMap::new() }
    }

    /// Takes a sample if a minute is over.
    pub(super) fn sample_when_due(&mut self, meters: &Meters) {
        let minutes = self.sampled.elapsed().as_secs() / MINUTE.as_secs();
        if minutes == 0 {
            return;
        }
        // Minutes without a sample are zero; their changes are counted in the last one.
        for _ in 1..minutes.min(60) {
            self.rings.values_mut().for_each(|ring| ring.push(MinuteChanges::default()));
        }
        self.sampled += MINUTE * u32::try_from(minutes).unwrap_or(u32::MAX);
        self.sample(meters);
    }

    fn sample(&mut self, meters: &Meters) {
        for (router, meter) in meters.routers() {
            let now = totals(&meter);
            let ring = self.rings.entry(router).or_default();
            let changes = now.since(ring.last);
            ring.push(changes);
            ring.last = now;
        }
    }

    /// Returns a router's minutes, oldest first; the last one is the current, incomplete one.
    pub(super) fn of(&self, router: &RouterId, meter: &RouterMeter) -> Vec<MinuteChanges> {
        let Some(ring) = self.rings.get(router) else { return vec![totals(meter)] };
        let running = totals(meter).since(ring.last);
        ring.minutes.iter().copied().chain([running]).collect()
    }
}

impl Ring {
    fn push(&mut self, changes: MinuteChanges) {
        if self.minutes.len() == MINUTES_MAX {
            self.minutes.pop_front();
        }
        self.minutes.push_back(changes);
    }
}

impl MinuteChanges {
    /// Returns the difference, never below zero: a removed table takes its counts with it.
    fn since(self, before: MinuteChanges) -> MinuteChanges {
        MinuteChanges {
            announced: self.announced.saturating_sub(before.announced),
            withdrawn: self.withdrawn.saturating_sub(before.withdrawn),
        }
    }

    pub(super) fn total(self) -> u64 {
        self.announced + self.withdrawn
    }
}

/// Returns the sum of several routers' minutes, aligned at the current one.
pub(super) fn sum(all: &[Vec<MinuteChanges>]) -> Vec<MinuteChanges> {
    let length = all.iter().map(Vec::len).max().unwrap_or(0);
    let mut total = vec![MinuteChanges::default(); length];
    for minutes in all {
        for (into, minute) in total.iter_mut().rev().zip(minutes.iter().rev()) {
            into.announced += minute.announced;
            into.withdrawn += minute.withdrawn;
        }
    }
    total
}

fn totals(meter: &RouterMeter) -> MinuteChanges {
    meter.tables().iter().fold(MinuteChanges::default(), |sum, (_, table)| MinuteChanges {
        announced: sum.announced + table.announced.get(),
        withdrawn: sum.withdrawn + table.withdrawn.get(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Afi, Table};

    fn announced(minutes: &[MinuteChanges]) -> Vec<u64> {
        minutes.iter().map(|changes| changes.announced).collect()
    }

    #[test]
    fn each_minute_has_its_changes_and_an_hour_is_kept() {
        let meters = Meters::default();
        let router = RouterId::new("r");
        let table = Table::loc_rib(router.clone(), "t", Afi::Ipv4);
        let meter = meters.router(&router);
        let mut churn = Churn::new();
        meter.table(&table).announced.add(5);
        assert_eq!(announced(&churn.of(&router, &meter)), [5]);
        churn.sample(&meters);
        meter.table(&table).announced.add(2);
        assert_eq!(announced(&churn.of(&router, &meter)), [5, 2]);
        // A table is removed and another added: the difference is not below zero.
        churn.sample(&meters);
        meter.forget_tables();
        churn.sample(&meters);
        assert_eq!(announced(&churn.of(&router, &meter)), [5, 2, 0, 0]);
        (0..100).for_each(|_| churn.sample(&meters));
        assert_eq!(churn.of(&router, &meter).len(), MINUTES_MAX + 1);
    }

    #[test]
    fn minutes_that_nobody_looked_at_are_not_lost() {
        let meters = Meters::default();
        let router = RouterId::new("r");
        let meter = meters.router(&router);
        let mut churn = Churn::new();
        churn.sample(&meters);
        churn.sampled = churn.sampled.checked_sub(MINUTE * 3).unwrap();
        churn.sample_when_due(&meters);
        assert_eq!(churn.of(&router, &meter).len(), 1 + 3 + 1);
        churn.sample_when_due(&meters);
        assert_eq!(churn.of(&router, &meter).len(), 1 + 3 + 1);
    }

    #[test]
    fn sums_end_together() {
        let minute = |announced| MinuteChanges { announced, withdrawn: 1 };
        let total = sum(&[vec![minute(1), minute(2), minute(3)], vec![minute(10)]]);
        assert_eq!(announced(&total), [1, 2, 13]);
        assert_eq!(total[2].withdrawn, 2);
    }
}
