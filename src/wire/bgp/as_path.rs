//! AS_PATH and AS4_PATH (RFC 4271 section 4.3, RFC 5065 section 3, RFC 6793).

use crate::model::{AsPath, Asn, Segment};
use crate::wire::bmp::peer::AsWidth;

/// Reads a path whose AS numbers are `width` wide.
///
/// # Errors
/// Why it is malformed (RFC 7606 section 7.2): segments that do not tile, an unknown segment type, no AS in a segment.
pub fn decode(value: &[u8], width: AsWidth) -> Result<AsPath, &'static str> {
    let mut rest = value;
    let mut segments = Vec::with_capacity(1);
    while let [kind, count, tail @ ..] = rest {
        let size = usize::from(*count) * width.octets();
        let (numbers, tail) = tail.split_at_checked(size).ok_or("a segment runs over the end")?;
        if numbers.is_empty() {
            return Err("a segment is empty");
        }
        let asns = asns(numbers, width);
        segments.push(match kind {
            1 => Segment::Set(asns),
            2 => Segment::Sequence(asns),
            3 => Segment::ConfedSequence(asns),
            4 => Segment::ConfedSet(asns),
            _ => return Err("unknown segment type"),
        });
        rest = tail;
    }
    if rest.is_empty() { Ok(AsPath { segments }) } else { Err("octets are left behind the last segment") }
}

fn asns(numbers: &[u8], width: AsWidth) -> Vec<Asn> {
    match width {
        AsWidth::Two => numbers.as_chunks::<2>().0.iter().map(|n| Asn(u16::from_be_bytes(*n).into())).collect(),
        AsWidth::Four => numbers.as_chunks::<4>().0.iter().map(|n| Asn(u32::from_be_bytes(*n))).collect(),
    }
}

/// Reads an AS4_PATH. Confederation segments do not belong there and are left out (RFC 6793 section 6).
///
/// # Errors
/// As [`decode`]; an AS4_PATH without any AS is malformed as well.
pub fn decode_as4(value: &[u8]) -> Result<AsPath, &'static str> {
    if value.is_empty() {
        return Err("there is no AS in it");
    }
    let mut path = decode(value, AsWidth::Four)?;
    path.segments.retain(|segment| matches!(segment, Segment::Sequence(_) | Segment::Set(_)));
    Ok(path)
}

/// The path that a two-octet AS_PATH and its AS4_PATH stand for together (RFC 6793 section 4.2.3).
pub fn merge(path: AsPath, as4: AsPath) -> AsPath {
    let Some(lead) = hops(&path).checked_sub(hops(&as4)) else {
        return path;
    };
    let mut segments = leading(path.segments, lead);
    let mut rest = as4.segments.into_iter();
    match (segments.last_mut(), rest.next()) {
        (Some(Segment::Sequence(head)), Some(Segment::Sequence(tail))) => head.extend(tail),
        (_, Some(first)) => segments.push(first),
        (_, None) => {}
    }
    segments.extend(rest);
    AsPath { segments }
}

/// How many ASes count for the length of a path (RFC 4271 section 9.1.2.2, RFC 5065 section 5.3).
fn hops(path: &AsPath) -> usize {
    path.segments
        .iter()
        .map(|segment| match segment {
            Segment::Sequence(asns) => asns.len(),
            Segment::Set(_) => 1,
            Segment::ConfedSequence(_) | Segment::ConfedSet(_) => 0,
        })
        .sum()
}

/// The front of a path, `count` counted ASes long, with the confederation segments before and between them.
fn leading(segments: Vec<Segment>, mut count: usize) -> Vec<Segment> {
    let mut front = Vec::new();
    for segment in segments {
        match segment {
            Segment::ConfedSequence(_) | Segment::ConfedSet(_) => front.push(segment),
            _ if count == 0 => break,
            Segment::Set(_) => {
                count -= 1;
                front.push(segment);
            }
            Segment::Sequence(mut asns) => {
                asns.truncate(count);
                count -= asns.len();
                front.push(Segment::Sequence(asns));
            }
        }
    }
    front
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_tile_or_are_malformed() {
        let check = |value: &[u8], width, want: Result<&str, &'static str>| {
            assert_eq!(decode(value, width).map(|path| path.to_string()), want.map(str::to_owned), "{value:?}");
        };
        let (two, four) = (AsWidth::Two, AsWidth::Four);
        check(&[], four, Ok(""));
        check(&[2, 1, 0xfa, 0x56, 0xea, 0], four, Ok("4200000000"));
        check(&[2, 2, 0, 1, 0, 2, 1, 2, 0, 3, 0, 4], two, Ok("1 2 {3,4}"));
        check(&[3, 1, 0, 1, 4, 1, 0, 2], two, Ok("(1) [2]"));
        check(&[2, 2, 0, 1, 0, 2], four, Err("a segment runs over the end"));
        check(&[2, 0], four, Err("a segment is empty"));
        check(&[5, 1, 0, 1], two, Err("unknown segment type"));
        check(&[2, 1, 0, 1, 2], two, Err("octets are left behind the last segment"));
    }

    #[test]
    fn as4_path_replaces_the_tail() {
        let check = |path: &[u8], as4: &[u8], want: &str| {
            let path = decode(path, AsWidth::Two).unwrap();
            let as4 = decode_as4(as4).unwrap();
            assert_eq!(merge(path, as4).to_string(), want);
        };
        check(&[2, 3, 0, 1, 0x5b, 0xa0, 0x5b, 0xa0], &[2, 2, 0, 1, 0, 0, 0, 1, 0, 1], "1 65536 65537");
        // Longer than the AS_PATH: ignored.
        check(&[2, 1, 0, 1], &[2, 2, 0, 1, 0, 0, 0, 1, 0, 1], "1");
        check(&[3, 1, 0, 9, 2, 2, 0, 1, 0x5b, 0xa0], &[2, 1, 0, 1, 0, 0], "(9) 1 65536");
        check(&[2, 2, 0, 1, 0, 2, 1, 2, 0, 3, 0, 4], &[1, 1, 0, 1, 0, 0], "1 2 {65536}");
        check(&[2, 2, 0, 1, 0x5b, 0xa0], &[3, 1, 0, 1, 0, 9, 2, 1, 0, 1, 0, 0], "1 65536");
        assert_eq!(decode_as4(&[]), Err("there is no AS in it"));
    }
}
