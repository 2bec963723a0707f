//! IP prefixes and the NLRI that carry them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::family::Afi;

/// An IP prefix without host bits: PostgreSQL's `cidr` rejects any other.
///
/// It has 18 bytes without padding, so that millions of them fit into a map. Ordered by family, network bytes, length:
/// the order of the batches that are sorted by key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix {
    afi: Afi,
    bytes: [u8; 16],
    length: u8,
}

/// The reason for which bytes are not a [`Prefix`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrefixError {
    /// The length in bits is above the family's 32 or 128.
    TooLong(u8),
    /// Bits after the prefix length are set.
    HostBits,
}

impl fmt::Display for PrefixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PrefixError::TooLong(length) => write!(f, "prefix length {length} is too long"),
            PrefixError::HostBits => f.write_str("bits are set after the prefix length"),
        }
    }
}

impl std::error::Error for PrefixError {}

impl Prefix {
    /// Returns a prefix from the octets of its NLRI encoding: `octets` has at most 16 network octets, the missing
    /// ones are zero (RFC 4271 section 4.3).
    ///
    /// # Errors
    /// The length is above the family's, there are more octets than the family's addresses have, or host bits are set.
    #[inline(always)]
    pub fn new(afi: Afi, octets: &[u8], length: u8) -> Result<Prefix, PrefixError> {
        let address = Halves::left_aligned(afi, octets, length)?;
        if address != address.masked(length) {
            return Err(PrefixError::HostBits);
        }
        Ok(Prefix { afi, bytes: address.octets(), length })
    }

    /// Returns a prefix as [`Prefix::new`] does, but clears bits after the length: RFC 4271 section 4.3 calls them
    /// irrelevant, so a router that sends them still means this prefix.
    ///
    /// # Errors
    /// The length is above the family's, or there are more octets than the family's addresses have.
    pub fn truncating(afi: Afi, octets: &[u8], length: u8) -> Result<Prefix, PrefixError> {
        let address = Halves::left_aligned(afi, octets, length)?.masked(length);
        Ok(Prefix { afi, bytes: address.octets(), length })
    }

    /// Returns a prefix as [`Prefix::truncating`] does, for a length that is known to fit the family. `octets` may
    /// extend past the prefix: with the octets after it in the message there is a whole address, which is read in one
    /// load whatever the length.
    #[inline]
    pub(crate) fn fitting(afi: Afi, octets: &[u8], length: u8) -> Prefix {
        let (address, length) = match afi {
            Afi::Ipv4 => {
                let length = length.min(32);
                (Halves { high: u64::from(first_four(octets)) << 32 & !(u64::MAX >> length), low: 0 }, length)
            }
            Afi::Ipv6 => {
                let length = length.min(128);
                let address = match octets.split_first_chunk() {
                    Some((high, behind)) => Halves { high: u64::from_be_bytes(*high), low: first_eight(behind) },
                    None => Halves { high: first_octets(octets), low: 0 },
                };
                (address.masked(length), length)
            }
        };
        Prefix { afi, bytes: address.octets(), length }
    }

    /// Returns the address family.
    pub fn afi(&self) -> Afi {
        self.afi
    }

    /// Returns the length in bits.
    pub fn length(&self) -> u8 {
        self.length
    }

    /// Returns whether `inner` is this prefix or inside it.
    pub fn covers(&self, inner: &Prefix) -> bool {
        self.afi == inner.afi
            && self.length <= inner.length
            && Prefix::fitting(self.afi, inner.octets(), self.length) == *self
    }

    /// Returns the octets of the network address: 4 or 16.
    pub fn octets(&self) -> &[u8] {
        match self.afi {
            Afi::Ipv4 => &self.bytes[..4],
            Afi::Ipv6 => &self.bytes,
        }
    }

    /// Returns the network address.
    pub fn address(&self) -> IpAddr {
        match self.afi {
            Afi::Ipv4 => {
                let [a, b, c, d, ..] = self.bytes;
                IpAddr::V4(Ipv4Addr::new(a, b, c, d))
            }
            Afi::Ipv6 => IpAddr::V6(Ipv6Addr::from(self.bytes)),
        }
    }
}

/// The bits of an address, left-aligned in 128. Kept as two halves, because almost every prefix ends in the first one.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Halves {
    high: u64,
    low: u64,
}

impl Halves {
    /// Returns `octets` as the first bits, if they and `length` fit the family.
    #[inline(always)]
    fn left_aligned(afi: Afi, octets: &[u8], length: u8) -> Result<Halves, PrefixError> {
        let max = afi.max_prefix_length();
        if length > max || octets.len() > usize::from(max / 8) {
            return Err(PrefixError::TooLong(length));
        }
        Ok(Halves::of(octets))
    }

