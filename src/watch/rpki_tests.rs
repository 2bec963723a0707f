//! Tables of cases of [the states](super) of routes.

use super::*;
use crate::model::{Afi, RouterId};

fn prefix(text: &str) -> Prefix {
    let (address, length) = text.split_once('/').unwrap();
    let length = length.parse().unwrap();
    match address.parse().unwrap() {
        std::net::IpAddr::V4(address) => Prefix::new(Afi::Ipv4, &address.octets(), length).unwrap(),
        std::net::IpAddr::V6(address) => Prefix::new(Afi::Ipv6, &address.octets(), length).unwrap(),
    }
}

fn vrp(text: &str, max_length: u8, asn: u32) -> VrpRow {
    VrpRow { prefix: prefix(text), max_length, asn: Asn(asn), expires: None }
}

#[test]
fn states() {
    let vrps = [
        vrp("192.0.2.0/24", 25, 64_496),
        vrp("192.0.0.0/16", 16, 64_497),
        vrp("198.51.100.0/24", 24, 0),
        vrp("2001:db8::/32", 48, 64_496),
    ];
    let vrps = Vrps::of(&vrps, &[]);
    let check = |route, origin: u32, state, reason: &str| {
        let (route, origin) = (prefix(route), (origin != 0).then_some(Asn(origin)));
        assert_eq!(vrps.validate(&route, origin), state, "{route}");
        if state == RouteValidity::Invalid {
            assert_eq!(vrps.reason(&route, origin), reason);
        }
    };
    check("192.0.2.0/24", 64_496, RouteValidity::Valid, "");
    check("192.0.2.128/25", 64_496, RouteValidity::Valid, "");
    check("192.0.2.0/26", 64_496, RouteValidity::Invalid, "longer than maxLength 25");
    check("192.0.2.0/24", 64_511, RouteValidity::Invalid, "ROA for AS64496, AS64497");
    check("192.0.3.0/24", 64_496, RouteValidity::Invalid, "ROA for AS64497");
    check("192.0.2.0/24", 0, RouteValidity::Invalid, "ROA for AS64496, AS64497");
    check("198.51.100.0/24", 64_496, RouteValidity::Invalid, "ROA for AS0");
    check("198.51.0.0/16", 64_496, RouteValidity::NotFound, "");
    check("2001:db8:1::/48", 64_496, RouteValidity::Valid, "");
    check("2001:db8:1::/49", 64_496, RouteValidity::Invalid, "longer than maxLength 48");
    check("2001:db9::/32", 64_496, RouteValidity::NotFound, "");
    assert_eq!(Vrps::default().validate(&prefix("192.0.2.0/24"), Some(Asn(64_496))), RouteValidity::Unknown);
}

fn route(text: &str, path: &str) -> RouteRow {
    RouteRow {
        router: RouterId::new("10.0.0.1"),
        table: "global".to_owned(),
        prefix: prefix(text),
        origin: path.rsplit(' ').next().and_then(|asn| asn.parse().ok()).map(Asn),
        path: Some(path.to_owned()),
        in_loc_rib: true,
        after_policy: false,
        before_policy: false,
        peer: None,
        mitigation: None,
    }
}

#[test]
fn conditions() {
    let watch = crate::watch::judge::tests::watch();
    let watch = Watch { conditions: JUDGED.to_vec(), ..watch };
    let now = Timestamp::from_unix_micros(1_795_662_245_000_000);
    let in_hours = |hours: u64| Some(after(now, Duration::from_secs(hours * 3_600)));
    let ours = vrp("192.0.2.0/24", 24, 64_496);
    let gone =
        VrpChange { version: 2, is_added: false, prefix: ours.prefix, max_length: 24, asn: Asn(64_496), at: now };
    let ends = |expires| VrpRow { expires, ..ours.clone() };
    let check = |vrps: &[VrpRow], row: &RouteRow, want: &[&str], due: Option<Timestamp>| {
        let judged = judge(&Vrps::of(vrps, std::slice::from_ref(&gone)), &watch, &[row], Some(Asn(64_499)), now);
        let found: Vec<String> =
            judged.findings.iter().map(|(condition, subject, _)| format!("{condition} {subject}")).collect();
        assert_eq!((found, judged.due), (want.iter().map(|text| (*text).to_owned()).collect(), due));
    };
    let fine = route("192.0.2.0/24", "64500 64496");
    check(std::slice::from_ref(&ours), &fine, &[], None);
    check(&[ends(in_hours(3))], &fine, &[], in_hours(1));
    let soon = Some(after(now, EXPIRING_EVERY));
    check(&[ends(in_hours(1))], &fine, &["roa_expiring 192.0.2.0/24 AS64496"], soon);
    // Another one keeps it valid for longer, or forever.
    check(&[ends(in_hours(1)), ends(in_hours(4))], &fine, &[], in_hours(2));
    check(&[ends(in_hours(1)), ends(None)], &fine, &[], None);
    check(&[], &fine, &["rpki_uncovered 192.0.2.0/24 AS64496"], Some(after(now, REMEMBERED)));
    check(&[], &route("192.0.2.0/25", "64500 64496"), &[], None);
    let longer = route("192.0.2.0/25", "64500 64496");
    check(std::slice::from_ref(&ours), &longer, &["rpki_invalid 192.0.2.0/25 AS64496"], None);
    check(std::slice::from_ref(&ours), &RouteRow { mitigation: Some("65535:666".to_owned()), ..longer }, &[], None);
    let hijack = RouteRow { mitigation: Some("65535:666".to_owned()), ..route("192.0.2.0/24", "64500 64511") };
    check(std::slice::from_ref(&ours), &hijack, &["rpki_invalid 192.0.2.0/24 AS64511"], None);
    // A router's own route with another AS is configured there.
    check(&[ours], &route("192.0.2.0/24", ""), &[], None);
    let wait = |subject| open_after(&watch, Condition::RpkiInvalid, subject).as_secs();
    assert_eq!((wait("192.0.2.0/25 AS64496"), wait("192.0.2.0/24 AS64511"), wait("192.0.2.0/24 AS_SET")), (900, 0, 0));
}
