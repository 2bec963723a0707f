//! AS paths.

use std::fmt;

use super::write_text::write_numbers;
use super::{Asn, WriteText};

/// One segment of an AS path (RFC 4271 section 4.3, RFC 5065 section 3).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Segment {
    /// AS_SEQUENCE: `1 2 3`.
    Sequence(Vec<Asn>),
    /// AS_SET: `{1,2}`.
    Set(Vec<Asn>),
    /// AS_CONFED_SEQUENCE: `(1 2)`.
    ConfedSequence(Vec<Asn>),
    /// AS_CONFED_SET: `[1,2]`.
    ConfedSet(Vec<Asn>),
}

/// An AS path; present and empty is a value (a route of the router's own AS), absent is `None` outside.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct AsPath {
    /// The segments, the nearest AS first.
    pub segments: Vec<Segment>,
}

impl AsPath {
    /// The AS that originated the route: the last one of a path that ends in an AS_SEQUENCE.
    pub fn origin_asn(&self) -> Option<Asn> {
        match self.segments.last()? {
            Segment::Sequence(asns) => asns.last().copied(),
            Segment::Set(_) | Segment::ConfedSequence(_) | Segment::ConfedSet(_) => None,
        }
    }
}

/// The text of the `as_path` column, segments separated by spaces.
impl WriteText for AsPath {
    fn write_text(&self, out: &mut impl fmt::Write) -> fmt::Result {
        for (i, segment) in self.segments.iter().enumerate() {
            if i > 0 {
                out.write_char(' ')?;
            }
            match segment {
                Segment::Sequence(asns) => write_numbers(out, ' ', asns.iter().map(|asn| asn.0))?,
                Segment::Set(asns) => write_enclosed(out, ['{', ',', '}'], asns)?,
                Segment::ConfedSequence(asns) => write_enclosed(out, ['(', ' ', ')'], asns)?,
                Segment::ConfedSet(asns) => write_enclosed(out, ['[', ',', ']'], asns)?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for AsPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_text(f)
    }
}

fn write_enclosed(out: &mut impl fmt::Write, [open, between, close]: [char; 3], asns: &[Asn]) -> fmt::Result {
    out.write_char(open)?;
    write_numbers(out, between, asns.iter().map(|asn| asn.0))?;
    out.write_char(close)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_origin() {
        let asns = |numbers: &[u32]| numbers.iter().copied().map(Asn).collect::<Vec<_>>();
        let check = |segments: Vec<Segment>, text: &str, origin: Option<u32>| {
            let path = AsPath { segments };
            assert_eq!((path.to_string().as_str(), path.origin_asn()), (text, origin.map(Asn)));
        };
        check(vec![], "", None);
        check(vec![Segment::Sequence(asns(&[64496, 4_200_000_000]))], "64496 4200000000", Some(4_200_000_000));
        check(vec![Segment::Sequence(asns(&[1])), Segment::Set(asns(&[2, 3]))], "1 {2,3}", None);
        check(vec![Segment::Set(asns(&[2, 3])), Segment::Sequence(asns(&[4]))], "{2,3} 4", Some(4));
        check(vec![Segment::ConfedSequence(asns(&[1, 2])), Segment::ConfedSet(asns(&[3]))], "(1 2) [3]", None);
    }
}
