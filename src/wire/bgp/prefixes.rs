//! Unicast and multicast NLRI, kept as the octets of the message.
//!
//! They are walked twice: once to check that they can be decoded at all, before any part of the message is applied, and
//! again where they are used. That is faster than keeping the values: a prefix of four octets occupies 28 once decoded.

use std::collections::HashSet;

use super::add_path::AddPath;
use crate::model::{Afi, Nlri, PathId, Prefix};
use crate::wire::DecodeError;
use crate::wire::reader::Reader;

/// Prefixes of one family, in the order of the message.
#[derive(Clone, Debug)]
pub enum Prefixes<'a> {
    /// The octets of the message, checked.
    Wire(WirePrefixes<'a>),
    /// A list assembled from part of a message.
    Listed(Vec<Nlri>),
}

/// NLRI that fill their field exactly, each no longer than its family's addresses.
#[derive(Clone, Copy, Debug)]
pub struct WirePrefixes<'a> {
    octets: &'a [u8],
    count: usize,
    afi: Afi,
    path_ids: PathIdField,
}

/// The treatment of the four octets before each prefix (RFC 7911 section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PathIdField {
    Absent,
    Read,
    Skipped,
}

impl PathIdField {
    fn of(add_path: AddPath) -> PathIdField {
        match add_path {
            AddPath::Plain => PathIdField::Absent,
            AddPath::WithPathIds => PathIdField::Read,
        }
    }
}

/// The host bits found in a field: bits set after a prefix length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostBits {
    /// No prefix has any.
    None,
    /// Some prefix has them; they decode as zero.
    Cleared,
}

impl<'a> WirePrefixes<'a> {
    /// Checks that the rest of `reader` is NLRI of this family in this reading, and consumes it.
    ///
    /// # Errors
    /// The NLRI do not fill the field exactly, or a length is above the family's.
    pub fn check(
        reader: &mut Reader<'a>,
        afi: Afi,
        add_path: AddPath,
    ) -> Result<(WirePrefixes<'a>, HostBits), DecodeError> {
        let octets = reader.rest();
        let end = reader.offset();
        // Written out, so that the walk is compiled separately for each case.
        let (count, host_bits) = match (afi, add_path) {
            (Afi::Ipv4, AddPath::Plain) => walk(octets, end, Afi::Ipv4, AddPath::Plain),
            (Afi::Ipv4, AddPath::WithPathIds) => walk(octets, end, Afi::Ipv4, AddPath::WithPathIds),
            (Afi::Ipv6, AddPath::Plain) => walk(octets, end, Afi::Ipv6, AddPath::Plain),
            (Afi::Ipv6, AddPath::WithPathIds) => walk(octets, end, Afi::Ipv6, AddPath::WithPathIds),
        }?;
        let path_ids = PathIdField::of(add_path);
        Ok((WirePrefixes { octets, count, afi, path_ids }, host_bits))
    }

