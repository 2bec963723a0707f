//! AS paths, kept as the octets of the message.

use std::borrow::Cow;
use std::fmt;

use super::write_text::WriteText;
use super::write_text::{display, write_numbers};

/// An autonomous system number: four octets here (RFC 6793), whatever its width on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Asn(pub u32);

impl Asn {
    /// AS_TRANS, which represents a four-octet number in a two-octet field (RFC 6793 section 9).
    pub(crate) const TRANS: Asn = Asn(23456);
}

impl fmt::Display for Asn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The width of AS numbers in AS_PATH and AGGREGATOR.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AsWidth {
    /// Two octets: the speaker supports no others (RFC 6793), or the A flag of a per-peer header is set.
    Two,
    /// Four octets.
    #[default]
    Four,
}

impl AsWidth {
    /// Returns the octets of one AS number.
    pub fn octets(self) -> usize {
        match self {
            AsWidth::Two => 2,
            AsWidth::Four => 4,
        }
    }

    /// Returns the other width.
    pub fn other(self) -> AsWidth {
        match self {
            AsWidth::Two => AsWidth::Four,
            AsWidth::Four => AsWidth::Two,
        }
    }

    /// Reads the AS number at the front of `octets`.
    #[inline]
    fn read(self, octets: &[u8]) -> Asn {
        Asn(match (self, octets) {
            (AsWidth::Two, [a, b, ..]) => u16::from_be_bytes([*a, *b]).into(),
            (AsWidth::Four, [a, b, c, d, ..]) => u32::from_be_bytes([*a, *b, *c, *d]),
            (AsWidth::Two | AsWidth::Four, _) => unreachable!("a segment is cut into numbers of its width"),
        })
    }
}

/// The segment type: the relation of its AS numbers to each other (RFC 4271 section 4.3, RFC 5065 section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SegmentKind {
    /// AS_SET, type 1: `{1,2}`.
    Set,
    /// AS_SEQUENCE, type 2: `1 2 3`.
    Sequence,
    /// AS_CONFED_SEQUENCE, type 3: `(1 2)`.
    ConfedSequence,
    /// AS_CONFED_SET, type 4: `[1,2]`.
    ConfedSet,
}

impl SegmentKind {
    /// Returns the kind of a segment type; `None` if it is unknown.
    pub fn from_wire(type_code: u8) -> Option<SegmentKind> {
        Some(match type_code {
            1 => SegmentKind::Set,
            2 => SegmentKind::Sequence,
            3 => SegmentKind::ConfedSequence,
            4 => SegmentKind::ConfedSet,
            _ => return None,
        })
    }

    /// Returns the segment type on the wire.
    pub fn type_code(self) -> u8 {
        match self {
            SegmentKind::Set => 1,
            SegmentKind::Sequence => 2,
            SegmentKind::ConfedSequence => 3,
            SegmentKind::ConfedSet => 4,
        }
    }
}

/// One segment of an AS path.
#[derive(Clone, Copy)]
pub struct Segment<'a> {
    /// The segment's kind.
    pub kind: SegmentKind,
    numbers: &'a [u8],
    width: AsWidth,
}

impl<'a> Segment<'a> {
    /// Iterates over the AS numbers, the nearest AS first.
    #[inline]
    pub fn asns(self) -> impl ExactSizeIterator<Item = Asn> + DoubleEndedIterator + 'a {
        self.numbers.chunks_exact(self.width.octets()).map(move |octets| self.width.read(octets))
    }

    /// Returns the number of ASes that the segment counts for in the length of a path (RFC 4271 section 9.1.2.2, RFC
    /// 5065 section 5.3).
    pub fn hops(self) -> usize {
        match self.kind {
            SegmentKind::Sequence => self.numbers.len() / self.width.octets(),
            SegmentKind::Set => 1,
            SegmentKind::ConfedSequence | SegmentKind::ConfedSet => 0,
        }
    }
}

impl fmt::Debug for Segment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} ", self.kind)?;
        f.debug_list().entries(self.asns()).finish()
    }
}

