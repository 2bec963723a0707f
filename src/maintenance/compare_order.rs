//! The routers whose kept numbers of routes a run compares with their routes.
//!
//! A comparison reads the key of every route. All routers at each run would be a scan of all route tables every few
//! minutes, for a difference that only somebody makes who changes rows by hand.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::model::RouterId;

/// The number of routes that one run compares, beyond which it begins no other router.
const ROUTES_MAX: u64 = 1_000_000;

/// The time from one comparison of a router to the next.
const PAUSE: Duration = Duration::from_secs(24 * 60 * 60);

/// When each router was compared last, by this process.
#[derive(Debug, Default)]
pub(super) struct CompareOrder {
    last: HashMap<RouterId, Instant>,
}

impl CompareOrder {
    /// Returns the routers of `kept` whose turn it is, those first that were compared longest ago. One that fails has
    /// had its turn, so it does not keep the others waiting.
    pub(super) fn next(&mut self, kept: Vec<(RouterId, u64)>, now: Instant) -> Vec<RouterId> {
        self.last.retain(|router, _| kept.iter().any(|(known, _)| known == router));
        let mut due: Vec<_> =
            kept.into_iter().map(|(router, routes)| (self.last.get(&router), router, routes)).collect();
        due.retain(|(last, ..)| last.is_none_or(|last| now.duration_since(*last) >= PAUSE));
        due.sort_by_key(|(last, ..)| *last);
        let mut compared = 0;
        let turn = due.into_iter().take_while(|(.., routes)| {
            let is_first = compared == 0;
            compared += (*routes).max(1);
            is_first || compared <= ROUTES_MAX
        });
        let turn: Vec<_> = turn.map(|(_, router, _)| router).collect();
        self.last.extend(turn.iter().map(|router| (router.clone(), now)));
        turn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_router_has_its_turn_once_a_day() {
        let kept = || {
            let routers = [("r1", 400_000), ("r2", 600_000), ("r3", 90_000_000), ("r4", 0), ("r5", 7)];
            routers.map(|(router, routes)| (RouterId::new(router), routes)).to_vec()
        };
        let start = Instant::now();
        let mut order = CompareOrder::default();
        let mut next = |kept, after_hours: u64| -> String {
            let turn = order.next(kept, start + Duration::from_secs(after_hours * 3_600));
            turn.iter().map(RouterId::as_str).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(next(kept(), 0), "r1 r2", "a million");
        assert_eq!(next(kept(), 1), "r3", "more than a million, by itself");
        assert_eq!(next(kept(), 2), "r4 r5");
        assert_eq!(next(kept(), 23), "");
        assert_eq!(next(kept(), 25), "r1 r2");
        let without_the_large_one = kept().into_iter().filter(|(router, _)| router.as_str() != "r3").collect();
        assert_eq!(next(without_the_large_one, 40), "r4 r5");
        assert_eq!(next(kept(), 41), "r3", "forgotten while it was gone");
    }
}