    /// Returns the rest of `reader` as NLRI if it fits this reading and no bit after a prefix length is set.
    #[inline(always)]
    pub fn clean(mut reader: Reader<'a>, afi: Afi, add_path: AddPath) -> Option<WirePrefixes<'a>> {
        let octets = reader.rest();
        let path_ids = PathIdField::of(add_path);
        count_clean(octets, afi, add_path, usize::MAX).map(|count| WirePrefixes { octets, count, afi, path_ids })
    }

    /// Returns whether there is at least one prefix and either each occurs once, or the other reading of the same
    /// octets does not fit.
    #[inline(always)]
    pub(crate) fn is_distinct_or_alone(&self, octets: Reader<'_>) -> bool {
        match self.count {
            0 => false,
            1 => true,
            _ => self.are_distinct_or_alone(octets),
        }
    }

    #[inline(never)]
    fn are_distinct_or_alone(&self, octets: Reader<'_>) -> bool {
        if self.count == 2 {
            let Some((_, second)) = Item::split(self.octets, self.add_path()) else { return false };
            return self.octets[..self.octets.len() - second.len()] != *second;
        }
        !WirePrefixes::fits(octets, self.afi, self.add_path().other()) || !self.has_repeated()
    }

    /// The same as [`Prefixes::has_repeated`].
    pub(crate) fn has_repeated(&self) -> bool {
        has_repeated(self.octets, self.count, self.add_path())
    }

    /// Returns whether the rest of `reader` fits this reading and no bit after a prefix length is set.
    ///
    /// Every field is checked for the reading that is not the expected one. Octets of the other encoding end the check
    /// after a few of them; so does a second default route, which is what small path identifiers look like without
    /// Add-Path.
    #[inline(always)]
    pub fn fits(mut reader: Reader<'_>, afi: Afi, add_path: AddPath) -> bool {
        count_clean(reader.rest(), afi, add_path, 1).is_some()
    }
}

impl Prefixes<'_> {
    /// Iterates over the NLRI in order.
    #[inline]
    pub fn iter(&self) -> Iter<'_> {
        match self {
            Prefixes::Wire(wire) => Iter::Wire(*wire),
            Prefixes::Listed(all) => Iter::Listed(all.iter()),
        }
    }

    /// Returns the number of NLRI.
    pub fn len(&self) -> usize {
        match self {
            Prefixes::Wire(wire) => wire.count,
            Prefixes::Listed(all) => all.len(),
        }
    }

    /// Returns whether there are no NLRI.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns whether a prefix occurs twice, under one path identifier if there are any. NLRI from the wire must have
    /// no host bits.
    pub(crate) fn has_repeated(&self) -> bool {
        match self {
            Prefixes::Wire(wire) => wire.has_repeated(),
            Prefixes::Listed(all) => {
                let mut seen = HashSet::with_capacity(all.len());
                all.iter().any(|nlri| !seen.insert(*nlri))
            }
        }
    }

    /// Returns the same prefixes without their path identifiers.
    pub(crate) fn without_path_ids(self) -> Self {
        match self {
            Prefixes::Wire(wire) => {
                let path_ids = match wire.path_ids {
                    PathIdField::Absent => PathIdField::Absent,
                    PathIdField::Read | PathIdField::Skipped => PathIdField::Skipped,
                };
                Prefixes::Wire(WirePrefixes { path_ids, ..wire })
            }
            Prefixes::Listed(mut all) => {
                all.iter_mut().for_each(|nlri| nlri.path_id = None);
                Prefixes::Listed(all)
            }
        }
    }
}

/// Equal if they have the same NLRI in the same order, in whatever form they are kept.
impl PartialEq for Prefixes<'_> {
    fn eq(&self, other: &Prefixes<'_>) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Prefixes<'_> {}

impl FromIterator<Nlri> for Prefixes<'_> {
    fn from_iter<I: IntoIterator<Item = Nlri>>(all: I) -> Self {
        Prefixes::Listed(all.into_iter().collect())
    }
}

impl<'a> IntoIterator for &'a Prefixes<'_> {
    type Item = Nlri;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// An iterator over [`Prefixes`].