/// An AS path. A path that is present and empty is a value (a route of the router's own AS); an absent one is `None` in
/// the attributes.
///
/// The octets are those of an AS_PATH's value, checked: whole segments of known types, each with at least one AS.
#[derive(Clone, Default)]
pub struct AsPath<'a> {
    octets: Cow<'a, [u8]>,
    width: AsWidth,
}

impl<'a> AsPath<'a> {
    /// Decodes the path in an attribute's value.
    ///
    /// # Errors
    /// The value is malformed (RFC 7606 section 7.2): segments that do not fill it exactly, an unknown segment type, or
    /// a segment without an AS. The text is the reason.
    #[inline]
    pub fn from_wire(octets: &'a [u8], width: AsWidth) -> Result<AsPath<'a>, &'static str> {
        let mut rest = octets;
        while let [type_code, count, tail @ ..] = rest {
            let size = usize::from(*count) * width.octets();
            rest = tail.get(size..).ok_or("a segment runs past the end")?;
            if size == 0 {
                return Err("a segment is empty");
            }
            if SegmentKind::from_wire(*type_code).is_none() {
                return Err("unknown segment type");
            }
        }
        if !rest.is_empty() {
            return Err("octets follow the last segment");
        }
        Ok(AsPath { octets: Cow::Borrowed(octets), width })
    }

    /// Returns a path of these segments. A segment of more than 255 ASes is split into several, as on the wire; an
    /// empty one is left out.
    pub fn from_segments<S>(segments: impl IntoIterator<Item = (SegmentKind, S)>) -> AsPath<'static>
    where
        S: IntoIterator<Item = Asn>,
    {
        let mut octets = Vec::new();
        for (kind, asns) in segments {
            let asns: Vec<Asn> = asns.into_iter().collect();
            for part in asns.chunks(u8::MAX.into()) {
                let count = u8::try_from(part.len()).expect("a chunk is no longer than that");
                octets.extend([kind.type_code(), count]);
                octets.extend(part.iter().flat_map(|asn| asn.0.to_be_bytes()));
            }
        }
        AsPath { octets: octets.into(), width: AsWidth::Four }
    }

    /// Iterates over the segments, the nearest AS first.
    #[inline]
    pub fn segments(&self) -> impl Iterator<Item = Segment<'_>> {
        let width = self.width;
        let mut rest = &self.octets[..];
        std::iter::from_fn(move || {
            let [type_code, count, tail @ ..] = rest else { return None };
            let (numbers, tail) = tail.split_at_checked(usize::from(*count) * width.octets())?;
            rest = tail;
            Some(Segment { kind: SegmentKind::from_wire(*type_code)?, numbers, width })
        })
    }

    /// Returns the AS that originated the route: the last one of a path that ends in an AS_SEQUENCE.
    pub fn origin_asn(&self) -> Option<Asn> {
        let last = self.segments().last()?;
        match last.kind {
            SegmentKind::Sequence => last.asns().next_back(),
            SegmentKind::Set | SegmentKind::ConfedSequence | SegmentKind::ConfedSet => None,
        }
    }
}

/// The AS that a route comes from (RFC 6811 section 2). The column `origin_asn` has no value for the last two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RouteOrigin {
    /// The last AS of a path that ends in an AS_SEQUENCE.
    As(Asn),
    /// The AS of the router itself: the path is empty, or ends inside a confederation.
    Router,
    /// None that can be told: the path ends in an AS_SET, or there is no path.
    Unclear,
}

impl RouteOrigin {
    /// Returns the origin of a stored route by its columns `origin_asn` and `as_path`.
    pub(crate) fn of_columns(origin_asn: Option<Asn>, as_path: Option<&str>) -> RouteOrigin {
        match (origin_asn, as_path) {
            (Some(asn), _) => RouteOrigin::As(asn),
            (None, Some(path)) if path.is_empty() || path.ends_with([')', ']']) => RouteOrigin::Router,
            (None, _) => RouteOrigin::Unclear,
        }
    }
}

/// Equal if they have the same segments, whatever the width on the wire.
impl PartialEq for AsPath<'_> {
    fn eq(&self, other: &AsPath<'_>) -> bool {
        let flat = |path: &AsPath<'_>| -> Vec<(SegmentKind, Vec<Asn>)> {
            path.segments().map(|segment| (segment.kind, segment.asns().collect())).collect()
        };
        flat(self) == flat(other)
    }
}

