//! Labels of NLRI (RFC 8277): their number, and the prefix after them.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use smallvec::SmallVec;

use super::add_path::AddPath;
use super::open::Open;
use super::prefixes::HostBits;
use crate::model::{Afi, AfiSafi, Nlri, PathId, Prefix, Rd};
use crate::wire::DecodeError;
use crate::wire::reader::Reader;

/// Bits of a label, its three reserved bits and the S bit (RFC 8277 section 2.2).
const LABEL_BITS: usize = 24;

/// Bits of a route distinguisher (RFC 4364 section 4.2).
pub(crate) const RD_BITS: usize = 64;

/// The S bit: bottom of stack.
const BOTTOM: u32 = 1;

/// The value that the Compatibility field of a withdrawal should have (RFC 8277 section 2.4).
const COMPATIBILITY: u32 = 0x80_0000;

/// A labeled prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabeledNlri {
    /// The destination and path identifier.
    pub nlri: Nlri,
    /// The route distinguisher, for VPN.
    pub rd: Option<Rd>,
    /// The 20-bit labels, top first; a withdrawal's compatibility label is as sent.
    pub labels: SmallVec<[u32; 2]>,
}

/// The rule that separates the labels of an NLRI from the octets after them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelReading {
    /// One label, its S bit ignored (RFC 8277 section 2.2); or the Compatibility field of a withdrawal, of any value.
    One,
    /// Labels up to the S bit (section 2.3).
    Stack,
    /// A withdrawal where stacks are announced: the Compatibility field (section 2.4), or the announced stack again.
    WithdrawnStack,
}

/// The families in which NLRI may have more than one label, each with the most that the receiver accepts: the content
/// of the Multiple Labels Capability (RFC 8277 section 2.1). 0: the capability is not in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MultipleLabels([u8; 4]);

/// The families, each at its index in [`MultipleLabels`].
const FAMILIES: [AfiSafi; 4] = [
    AfiSafi { afi: 1, safi: 4 },
    AfiSafi { afi: 2, safi: 4 },
    AfiSafi { afi: 1, safi: 128 },
    AfiSafi { afi: 2, safi: 128 },
];

/// The code of the Multiple Labels Capability.
pub(crate) const CAPABILITY: u8 = 8;

impl MultipleLabels {
    /// Returns the limits that one OPEN announces: the first capability of this code counts, and in it the first triple
    /// of a family. A count below 2 is ignored; a length that is no multiple of four makes the whole capability
    /// malformed.
    pub fn of(open: &Open) -> MultipleLabels {
        let mut all = MultipleLabels::default();
        all.learn(open.other(CAPABILITY));
        all
    }

    /// Adds the families of a capability's value, if there is one.
    pub fn learn(&mut self, value: Option<&[u8]>) {
        let Some((triples, [])) = value.map(<[u8]>::as_chunks::<4>) else { return };
        let mut told = MultipleLabels::default();
        for [afi1, afi2, safi, count] in triples {
            let family = AfiSafi { afi: u16::from_be_bytes([*afi1, *afi2]), safi: *safi };
            if let Some(place) = MultipleLabels::place(family)
                && told.0[place] == 0
                && *count >= 2
            {
                told.0[place] = *count;
            }
        }
        self.merge(told);
    }

    /// Adds the limits that a later OPEN of the same side announces; they replace earlier ones of a family.
    pub(crate) fn merge(&mut self, later: MultipleLabels) {
        for (mine, other) in self.0.iter_mut().zip(later.0) {
            if other != 0 {
                *mine = other;
            }
        }
    }

    /// Returns the families that `other` has too, with the counts of `self`.
    pub(crate) fn shared_with(self, other: MultipleLabels) -> MultipleLabels {
        let mut shared = self;
        shared.0.iter_mut().zip(other.0).filter(|(_, other)| *other == 0).for_each(|(count, _)| *count = 0);
        shared
    }

    /// Returns the same families without a limit: no BGP peer receives these routes.
    pub(crate) fn without_limit(self) -> MultipleLabels {
        MultipleLabels(self.0.map(|count| if count == 0 { 0 } else { u8::MAX }))
    }