#[derive(Clone, Debug)]
pub enum Iter<'a> {
    /// The octets that are left.
    Wire(WirePrefixes<'a>),
    /// The values that are left.
    Listed(std::slice::Iter<'a, Nlri>),
}

impl Iterator for Iter<'_> {
    type Item = Nlri;

    #[inline]
    fn next(&mut self) -> Option<Nlri> {
        match self {
            Iter::Wire(wire) => wire.next(),
            Iter::Listed(all) => all.next().copied(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = match self {
            Iter::Wire(wire) => wire.count,
            Iter::Listed(all) => all.len(),
        };
        (left, Some(left))
    }
}

impl ExactSizeIterator for Iter<'_> {}

impl WirePrefixes<'_> {
    #[inline(always)]
    fn add_path(&self) -> AddPath {
        match self.path_ids {
            PathIdField::Absent => AddPath::Plain,
            PathIdField::Read | PathIdField::Skipped => AddPath::WithPathIds,
        }
    }

    #[inline]
    fn next(&mut self) -> Option<Nlri> {
        let (item, rest) = Item::split(self.octets, self.add_path())?;
        self.octets = rest;
        self.count -= 1;
        let prefix = Prefix::fitting(self.afi, item.tail, item.length);
        let path_id = if self.path_ids == PathIdField::Read { item.path_id } else { None };
        Some(Nlri { prefix, path_id })
    }
}

/// One NLRI, its prefix not yet decoded.
struct Item<'a> {
    path_id: Option<PathId>,
    octets: &'a [u8],
    length: u8,
    /// The octets from `octets` on to the end of the field.
    tail: &'a [u8],
}

impl<'a> Item<'a> {
    /// Returns the first NLRI and the octets after it; `None` if it runs past the end.
    #[inline(always)]
    fn split(rest: &'a [u8], add_path: AddPath) -> Option<(Item<'a>, &'a [u8])> {
        let (path_id, rest) = match add_path {
            AddPath::Plain => (None, rest),
            AddPath::WithPathIds => {
                let (id, rest) = rest.split_first_chunk()?;
                (Some(PathId(u32::from_be_bytes(*id))), rest)
            }
        };
        let (&length, tail) = rest.split_first()?;
        let (octets, rest) = tail.split_at_checked(octets_of(length))?;
        Some((Item { path_id, octets, length, tail }, rest))
    }
}

/// Returns the number of octets that `bits` bits occupy; a shift, where `div_ceil` is a branch.
#[inline(always)]
fn octets_of(bits: u8) -> usize {
    (usize::from(bits) + 7) >> 3
}

/// The hot loop of the whole decoder: straight over the octets; an error is built only once one is found. `end` is the
/// offset of the end of `octets`.
#[inline(always)]
fn walk(octets: &[u8], end: usize, afi: Afi, add_path: AddPath) -> Result<(usize, HostBits), DecodeError> {
    let mut rest = octets;
    let mut count = 0;
    let mut host_bits = 0;
    while !rest.is_empty() {
        let Some((Item { octets, length, .. }, behind)) = Item::split(rest, add_path) else {
            return Err(cut_short(rest, end, add_path));
        };
        if length > afi.max_prefix_length() {
            return Err(too_long(length, end - behind.len() - octets.len() - 1));
        }
        host_bits |= host_bits_of(octets, length);
        count += 1;
        rest = behind;
    }
    Ok((count, if host_bits == 0 { HostBits::None } else { HostBits::Cleared }))
}

/// Returns the number of NLRI, if they fill the field exactly and no bit after a prefix length is set. In the `Plain`
/// reading the check ends at the second default route where `defaults_max` is 1.
#[inline(always)]
fn count_clean(octets: &[u8], afi: Afi, add_path: AddPath, defaults_max: usize) -> Option<usize> {
    // Written out, so that the walk is compiled separately for each case.
    match (afi, add_path) {
        (Afi::Ipv4, AddPath::Plain) => walk_clean(octets, Afi::Ipv4, AddPath::Plain, defaults_max),
        (Afi::Ipv4, AddPath::WithPathIds) => walk_clean(octets, Afi::Ipv4, AddPath::WithPathIds, usize::MAX),
        (Afi::Ipv6, AddPath::Plain) => walk_clean(octets, Afi::Ipv6, AddPath::Plain, defaults_max),
        (Afi::Ipv6, AddPath::WithPathIds) => walk_clean(octets, Afi::Ipv6, AddPath::WithPathIds, usize::MAX),
    }
}