impl Eq for AsPath<'_> {}

impl fmt::Debug for AsPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.segments()).finish()
    }
}

/// Writes the text of the `as_path` column, segments separated by spaces.
impl WriteText for AsPath<'_> {
    fn write_text(&self, out: &mut Vec<u8>) {
        let start = out.len();
        for segment in self.segments() {
            if out.len() > start {
                out.push(b' ');
            }
            let numbers = segment.asns().map(|asn| asn.0);
            let [open, between, close] = match segment.kind {
                SegmentKind::Sequence => {
                    write_numbers(out, b' ', numbers);
                    continue;
                }
                SegmentKind::Set => *b"{,}",
                SegmentKind::ConfedSequence => *b"( )",
                SegmentKind::ConfedSet => *b"[,]",
            };
            out.push(open);
            write_numbers(out, between, numbers);
            out.push(close);
        }
    }
}

impl fmt::Display for AsPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        display(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_origin() {
        use SegmentKind::{ConfedSequence, ConfedSet, Sequence, Set};
        let check = |segments: &[(SegmentKind, &[u32])], text: &str, origin: Option<u32>| {
            let path =
                AsPath::from_segments(segments.iter().map(|(kind, asns)| (*kind, asns.iter().copied().map(Asn))));
            assert_eq!((path.to_string().as_str(), path.origin_asn()), (text, origin.map(Asn)));
            let stored = RouteOrigin::of_columns(path.origin_asn(), Some(text));
            let last = segments.last().map(|(kind, _)| *kind);
            let want = match last {
                Some(Sequence) => RouteOrigin::As(Asn(origin.unwrap())),
                Some(Set) => RouteOrigin::Unclear,
                None | Some(ConfedSequence | ConfedSet) => RouteOrigin::Router,
            };
            assert_eq!(stored, want, "{text}");
        };
        check(&[], "", None);
        check(&[(Sequence, &[64496, 4_200_000_000])], "64496 4200000000", Some(4_200_000_000));
        check(&[(Sequence, &[1]), (Set, &[2, 3])], "1 {2,3}", None);
        check(&[(Set, &[2, 3]), (Sequence, &[4])], "{2,3} 4", Some(4));
        check(&[(ConfedSequence, &[1, 2]), (ConfedSet, &[3])], "(1 2) [3]", None);
        let long = vec![7; 300];
        check(&[(Sequence, &long)], vec!["7"; 300].join(" ").as_str(), Some(7));
    }

    #[test]
    fn paths_tile_or_are_malformed() {
        let check = |value: &[u8], width, want: Result<&str, &'static str>| {
            assert_eq!(
                AsPath::from_wire(value, width).map(|path| path.to_string()),
                want.map(str::to_owned),
                "{value:?}"
            );
        };
        let (two, four) = (AsWidth::Two, AsWidth::Four);
        check(&[], four, Ok(""));
        check(&[2, 1, 0xfa, 0x56, 0xea, 0], four, Ok("4200000000"));
        check(&[2, 2, 0, 1, 0, 2, 1, 2, 0, 3, 0, 4], two, Ok("1 2 {3,4}"));
        check(&[3, 1, 0, 1, 4, 1, 0, 2], two, Ok("(1) [2]"));
        check(&[2, 2, 0, 1, 0, 2], four, Err("a segment runs past the end"));
        check(&[2, 0], four, Err("a segment is empty"));
        check(&[5, 1, 0, 1], two, Err("unknown segment type"));
        check(&[2, 1, 0, 1, 2], two, Err("octets follow the last segment"));
    }

    #[test]
    fn paths_of_both_widths_compare_by_what_they_say() {
        let two = AsPath::from_wire(&[2, 1, 0, 9], AsWidth::Two).unwrap();
        let four = AsPath::from_wire(&[2, 1, 0, 0, 0, 9], AsWidth::Four).unwrap();
        let set = AsPath::from_wire(&[1, 1, 0, 9], AsWidth::Two).unwrap();
        assert_eq!(two, four);
        assert_ne!(two, set);
    }
}
