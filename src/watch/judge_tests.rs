//! Tables of cases of [`judge`](super).

use super::*;
use crate::model::watch::path_match::PathMatch;
use crate::model::watch::{CLOSE_AFTER, Kind, SETTLE, WatchId};
use crate::model::{Afi, RouterId};

fn prefix(text: &str) -> Prefix {
    let (address, length) = text.split_once('/').unwrap();
    let address: std::net::Ipv4Addr = address.parse().unwrap();
    Prefix::new(Afi::Ipv4, &address.octets(), length.parse().unwrap()).unwrap()
}

/// A watch of 192.0.2.0/24 that expects AS 64496.
pub(in crate::watch) fn watch() -> Watch {
    Watch {
        id: WatchId(1),
        team: None,
        name: "ours".to_owned(),
        kind: Kind::Prefix,
        prefix: Some(prefix("192.0.2.0/24")),
        address: None,
        asn: None,
        router: None,
        table: None,
        peer: None,
        expected_origins: vec![Asn(64496)],
        expected_upstreams: Vec::new(),
        expected_downstreams: Vec::new(),
        expected_via: Vec::new(),
        path_match: None,
        max_length: None,
        min_routes: None,
        max_routes: None,
        drop_percent: 20,
        rise_percent: 50,
        min_up: 1,
        min_vantages: 1,
        conditions: Kind::Prefix.default_conditions().to_vec(),
        open_after: None,
        close_after: CLOSE_AFTER,
        settle: SETTLE,
        severity: None,
        runbook_url: None,
        source: "manual".to_owned(),
    }
}

fn route(at: &str, path: Option<&str>) -> RouteRow {
    let last = path.and_then(|path| path.rsplit(' ').next()).and_then(|last| last.parse().ok());
    RouteRow {
        router: RouterId::new("r1"),
        table: "global".to_owned(),
        prefix: prefix(at),
        origin: last.map(Asn),
        path: path.map(str::to_owned),
        in_loc_rib: true,
        after_policy: false,
        before_policy: false,
        peer: None,
        mitigation: None,
    }
}

/// Judges one route and checks the findings as `condition subject`.
#[track_caller]
fn check(watch: &Watch, route: &RouteRow, own: Option<u32>, want: &[&str]) {
    let found = judge(watch, &route.prefix, &[route], own.map(Asn));
    let found: Vec<String> =
        found.iter().map(|(one, subject, _)| format!("{one} {subject}").trim().to_owned()).collect();
    assert_eq!(found, want, "{route:?}");
}

#[test]
fn origins_of_the_prefix() {
    let check = |path, own, want: &[&str]| check(&watch(), &route("192.0.2.0/24", path), own, want);
    check(Some("64500 64496"), None, &[]);
    check(Some("64500 64511"), None, &["origin 192.0.2.0/24 AS64511"]);
    check(Some("64496"), None, &[]);
    // AS_SET: no AS is the origin, and that is not expected.
    check(Some("64500 {64496,64511}"), None, &["origin 192.0.2.0/24 AS_SET"]);
    // An empty path or a final confederation segment: the router's own AS.
    check(Some(""), Some(64496), &[]);
    check(Some(""), Some(64511), &["origin 192.0.2.0/24 AS64511"]);
    check(Some("(65001 65002)"), Some(64496), &[]);
    check(Some(""), None, &[]);
    check(None, Some(64511), &[]);
}

#[test]
fn origins_that_nobody_named_are_not_judged() {
    let mut watch = watch();
    watch.expected_origins = Vec::new();
    check(&watch, &route("192.0.2.0/24", Some("64500 64511")), None, &[]);
    watch.expected_origins = vec![Asn(64496), Asn(64511)];
    check(&watch, &route("192.0.2.0/24", Some("64500 64511")), None, &[]);
    watch.expected_origins = vec![Asn(64496)];
    watch.conditions = Vec::new();
    check(&watch, &route("192.0.2.0/24", Some("64500 64511")), None, &[]);
}

#[test]
fn prefixes_inside() {
    let mut watch = watch();
    let more = route("192.0.2.128/25", Some("64500 64511"));
    check(&watch, &more, None, &["more_specific 192.0.2.128/25 AS64511"]);
    check(&watch, &route("192.0.2.128/25", Some("64500 64496")), None, &[]);
    // The router's own route of another AS than expected is configured there.
    check(&watch, &route("192.0.2.128/25", Some("")), Some(64511), &[]);
    check(&watch, &route("192.0.2.128/25", Some("64500 {1,2}")), None, &["more_specific 192.0.2.128/25 AS_SET"]);
    // Of an expected length, it is judged as the prefix itself.
    watch.max_length = Some(25);
    check(&watch, &more, None, &["origin 192.0.2.128/25 AS64511"]);
    check(&watch, &route("192.0.2.128/26", Some("64511")), None, &["more_specific 192.0.2.128/26 AS64511"]);
    watch.expected_origins = Vec::new();
    check(&watch, &more, None, &[]);
}

