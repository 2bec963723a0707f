//! The reasons for which a policy may reject a route, as far as they can be seen at the route.
//!
//! No router says why it rejects a route. What most exchanges reject is judged here, each by the third number of a large
//! community, which is not the router's: see `docs/alice-lg.md`.

use std::sync::LazyLock;

use ipnet::IpNet;

use crate::store::birdwatcher::{BirdPeer, BirdRoute};

/// Nothing of the following.
const UNKNOWN: u32 = 0;
/// The VRPs make it invalid (RFC 6811).
const RPKI_INVALID: u32 = 1;
/// The prefix is a default route, or is not to be on the Internet.
const BOGON_PREFIX: u32 = 2;
/// An AS of the path is private or reserved.
const BOGON_AS: u32 = 3;
/// The first AS of the path of an external peer is not the peer's.
const FIRST_AS: u32 = 4;
/// The prefix is longer than what is commonly accepted.
const TOO_LONG: u32 = 5;
/// The next hop of an external peer is another address than the peer's.
const NEXT_HOP: u32 = 6;

/// The longest prefixes that are commonly accepted.
const LENGTH_MAX_IPV4: u8 = 24;
const LENGTH_MAX_IPV6: u8 = 48;

/// Prefixes that are not to be on the Internet (RFC 6890 and the IANA registries of special-purpose addresses).
static BOGONS: LazyLock<Vec<IpNet>> = LazyLock::new(|| {
    let all = [
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",
        "2001:2::/48",
        "2001:10::/28",
        "2001:db8::/32",
        "3fff::/20",
    ];
    all.into_iter().filter_map(|text| text.parse().ok()).collect()
});

/// The addresses of IPv6 that are given out.
static GLOBAL_UNICAST: LazyLock<IpNet> = LazyLock::new(|| "2000::/3".parse().expect("this is a prefix"));

/// AS numbers that are private or reserved (RFC 1930, 4893, 5398, 6996, 7300; IANA's registry).
const BOGON_ASES: [(u32, u32); 6] = [
    (0, 0),
    (23_456, 23_456),
    (64_496, 65_551),
    (65_552, 131_071),
    (4_200_000_000, 4_294_967_294),
    (u32::MAX, u32::MAX),
];

/// Returns the numbers of all reasons that a filtered route shows; that of "unknown" where it shows none.
pub(super) fn reasons(route: &BirdRoute<'_>, peer: &BirdPeer, router_asn: Option<i64>) -> Vec<u32> {
    let is_external = router_asn.is_some_and(|asn| asn != peer.asn);
    let all = [
        (RPKI_INVALID, route.is_rpki_invalid),
        (BOGON_PREFIX, is_bogon(route.prefix)),
        (BOGON_AS, numbers(route.as_path.unwrap_or_default()).any(is_bogon_as)),
        (FIRST_AS, is_external && first_as(route.as_path.unwrap_or_default()) != u32::try_from(peer.asn).ok()),
        (TOO_LONG, is_too_long(route.prefix)),
        (NEXT_HOP, is_external && route.nexthop.is_some_and(|nexthop| is_another(nexthop, &peer.address))),
    ];
    let found: Vec<u32> = all.into_iter().filter_map(|(reason, is_so)| is_so.then_some(reason)).collect();
    if found.is_empty() { vec![UNKNOWN] } else { found }
}

fn is_bogon(prefix: &str) -> bool {
    let Ok(net) = prefix.parse::<IpNet>() else { return false };
    let is_given_out = match net {
        IpNet::V4(_) => true,
        IpNet::V6(_) => GLOBAL_UNICAST.contains(&net),
    };
    net.prefix_len() == 0 || !is_given_out || BOGONS.iter().any(|bogon| bogon.contains(&net))
}

fn is_too_long(prefix: &str) -> bool {
    prefix
        .parse::<IpNet>()
        .is_ok_and(|net| net.prefix_len() > if net.addr().is_ipv4() { LENGTH_MAX_IPV4 } else { LENGTH_MAX_IPV6 })
}

