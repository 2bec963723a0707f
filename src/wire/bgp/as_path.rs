//! AS4_PATH, and its merge with a two-octet AS_PATH (RFC 6793).

use crate::model::{AsPath, AsWidth, Asn, SegmentKind};

/// Decoded segments, for the rare path that has to be rebuilt.
type Segments = Vec<(SegmentKind, Vec<Asn>)>;

/// Decodes an AS4_PATH.
///
/// # Errors
/// As for [`AsPath::from_wire`]; an AS4_PATH without any AS is malformed as well.
pub(crate) fn decode_as4(value: &[u8]) -> Result<AsPath<'_>, &'static str> {
    if value.is_empty() { Err("contains no AS") } else { AsPath::from_wire(value, AsWidth::Four) }
}

/// Returns the path that a two-octet AS_PATH and its AS4_PATH represent together (RFC 6793 section 4.2.3).
///
/// Confederation segments must not be in an AS4_PATH and are left out (section 6).
pub(crate) fn merge<'a>(path: AsPath<'a>, as4: &AsPath<'_>) -> AsPath<'a> {
    let is_plain = |kind| matches!(kind, SegmentKind::Sequence | SegmentKind::Set);
    let hops = |path: &AsPath<'_>| path.segments().map(|segment| segment.hops()).sum::<usize>();
    let Some(lead) = hops(&path).checked_sub(hops(as4)) else {
        return path;
    };
    let mut segments = leading(&path, lead);
    let as4 = as4.segments().filter(|segment| is_plain(segment.kind));
    let mut rest = as4.map(|segment| (segment.kind, segment.asns().collect::<Vec<_>>()));
    match (segments.last_mut(), rest.next()) {
        (Some((SegmentKind::Sequence, head)), Some((SegmentKind::Sequence, tail))) => head.extend(tail),
        (_, Some(first)) => segments.push(first),
        (_, None) => {}
    }
    segments.extend(rest);
    AsPath::from_segments(segments)
}

/// Returns the front of a path, up to a path length of `count`, with the confederation segments before and between its
/// segments.
fn leading(path: &AsPath<'_>, mut count: usize) -> Segments {
    let mut front = Vec::new();
    for segment in path.segments() {
        let asns = segment.asns();
        match segment.kind {
            SegmentKind::ConfedSequence | SegmentKind::ConfedSet => front.push((segment.kind, asns.collect())),
            SegmentKind::Set | SegmentKind::Sequence if count == 0 => break,
            SegmentKind::Set => {
                count -= 1;
                front.push((segment.kind, asns.collect()));
            }
            SegmentKind::Sequence => {
                let asns: Vec<Asn> = asns.take(count).collect();
                count -= asns.len();
                front.push((segment.kind, asns));
            }
        }
    }
    front
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as4_path_replaces_the_tail() {
        let check = |path: &[u8], as4: &[u8], want: &str| {
            let path = AsPath::from_wire(path, AsWidth::Two).unwrap();
            let as4 = decode_as4(as4).unwrap();
            assert_eq!(merge(path, &as4).to_string(), want);
        };
        check(&[2, 3, 0, 1, 0x5b, 0xa0, 0x5b, 0xa0], &[2, 2, 0, 1, 0, 0, 0, 1, 0, 1], "1 65536 65537");
        // Longer than the AS_PATH: ignored.
        check(&[2, 1, 0, 1], &[2, 2, 0, 1, 0, 0, 0, 1, 0, 1], "1");
        check(&[3, 1, 0, 9, 2, 2, 0, 1, 0x5b, 0xa0], &[2, 1, 0, 1, 0, 0], "(9) 1 65536");
        check(&[2, 2, 0, 1, 0, 2, 1, 2, 0, 3, 0, 4], &[1, 1, 0, 1, 0, 0], "1 2 {65536}");
        check(&[2, 2, 0, 1, 0x5b, 0xa0], &[3, 1, 0, 1, 0, 9, 2, 1, 0, 1, 0, 0], "1 65536");
        assert_eq!(decode_as4(&[]), Err("contains no AS"));
    }
}
