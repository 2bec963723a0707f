//! The [lines](super) for people, to the letter.

use super::*;
use crate::model::Afi;

/// 2026-11-26 03:04:05 UTC.
const SINCE: Timestamp = Timestamp::from_unix_micros(1_795_662_245_000_000);

fn watch() -> Watch {
    Watch { expected_upstreams: vec![Asn(64500), Asn(64501)], ..crate::watch::judge::tests::watch() }
}

fn names(count: usize) -> Vec<String> {
    (1..=count).map(|i| format!("edge{i}")).collect()
}

fn check(condition: Condition, subject: &str, routers: usize, detail: &Detail, want: &str) {
    let (watch, routers) = (watch(), names(routers));
    let is_own = matches!(condition, Condition::BmpDown | Condition::Isolated);
    let facts = Facts {
        condition,
        watch: (!is_own).then_some(&watch),
        subject,
        routers: &routers,
        affected: u32::try_from(routers.len()).unwrap(),
        known: 4.max(u32::try_from(routers.len()).unwrap()),
        detail,
        since: SINCE,
    };
    assert_eq!(line(&facts), want);
}

#[test]
fn ases_have_their_names() {
    let names = [("AS64511", "Example Networks"), ("AS64499", "A name that is longer than a line has room for")];
    let names = names.map(|(asn, name)| (asn.to_owned(), name.to_owned()));
    let detail = Detail {
        origin: Some("AS64511".to_owned()),
        value: Some("AS64499".to_owned()),
        expected: Some("AS64500".to_owned()),
        peer: Some("198.51.100.1".parse().unwrap()),
        peer_asn: Some(64_511),
        names: names.into(),
        ..Detail::default()
    };
    let check = |condition, detail: &Detail, want: &str| {
        check(condition, "192.0.2.0/24", 1, detail, &format!("{want} since 2026-11-26 03:04:05 UTC"));
    };
    check(
        Condition::Origin,
        &detail,
        "HIJACK? 192.0.2.0/24 origin AS64511 (Example Networks), expected AS64500; 1 of 4 routers (edge1),",
    );
    check(
        Condition::Upstream,
        &detail,
        "UPSTREAM 192.0.2.0/24 behind AS64499 (A name that is longer th…), expected AS64500; 1 of 4 routers (edge1),",
    );
    let down = "PEER DOWN edge1 198.51.100.1 AS64511 (Example Networks): no reason was reported,";
    check(Condition::SessionDown, &detail, down);
    let described = Detail { description: Some("transit".to_owned()), ..detail };
    check(Condition::SessionDown, &described, &down.replace("Example Networks", "transit"));
}

#[test]
fn routes() {
    let hijack = Detail {
        origin: Some("AS64511".to_owned()),
        path: Some("64500 64511".to_owned()),
        is_before_policy: true,
        ..Detail::default()
    };
    check(
        Condition::Origin,
        "192.0.2.0/24 AS64511",
        3,
        &hijack,
        "HIJACK? 192.0.2.0/24 origin AS64511, expected AS64496; 3 of 4 routers (edge1, edge2, edge3), before policy \
         only, path 64500 64511, since 2026-11-26 03:04:05 UTC",
    );
    let hijack = Detail { is_before_policy: false, ..hijack };
    check(
        Condition::MoreSpecific,
        "192.0.2.128/25 AS64511",
        1,
        &hijack,
        "MORE SPECIFIC 192.0.2.128/25 of 192.0.2.0/24 origin AS64511, expected AS64496; 1 of 4 routers (edge1), path \
         64500 64511, since 2026-11-26 03:04:05 UTC",
    );
    check(
        Condition::MoreSpecificOwn,
        "192.0.2.128/25 AS64496",
        1,
        &Detail { origin: Some("AS64496".to_owned()), path: None, ..Detail::default() },
        "MORE SPECIFIC 192.0.2.128/25 of 192.0.2.0/24 by its own AS64496; 1 of 4 routers (edge1), since 2026-11-26 \
         03:04:05 UTC",
    );
    check(
        Condition::Upstream,
        "",
        1,
        &Detail { value: Some("AS64499".to_owned()), expected: Some("AS64500, AS64501".to_owned()), ..hijack },
        "UPSTREAM 192.0.2.0/24 behind AS64499, expected AS64500, AS64501; 1 of 4 routers (edge1), path 64500 64511, since \
         2026-11-26 03:04:05 UTC",
    );
    check(
        Condition::Missing,
        "",
        38,
        &Detail::default(),
        "GONE 192.0.2.0/24 at 38 of 38 routers (edge1, edge2, edge3 and 35 more), since 2026-11-26 03:04:05 UTC",
    );
    check(
        Condition::DefaultOnly,
        "",
        1,
        &Detail::default(),
        "DEFAULT ONLY 192.0.2.0/24 at 1 of 4 routers (edge1), since 2026-11-26 03:04:05 UTC",
    );
}

