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

/// Returns the families of the NLRI in a BGP message; none if it is no UPDATE or malformed.
pub(crate) fn families(bgp: &[u8]) -> Vec<AfiSafi> {
    let read = || {
        let body = bgp.get(19..).filter(|_| bgp.get(18) == Some(&2))?;
        let (length, rest) = body.split_first_chunk::<2>()?;
        let (withdrawn, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
        let (length, rest) = rest.split_first_chunk::<2>()?;
        let (all, announced) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
        Some((withdrawn, all, announced))
    };
    let Some((withdrawn, all, announced)) = read() else { return Vec::new() };
    let plain = (!withdrawn.is_empty() || !announced.is_empty()).then_some(AfiSafi::IPV4_UNICAST);
    let of_value = |attribute: RawAttribute<'_>| match attribute {
        RawAttribute { code: MP_REACH | MP_UNREACH, value: [high, low, safi, ..], .. } => {
            Some(AfiSafi { afi: u16::from_be_bytes([*high, *low]), safi: *safi })
        }
        RawAttribute { .. } => None,
    };
    plain.into_iter().chain(attributes(all).filter_map(of_value)).collect()
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