    /// Returns whether the capability is in use for no family.
    pub fn is_empty(self) -> bool {
        self.0 == [0; 4]
    }

    /// Returns the rule for the labels of announced NLRI.
    pub fn announced(self, family: AfiSafi) -> LabelReading {
        // Few peers use the capability, so most UPDATEs need no lookup of their family.
        if self.is_empty() || self.most(family) == 0 { LabelReading::One } else { LabelReading::Stack }
    }

    /// Returns the rule for the labels of withdrawn NLRI.
    pub fn withdrawn(self, family: AfiSafi) -> LabelReading {
        if self.is_empty() || self.most(family) == 0 { LabelReading::One } else { LabelReading::WithdrawnStack }
    }

    /// Returns the most labels that the receiver accepts; 0 where only one is allowed.
    pub fn most(self, family: AfiSafi) -> u8 {
        MultipleLabels::place(family).map_or(0, |place| self.0[place])
    }

    fn place(family: AfiSafi) -> Option<usize> {
        FAMILIES.iter().position(|known| *known == family)
    }
}

/// Decodes NLRI of length, labels, a distinguisher of `rd_bits` and prefix (RFC 8277 section 2, RFC 4364 section
/// 4.3.4).
///
/// # Errors
/// The NLRI do not fill the field exactly, or one is too short or too long under every rule for its labels.
pub(super) fn read_labeled(
    reader: &mut Reader<'_>,
    afi: Afi,
    add_path: AddPath,
    rd_bits: usize,
    labels: LabelReading,
    host_bits: &mut HostBits,
) -> Result<Vec<LabeledNlri>, DecodeError> {
    let mut all = Vec::new();
    walk(reader, afi, add_path, rd_bits, labels, host_bits, |one, octets, remaining| {
        if all.is_empty() {
            // The others are most likely as long as the first one: one allocation for all of them.
            all.reserve_exact(1 + remaining / octets);
        }
        all.push(one);
    })?;
    Ok(all)
}

/// Calls `each` for every NLRI, with the number of its octets and of the octets after it.
fn walk(
    reader: &mut Reader<'_>,
    afi: Afi,
    add_path: AddPath,
    rd_bits: usize,
    labels: LabelReading,
    host_bits: &mut HostBits,
    mut each: impl FnMut(LabeledNlri, usize, usize),
) -> Result<(), DecodeError> {
    while !reader.is_empty() {
        let path_id = read_path_id(reader, add_path)?;
        let at = reader.offset();
        let bits = usize::from(reader.u8("NLRI length")?);
        let octets = reader.take(bits.div_ceil(8), "NLRI")?;
        let body = Body { octets, bits, afi, rd_bits };
        let (count, is_announced) = body.labels(labels).map_err(|why| DecodeError::new(at, "NLRI length", why))?;
        if !is_announced {
            // Not clean: if the octets fit the other reading of Add-Path, that one is used.
            *host_bits = HostBits::Cleared;
        }
        each(body.read(count, path_id, at, host_bits)?, 1 + octets.len(), reader.remaining());
    }
    Ok(())
}

/// Returns whether a destination occurs twice; `None` if the NLRI do not fill the field exactly in this reading or have
/// host bits. Uses eight octets of memory for each.
pub(super) fn look_at_labeled(
    mut reader: Reader<'_>,
    afi: Afi,
    add_path: AddPath,
    rd_bits: usize,
    labels: LabelReading,
) -> Option<bool> {
    let mut host_bits = HostBits::None;
    let mut keys = Vec::new();
    let each = |one: LabeledNlri, _, _| keys.push(key(&one));
    walk(&mut reader, afi, add_path, rd_bits, labels, &mut host_bits, each).ok()?;
    (host_bits == HostBits::None).then(|| are_repeated(keys))
}

/// Returns whether a destination occurs twice under one path identifier.
pub(super) fn has_repeated(all: &[LabeledNlri]) -> bool {
    are_repeated(all.iter().map(key).collect())
}

fn are_repeated(mut keys: Vec<u64>) -> bool {
    keys.sort_unstable();
    keys.windows(2).any(|two| two[0] == two[1])
}

