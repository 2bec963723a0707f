//! Tests of what [counts](super) as a change.

use super::*;
use crate::model::{Afi, AsPath, Asn, Community, NextHop, PathAttributes, PathId, RouterId, SegmentKind};

const MINUTE: i64 = 60_000_000;

struct Bench {
    flaps: Flaps,
    table: Table,
    of_table: TableFlaps,
    now: i64,
}

impl Bench {
    /// A table whose first minute is over.
    fn new() -> Bench {
        let mut of_table = TableFlaps::default();
        of_table.heard(Timestamp::from_unix_micros(0));
        let table = Table::loc_rib(RouterId::new("10.0.0.1"), "global", Afi::Ipv4);
        Bench { flaps: Flaps::default(), table, of_table, now: 2 * MINUTE }
    }

    fn moment(&self, is_dump: bool) -> FlapMoment<'_> {
        let now = Timestamp::from_unix_micros(self.now);
        FlapMoment { table: &self.table, is_dump, received_at: now, sent_at: now }
    }

    fn announce(&mut self, path_id: u32, route: &EncodedRoute, effect: RouteEffect, is_dump: bool) {
        let moment = FlapMoment { table: &self.table.clone(), ..self.moment(is_dump) };
        self.of_table.announce(&nlri(path_id), route, effect, moment, &self.flaps);
    }

    fn withdraw(&mut self, path_id: u32, is_dump: bool) {
        let moment = FlapMoment { table: &self.table.clone(), ..self.moment(is_dump) };
        self.of_table.withdraw(&nlri(path_id), moment, &self.flaps);
    }

    fn count(&self) -> i32 {
        self.flaps.take().iter().map(|(_, count)| count.announced + count.withdrawn).sum()
    }
}

fn nlri(path_id: u32) -> Nlri {
    let prefix = Prefix::new(Afi::Ipv4, &[192, 0, 2], 24).unwrap();
    Nlri { prefix, path_id: (path_id != 0).then_some(PathId(path_id)) }
}

fn route(path: &[u32], next_hop: u8, med: u32) -> EncodedRoute {
    let path = AsPath::from_segments([(SegmentKind::Sequence, path.iter().copied().map(Asn))]);
    let next_hop = NextHop { address: [192, 0, 2, next_hop].into(), link_local: None };
    let communities = Some(vec![Community(med)].into());
    let attributes = PathAttributes { as_path: Some(path), med: Some(med), communities, ..PathAttributes::default() };
    EncodedRoute::encode(Some(&next_hop), &attributes, None)
}

#[test]
fn what_counts() {
    let (a, b) = (route(&[64_500, 64_496], 1, 0), route(&[64_501, 64_496], 1, 0));
    let mut bench = Bench::new();
    bench.announce(0, &a, RouteEffect::New, true);
    assert_eq!(bench.count(), 0, "a dump");
    bench.announce(0, &b, RouteEffect::Changed, false);
    assert_eq!(bench.count(), 1, "another AS path");
    bench.announce(0, &route(&[64_501, 64_496], 2, 0), RouteEffect::Changed, false);
    assert_eq!(bench.count(), 1, "another next hop");
    bench.withdraw(0, false);
    bench.announce(0, &a, RouteEffect::New, false);
    let counts = bench.flaps.take();
    let told = |count: &(FlapPlace, crate::model::watch::flaps::PathCount)| {
        (count.1.path.clone().unwrap_or_default().to_string(), count.1.announced, count.1.withdrawn)
    };
    let mut told: Vec<_> = counts.iter().map(told).collect();
    told.sort();
    assert_eq!(told, [("64500 64496".to_owned(), 1, 0), ("64501 64496".to_owned(), 0, 1)]);
    assert!(counts.iter().all(|(place, _)| place.minute == 2 && &*place.table == "global"));
    // A second path for the prefix comes and goes.
    bench.announce(7, &b, RouteEffect::New, false);
    bench.withdraw(7, false);
    assert_eq!(bench.count(), 2);
}

#[test]
fn what_does_not_count() {
    let (a, b) = (route(&[64_500, 64_496], 1, 0), route(&[64_501, 64_496], 1, 0));
    let mut bench = Bench::new();
    bench.announce(0, &a, RouteEffect::Changed, false);
    assert_eq!(bench.count(), 0, "nobody knows what it was before");
    bench.announce(0, &route(&[64_500, 64_496], 1, 7), RouteEffect::Changed, false);
    bench.announce(0, &a, RouteEffect::Same, false);
    assert_eq!(bench.count(), 0, "MED and communities");
    bench.withdraw(0, true);
    bench.announce(0, &b, RouteEffect::New, true);
    bench.announce(0, &a, RouteEffect::Changed, true);
    assert_eq!(bench.count(), 0, "a dump");
    bench.announce(7, &a, RouteEffect::New, false);
    bench.withdraw(0, false);
    assert_eq!(bench.count(), 0, "the same path under another identifier, announced first");
    bench.withdraw(7, false);
    bench.announce(9, &route(&[64_500, 64_496], 1, 8), RouteEffect::New, false);
    assert_eq!(bench.count(), 0, "and withdrawn first");
    bench.withdraw(9, false);
    bench.now += 2_000_000;
    bench.announce(11, &a, RouteEffect::New, false);
    assert_eq!(bench.count(), 2, "but it was away for two seconds");
    let mut young = Bench::new();
    young.now = MINUTE - 1;
    young.announce(0, &a, RouteEffect::New, false);
    young.withdraw(0, false);
    assert_eq!(young.count(), 0, "the first minute");
    young.now = MINUTE;
    young.announce(0, &a, RouteEffect::New, false);
    assert_eq!(young.count(), 1);
}
