//! The routes that some watch may care about, as state writers match them: immutable, and replaced as a whole.
//!
//! It answers yes or no for one route. The evaluator finds out which watches are concerned, from the present state of
//! what the writers name; so a yes too many costs an evaluation, a no too many costs an incident.

use std::collections::HashSet;
use std::net::IpAddr;

use prefix_trie::PrefixMap;

use super::{Condition, Kind};
use crate::model::as_path::RouteOrigin;
use crate::model::{Asn, Prefix};

/// One thing that state writers look for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchTarget {
    /// Routes inside the prefix, itself included, of at most this length.
    Inside(Prefix, u8),
    /// Routes that cover the address.
    Covering(IpAddr),
    /// Announcements of routes that this AS originates.
    OriginatedBy(Asn),
    /// Announcements of routes with this AS anywhere in their path.
    Through(Asn),
}

/// The columns of a watch that decide about its targets.
#[derive(Clone, Debug)]
pub struct TargetColumns<'a> {
    /// The kind of the watch.
    pub kind: Kind,
    /// The prefix of the kind `prefix`.
    pub prefix: Option<Prefix>,
    /// The address of the kind `address`.
    pub address: Option<IpAddr>,
    /// The AS of the kind `origin`.
    pub asn: Option<Asn>,
    /// The longest prefix inside `prefix` that is expected.
    pub max_length: Option<u8>,
    /// True if it says which ASes may come behind the one that originates.
    pub has_downstreams: bool,
    /// The conditions that are judged.
    pub conditions: &'a [Condition],
}

impl TargetColumns<'_> {
    /// Returns the thing that the watch looks for among routes, if it looks at routes at all.
    pub fn target(&self) -> Option<WatchTarget> {
        // It only says what is expected: the watch above it covers the same routes.
        if self.conditions.is_empty() {
            return None;
        }
        match self.kind {
            Kind::Prefix => self.prefix.map(|prefix| WatchTarget::Inside(prefix, self.longest(&prefix))),
            Kind::Address => self.address.map(WatchTarget::Covering),
            // Paths with the AS are those that it originates too, but for the router's own.
            Kind::Origin if self.has_downstreams && self.conditions.contains(&Condition::Downstream) => {
                self.asn.map(WatchTarget::Through)
            }
            Kind::Origin => self.asn.map(WatchTarget::OriginatedBy),
            Kind::Session | Kind::PeerRoutes | Kind::Router => None,
        }
    }

    /// Returns the length of the longest route that is judged. A watch of the default route, say, that does not ask for
    /// more specific ones must not name every route there is.
    fn longest(&self, prefix: &Prefix) -> u8 {
        let is_for_longer = |condition: &Condition| {
            matches!(
                condition,
                Condition::MoreSpecific | Condition::MoreSpecificOwn | Condition::Mitigated | Condition::RpkiInvalid
            )
        };
        if self.conditions.iter().any(is_for_longer) {
            prefix.afi().max_prefix_length()
        } else {
            self.max_length.unwrap_or(prefix.length())
        }
    }
}

/// The targets of all enabled watches.
#[derive(Debug, Default)]
pub struct Trie {
    ipv4: Inside<u32>,
    ipv6: Inside<u128>,
    /// Sorted.
    covered_ipv4: Vec<u32>,
    covered_ipv6: Vec<u128>,
    origins: HashSet<Asn>,
    transits: HashSet<Asn>,
}

/// The length of the longest route that matters below each prefix. The lengths of prefixes that cover a prefix are
/// included in its own, so that the longest match decides.
type Inside<R> = PrefixMap<(R, u8), u8>;

impl Trie {
    /// Builds it.
    pub fn of(targets: impl IntoIterator<Item = WatchTarget>) -> Trie {
        let mut trie = Trie::default();
        let mut inside = Vec::new();
        for target in targets {
            match target {
                WatchTarget::Inside(prefix, longest) => inside.push((prefix, longest)),
                WatchTarget::Covering(IpAddr::V4(address)) => trie.covered_ipv4.push(address.to_bits()),
                WatchTarget::Covering(IpAddr::V6(address)) => trie.covered_ipv6.push(address.to_bits()),
                WatchTarget::OriginatedBy(asn) => drop(trie.origins.insert(asn)),
                WatchTarget::Through(asn) => {
                    trie.origins.insert(asn);
                    trie.transits.insert(asn);
                }
            }
        }
        // What covers a prefix is there before it.
        inside.sort_unstable_by_key(|(prefix, _)| prefix.length());
        for (prefix, longest) in inside {
            match prefix.address() {
                IpAddr::V4(address) => add(&mut trie.ipv4, (address.to_bits(), prefix.length()), longest),
                IpAddr::V6(address) => add(&mut trie.ipv6, (address.to_bits(), prefix.length()), longest),
            }
        }
        trie.covered_ipv4.sort_unstable();
        trie.covered_ipv6.sort_unstable();
        trie
    }