/// Returns a hash that two destinations share with a probability of 1 in 2^64.
fn key(one: &LabeledNlri) -> u64 {
    let mut hasher = DefaultHasher::new();
    (one.nlri, one.rd).hash(&mut hasher);
    hasher.finish()
}

fn read_path_id(reader: &mut Reader<'_>, add_path: AddPath) -> Result<Option<PathId>, DecodeError> {
    match add_path {
        AddPath::Plain => Ok(None),
        AddPath::WithPathIds => reader.u32("path identifier").map(|id| Some(PathId(id))),
    }
}

/// One NLRI without its length octet.
struct Body<'a> {
    octets: &'a [u8],
    bits: usize,
    afi: Afi,
    rd_bits: usize,
}

impl Body<'_> {
    /// Returns the number of labels, and whether the announced rule allows that many. Where the NLRI is not well formed
    /// by the announced rule, but is with a stack (or with one label), it is decoded that way: its length gives its end
    /// in either case.
    fn labels(&self, reading: LabelReading) -> Result<(usize, bool), &'static str> {
        let (one, stack) = (self.fits(1), self.stack().filter(|count| self.fits(*count).is_ok()));
        let is_one = match reading {
            LabelReading::One => one.is_ok() || stack.is_none(),
            LabelReading::Stack => stack.is_none(),
            LabelReading::WithdrawnStack => match stack {
                None => true,
                Some(stack) => stack == 1 || one.is_ok() && self.is_compatibility(stack),
            },
        };
        match stack.filter(|_| !is_one) {
            Some(count) => Ok((count, reading != LabelReading::One)),
            None => one.map(|()| (1, reading != LabelReading::Stack)),
        }
    }

    /// Checks that `count` labels leave room for the distinguisher, and a prefix that is not too long.
    fn fits(&self, count: usize) -> Result<(), &'static str> {
        let left = self.bits.checked_sub(count * LABEL_BITS).ok_or("no room for a label")?;
        let left = left.checked_sub(self.rd_bits).ok_or("no room for an RD")?;
        if left <= self.afi.max_prefix_length().into() { Ok(()) } else { Err("prefix is too long") }
    }

    /// Returns the number of labels up to the first with the S bit.
    fn stack(&self) -> Option<usize> {
        (self.octets.as_chunks::<3>().0.iter()).position(|label| word(*label) & BOTTOM != 0).map(|at| at + 1)
    }

    /// Returns whether the first label of a withdrawal, which is well formed both with one label and with `stack`
    /// labels, is a Compatibility field. A field with the value that it should have is one, and so is a zero; any other
    /// without the S bit may also be the top of an announced stack: then the reading after which the remaining octets
    /// are plausible decides.
    fn is_compatibility(&self, stack: usize) -> bool {
        let first = self.octets.first_chunk::<3>().map_or(0, |label| word(*label));
        matches!(first, 0 | COMPATIBILITY) || self.is_likely(1) || !self.is_likely(stack)
    }

    /// Returns whether the octets after `count` labels are plausible: a distinguisher of a known type and a prefix from
    /// routed address space.
    fn is_likely(&self, count: usize) -> bool {
        let rest = &self.octets[3 * count..];
        let (rd, prefix) = rest.split_at(self.rd_bits / 8);
        let has_type = matches!(rd, [] | [0, 0..=2, ..]);
        let length = self.bits - count * LABEL_BITS - self.rd_bits;
        let is_routed = match (self.afi, prefix) {
            (_, []) => true,
            (Afi::Ipv4, [first, ..]) => length < 8 || (1..224).contains(first),
            (Afi::Ipv6, [first, ..]) => length < 8 || matches!(first >> 5, 1) || matches!(first >> 1, 0x7e),
        };
        has_type && is_routed
    }

    /// Decodes the NLRI with `count` labels, for which there is room.
    fn read(
        &self,
        count: usize,
        path_id: Option<PathId>,
        at: usize,
        host_bits: &mut HostBits,
    ) -> Result<LabeledNlri, DecodeError> {
        let (labels, rest) = self.octets.split_at(3 * count);
        let labels = labels.as_chunks::<3>().0.iter().map(|label| word(*label) >> 4).collect::<SmallVec<_>>();
        let (rd, octets) = rest.split_at(self.rd_bits / 8);
        let rd = <[u8; 8]>::try_from(rd).ok().map(Rd);
        let length = u8::try_from(self.bits - count * LABEL_BITS - self.rd_bits).expect("at most that of an address");
        let prefix = match Prefix::new(self.afi, octets, length) {
            Ok(prefix) => prefix,
            Err(_) => {
                *host_bits = HostBits::Cleared;
                Prefix::truncating(self.afi, octets, length)
                    .map_err(|error| DecodeError::new(at, "prefix length", error.to_string()))?
            }
        };
        Ok(LabeledNlri { nlri: Nlri { prefix, path_id }, rd, labels })
    }
}