/// Returns the number of NLRI as [`count_clean`] does, for one family and reading. It walks by index and reads two
/// octets of each prefix: its length and its last octet, or for length zero the length again, which is zero then. Index
/// sums may wrap: `get` checks them.
#[inline(always)]
fn walk_clean(octets: &[u8], afi: Afi, add_path: AddPath, defaults_max: usize) -> Option<usize> {
    let path_id = if add_path == AddPath::WithPathIds { size_of::<u32>() } else { 0 };
    let (mut at, mut count, mut defaults) = (0usize, 0usize, 0usize);
    while at < octets.len() {
        at = at.wrapping_add(path_id);
        let length = *octets.get(at)?;
        at = at.wrapping_add(octets_of(length));
        let last = *octets.get(at)?;
        if length > afi.max_prefix_length() || host_bits_in(last, length) != 0 {
            return None;
        }
        if defaults_max < usize::MAX {
            defaults += usize::from(length == 0);
            if defaults > defaults_max {
                return None;
            }
        }
        count += 1;
        at = at.wrapping_add(1);
    }
    Some(count)
}

/// Returns whether one of `count` NLRI, which fill the field exactly and have no host bits, occurs twice: the prefix,
/// or with path identifiers the prefix under one identifier.
fn has_repeated(octets: &[u8], count: usize, add_path: AddPath) -> bool {
    /// Up to this many NLRI, two different ones rarely share one of the bits.
    const FEW: usize = 32;
    // Equal octets are equal NLRI, and the reverse, since the bits after the length are zero.
    if count < 2 || (count <= FEW && have_own_bits(octets, add_path)) {
        return false;
    }
    let mut keys: Vec<u64> = Vec::with_capacity(count);
    keys.extend(items(octets, add_path).map(key));
    keys.sort_unstable();
    keys.windows(2).any(|two| two[0] == two[1]) && has_repeated_exactly(octets, add_path)
}

/// Returns whether the key of each NLRI selects a different one of 2,048 bits: then none occurs twice.
fn have_own_bits(octets: &[u8], add_path: AddPath) -> bool {
    /// Spreads the bits of a key over the upper ones of the product: 2^64 by the golden ratio.
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut given = [0u64; 32];
    items(octets, add_path).map(key).all(|key| {
        let place = key.wrapping_mul(SPREAD) >> 53;
        let (word, bit) = (usize::try_from(place >> 6).unwrap_or_default(), 1 << (place % 64));
        let is_free = given[word] & bit == 0;
        given[word] |= bit;
        is_free
    })
}

/// Returns whether an NLRI occurs twice, by comparing octets; called when two keys are equal.
#[cold]
fn has_repeated_exactly(octets: &[u8], add_path: AddPath) -> bool {
    // The first repeated one ends the search: the set need not contain all of them.
    let mut seen = HashSet::new();
    items(octets, add_path).any(|item| !seen.insert(item))
}

/// Iterates over the octets of each NLRI.
fn items(octets: &[u8], add_path: AddPath) -> impl Iterator<Item = &[u8]> {
    let id = if add_path == AddPath::WithPathIds { size_of::<u32>() } else { 0 };
    let mut rest = octets;
    std::iter::from_fn(move || {
        let length = *rest.get(id)?;
        let (item, behind) = rest.split_at_checked(id + 1 + octets_of(length))?;
        rest = behind;
        Some(item)
    })
}

/// Returns a number that is rarely the same for different octets. It does not depend on all octets of a path identifier
/// and a long IPv6 prefix.
fn key(item: &[u8]) -> u64 {
    if let Ok(four) = <[u8; 4]>::try_from(item) {
        return u32::from_be_bytes(four).into();
    }
    let (first, last) = match (item.first_chunk::<8>(), item.last_chunk::<8>()) {
        (Some(first), Some(last)) => (u64::from_be_bytes(*first), u64::from_be_bytes(*last)),
        _ => match (item.first_chunk::<4>(), item.last_chunk::<4>()) {
            (Some(first), Some(last)) => (u32::from_be_bytes(*first).into(), u32::from_be_bytes(*last).into()),
            _ => item.iter().fold((0, 0), |(all, _), octet| (all << 8 | u64::from(*octet) | 1 << 32, 0)),
        },
    };
    first ^ last.rotate_left(31) ^ 1 << 63
}

