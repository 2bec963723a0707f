//! Labels of NLRI (RFC 8277): how many there are, and the prefix behind them.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use smallvec::SmallVec;

use super::add_path::AddPath;
use super::nlri::{LabeledNlri, NlriSet};
use super::open::Open;
use super::prefixes::HostBits;
use crate::model::{Afi, AfiSafi, Nlri, PathId, Prefix};
use crate::wire::Error;
use crate::wire::bmp::peer::Rd;
use crate::wire::reader::Reader;

/// Bits of a label, its three reserved bits and the S bit (RFC 8277 section 2.2).
const LABEL_BITS: usize = 24;

/// Bits of a route distinguisher (RFC 4364 section 4.2).
pub const RD_BITS: usize = 64;

/// The S bit: bottom of stack.
const BOTTOM: u32 = 1;

/// The Compatibility field that a withdrawal should have (RFC 8277 section 2.4).
const COMPATIBILITY: u32 = 0x80_0000;

/// How the labels of a field of NLRI are told from what follows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelReading {
    /// One label, its S bit ignored (RFC 8277 section 2.2); or the Compatibility field of a withdrawal, of any value.
    One,
    /// Labels up to the S bit (section 2.3).
    Stack,
    /// A withdrawal where stacks are announced: the Compatibility field (section 2.4), or the announced stack again.
    WithdrawnStack,
}

/// The families in which NLRI may have more than one label, with the most that the receiver takes: what the Multiple Labels
/// Capability says (RFC 8277 section 2.1). 0: the capability is not in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MultipleLabels([u8; 4]);

/// Each family's place.
const FAMILIES: [AfiSafi; 4] = [
    AfiSafi { afi: 1, safi: 4 },
    AfiSafi { afi: 2, safi: 4 },
    AfiSafi { afi: 1, safi: 128 },
    AfiSafi { afi: 2, safi: 128 },
];

/// Capability code: Multiple Labels.
pub const CAPABILITY: u8 = 8;

impl MultipleLabels {
    /// What one OPEN announces: the first capability of this kind, in it the first triple of a family. A count below 2
    /// is none, a length that is no multiple of four makes the whole one malformed.
    pub fn of(open: &Open) -> MultipleLabels {
        let mut all = MultipleLabels::default();
        all.learn(open.other(CAPABILITY));
        all
    }

    /// Takes in the value of a capability, if it is there.
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

    /// Adds what a later OPEN of the same side announces.
    pub fn merge(&mut self, later: MultipleLabels) {
        for (mine, other) in self.0.iter_mut().zip(later.0) {
            if other != 0 {
                *mine = other;
            }
        }
    }

    /// Those families that `other` has too, with the counts of this.
    pub fn shared_with(self, other: MultipleLabels) -> MultipleLabels {
        let mut shared = self;
        shared.0.iter_mut().zip(other.0).filter(|(_, other)| *other == 0).for_each(|(count, _)| *count = 0);
        shared
    }

    /// The same families without a limit: nobody receives these routes.
    pub fn without_limit(self) -> MultipleLabels {
        MultipleLabels(self.0.map(|count| if count == 0 { 0 } else { u8::MAX }))
    }

    /// Whether it is in use nowhere.
    pub fn is_empty(self) -> bool {
        self.0 == [0; 4]
    }

    /// How the labels of announced NLRI are to be read.
    pub fn announced(self, family: AfiSafi) -> LabelReading {
        // Almost nobody has it, so most UPDATEs need not look for theirs.
        if self.is_empty() || self.most(family) == 0 { LabelReading::One } else { LabelReading::Stack }
    }

    /// How the labels of withdrawn NLRI are to be read.
    pub fn withdrawn(self, family: AfiSafi) -> LabelReading {
        if self.is_empty() || self.most(family) == 0 { LabelReading::One } else { LabelReading::WithdrawnStack }
    }

    /// How many labels the receiver takes; 0 where one is all that there may be.
    pub fn most(self, family: AfiSafi) -> u8 {
        MultipleLabels::place(family).map_or(0, |place| self.0[place])
    }

    fn place(family: AfiSafi) -> Option<usize> {
        FAMILIES.iter().position(|known| *known == family)
    }
}

/// Length, labels, distinguisher of `rd_bits`, prefix (RFC 8277 section 2, RFC 4364 section 4.3.4).
///
/// # Errors
/// The NLRI do not tile, or one is too short or too long however its labels are read.
pub(super) fn read_labeled(
    reader: &mut Reader<'_>,
    afi: Afi,
    add_path: AddPath,
    rd_bits: usize,
    labels: LabelReading,
    host_bits: &mut HostBits,
) -> Result<NlriSet<'static>, Error> {
    let mut all = Vec::new();
    walk(reader, afi, add_path, rd_bits, labels, host_bits, |one, octets, remaining| {
        if all.is_empty() {
            // As long as the first one, most likely: one allocation for all of them.
            all.reserve_exact(1 + remaining / octets);
        }
        all.push(one);
    })?;
    Ok(NlriSet::Labeled(all))
}