#[test]
fn own_prefixes_inside_only_where_listed() {
    let mut watch = watch();
    watch.conditions.push(Condition::MoreSpecificOwn);
    let leaked = route("192.0.2.128/25", Some("64500 64496"));
    check(&watch, &leaked, None, &["more_specific_own 192.0.2.128/25 AS64496"]);
    check(&watch, &route("192.0.2.128/25", Some("")), Some(64496), &[]);
    check(
        &watch,
        &RouteRow { mitigation: Some("65535:666".to_owned()), ..leaked },
        None,
        &["mitigated 192.0.2.128/25"],
    );
    // Nobody drops a hijack by a community of its own.
    let hijack = RouteRow { mitigation: Some("65535:666".to_owned()), ..route("192.0.2.128/25", Some("64500 64511")) };
    check(&watch, &hijack, None, &["more_specific 192.0.2.128/25 AS64511"]);
}

#[test]
fn upstreams() {
    let mut watch = watch();
    watch.expected_upstreams = vec![Asn(64500)];
    let check = |path, want: &[&str]| check(&watch, &route("192.0.2.0/24", Some(path)), Some(64496), want);
    check("64499 64500 64496 64496 64496", &[]);
    check("64500 64499 64496 64496", &["upstream"]);
    check("64496 64496", &[]);
    check("", &[]);
    check("64499 64511", &["origin 192.0.2.0/24 AS64511"]);
    assert_eq!(upstream_of(&hops("64500 (65001 65002) 64496")), Some(Asn(64500)));
    assert_eq!(upstream_of(&hops("64500 {1,2} 64496")), None);
}

#[test]
fn an_accepted_route_tells_more_than_a_filtered_one() {
    let filtered = RouteRow { in_loc_rib: false, before_policy: true, ..route("192.0.2.0/24", Some("64501 64511")) };
    let accepted = route("192.0.2.0/24", Some("64500 64511"));
    let prefix = prefix("192.0.2.0/24");
    let found = judge(&watch(), &prefix, &[&filtered], None);
    assert!(found[0].2.is_before_policy);
    let found = judge(&watch(), &prefix, &[&filtered, &accepted], None);
    assert_eq!((found.len(), found[0].2.path.as_deref(), found[0].2.is_before_policy), (1, Some("64500 64511"), false));
}

#[test]
fn addresses_are_judged_by_the_longest_route() {
    let watch = Watch {
        kind: Kind::Address,
        prefix: None,
        address: Some("192.0.2.1".parse().unwrap()),
        conditions: Kind::Address.default_conditions().to_vec(),
        ..watch()
    };
    let (default, fine) = (route("0.0.0.0/0", Some("64499")), route("192.0.2.0/24", Some("64500 64496")));
    let hijack = route("192.0.2.0/25", Some("64511"));
    let check = |routes: &[&RouteRow], was_specific, cover, want: &[Condition]| {
        let (covered, found) = judge_address(&watch, routes, Basis::LocRib, None, was_specific);
        assert_eq!((covered, found.iter().map(|found| found.0).collect::<Vec<_>>()), (cover, want.to_vec()));
    };
    check(&[], true, Cover::Nothing, &[]);
    check(&[&default, &fine], true, Cover::Specific, &[]);
    check(&[&default], true, Cover::Default, &[Condition::DefaultOnly]);
    check(&[&default], false, Cover::Default, &[]);
    check(&[&default, &fine, &hijack], true, Cover::Specific, &[Condition::Origin]);
    let filtered = RouteRow { in_loc_rib: false, ..hijack.clone() };
    check(&[&fine, &filtered], true, Cover::Specific, &[]);
}

#[test]
fn downstreams() {
    let mut watch = watch();
    watch.expected_origins = vec![Asn(64496), Asn(64497), Asn(64498)];
    watch.expected_downstreams = vec![Asn(64497)];
    let check = |path, want: &[&str]| check(&watch, &route("192.0.2.0/24", Some(path)), None, want);
    check("64500 64496 64496 64497 64497", &[]);
    check("64500 64496 64498", &["downstream"]);
    check("64500 64496 (65001 65002) 64498", &["downstream"]);
    // Nothing is behind the origin, and a set is no AS.
    check("64500 64498", &[]);
    check("64496", &[]);
    check("", &[]);
    check("64500 64496 {64497,64498}", &["origin 192.0.2.0/24 AS_SET"]);
    check("64500 64496 64511", &["origin 192.0.2.0/24 AS64511"]);
}