/// Checks a line, and what its first 60 characters say.
#[track_caller]
fn check_beginning(condition: Condition, subject: &str, (value, expected): (&str, &str), beginning: &str, end: &str) {
    let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let detail = Detail {
        origin: text("AS64496"),
        path: text("64500 64496"),
        value: text(value),
        expected: text(expected),
        ..Detail::default()
    };
    assert!(beginning.chars().count() <= 60, "{beginning}");
    let rest = "; 1 of 4 routers (edge1), path 64500 64496, since 2026-11-26 03:04:05 UTC";
    check(condition, subject, 1, &detail, &format!("{beginning}{end}{rest}"));
}

#[test]
fn paths_and_what_an_as_originates() {
    let check = check_beginning;
    let new = "2001:db8:1234:5678:9abc:def0:1234:0/112";
    check(
        Condition::NewOriginPrefix,
        &format!("{new} AS64496"),
        ("", ""),
        &format!("NEW PREFIX {new}"),
        " from AS64496",
    );
    check(Condition::NewOriginPrefix, "192.0.2.0/24 AS64496", ("", ""), "NEW PREFIX 192.0.2.0/24 from AS64496", "");
    let adjacent = ("AS4200000000", "AS64500, AS64501");
    let both = "behind AS4200000000, expected AS64500";
    check(Condition::Upstream, "", adjacent, &format!("UPSTREAM 192.0.2.0/24 {both}"), ", AS64501");
    let behind = "DOWNSTREAM AS4200000000 in the path of 192.0.2.128/25";
    check(Condition::Downstream, "192.0.2.128/25", adjacent, behind, ", expected AS64500, AS64501");
    let path = ("64500 64499 64496", "must match ^64500 64496");
    check(Condition::Path, "", path, "PATH 192.0.2.0/24 is 64500 64499 64496, must match ^64500 64", "496");
    let long = ("64500 64500 64500 64500 64500 64500 64496", "must not match (64500 ){2}(64501|64502|64503|64504)");
    let (start, end) = (
        "PATH 192.0.2.0/24 is 64500 64500 64500 64500 64500 64500 644",
        "9…, must not match (64500 ){2}(64501|64502|6…",
    );
    check(Condition::Path, "", long, start, end);
    check(Condition::Mitigated, "192.0.2.1/32", ("BLACKHOLE", ""), "MITIGATED 192.0.2.1/32 BLACKHOLE", "");
    check(Condition::Mitigated, "", ("via AS64510", ""), "MITIGATED 192.0.2.0/24 via AS64510", "");
    let names = [([192, 0, 2], 24), ([198, 51, 100], 24), ([203, 0, 113], 24), ([10, 0, 0], 8)]
        .map(|(octets, length)| Prefix::new(Afi::Ipv4, &octets, length).unwrap());
    let watch = Watch { prefix: None, asn: Some(Asn(64496)), ..watch() };
    let line =
        "BASELINE AS64496 originates 4 prefixes, now accepted: 10.0.0.0/8, 192.0.2.0/24, 198.51.100.0/24 and 1 more";
    assert_eq!(accepted("list.csv", &[(&watch, &names)]), line);
    let other = Watch { asn: Some(Asn(64497)), ..watch.clone() };
    let line = "BASELINE list.csv: 2 ASes originate 5 prefixes, now accepted: AS64496 4, AS64497 1";
    assert_eq!(accepted("list.csv", &[(&watch, &names), (&other, &names[..1])]), line);
}