/// Walks over the NLRI: each with its octets, and the octets behind it.
fn walk(
    reader: &mut Reader<'_>,
    afi: Afi,
    add_path: AddPath,
    rd_bits: usize,
    labels: LabelReading,
    host_bits: &mut HostBits,
    mut each: impl FnMut(LabeledNlri, usize, usize),
) -> Result<(), Error> {
    while !reader.is_empty() {
        let path_id = read_path_id(reader, add_path)?;
        let at = reader.offset();
        let bits = usize::from(reader.u8("NLRI length")?);
        let octets = reader.take(bits.div_ceil(8), "NLRI")?;
        let body = Body { octets, bits, afi, rd_bits };
        let (count, is_announced) = body.labels(labels).map_err(|why| Error::new(at, "NLRI length", why))?;
        if !is_announced {
            // Not clean: where the octets can be read otherwise, they are.
            *host_bits = HostBits::Cleared;
        }
        each(body.read(count, path_id, at, host_bits)?, 1 + octets.len(), reader.remaining());
    }
    Ok(())
}

/// Whether the NLRI tile in this reading without host bits, and if so, whether a destination stands there twice. Takes eight
/// octets of memory for each.
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

/// Whether a destination stands there twice under one path identifier.
pub(super) fn has_repeated(all: &[LabeledNlri]) -> bool {
    are_repeated(all.iter().map(key).collect())
}

fn are_repeated(mut keys: Vec<u64>) -> bool {
    keys.sort_unstable();
    keys.windows(2).any(|two| two[0] == two[1])
}

/// A number that two destinations share once in 2^64.
fn key(one: &LabeledNlri) -> u64 {
    let mut hasher = DefaultHasher::new();
    (one.nlri, one.rd).hash(&mut hasher);
    hasher.finish()
}

fn read_path_id(reader: &mut Reader<'_>, add_path: AddPath) -> Result<Option<PathId>, Error> {
    match add_path {
        AddPath::Plain => Ok(None),
        AddPath::WithPathIds => reader.u32("path identifier").map(|id| Some(PathId(id))),
    }
}

/// One NLRI behind its length.
struct Body<'a> {
    octets: &'a [u8],
    bits: usize,
    afi: Afi,
    rd_bits: usize,
}

impl Body<'_> {
    /// How many labels it has, and whether it may have so many. Where the NLRI does not hold together as announced, but does with a stack (or with one label),
    /// it is read that way: its length tells where it ends in either case.
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

    /// Whether `count` labels leave room for the distinguisher, and a prefix that is not too long.
    fn fits(&self, count: usize) -> Result<(), &'static str> {
        let left = self.bits.checked_sub(count * LABEL_BITS).ok_or("no room for a label")?;
        let left = left.checked_sub(self.rd_bits).ok_or("no room for an RD")?;
        if left <= self.afi.max_prefix_length().into() { Ok(()) } else { Err("prefix is too long") }
    }

    /// Labels up to the first with the S bit.
    fn stack(&self) -> Option<usize> {
        (self.octets.as_chunks::<3>().0.iter()).position(|label| word(*label) & BOTTOM != 0).map(|at| at + 1)
    }

    /// Whether the first label of a withdrawal, which holds together with one and with `stack` labels, is a Compatibility
    /// field. One of the value that it should have is, and a zero; another without the S bit may as well be the top of an
    /// announced stack: then it is the reading that makes sense of what follows.
    fn is_compatibility(&self, stack: usize) -> bool {
        let first = self.octets.first_chunk::<3>().map_or(0, |label| word(*label));
        matches!(first, 0 | COMPATIBILITY) || self.is_likely(1) || !self.is_likely(stack)
    }

    /// Whether what stands behind `count` labels looks like a distinguisher of a known type and a prefix that is routed.
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

    /// Reads it with so many labels, for which there is room.
    fn read(
        &self,
        count: usize,
        path_id: Option<PathId>,
        at: usize,
        host_bits: &mut HostBits,
    ) -> Result<LabeledNlri, Error> {
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
                    .map_err(|error| Error::new(at, "prefix length", error.to_string()))?
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

    /// Prefixes with distinguisher and labels, in one line.
    fn read(afi: Afi, rd_bits: usize, reading: LabelReading, bytes: &[u8]) -> Result<String, String> {
        let mut host_bits = HostBits::None;
        let mut reader = Reader::new(bytes, 0);
        let set = read_labeled(&mut reader, afi, AddPath::Plain, rd_bits, reading, &mut host_bits);
        let NlriSet::Labeled(all) = set.map_err(|error| error.to_string())? else { panic!() };
        let one = |one: &LabeledNlri| {
            let rd = one.rd.map_or(String::new(), |rd| format!("{rd} "));
            format!("{rd}{} {:?}", one.nlri.prefix, one.labels.as_slice())
        };
        Ok(all.iter().map(one).collect::<Vec<_>>().join(", "))
    }

    const RD: [u8; 8] = [0, 0, 0xfb, 0xf4, 0, 0, 0, 7];
    const V6: [u8; 6] = [0x20, 0x01, 0x0d, 0xb8, 0, 1];

    #[test]
    fn without_the_capability_there_is_one_label_whatever_its_s_bit() {
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
    fn with_the_capability_stacks_are_read_and_may_be_echoed() {
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
        // A stack that nobody announced, and one label without the S bit where stacks were.
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