    /// Returns whether the coming, the change and the going of a route for this prefix matter.
    #[inline]
    pub fn matches(&self, prefix: &Prefix) -> bool {
        let length = prefix.length();
        match prefix.address() {
            IpAddr::V4(address) => {
                let first = address.to_bits();
                let last = first | u32::MAX.checked_shr(length.into()).unwrap_or(0);
                has_inside(&self.ipv4, (first, length)) || is_any_within(&self.covered_ipv4, first, last)
            }
            IpAddr::V6(address) => {
                let first = address.to_bits();
                let last = first | u128::MAX.checked_shr(length.into()).unwrap_or(0);
                has_inside(&self.ipv6, (first, length)) || is_any_within(&self.covered_ipv6, first, last)
            }
        }
    }

    /// Returns whether announcements are also matched by their origin.
    pub fn has_origins(&self) -> bool {
        !self.origins.is_empty()
    }

    /// Returns whether an announcement from `origin` matters. The AS of the router is not known here: a route of its
    /// own always does.
    pub fn matches_origin(&self, origin: RouteOrigin) -> bool {
        match origin {
            RouteOrigin::As(asn) => self.origins.contains(&asn),
            RouteOrigin::Router => self.has_origins(),
            RouteOrigin::Unclear => false,
        }
    }

    /// Returns whether announcements are also matched by every AS of their path.
    pub fn has_transits(&self) -> bool {
        !self.transits.is_empty()
    }

    /// Returns whether an announcement with this path, the text of the column `as_path`, matters.
    pub fn matches_path(&self, path: &str) -> bool {
        path.split(' ').filter_map(|hop| hop.parse().ok()).any(|asn| self.transits.contains(&Asn(asn)))
    }

    /// Returns the number of prefixes, addresses and ASes that it looks for. Those that others include are not counted.
    pub fn len(&self) -> usize {
        self.ipv4.len() + self.ipv6.len() + self.covered_ipv4.len() + self.covered_ipv6.len() + self.origins.len()
    }