    /// Returns at most 16 octets as the first bits.
    #[inline(always)]
    fn of(octets: &[u8]) -> Halves {
        match octets.split_at_checked(8) {
            None => Halves { high: first_octets(octets), low: 0 },
            Some((high, low)) => Halves { high: first_octets(high), low: first_octets(low) },
        }
    }

    /// Returns the bits with all after the first `length` cleared; `length` is 128 at most.
    #[inline]
    fn masked(self, length: u8) -> Halves {
        let length = u32::from(length);
        Halves { high: self.high & first_bits(length.min(64)), low: self.low & first_bits(length.saturating_sub(64)) }
    }

    #[inline]
    fn octets(self) -> [u8; 16] {
        (u128::from(self.high) << 64 | u128::from(self.low)).to_be_bytes()
    }
}

/// Returns the first four octets as a number; missing ones are zero.
#[inline]
fn first_four(octets: &[u8]) -> u32 {
    octets.first_chunk().map_or_else(|| first_three(octets), |four| u32::from_be_bytes(*four))
}

/// Returns at most three octets, left-aligned.
#[inline]
fn first_three(octets: &[u8]) -> u32 {
    let at = |i: usize| octets.get(i).copied().map_or(0, u32::from);
    at(0) << 24 | at(1) << 16 | at(2) << 8
}

/// Returns the first eight octets as a number; missing ones are zero.
#[inline]
fn first_eight(octets: &[u8]) -> u64 {
    octets.first_chunk().map_or_else(|| first_octets(octets), |eight| u64::from_be_bytes(*eight))
}

/// Returns at most eight octets, left-aligned. Octet by octet: they are few, and a copy of a length that the compiler
/// does not know is a call.
#[inline]
fn first_octets(octets: &[u8]) -> u64 {
    octets.iter().rev().fold(0, |behind, octet| behind >> 8 | u64::from(*octet) << 56)
}

/// Returns a mask of the first `count` of 64 bits; `count` is 64 at most.
#[inline]
fn first_bits(count: u32) -> u64 {
    !u64::MAX.checked_shr(count).unwrap_or(0)
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address(), self.length)
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An Add-Path path identifier (RFC 7911 section 3): opaque; zero is a value like any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PathId(pub u32);

/// The key of one route in a table. `path_id` is `None` where the NLRI carried none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Nlri {
    /// The destination.
    pub prefix: Prefix,
    /// The Add-Path identifier, if the NLRI carried one.
    pub path_id: Option<PathId>,
}

impl Nlri {
    /// Returns the value of `current_routes.path_id`: 0 when Add-Path is not in use.
    pub fn path_id_column(&self) -> u32 {
        self.path_id.map_or(0, |PathId(id)| id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_keep_no_host_bits() {
        let check = |afi, octets: &[u8], length, want: Result<&str, PrefixError>| {
            let got = Prefix::new(afi, octets, length).map(|p| p.to_string());
            assert_eq!(got, want.map(str::to_owned), "{octets:?}/{length}");
        };
        check(Afi::Ipv4, &[], 0, Ok("0.0.0.0/0"));
        check(Afi::Ipv4, &[10, 1], 16, Ok("10.1.0.0/16"));
        check(Afi::Ipv4, &[10, 1, 2, 3], 32, Ok("10.1.2.3/32"));
        check(Afi::Ipv4, &[10, 1], 15, Err(PrefixError::HostBits));
        check(Afi::Ipv4, &[10], 33, Err(PrefixError::TooLong(33)));
        check(Afi::Ipv4, &[0; 5], 32, Err(PrefixError::TooLong(32)));
        check(Afi::Ipv6, &[0x20, 1, 0x0d, 0xb8], 32, Ok("2001:db8::/32"));
        check(Afi::Ipv6, &[0xff; 16], 128, Ok("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"));
        check(Afi::Ipv6, &[], 129, Err(PrefixError::TooLong(129)));
        assert_eq!(Prefix::truncating(Afi::Ipv4, &[10, 1], 15).unwrap().to_string(), "10.0.0.0/15");
        assert_eq!(size_of::<Prefix>(), 18);
    }

    #[test]
    fn what_follows_a_prefix_is_no_part_of_it() {
        for afi in [Afi::Ipv4, Afi::Ipv6] {
            for length in 0..=afi.max_prefix_length() {
                let own = &[0xaf; 16][..usize::from(length.div_ceil(8))];
                let want = Prefix::truncating(afi, own, length).unwrap();
                for behind in 0..=20 {
                    let octets = [own, &vec![0xff; behind]].concat();
                    assert_eq!(Prefix::fitting(afi, &octets, length), want, "{behind} octets follow");
                }
            }
        }
    }
}