#[test]
fn paths() {
    let mut watch = watch();
    watch.path_match = Some(PathMatch::parse("^64500( 64496)+$").unwrap());
    let judge = |watch: &Watch, path, want: &[&str]| check(watch, &route("192.0.2.0/24", path), Some(64496), want);
    judge(&watch, Some("64500 64496 64496"), &[]);
    judge(&watch, Some("(65001 65002) [65003,65004] 64500 64496"), &[]);
    judge(&watch, Some("64501 64496"), &["path"]);
    // A route of the router itself has no path.
    judge(&watch, Some(""), &[]);
    judge(&watch, Some("(65001)"), &[]);
    judge(&watch, None, &[]);
    // One alarm is enough for a hijack, as long as it is one.
    judge(&watch, Some("64500 64511"), &["origin 192.0.2.0/24 AS64511"]);
    watch.conditions = vec![Condition::Path];
    judge(&watch, Some("64500 64511"), &["path"]);
    // Without an origin that is expected, the path decides alone.
    watch.expected_origins = Vec::new();
    judge(&watch, Some("64500 64511"), &["path"]);
    watch.path_match = Some(PathMatch::parse("!64511").unwrap());
    judge(&watch, Some("64500 64511"), &["path"]);
    judge(&watch, Some("64500 64496"), &[]);
    judge(&watch, Some(""), &[]);
    // Longer prefixes have ways of their own, up to the length that is expected.
    let longer = route("192.0.2.128/25", Some("64500 64511"));
    check(&watch, &longer, None, &[]);
    watch.max_length = Some(25);
    check(&watch, &longer, None, &["path 192.0.2.128/25"]);
}

#[test]
fn both_values_are_kept() {
    let mut watch = watch();
    watch.expected_upstreams = vec![Asn(64500), Asn(64501)];
    watch.path_match = Some(PathMatch::parse("^64500").unwrap());
    let route = route("192.0.2.0/24", Some("64499 64496"));
    let found = judge(&watch, &route.prefix, &[&route], None);
    let values: Vec<_> = found
        .iter()
        .map(|(condition, _, detail)| (*condition, detail.value.as_deref(), detail.expected.as_deref()))
        .collect();
    let want = [
        (Condition::Upstream, Some("AS64499"), Some("AS64500, AS64501")),
        (Condition::Path, Some("64499 64496"), Some("must match ^64500")),
    ];
    assert_eq!(values, want);
    let hijack = RouteRow { origin: Some(Asn(64511)), ..route };
    let found = judge(&watch, &hijack.prefix, &[&hijack], None);
    assert_eq!((found[0].0, found[0].2.expected.as_deref()), (Condition::Origin, Some("AS64496")));
}

#[test]
fn mitigated_routes() {
    let mut watch = watch();
    watch.conditions.push(Condition::MoreSpecificOwn);
    watch.expected_upstreams = vec![Asn(64500)];
    watch.expected_via = vec![Asn(64510)];
    let with =
        |at, path, mitigation: &str| RouteRow { mitigation: Some(mitigation.to_owned()), ..route(at, Some(path)) };
    let (ours, longer) = ("192.0.2.0/24", "192.0.2.1/32");
    check(&watch, &with(longer, "64500 64496", "65535:666"), None, &["mitigated 192.0.2.1/32"]);
    check(&watch, &with(ours, "64499 64496", "65535:0"), None, &["mitigated"]);
    check(&watch, &with(longer, "", "65535:666"), Some(64496), &["mitigated 192.0.2.1/32"]);
    // Behind a service that cleans the traffic, whatever is before it.
    check(&watch, &route(ours, Some("64499 64510 64496")), None, &["mitigated"]);
    check(&watch, &route(ours, Some("64510 64496")), None, &["mitigated"]);
    check(&watch, &route(longer, Some("64500 64510 64496")), None, &["mitigated 192.0.2.1/32"]);
    check(&watch, &route(ours, Some("64499 64496")), None, &["upstream"]);
    // Any other origin is judged as usual.
    check(&watch, &with(ours, "64500 64511", "65535:666"), None, &["origin 192.0.2.0/24 AS64511"]);
    check(&watch, &with(longer, "64500 64511", "65535:666"), None, &["more_specific 192.0.2.1/32 AS64511"]);
    check(&watch, &route(longer, Some("64510 64511")), None, &["more_specific 192.0.2.1/32 AS64511"]);
    // It is no reason for another path.
    watch.path_match = Some(PathMatch::parse("^64500").unwrap());
    check(&watch, &with(ours, "64499 64496", "65535:0"), None, &["path", "mitigated"]);
    let by = |text: &str| judge(&watch, &prefix(ours), &[&with(ours, "64500 64496", text)], None)[0].2.value.clone();
    assert_eq!(by("65535:0 65535:666").as_deref(), Some("GRACEFUL_SHUTDOWN BLACKHOLE"));
    assert_eq!(by("64496:666").as_deref(), Some("64496:666"));
}

