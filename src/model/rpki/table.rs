//! VRPs by prefix: route origin validation in memory, for many routes at once.

use std::net::IpAddr;
use std::ops::Range;

use prefix_trie::PrefixMap;

use super::RouteState;
use crate::model::{Asn, Prefix};

/// The VRPs of a set, for validation.
#[derive(Debug, Default)]
pub struct VrpTable {
    ipv4: PrefixMap<(u32, u8), Range<u32>>,
    ipv6: PrefixMap<(u128, u8), Range<u32>>,
    /// AS and maxLength, those of one prefix together.
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
            let prefix = of_prefix[0].0;
            let number = |at: usize| u32::try_from(at).expect("fewer than 4 billion VRPs");
            let range = number(start)..number(table.entries.len());
            match prefix.address() {
                IpAddr::V4(address) => table.ipv4.insert((address.to_bits(), prefix.length()), range),
                IpAddr::V6(address) => table.ipv6.insert((address.to_bits(), prefix.length()), range),
            };
        }
        table
    }

    /// Returns the state of a route (RFC 6811 section 2). An origin of 0 stands for none: no VRP matches it, as none
    /// matches by AS 0 (RFC 6483 section 4).
    pub fn validate(&self, prefix: &Prefix, origin: Asn) -> RouteState {
        let length = prefix.length();
        match prefix.address() {
            IpAddr::V4(address) => {
                self.judge(self.ipv4.cover(&(address.to_bits(), length)).map(|(_, range)| range), length, origin)
            }
            IpAddr::V6(address) => {
                self.judge(self.ipv6.cover(&(address.to_bits(), length)).map(|(_, range)| range), length, origin)
            }
        }
    }

    fn judge<'a>(&'a self, covering: impl Iterator<Item = &'a Range<u32>>, length: u8, origin: Asn) -> RouteState {
        let mut state = RouteState::NotFound;
        for range in covering {
            let at = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
            let entries = self.entries.get(at(range.start)..at(range.end)).unwrap_or_default();
            if entries.iter().any(|(asn, max)| *asn == origin && origin != Asn(0) && length <= *max) {
                return RouteState::Valid;
            }
            state = RouteState::Invalid;
        }
        state
    }
}

#[cfg(test)]
mod tests {
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
            assert_eq!(table.validate(&prefix(text), Asn(origin)), state, "{text} AS{origin}");
        }
        assert_eq!(VrpTable::default().validate(&prefix("10.0.0.0/16"), Asn(64496)), NotFound);
    }
}