fn word([a, b, c]: [u8; 3]) -> u32 {
    u32::from_be_bytes([0, a, b, c])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nlri(labels: &[u32], rd: &[u8], prefix: &[u8], length: u8) -> Vec<u8> {
        let labels: Vec<u8> = labels.iter().flat_map(|word| word.to_be_bytes()[1..].to_vec()).collect();
        let bits = u8::try_from(8 * (labels.len() + rd.len())).unwrap() + length;
        [&[bits][..], &labels, rd, prefix].concat()
    }

    /// Returns the prefixes with distinguisher and labels, in one line.
    fn read(afi: Afi, rd_bits: usize, reading: LabelReading, bytes: &[u8]) -> Result<String, String> {
        let mut host_bits = HostBits::None;
        let mut reader = Reader::new(bytes, 0);
        let set = read_labeled(&mut reader, afi, AddPath::Plain, rd_bits, reading, &mut host_bits);
        let all = set.map_err(|error| error.to_string())?;
        let one = |one: &LabeledNlri| {
            let rd = one.rd.map_or(String::new(), |rd| format!("{rd} "));
            format!("{rd}{} {:?}", one.nlri.prefix, one.labels.as_slice())
        };
        Ok(all.iter().map(one).collect::<Vec<_>>().join(", "))
    }

    const RD: [u8; 8] = [0, 0, 0xfb, 0xf4, 0, 0, 0, 7];
    const V6: [u8; 6] = [0x20, 0x01, 0x0d, 0xb8, 0, 1];

    #[test]
    fn without_the_capability_there_is_one_label() {
        for s in [0, 1] {
            let check = |afi, rd: &[u8], prefix: &[u8], length, want: &str| {
                let bytes =
                    [nlri(&[100 << 4 | s], rd, prefix, length), nlri(&[101 << 4 | s], rd, prefix, length)].concat();
                let want = format!("{want} [100], {want} [101]");
                assert_eq!(read(afi, rd.len() * 8, LabelReading::One, &bytes), Ok(want));
            };
            check(Afi::Ipv4, &[], &[203, 0, 113], 24, "203.0.113.0/24");
            check(Afi::Ipv4, &[], &[], 0, "0.0.0.0/0");
            check(Afi::Ipv4, &[], &[203, 0, 113, 1], 32, "203.0.113.1/32");
            check(Afi::Ipv4, &RD, &[203, 0, 113], 24, "0:64500:7 203.0.113.0/24");
            check(Afi::Ipv6, &[], &V6, 48, "2001:db8:1::/48");
            check(Afi::Ipv6, &RD, &V6, 48, "0:64500:7 2001:db8:1::/48");
        }
    }

    #[test]
    fn a_compatibility_field_may_have_any_value() {
        let values = [0x80_0000, 0, 0x10, 0xff_fffe, 0xff_ffff, 100 << 4, 100 << 4 | 1, 0x80_0001, 0x12_3456];
        for value in values {
            for reading in [LabelReading::One, LabelReading::WithdrawnStack] {
                let check = |afi, rd: &[u8], prefix: &[u8], length, want: &str| {
                    let bytes = nlri(&[value], rd, prefix, length);
                    let got = read(afi, rd.len() * 8, reading, &bytes).unwrap();
                    assert_eq!(got, format!("{want} [{}]", value >> 4), "{value:#x} {reading:?}");
                };
                check(Afi::Ipv4, &[], &[203, 0, 113], 24, "203.0.113.0/24");
                check(Afi::Ipv4, &[], &[10, 5], 16, "10.5.0.0/16");
                check(Afi::Ipv4, &[], &[], 0, "0.0.0.0/0");
                check(Afi::Ipv4, &RD, &[203, 0, 113], 24, "0:64500:7 203.0.113.0/24");
                check(Afi::Ipv6, &[], &V6, 48, "2001:db8:1::/48");
                check(Afi::Ipv6, &RD, &V6, 48, "0:64500:7 2001:db8:1::/48");
            }
        }
    }

    #[test]
    fn with_the_capability_label_stacks_are_read() {
        let stack = [200 << 4, 300 << 4 | 1];
        for reading in [LabelReading::Stack, LabelReading::WithdrawnStack] {
            let check = |afi, rd: &[u8], prefix: &[u8], length, want: &str| {
                let bytes = nlri(&stack, rd, prefix, length);
                assert_eq!(read(afi, rd.len() * 8, reading, &bytes), Ok(format!("{want} [200, 300]")), "{reading:?}");
            };
            check(Afi::Ipv4, &[], &[203, 0, 113], 24, "203.0.113.0/24");
            check(Afi::Ipv4, &[], &[10], 8, "10.0.0.0/8");
            check(Afi::Ipv4, &RD, &[203, 0, 113], 24, "0:64500:7 203.0.113.0/24");
            check(Afi::Ipv4, &RD, &[10], 8, "0:64500:7 10.0.0.0/8");
            check(Afi::Ipv6, &[], &V6, 48, "2001:db8:1::/48");
            check(Afi::Ipv6, &RD, &V6, 48, "0:64500:7 2001:db8:1::/48");
        }
        // An explicit null on top, and a stack of three.
        let three = nlri(&[0, 200 << 4, 300 << 4 | 1], &[], &[203, 0, 113], 24);
        let want = Ok("203.0.113.0/24 [0, 200, 300]".to_owned());
        assert_eq!(read(Afi::Ipv4, 0, LabelReading::Stack, &three), want);
        assert_eq!(read(Afi::Ipv4, 0, LabelReading::WithdrawnStack, &three), want);
    }

    #[test]
    fn what_only_one_reading_makes_a_prefix_is_read_so() {
        // A stack that was not announced, and one label without the S bit where stacks were.
        let two = nlri(&[200 << 4, 300 << 4 | 1], &[], &[203, 0, 113], 24);
        assert_eq!(read(Afi::Ipv4, 0, LabelReading::One, &two), Ok("203.0.113.0/24 [200, 300]".to_owned()));
        let open = nlri(&[200 << 4], &[], &[10, 4], 16);
        assert_eq!(read(Afi::Ipv4, 0, LabelReading::Stack, &open), Ok("10.4.0.0/16 [200]".to_owned()));
        let error = |bytes: &[u8], rd_bits| read(Afi::Ipv4, rd_bits, LabelReading::Stack, bytes).unwrap_err();
        assert!(error(&[16, 0, 1], 0).contains("no room for a label"));
        assert!(error(&nlri(&[17], &[], &[], 0), 64).contains("no room for an RD"));
        assert!(error(&nlri(&[17], &[], &[1, 2, 3, 4, 5], 40), 0).contains("prefix is too long"));
    }

    #[test]
    fn the_capability_is_read_triple_by_triple() {
        let check = |value: &[u8], want: [u8; 4]| {
            let mut all = MultipleLabels::default();
            all.learn(Some(value));
            assert_eq!(FAMILIES.map(|family| all.most(family)), want, "{value:?}");
        };
        check(&[0, 1, 4, 2, 0, 2, 128, 255], [2, 0, 0, 255]);
        check(&[0, 1, 4, 0, 0, 2, 4, 1, 0, 1, 128, 3], [0, 0, 3, 0]);
        check(&[0, 1, 4, 2, 0, 1, 4, 7], [2, 0, 0, 0]);
        check(&[0, 1, 4, 2, 0], [0; 4]);
        check(&[0, 1, 1, 2], [0; 4]);
    }
}
