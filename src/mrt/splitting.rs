//! Path attributes and UPDATEs, taken apart as far as their NLRI need it (RFC 4271 section 4.3, RFC 4760).

use crate::model::AfiSafi;

/// MP_REACH_NLRI.
pub(crate) const MP_REACH: u8 = 14;
/// MP_UNREACH_NLRI.
pub(crate) const MP_UNREACH: u8 = 15;

/// One path attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RawAttribute<'a> {
    pub(crate) code: u8,
    pub(crate) value: &'a [u8],
    /// The attribute with its flags and length.
    pub(crate) whole: &'a [u8],
}

/// Returns the first attribute and the octets after it; `None` if it runs past the end.
pub(crate) fn split(rest: &[u8]) -> Option<(RawAttribute<'_>, &[u8])> {
    let [flags, code, tail @ ..] = rest else { return None };
    let (length, tail) = match (flags & 0x10, tail) {
        (0, [length, tail @ ..]) => (usize::from(*length), tail),
        (_, [high, low, tail @ ..]) if flags & 0x10 != 0 => (usize::from(u16::from_be_bytes([*high, *low])), tail),
        _ => return None,
    };
    let (value, after) = tail.split_at_checked(length)?;
    Some((RawAttribute { code: *code, value, whole: &rest[..rest.len() - after.len()] }, after))
}

/// Returns the attributes, up to one that runs past the end.
pub(crate) fn attributes(octets: &[u8]) -> impl Iterator<Item = RawAttribute<'_>> {
    let mut rest = octets;
    std::iter::from_fn(move || {
        let (attribute, after) = split(rest)?;
        rest = after;
        Some(attribute)
    })
}

/// Returns the families of the NLRI in a BGP message; none if it is no UPDATE or malformed. With one of an MP_REACH_NLRI
/// are its NLRI.
pub(crate) fn families(bgp: &[u8]) -> Vec<(AfiSafi, Option<&[u8]>)> {
    let read = || {
        let body = bgp.get(19..).filter(|_| bgp.get(18) == Some(&2))?;
        let (length, rest) = body.split_first_chunk::<2>()?;
        let (withdrawn, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
        let (length, rest) = rest.split_first_chunk::<2>()?;
        let (all, announced) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
        Some((withdrawn, all, announced))
    };
    let Some((withdrawn, all, announced)) = read() else { return Vec::new() };
    let plain = (!withdrawn.is_empty() || !announced.is_empty()).then_some((AfiSafi::IPV4_UNICAST, None));
    plain.into_iter().chain(attributes(all).filter_map(family_of)).collect()
}

/// Returns the family of an MP_REACH_NLRI or MP_UNREACH_NLRI, and the NLRI of the former (RFC 4760 section 3).
fn family_of(attribute: RawAttribute<'_>) -> Option<(AfiSafi, Option<&[u8]>)> {
    let RawAttribute { code: code @ (MP_REACH | MP_UNREACH), value: [high, low, safi, rest @ ..], .. } = attribute
    else {
        return None;
    };
    let nlri = match rest {
        [length, rest @ ..] if code == MP_REACH => rest.get(usize::from(*length) + 1..),
        _ => None,
    };
    Some((AfiSafi { afi: u16::from_be_bytes([*high, *low]), safi: *safi }, nlri))
}

/// Returns the NLRI whose lengths are in bits, each from its length on, up to one that runs past the end.
pub(crate) fn each_nlri(octets: &[u8], has_path_ids: bool) -> impl Iterator<Item = &[u8]> {
    let mut rest = octets;
    std::iter::from_fn(move || {
        let all = rest.get(if has_path_ids { 4 } else { 0 }..)?;
        let (one, after) = all.split_at_checked(1 + usize::from(*all.first()?).div_ceil(8))?;
        rest = after;
        Some(one)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_split_by_their_length() {
        let octets = [0x40, 1, 1, 0, 0xd0, 8, 0, 4, 0, 0, 0, 1, 0x40];
        let codes: Vec<(u8, usize)> =
            attributes(&octets).map(|attribute| (attribute.code, attribute.whole.len())).collect();
        assert_eq!(codes, [(1, 4), (8, 8)]);
        assert_eq!(split(&[0x50, 1, 0]), None);
        assert_eq!(split(&[0x40, 1, 1]), None);
    }
}
