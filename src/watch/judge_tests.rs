//! Tables of cases of [`judge`](super).

use super::*;
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
        is_mitigated: false,
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
    check(&watch, &RouteRow { is_mitigated: true, ..leaked }, None, &[]);
    // Nobody drops a hijack by a community of its own.
    let hijack = RouteRow { is_mitigated: true, ..route("192.0.2.128/25", Some("64500 64511")) };
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
    assert_eq!(upstream_of("64500 (65001 65002) 64496"), Some(Asn(64500)));
    assert_eq!(upstream_of("64500 {1,2} 64496"), None);
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
