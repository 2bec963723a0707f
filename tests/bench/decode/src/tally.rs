//! What a contestant found: counts and sums that only come out right when every prefix and attribute was read.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Counts and wrapping sums over all announced routes of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// UPDATEs that announce something.
    pub updates: u64,
    /// IPv4 prefixes.
    pub ipv4: u64,
    /// IPv6 prefixes.
    pub ipv6: u64,
    /// Sum of the prefix lengths.
    pub bits: u64,
    /// Sum of the network addresses: IPv4 as numbers, of IPv6 the upper half.
    pub networks: u64,
    /// Sum of the next hops, IPv6 ones by their lower half.
    pub next_hops: u64,
    /// AS numbers in AS paths.
    pub asns: u64,
    /// Their sum.
    pub asn_sum: u64,
    /// Sum of ORIGIN, MULTI_EXIT_DISC and LOCAL_PREF.
    pub numbers: u64,
    /// Standard communities.
    pub communities: u64,
    /// Extended communities.
    pub extended: u64,
    /// Large communities.
    pub large: u64,
    /// AGGREGATORs and ATOMIC_AGGREGATEs.
    pub aggregates: u64,
}

impl Tally {
    /// All prefixes.
    pub fn prefixes(&self) -> u64 {
        self.ipv4 + self.ipv6
    }

    /// One more IPv4 prefix.
    pub fn ipv4(&mut self, network: Ipv4Addr, length: u8) {
        self.ipv4 += 1;
        self.bits += u64::from(length);
        self.networks = self.networks.wrapping_add(u32::from(network).into());
    }

    /// One more IPv6 prefix.
    pub fn ipv6(&mut self, network: Ipv6Addr, length: u8) {
        self.ipv6 += 1;
        self.bits += u64::from(length);
        self.networks = self.networks.wrapping_add(upper_half(network));
    }

    /// The next hop of an UPDATE.
    pub fn next_hop(&mut self, address: IpAddr) {
        self.next_hops = self.next_hops.wrapping_add(match address {
            IpAddr::V4(address) => u32::from(address).into(),
            IpAddr::V6(address) => lower_half(address),
        });
    }

    /// One AS number of an AS path.
    pub fn asn(&mut self, asn: u32) {
        self.asns += 1;
        self.asn_sum = self.asn_sum.wrapping_add(asn.into());
    }

    /// A value of ORIGIN, MULTI_EXIT_DISC or LOCAL_PREF.
    pub fn number(&mut self, value: u32) {
        self.numbers = self.numbers.wrapping_add(value.into());
    }
}

fn upper_half(address: Ipv6Addr) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = address.octets();
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

fn lower_half(address: Ipv6Addr) -> u64 {
    let [.., a, b, c, d, e, f, g, h] = address.octets();
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}