/// A watch of what AS 64496 originates.
fn origin_watch() -> Watch {
    Watch {
        kind: Kind::Origin,
        prefix: None,
        asn: Some(Asn(64496)),
        expected_origins: Vec::new(),
        conditions: Kind::Origin.default_conditions().to_vec(),
        ..watch()
    }
}

#[track_caller]
fn check_origin(watch: &Watch, route: &RouteRow, own: Option<u32>, known: OfOrigin, want: &[&str]) {
    let sender = Sender::of(route, own.map(Asn));
    let found = sender.map(|sender| judge_origin(watch, &sender, known)).unwrap_or_default();
    let found: Vec<String> = found.iter().map(|(one, subject, _)| format!("{one} {subject}")).collect();
    assert_eq!(found, want, "{route:?}");
}

#[test]
fn new_prefixes_of_an_as() {
    let watch = origin_watch();
    let unknown = OfOrigin { is_accepted: false, has_baseline: true };
    let new = &["new_origin_prefix 192.0.2.0/24 AS64496"][..];
    let check = |path, own, known, want: &[&str]| check_origin(&watch, &route("192.0.2.0/24", path), own, known, want);
    check(Some("64500 64496 64496"), None, unknown, new);
    check(Some("64496"), None, unknown, new);
    check(Some("(65001 65002) 64496"), None, unknown, new);
    // The router's own routes.
    check(Some(""), Some(64496), unknown, new);
    check(Some("(65001 65002)"), Some(64496), unknown, new);
    check(Some(""), Some(64511), unknown, &[]);
    check(Some(""), None, unknown, &[]);
    check(Some("(65001 65002)"), None, unknown, &[]);
    check(None, Some(64496), unknown, &[]);
    // A set has no origin, and an AS on the way is none.
    check(Some("64500 {64496}"), None, unknown, &[]);
    check(Some("64496 64500"), None, unknown, &[]);
    check(Some("64500 64496"), None, OfOrigin { is_accepted: true, ..unknown }, &[]);
    // Before its baseline, nothing is new.
    check(Some("64500 64496"), None, OfOrigin { has_baseline: false, ..unknown }, &[]);
    let dropped = RouteRow { mitigation: Some("65535:666".to_owned()), ..route("192.0.2.0/24", Some("64496")) };
    check_origin(&watch, &dropped, None, unknown, &[]);
}

#[test]
fn other_origins_of_accepted_prefixes() {
    let mut watch = origin_watch();
    watch.expected_origins = vec![Asn(64497)];
    let accepted = OfOrigin { is_accepted: true, has_baseline: true };
    let other = OfOrigin { is_accepted: false, ..accepted };
    let check = |path, own, known, want: &[&str]| check_origin(&watch, &route("192.0.2.0/24", path), own, known, want);
    check(Some("64500 64511"), None, accepted, &["origin 192.0.2.0/24 AS64511"]);
    check(Some("64500 64511"), None, other, &[]);
    check(Some("64500 64497"), None, accepted, &[]);
    check(Some("64500 {64496,64497}"), None, accepted, &["origin 192.0.2.0/24 AS_SET"]);
    check(Some(""), None, accepted, &[]);
    // Nobody drops a hijack by a community of its own.
    let hijack = RouteRow { mitigation: Some("65535:666".to_owned()), ..route("192.0.2.0/24", Some("64511")) };
    check_origin(&watch, &hijack, None, accepted, &["origin 192.0.2.0/24 AS64511"]);
}

#[test]
fn ases_beside_an_as_in_the_path() {
    let mut watch = origin_watch();
    watch.expected_upstreams = vec![Asn(64500)];
    watch.expected_downstreams = vec![Asn(64497)];
    watch.expected_via = vec![Asn(64510)];
    watch.conditions.push(Condition::Mitigated);
    let accepted = OfOrigin { is_accepted: true, has_baseline: true };
    let other = OfOrigin { is_accepted: false, ..accepted };
    let check =
        |path, known, want: &[&str]| check_origin(&watch, &route("192.0.2.0/24", Some(path)), Some(64496), known, want);
    check("64499 64500 64496 64496", accepted, &[]);
    check("64500 64499 64496 64496", accepted, &["upstream 192.0.2.0/24"]);
    check("64496 64496", accepted, &[]);
    check("", accepted, &[]);
    check("64510 64499 64496", accepted, &["mitigated 192.0.2.0/24"]);
    // Behind it.
    check("64500 64496 64497 64511", other, &[]);
    check("64500 64496 64511 64512", other, &["downstream 192.0.2.0/24"]);
    check("64500 64496 {64511}", other, &[]);
    // The upstreams of others are none of its own.
    check("64499 64511", other, &[]);
}