    /// Returns whether it matches nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A key of the crate's maps.
trait Key: prefix_trie::Prefix + Copy {}
impl<P: prefix_trie::Prefix + Copy> Key for P {}

fn add<P: Key>(inside: &mut PrefixMap<P, u8>, key: P, longest: u8) {
    let is_included = inside.get_lpm(&key).is_some_and(|(_, covering)| *covering >= longest);
    if !is_included {
        inside.insert(key, longest);
    }
}

#[inline]
fn has_inside<P: Key>(inside: &PrefixMap<P, u8>, key: P) -> bool {
    inside.get_lpm(&key).is_some_and(|(_, longest)| key.prefix_len() <= *longest)
}

/// Returns whether any of the sorted addresses is one of `first` to `last`.
#[inline]
fn is_any_within<R: Copy + Ord>(sorted: &[R], first: R, last: R) -> bool {
    let from = sorted.partition_point(|address| *address < first);
    sorted.get(from).is_some_and(|address| *address <= last)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::model::Afi;

    fn prefix(text: &str) -> Prefix {
        let (address, length) = text.split_once('/').unwrap();
        let length = length.parse().unwrap();
        match address.parse().unwrap() {
            IpAddr::V4(address) => Prefix::new(Afi::Ipv4, &address.octets(), length).unwrap(),
            IpAddr::V6(address) => Prefix::new(Afi::Ipv6, &address.octets(), length).unwrap(),
        }
    }

    /// Returns whether a route matters to one target, by the definition.
    fn is_meant(target: &WatchTarget, route: &Prefix) -> bool {
        let covers = |outer: &Prefix, inner: &Prefix| {
            outer.afi() == inner.afi()
                && outer.length() <= inner.length()
                && Prefix::truncating(inner.afi(), inner.octets(), outer.length()).unwrap() == *outer
        };
        match target {
            WatchTarget::Inside(prefix, longest) => covers(prefix, route) && route.length() <= *longest,
            WatchTarget::Covering(IpAddr::V4(address)) => {
                covers(route, &Prefix::new(Afi::Ipv4, &address.octets(), 32).unwrap())
            }
            WatchTarget::Covering(IpAddr::V6(address)) => {
                covers(route, &Prefix::new(Afi::Ipv6, &address.octets(), 128).unwrap())
            }
            WatchTarget::OriginatedBy(_) | WatchTarget::Through(_) => false,
        }
    }

    #[test]
    fn routes_of_watches() {
        let of = |kind, what: &str, max_length, conditions: &[Condition]| {
            let is_prefix = kind == Kind::Prefix;
            let prefix = is_prefix.then(|| prefix(what));
            let address = (kind == Kind::Address).then(|| what.parse().unwrap());
            TargetColumns {
                kind,
                prefix,
                address,
                asn: Some(Asn(64_496)),
                max_length,
                has_downstreams: false,
                conditions,
            }
            .target()
        };
        let check = |target: Option<WatchTarget>, yes: &[&str], no: &[&str]| {
            let trie = Trie::of(target);
            let matched = |route: &&&str| trie.matches(&prefix(route));
            assert_eq!(
                yes.iter().filter(|route| !matched(route)).collect::<Vec<_>>(),
                Vec::<&&str>::new(),
                "{target:?}"
            );
            assert_eq!(no.iter().filter(matched).collect::<Vec<_>>(), Vec::<&&str>::new(), "{target:?}");
        };
        let all = Kind::Prefix.default_conditions();
        let ours = "192.0.2.0/24";
        check(
            of(Kind::Prefix, ours, None, all),
            &[ours, "192.0.2.128/25", "192.0.2.1/32"],
            &["192.0.0.0/16", "0.0.0.0/0"],
        );
        check(of(Kind::Prefix, ours, None, &[Condition::Missing]), &[ours], &["192.0.2.0/25", "192.0.2.1/32"]);
        check(of(Kind::Prefix, ours, Some(26), &[Condition::Origin]), &[ours, "192.0.2.64/26"], &["192.0.2.0/27"]);
        check(of(Kind::Prefix, ours, None, &[]), &[], &[ours]);
        check(of(Kind::Prefix, "0.0.0.0/0", None, &[Condition::Missing]), &["0.0.0.0/0"], &[ours, "::/0"]);
        check(
            of(Kind::Prefix, "2001:db8::/32", None, all),
            &["2001:db8::/32", "2001:db8::1/128"],
            &["2001:db9::/32", "::/0"],
        );
        let covering = &["198.51.100.7/32", "198.51.100.0/24", "0.0.0.0/0"];
        let conditions = Kind::Address.default_conditions();
        check(of(Kind::Address, "198.51.100.7", None, conditions), covering, &["198.51.100.8/32", "::/0"]);
        check(
            of(Kind::Address, "2001:db8::7", None, conditions),
            &["2001:db8::/32", "::/0"],
            &["2001:db8::8/128", "0.0.0.0/0"],
        );
        for kind in [Kind::Session, Kind::PeerRoutes, Kind::Router] {
            assert_eq!(of(kind, "", None, kind.default_conditions()), None);
        }
        let origin = Trie::of(of(Kind::Origin, "", None, Kind::Origin.default_conditions()));
        assert!(origin.has_origins() && !origin.matches(&prefix(ours)));
        let routes =
            [RouteOrigin::As(Asn(64_496)), RouteOrigin::As(Asn(64_497)), RouteOrigin::Router, RouteOrigin::Unclear];
        assert_eq!(routes.map(|route| origin.matches_origin(route)), [true, false, true, false]);
        assert!(!origin.has_transits());
        let transit = Trie::of([WatchTarget::Through(Asn(64_496))]);
        let paths = ["1 64496 2", "64496", "1 2", "", "164496 64497", "1 {64496,2}", "(64496 2)"];
        assert_eq!(paths.map(|path| transit.matches_path(path)), [true, true, false, false, false, false, false]);
        assert!(transit.has_transits() && transit.matches_origin(RouteOrigin::Router));
        assert!(Trie::default().is_empty() && !Trie::default().matches_origin(RouteOrigin::Router));
    }

    /// Few bits, so that prefixes cover each other often.
    fn some_prefix(afi: Afi) -> impl Strategy<Value = Prefix> {
        let lengths = prop_oneof![0..=8u8, Just(afi.max_prefix_length())];
        (0..4u8, 0..4u8, lengths).prop_map(move |(high, low, length)| {
            Prefix::truncating(afi, &[high << 6 | low, 0, 0, low], length).unwrap()
        })
    }

    fn some_target(afi: Afi) -> impl Strategy<Value = WatchTarget> {
        (some_prefix(afi), 0..=128u8, any::<bool>()).prop_map(|(prefix, longest, is_address)| {
            if is_address { WatchTarget::Covering(prefix.address()) } else { WatchTarget::Inside(prefix, longest) }
        })
    }

    proptest! {
        #[test]
        fn it_matches_what_any_target_means(
            targets in vec(prop_oneof![some_target(Afi::Ipv4), some_target(Afi::Ipv6)], 0..12),
            routes in vec(prop_oneof![some_prefix(Afi::Ipv4), some_prefix(Afi::Ipv6)], 1..20),
        ) {
            let trie = Trie::of(targets.iter().copied());
            for route in &routes {
                let want = targets.iter().any(|target| is_meant(target, route));
                prop_assert_eq!(trie.matches(route), want, "{} of {:?}", route, targets);
            }
        }
    }
}
