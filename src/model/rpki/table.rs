//! VRPs in the order of their prefixes: route origin validation in memory, for many routes at once.

use std::ops::Range;

use super::RouteState;
use crate::model::{Asn, Prefix};

/// The VRPs of a set, for validation.
#[derive(Debug, Default)]
pub struct VrpTable {
    /// Each prefix once, ascending, and its part of `entries`.
    prefixes: Vec<(Prefix, Range<usize>)>,
    /// AS and maxLength.
    entries: Vec<(Asn, u8)>,
}

impl VrpTable {
    /// Builds it from prefix, maxLength and AS.
    pub fn of(vrps: impl IntoIterator<Item = (Prefix, u8, Asn)>) -> VrpTable {
        let mut vrps: Vec<_> = vrps.into_iter().collect();
        vrps.sort_unstable();
        let mut table = VrpTable::default();
        for of_prefix in vrps.chunk_by(|a, b| a.0 == b.0) {
            let start = table.entries.len();
            table.entries.extend(of_prefix.iter().map(|(_, max_length, asn)| (*asn, *max_length)));
            table.prefixes.push((of_prefix[0].0, start..table.entries.len()));
        }
        table
    }

    /// Returns what validates routes in the order of their prefixes.
    pub fn in_order(&self) -> Validation<'_> {
        Validation { table: self, next: 0, covering: Vec::new() }
    }
}

/// Validates routes in the order of their prefixes. Shorter prefixes come before what they cover, so that one walk over
/// both lists is enough: with a lookup for each route, a million of them take as long as reading them.
#[derive(Debug)]
pub struct Validation<'a> {
    table: &'a VrpTable,
    /// The first prefix of the table that is after the last route.
    next: usize,
    /// Prefixes of the table that may cover the next route; each covers the one after it.
    covering: Vec<usize>,
}

impl Validation<'_> {
    /// Returns the state of a route (RFC 6811 section 2), whose prefix is not before that of the last one. An origin of 0
    /// stands for none: no VRP matches it, as none matches by AS 0 (RFC 6483 section 4).
    pub fn validate(&mut self, prefix: &Prefix, origin: Asn) -> RouteState {
        let table = self.table;
        while let Some((above, _)) = table.prefixes.get(self.next).filter(|(above, _)| above <= prefix) {
            self.forget_but(above);
            self.covering.push(self.next);
            self.next += 1;
        }
        self.forget_but(prefix);
        let is_match = |(asn, max): &(Asn, u8)| *asn == origin && origin != Asn(0) && prefix.length() <= *max;
        let mut all = self.covering.iter().map(|above| &table.entries[table.prefixes[*above].1.clone()]);
        match self.covering.is_empty() {
            true => RouteState::NotFound,
            false if all.any(|entries| entries.iter().any(is_match)) => RouteState::Valid,
            false => RouteState::Invalid,
        }
    }

    /// Drops the prefixes that do not cover this one: they cover nothing after it either.
    fn forget_but(&mut self, prefix: &Prefix) {
        while self.covering.last().is_some_and(|above| !self.table.prefixes[*above].0.covers(prefix)) {
            self.covering.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

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

    /// The cases of RFC 6811 section 2 and of RFC 6483 sections 2 and 4.
    #[test]
    fn routes_are_validated_as_rfc_6811_says() {
        use RouteState::{Invalid, NotFound, Valid};
        let table = VrpTable::of([
            (prefix("10.0.0.0/16"), 18, Asn(64496)),
            (prefix("10.0.0.0/16"), 24, Asn(64497)),
            (prefix("10.0.1.0/24"), 24, Asn(64498)),
            (prefix("192.0.2.0/24"), 24, Asn(0)),
            (prefix("198.51.100.0/24"), 24, Asn(0)),
            (prefix("198.51.100.0/24"), 32, Asn(64496)),
            (prefix("2001:db8::/32"), 48, Asn(64496)),
            (prefix("::/0"), 0, Asn(64499)),
        ]);
        let cases = [
            ("10.0.0.0/16", 64496, Valid),
            ("10.0.64.0/18", 64496, Valid),
            // Longer than maxLength.
            ("10.0.0.0/19", 64496, Invalid),
            // Another VRP of the same prefix.
            ("10.0.0.0/19", 64497, Valid),
            // A shorter VRP matches although a longer one covers.
            ("10.0.1.0/24", 64497, Valid),
            ("10.0.1.0/24", 64498, Valid),
            ("10.0.1.0/24", 64499, Invalid),
            // Shorter than any VRP.
            ("10.0.0.0/15", 64496, NotFound),
            ("11.0.0.0/16", 64496, NotFound),
            // AS 0 says that no one may, and AS 0 itself matches nothing; another VRP may match beside it.
            ("192.0.2.0/24", 64496, Invalid),
            ("192.0.2.0/24", 0, Invalid),
            ("192.0.2.128/25", 0, Invalid),
            ("198.51.100.7/32", 64496, Valid),
            // No origin: invalid where covered.
            ("10.0.0.0/16", 0, Invalid),
            ("11.0.0.0/16", 0, NotFound),
            ("2001:db8:1::/48", 64496, Valid),
            ("2001:db8:1::/49", 64496, Invalid),
            ("::/0", 64499, Valid),
            ("2001:db8::/32", 64499, Invalid),
        ];
        for (text, origin, state) in cases {
            assert_eq!(table.in_order().validate(&prefix(text), Asn(origin)), state, "{text} AS{origin}");
        }
        // All of them in one walk.
        let mut ordered = cases.map(|(text, origin, state)| (prefix(text), Asn(origin), state));
        ordered.sort_unstable_by_key(|case| case.0);
        let mut walk = table.in_order();
        for (prefix, origin, state) in ordered {
            assert_eq!(walk.validate(&prefix, origin), state, "{prefix} AS{origin}");
        }
        assert_eq!(VrpTable::default().in_order().validate(&prefix("10.0.0.0/16"), Asn(64496)), NotFound);
    }
}