/// Returns the bits set after the length: only the last octet can have any. Lengths of whole octets alternate with
/// others, so no branch distinguishes them.
#[inline(always)]
fn host_bits_of(octets: &[u8], length: u8) -> u8 {
    octets.last().map_or(0, |last| host_bits_in(*last, length))
}

/// The same, given the last octet.
#[inline(always)]
fn host_bits_in(last: u8, length: u8) -> u8 {
    let unused = length.wrapping_neg() % 8;
    last & ((1 << unused) - 1)
}

/// Returns the error for the length at this offset, which is above the family's.
#[cold]
fn too_long(length: u8, at: usize) -> DecodeError {
    DecodeError::new(at, "prefix length", format!("prefix length {length} is too long"))
}

/// Returns the error for the NLRI that `rest` begins with, which is cut short; `end` is the offset after `rest`.
#[cold]
fn cut_short(rest: &[u8], end: usize, add_path: AddPath) -> DecodeError {
    let mut reader = Reader::new(rest, end - rest.len());
    let outcome = read_fields(&mut reader, add_path);
    outcome.err().unwrap_or_else(|| DecodeError::new(end, "prefix", "runs past the end"))
}

fn read_fields(reader: &mut Reader<'_>, add_path: AddPath) -> Result<(), DecodeError> {
    if add_path == AddPath::WithPathIds {
        reader.u32("path identifier")?;
    }
    let length = reader.u8("prefix length")?;
    reader.take(octets_of(length), "prefix").map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Octets many of which are valid prefix lengths.
    fn random(state: &mut u64, count: usize) -> Vec<u8> {
        const OCTETS: [u8; 8] = [0, 8, 16, 24, 25, 32, 33, 128];
        let mut next = || {
            *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            usize::try_from(*state >> 61).unwrap()
        };
        (0..count).map(|_| OCTETS[next()]).collect()
    }

    #[test]
    fn the_quick_walk_finds_what_the_checked_one_does() {
        let mut state = 1;
        let (mut clean, mut repeated) = (0, 0);
        for round in 0..40_000 {
            let octets = random(&mut state, round % 50);
            for (afi, add_path) in [Afi::Ipv4, Afi::Ipv6]
                .into_iter()
                .flat_map(|afi| [AddPath::Plain, AddPath::WithPathIds].map(|add_path| (afi, add_path)))
            {
                let quick = WirePrefixes::clean(Reader::new(&octets, 0), afi, add_path);
                let checked = match WirePrefixes::check(&mut Reader::new(&octets, 0), afi, add_path) {
                    Ok((prefixes, HostBits::None)) => Some(prefixes),
                    Ok((_, HostBits::Cleared)) | Err(_) => None,
                };
                assert_eq!(quick.map(|quick| quick.count), checked.map(|checked| checked.count), "{octets:?}");
                let Some(prefixes) = checked else { continue };
                let all: Vec<Nlri> = Prefixes::Wire(prefixes).iter().collect();
                let is_repeated = all.iter().collect::<HashSet<_>>().len() < all.len();
                assert_eq!(prefixes.has_repeated(), is_repeated, "{octets:?}");
                let defaults = all.iter().filter(|nlri| nlri.prefix.length() == 0).count();
                let is_given_up = add_path == AddPath::Plain && defaults > 1;
                assert_eq!(WirePrefixes::fits(Reader::new(&octets, 0), afi, add_path), !is_given_up, "{octets:?}");
                clean += usize::from(all.len() > 2);
                repeated += usize::from(is_repeated && all.len() > 2);
            }
        }
        assert!(clean > 1_000 && repeated > 100 && clean - repeated > 100, "{clean} {repeated}");
    }
}