#[test]
fn rpki() {
    let route = Detail {
        origin: Some("AS64511".to_owned()),
        path: Some("64500 64511".to_owned()),
        rpki: Some("RPKI invalid".to_owned()),
        ..Detail::default()
    };
    check(
        Condition::Origin,
        "192.0.2.0/24 AS64511",
        1,
        &Detail { is_before_policy: true, ..route.clone() },
        "HIJACK? 192.0.2.0/24 origin AS64511, expected AS64496; 1 of 4 routers (edge1), before policy only, path 64500 \
         64511, RPKI invalid, since 2026-11-26 03:04:05 UTC",
    );
    let route = |reason: &str| Detail { reason: Some(reason.to_owned()), rpki: None, path: None, ..route.clone() };
    let seen = "1 of 4 routers (edge1), since 2026-11-26 03:04:05 UTC";
    for (condition, reason, want) in [
        (Condition::RpkiInvalid, "ROA for AS64496", "RPKI INVALID 192.0.2.0/24 origin AS64511, ROA for AS64496"),
        (Condition::RpkiUncovered, "valid until T", "ROA GONE 192.0.2.0/24 origin AS64511, valid until T"),
        (Condition::RoaExpiring, "T", "ROA EXPIRES 192.0.2.0/24 origin AS64511 at T"),
    ] {
        check(condition, "192.0.2.0/24 AS64511", 1, &route(reason), &format!("{want}; {seen}"));
        assert!(want.len() <= 60);
    }
    let changed = |value: &str| Detail { value: Some(value.to_owned()), ..Detail::default() };
    check(
        Condition::RoaChanged,
        "192.0.2.0/24-24 AS64496",
        0,
        &changed("REMOVED"),
        "ROA REMOVED 192.0.2.0/24-24 AS64496, watch 192.0.2.0/24, since 2026-11-26 03:04:05 UTC",
    );
    check(
        Condition::RoaChanged,
        "",
        0,
        &changed("7 added, 2 removed"),
        "ROAS CHANGED 192.0.2.0/24: 7 added, 2 removed, since 2026-11-26 03:04:05 UTC",
    );
    check(
        Condition::VrpsStale,
        "",
        0,
        &route("T"),
        "VRPS STALE: no RPKI state of a route is known; set of T, since 2026-11-26 03:04:05 UTC",
    );
    check(
        Condition::VrpsReduced,
        "",
        0,
        &route("half of the VRPs"),
        "VRPS REDUCED: taken after its hold: half of the VRPs, since 2026-11-26 03:04:05 UTC",
    );
}

#[test]
fn sessions_and_routers() {
    let down = Detail {
        peer: Some("198.51.100.1".parse().unwrap()),
        peer_asn: Some(64500),
        description: Some("Example".to_owned()),
        reason: Some("Hold Timer Expired".to_owned()),
        routes: Some(941_223),
        ..Detail::default()
    };
    check(
        Condition::SessionDown,
        "",
        1,
        &down,
        "PEER DOWN edge1 198.51.100.1 AS64500 (Example): Hold Timer Expired, since 2026-11-26 03:04:05 UTC, 941,223 \
         routes gone",
    );
    check(
        Condition::SessionDown,
        "",
        2,
        &Detail { description: None, routes: None, ..down },
        "PEER DOWN 198.51.100.1 AS64500 at 2 of 4 routers (edge1, edge2): Hold Timer Expired, since 2026-11-26 03:04:05 \
         UTC",
    );
    check(
        Condition::BmpDown,
        "edge3",
        1,
        &Detail { watches: Some(120), ..Detail::default() },
        "NOT WATCHED edge3, 120 watches unknown, since 2026-11-26 03:04:05 UTC",
    );
    check(
        Condition::Isolated,
        "c1",
        12,
        &Detail::default(),
        "ISOLATED collector c1 lost 12 routers at once, since 2026-11-26 03:04:05 UTC",
    );
}

#[test]
fn what_is_over() {
    let check = |seconds, want: &str| assert_eq!(over("GONE", Duration::from_secs(seconds)), want);
    check(40, "OVER after 40 s: GONE");
    check(12 * 60 + 40, "OVER after 12 min: GONE");
    check(3 * 3_600 + 5 * 60, "OVER after 3 h 5 min: GONE");
    check(51 * 3_600, "OVER after 2 d 3 h: GONE");
    assert_eq!((grouped(7), grouped(1_000), grouped(12_345_678)), ("7".into(), "1,000".into(), "12,345,678".into()));
}
