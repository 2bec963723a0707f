//! Tables of cases of [`judge`](super).

use super::*;
use crate::watch::judge::tests::watch;

/// Judges the numbers of a peer by a watch with these bounds; 0: no bound.
#[track_caller]
fn check(bounds: (Option<i64>, Option<i64>), families: &[Number], want: Option<Verdict>) {
    let watch = Watch { kind: Kind::PeerRoutes, min_routes: bounds.0, max_routes: bounds.1, ..watch() };
    assert_eq!(judge(&watch, families), want, "{bounds:?} {families:?}");
}

#[test]
fn bounds_are_for_all_families() {
    let families = |v4, v6| [(Afi::Ipv4, v4, None), (Afi::Ipv6, v6, None)];
    let bounds = (Some(100), Some(1_000));
    for (v4, v6, want) in [
        (50, 50, None),
        (800, 99, None),
        (800, 100, Some((RouteFault::NearMax, 900, Some(1_000), None))),
        (900, 100, Some((RouteFault::NearMax, 1_000, Some(1_000), None))),
        (901, 100, Some((RouteFault::TooMany, 1_001, Some(1_000), None))),
        (99, 0, Some((RouteFault::TooFew, 99, Some(100), None))),
        (0, 0, Some((RouteFault::NoRoutes, 0, None, None))),
    ] {
        check(bounds, &families(v4, v6), want);
    }
    check((None, None), &families(1, 0), None);
    check((Some(0), None), &families(0, 0), None);
    check((None, Some(10)), &families(0, 0), Some((RouteFault::NoRoutes, 0, None, None)));
}

#[test]
fn what_is_usual_is_known_of_each_family() {
    let check = |v4, v6, want| check((None, None), &[(Afi::Ipv4, v4, Some(1_000)), (Afi::Ipv6, v6, Some(100))], want);
    check(1_000, 100, None);
    check(801, 149, None);
    check(800, 100, Some((RouteFault::Down, 800, Some(1_000), Some(Afi::Ipv4))));
    check(1_500, 100, Some((RouteFault::Up, 1_500, Some(1_000), Some(Afi::Ipv4))));
    check(1_000, 0, Some((RouteFault::Down, 0, Some(100), Some(Afi::Ipv6))));
    check(1_499, 150, Some((RouteFault::Up, 150, Some(100), Some(Afi::Ipv6))));
    check(0, 0, Some((RouteFault::NoRoutes, 0, Some(1_100), None)));
}

#[test]
fn a_family_that_is_not_used_is_nothing_new() {
    check((None, None), &[(Afi::Ipv4, 5, Some(5)), (Afi::Ipv6, 0, Some(0))], None);
    check((None, None), &[(Afi::Ipv4, 5, Some(5)), (Afi::Ipv6, 0, None)], None);
    check((None, None), &[(Afi::Ipv4, 5, Some(5)), (Afi::Ipv6, 9, Some(0))], None);
}

#[test]
fn a_watch_says_what_is_far() {
    let watch = Watch { drop_percent: 100, rise_percent: 900, ..watch() };
    let judge = |routes| judge(&watch, &[(Afi::Ipv4, routes, Some(10))]).map(|(fault, ..)| fault);
    assert_eq!([1, 99, 100].map(judge), [None, None, Some(RouteFault::Up)]);
}
