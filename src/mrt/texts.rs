//! The texts of columns, back to what was on the wire.

use std::net::Ipv4Addr;

use crate::model::{AsPath, Asn, Community, ExtendedCommunity, LargeCommunity, SegmentKind};

/// Parses the `as_path` column.
pub(crate) fn as_path(text: &str) -> Option<AsPath<'static>> {
    let mut segments: Vec<(SegmentKind, Vec<Asn>)> = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (kind, close, between) = match first {
            '{' => (SegmentKind::Set, '}', ','),
            '(' => (SegmentKind::ConfedSequence, ')', ' '),
            '[' => (SegmentKind::ConfedSet, ']', ','),
            _ => {
                let end = rest.find(['{', '(', '[']).unwrap_or(rest.len());
                segments.push((SegmentKind::Sequence, numbers(rest[..end].trim_end(), ' ')?));
                rest = &rest[end..];
                continue;
            }
        };
        let (inside, after) = rest[1..].split_once(close)?;
        segments.push((kind, numbers(inside, between)?));
        rest = after.trim_start();
    }
    Some(AsPath::from_segments(segments))
}

fn numbers(text: &str, between: char) -> Option<Vec<Asn>> {
    text.split(between).map(|number| number.parse().ok().map(Asn)).collect()
}

/// Parses a text of `communities_std`.
pub(crate) fn community(text: &str) -> Option<Community> {
    let (high, low) = text.split_once(':')?;
    let (high, low): (u16, u16) = (high.parse().ok()?, low.parse().ok()?);
    Some(Community(u32::from(high) << 16 | u32::from(low)))
}

/// Parses a text of `communities_large`.
pub(crate) fn large_community(text: &str) -> Option<LargeCommunity> {
    let mut parts = text.split(':').map(|part| part.parse().ok());
    let (global, local1, local2) = (parts.next()??, parts.next()??, parts.next()??);
    parts.next().is_none().then_some(LargeCommunity { global, local1, local2 })
}

/// Parses a text of `communities_ext`. The text of a route target or site of origin leaves open whether it is
/// transitive, and which of two forms an AS number of two octets has: it is written transitive, in the shorter form.
pub(crate) fn extended_community(text: &str) -> Option<ExtendedCommunity> {
    let (subtype, rest) = match text.split_once(':') {
        Some(("RT", rest)) => (2, rest),
        Some(("SOO", rest)) => (3, rest),
        Some(_) => return None,
        None => return <[u8; 8]>::try_from(hex(text)?).ok().map(ExtendedCommunity),
    };
    let (administrator, number) = rest.split_once(':')?;
    let mut octets = [0, subtype, 0, 0, 0, 0, 0, 0];
    if let Ok(address) = administrator.parse::<Ipv4Addr>() {
        octets[0] = 1;
        octets[2..6].copy_from_slice(&address.octets());
        octets[6..].copy_from_slice(&number.parse::<u16>().ok()?.to_be_bytes());
    } else if let Ok(asn) = administrator.parse::<u16>() {
        octets[2..4].copy_from_slice(&asn.to_be_bytes());
        octets[4..].copy_from_slice(&number.parse::<u32>().ok()?.to_be_bytes());
    } else {
        octets[0] = 2;
        octets[2..6].copy_from_slice(&administrator.parse::<u32>().ok()?.to_be_bytes());
        octets[6..].copy_from_slice(&number.parse::<u16>().ok()?.to_be_bytes());
    }
    Some(ExtendedCommunity(octets))
}

/// Parses hex digits.
pub(crate) fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |c: &u8| char::from(*c).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    };
    text.as_bytes().chunks(2).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_that_are_none_are_refused() {
        for text in ["1  2", "{1 2}", "(1,2)", "{1", "1}", "x", "4294967296"] {
            assert_eq!(as_path(text), None, "{text}");
        }
        assert_eq!(["1", "1:65536", "1:2:3"].map(community), [None; 3]);
        assert_eq!(["1:2", "1:2:3:4", "1:2:4294967296"].map(large_community), [None; 3]);
        assert_eq!(["RT:1", "OVS:1:2", "0102", "RT:65536:65536"].map(extended_community), [None; 4]);
        assert_eq!((hex("0aff"), hex("0"), hex("0g")), (Some(vec![10, 255]), None, None));
    }

    fn segments() -> impl Strategy<Value = Vec<(SegmentKind, Vec<u32>)>> {
        use SegmentKind::{ConfedSequence, ConfedSet, Sequence, Set};
        let kind = prop::sample::select(vec![Sequence, Set, ConfedSequence, ConfedSet]);
        prop::collection::vec((kind, prop::collection::vec(any::<u32>(), 1..5)), 0..5)
    }

    proptest! {
        #[test]
        fn paths_come_back_from_their_text(all in segments()) {
            let path = AsPath::from_segments(all.into_iter().map(|(kind, asns)| (kind, asns.into_iter().map(Asn))));
            let text = path.to_string();
            prop_assert_eq!(as_path(&text).map(|path| path.to_string()), Some(text));
        }

        #[test]
        fn communities_come_back_from_their_text(octets: [u8; 8], std: u32, large: [u32; 3], known in 0..24u8) {
            prop_assert_eq!(community(&Community(std).to_string()), Some(Community(std)));
            let [global, local1, local2] = large;
            let large = LargeCommunity { global, local1, local2 };
            prop_assert_eq!(large_community(&large.to_string()), Some(large));
            let mut octets = octets;
            (octets[0], octets[1]) = (known % 4, known / 4);
            let text = ExtendedCommunity(octets).to_string();
            prop_assert_eq!(extended_community(&text).map(|community| community.to_string()), Some(text));
        }
    }
}
