//! The decision which events of a key a session has heard that the collector before it has not stored. Pure.
//!
//! Both collectors hear the same changes of a route, each from a session of its own, but not each change at the same
//! time, nor all of the changes between: a router may tell one station less than the other. The newest stored event of
//! the key is looked for among those heard; what came after it is new.

use crate::model::Timestamp;
use crate::pipeline::{NewestEvent, RouteChange, RouteEvent};

/// The largest difference between the times at which two collectors read the same message of a router that stamps none:
/// their clocks, and the ways to both. It is an error in history at worst: the routes do not depend on it.
const APART_MAX_MICROS: i64 = 30_000_000;

/// Returns the place of the first event that is new; all before it are stored, or older than what is.
pub(super) fn first_new(heard: &[RouteEvent], newest: Option<&NewestEvent>) -> usize {
    let Some(newest) = newest else { return 0 };
    if let Some(place) = heard.iter().rposition(|event| says(event, newest) && is_of_moment(event, newest)) {
        return place + 1;
    }
    let is_newer = |event: &RouteEvent| match (event.router_time, newest.router_time) {
        (Some(heard), Some(stored)) => heard > stored,
        _ => event.received_at > newest.received_at,
    };
    let mut first = heard.iter().position(is_newer).unwrap_or(heard.len());
    while heard.get(first).is_some_and(|event| says(event, newest)) {
        first += 1;
    }
    first
}

/// Returns whether the event has the action and the attributes of the stored one.
pub(super) fn says(event: &RouteEvent, newest: &NewestEvent) -> bool {
    announced(event) == newest.announced
}

/// Returns the fingerprint of what an event announces; `None`: it withdraws.
pub(super) fn announced(event: &RouteEvent) -> Option<u64> {
    match &event.change {
        RouteChange::Announce(route) => Some(route.fingerprint()),
        RouteChange::Withdraw(_) => None,
    }
}

/// Returns whether both may be of the same message. Many routers stamp whole seconds.
fn is_of_moment(event: &RouteEvent, newest: &NewestEvent) -> bool {
    let second = |time: Timestamp| time.unix_micros().div_euclid(1_000_000);
    match (event.router_time, newest.router_time) {
        (Some(heard), Some(stored)) => second(heard) == second(stored),
        (None, None) => {
            let apart = event.received_at.unix_micros().abs_diff(newest.received_at.unix_micros());
            apart <= APART_MAX_MICROS.unsigned_abs()
        }
        (Some(_), None) | (None, Some(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{Afi, Nlri, PathAttributes, Prefix, RouterId, Table, TableKey};
    use crate::pipeline::WithdrawReason;
    use crate::store::copy_encoding::EncodedRoute;

    fn change(med: u32) -> RouteChange {
        match med {
            0 => RouteChange::Withdraw(WithdrawReason::Withdrawn),
            med => {
                let attributes = PathAttributes { med: Some(med), ..PathAttributes::default() };
                RouteChange::Announce(EncodedRoute::encode(None, &attributes, None))
            }
        }
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_unix_micros(millis * 1_000)
    }

    /// An event that announces this MED, 0: that withdraws, at these milliseconds, stamped by the router or not.
    fn heard((med, received, stamped): (u32, i64, Option<i64>)) -> RouteEvent {
        RouteEvent {
            id: [0; 32],
            table: Arc::new(Table::loc_rib(RouterId::new("r"), "global", Afi::Ipv4)),
            nlri: Nlri { prefix: Prefix::new(Afi::Ipv4, &[10], 8).unwrap(), path_id: None },
            change: change(med),
            received_at: at(received),
            router_time: stamped.map(at),
            raw: None,
            doubts: Default::default(),
        }
    }

    fn new(all: &[(u32, i64, Option<i64>)], stored: Option<(u32, i64, Option<i64>)>) -> usize {
        let all: Vec<RouteEvent> = all.iter().copied().map(heard).collect();
        let newest = stored.map(|stored| {
            let event = heard(stored);
            NewestEvent {
                table: TableKey::loc_rib("global", Afi::Ipv4),
                nlri: event.nlri,
                stored_at: event.received_at,
                announced: announced(&event),
                received_at: event.received_at,
                router_time: event.router_time,
            }
        });
        first_new(&all, newest.as_ref())
    }

    #[test]
    fn what_follows_the_newest_stored_event_is_new() {
        let stamped = [(1, 0, Some(1_000)), (2, 10, Some(2_000)), (0, 20, Some(3_000)), (3, 30, Some(4_000))];
        assert_eq!(new(&stamped, None), 0);
        assert_eq!(new(&stamped, Some((2, 900, Some(2_000)))), 2);
        assert_eq!(new(&stamped, Some((0, 900, Some(3_999)))), 3, "whole seconds");
        assert_eq!(new(&stamped, Some((3, 900, Some(4_000)))), 4);
        let plain = stamped.map(|(med, at, _)| (med, at, None));
        assert_eq!(new(&plain, Some((2, 29_000, None))), 2);
        assert_eq!(new(&plain, Some((1, 900, None))), 1);
    }

    #[test]
    fn a_route_that_flaps_is_met_at_its_last_place() {
        let plain = [(1, 0, None), (0, 10, None), (1, 20, None), (0, 30, None)];
        assert_eq!((new(&plain, Some((1, 5, None))), new(&plain, Some((0, 5, None)))), (3, 4));
        let stamped = plain.map(|(med, at, _)| (med, at, Some(at * 100)));
        assert_eq!((new(&stamped, Some((1, 5, Some(0)))), new(&stamped, Some((0, 5, Some(1_000))))), (1, 2));
    }

    #[test]
    fn a_change_that_was_not_heard_is_met_by_its_time() {
        let stamped = [(1, 0, Some(1_000)), (2, 10, Some(3_000)), (3, 20, Some(5_000))];
        assert_eq!(new(&stamped, Some((9, 900, Some(2_000)))), 1);
        assert_eq!(new(&stamped, Some((9, 900, Some(3_000)))), 2);
        assert_eq!(new(&stamped, Some((9, 900, Some(9_000)))), 3);
        // The same is not told twice in a row, whatever the stamp.
        assert_eq!(new(&stamped, Some((2, 900, Some(2_000)))), 2);
        let plain = [(1, 0, None), (2, 10, None), (3, 70_000, None)];
        assert_eq!(new(&plain, Some((9, 10, None))), 2);
        assert_eq!(new(&plain, Some((3, 99_000, None))), 3);
        assert_eq!(new(&plain, Some((3, 9, None))), 1, "the clocks are further apart than they may be");
    }
}