/// Returns all AS numbers of a path, those in sets and confederations too.
fn numbers(path: &str) -> impl Iterator<Item = u32> {
    path.split(|character: char| !character.is_ascii_digit()).filter_map(|part| part.parse().ok())
}

/// Returns the first AS of a path, if it is in a sequence.
fn first_as(path: &str) -> Option<u32> {
    path.split(' ').next()?.parse().ok()
}

fn is_bogon_as(asn: u32) -> bool {
    BOGON_ASES.iter().any(|(first, last)| (*first..=*last).contains(&asn))
}

/// Returns whether two addresses of one family differ. A next hop of the other family (RFC 8950) cannot be the peer's
/// address.
fn is_another(nexthop: &str, address: &str) -> bool {
    nexthop.contains(':') == address.contains(':') && nexthop != address
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    fn check(prefix: &str, path: Option<&str>, nexthop: &str, want: &[u32]) {
        let route = BirdRoute {
            prefix,
            nexthop: Some(nexthop),
            as_path: path,
            origin: None,
            localpref: None,
            med: None,
            communities_std: Vec::new(),
            communities_ext: Vec::new(),
            communities_large: Vec::new(),
            otc: None,
            link_local: None,
            is_best: false,
            updated_at: Timestamp::from_unix_micros(0),
            is_rpki_invalid: false,
        };
        let peer = BirdPeer { asn: 4_199_999_999, address: "192.0.2.1".to_owned(), distinguisher: String::new() };
        assert_eq!(reasons(&route, &peer, Some(64_496)), want, "{prefix} {path:?} {nexthop}");
        let invalid = BirdRoute { is_rpki_invalid: true, ..route };
        assert!(reasons(&invalid, &peer, Some(64_496)).contains(&RPKI_INVALID));
    }

    // Numbers and addresses of documentation are bogons: these others are nobody's either.
    #[test]
    fn what_exchanges_reject_is_seen_at_the_route() {
        let (fine, path) = ("192.0.2.1", Some("4199999999 4199999998"));
        check("192.88.99.0/24", path, fine, &[UNKNOWN]);
        check("10.1.0.0/16", path, fine, &[BOGON_PREFIX]);
        check("0.0.0.0/0", path, fine, &[BOGON_PREFIX]);
        check("fd00::/8", path, fine, &[BOGON_PREFIX]);
        check("2001:db8:1::/64", path, fine, &[BOGON_PREFIX, TOO_LONG]);
        check("192.88.99.0/25", path, fine, &[TOO_LONG]);
        check("2002::/16", path, "2001:db8::1", &[UNKNOWN]);
        check("192.88.99.0/24", Some("4199999999 {4199999998,64512}"), fine, &[BOGON_AS]);
        check("192.88.99.0/24", Some("4199999999 0"), fine, &[BOGON_AS]);
        check("192.88.99.0/24", Some("4199999998 4199999999"), fine, &[FIRST_AS]);
        check("192.88.99.0/24", Some(""), fine, &[FIRST_AS]);
        check("192.88.99.0/24", path, "192.0.2.2", &[NEXT_HOP]);
        check("10.0.0.0/25", Some("4199999998 23456"), "192.0.2.2", &[2, 3, 4, 5, 6]);
    }

    #[test]
    fn internal_peers_send_what_others_announced() {
        let route = |peer_asn| {
            let peer = BirdPeer { asn: peer_asn, address: "192.0.2.1".to_owned(), distinguisher: String::new() };
            let route = BirdRoute {
                prefix: "192.88.99.0/24",
                nexthop: Some("192.0.2.9"),
                as_path: Some("4199999999"),
                origin: None,
                localpref: None,
                med: None,
                communities_std: Vec::new(),
                communities_ext: Vec::new(),
                communities_large: Vec::new(),
                otc: None,
                link_local: None,
                is_best: false,
                updated_at: Timestamp::from_unix_micros(0),
                is_rpki_invalid: false,
            };
            reasons(&route, &peer, Some(64_496))
        };
        assert_eq!((route(64_496), route(4_199_999_999)), (vec![UNKNOWN], vec![NEXT_HOP]));
    }
}
