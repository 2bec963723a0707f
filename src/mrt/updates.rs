//! BGP messages of one route each (RFC 4271 section 4.3, RFC 4760, RFC 7911), and End-of-RIB (RFC 4724).

use super::splitting::{MP_REACH, MP_UNREACH, split};
use crate::model::AfiSafi;

/// The largest BGP message: its length has two octets.
const BGP_MESSAGE_MAX: usize = u16::MAX as usize;

/// Appends a BGP message around what `write` appends.
pub(crate) fn bgp(out: &mut Vec<u8>, type_code: u8, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend([0xff; 16]);
    out.extend([0, 0, type_code]);
    write(out);
    let length = u16::try_from(out.len() - start).expect("its parts were checked to fit");
    out[start + 16..start + 18].copy_from_slice(&length.to_be_bytes());
}

/// Returns an End-of-RIB (RFC 4724 section 2).
pub(crate) fn end_of_rib(family: AfiSafi) -> Vec<u8> {
    let mut out = Vec::new();
    bgp(&mut out, 2, |out| match family {
        AfiSafi::IPV4_UNICAST => out.extend([0; 4]),
        AfiSafi { afi, safi } => {
            let [high, low] = afi.to_be_bytes();
            out.extend([0, 0, 0, 6, 0x80, MP_UNREACH, 3, high, low, safi]);
        }
    });
    out
}

/// Returns the UPDATE that announces one route of a table, whose attributes are those of a RIB entry: MP_REACH_NLRI has
/// the next hop alone there (RFC 6396 section 4.3.4), or is whole as some programs write it.
///
/// # Errors
/// The attributes are malformed, or too long for a BGP message.
pub(crate) fn update(family: AfiSafi, path_id: Option<u32>, nlri: &[u8], all: &[u8]) -> Result<Vec<u8>, &'static str> {
    let (mut kept, mut next_hop, mut rest) = (Vec::with_capacity(all.len()), None, all);
    while !rest.is_empty() {
        let (attribute, after) = split(rest).ok_or("an attribute runs past the end")?;
        match attribute.code {
            MP_REACH => next_hop = Some(next_hop_of(attribute.value).ok_or("MP_REACH_NLRI has no next hop")?),
            MP_UNREACH => {}
            _ => kept.extend(attribute.whole),
        }
        rest = after;
    }
    let path_id = path_id.map(u32::to_be_bytes);
    let path_id = path_id.as_ref().map_or(&[][..], |octets| &octets[..]);
    let size = kept.len() + path_id.len() + nlri.len();
    if size + 19 + 4 + 4 + 5 + u8::MAX as usize > BGP_MESSAGE_MAX {
        return Err("the attributes are too long for a BGP message");
    }
    let is_plain = family == AfiSafi::IPV4_UNICAST && next_hop.is_none();
    if !is_plain {
        let next_hop = next_hop.unwrap_or_default();
        let length = 5 + next_hop.len() + path_id.len() + nlri.len();
        kept.extend([0x90, MP_REACH]);
        kept.extend(u16::try_from(length).expect("checked above").to_be_bytes());
        kept.extend(family.afi.to_be_bytes());
        kept.extend([family.safi, u8::try_from(next_hop.len()).expect("it had an octet of length")]);
        kept.extend(next_hop);
        kept.push(0);
        kept.extend(path_id);
        kept.extend(nlri);
    }
    let mut out = Vec::with_capacity(kept.len() + size + 23);
    bgp(&mut out, 2, |out| {
        out.extend([0, 0]);
        out.extend(u16::try_from(kept.len()).expect("checked above").to_be_bytes());
        out.extend(&kept);
        if is_plain {
            out.extend(path_id);
            out.extend(nlri);
        }
    });
    Ok(out)
}

/// Returns the UPDATE that withdraws one route.
pub(crate) fn withdrawal(family: AfiSafi, path_id: Option<u32>, nlri: &[u8]) -> Vec<u8> {
    let path_id = path_id.map(u32::to_be_bytes);
    let nlri = [path_id.as_ref().map_or(&[][..], |octets| &octets[..]), nlri].concat();
    let size = u16::try_from(nlri.len()).expect("one NLRI is short").to_be_bytes();
    let mut out = Vec::new();
    bgp(&mut out, 2, |out| match family {
        AfiSafi::IPV4_UNICAST => {
            out.extend(size);
            out.extend(&nlri);
            out.extend([0, 0]);
        }
        AfiSafi { afi, safi } => {
            let value = [&afi.to_be_bytes()[..], &[safi], &nlri].concat();
            let length = u16::try_from(value.len()).expect("one NLRI is short");
            out.extend([0, 0]);
            out.extend((length + 4).to_be_bytes());
            out.extend([0x90, MP_UNREACH]);
            out.extend(length.to_be_bytes());
            out.extend(value);
        }
    });
    out
}

/// Returns the next hop of an MP_REACH_NLRI: the abbreviated form begins with its length, the whole one with an AFI,
/// whose first octet is zero.
fn next_hop_of(value: &[u8]) -> Option<&[u8]> {
    match value {
        [0, _, _, length, rest @ ..] => rest.get(..usize::from(*length)),
        [length, rest @ ..] => rest.get(..usize::from(*length)),
        [] => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::AsWidth;
    use crate::wire::bgp::routes::Routes;
    use crate::wire::bgp::update::{DecodeContext, Update, decode};

    fn decoded(family: AfiSafi, nlri: &[u8], attributes: &[u8]) -> String {
        let bgp = update(family, None, nlri, attributes).unwrap();
        let context = DecodeContext { as_width: AsWidth::Four, ..DecodeContext::default() };
        let mut routes = Routes::default();
        let decoded = decode(&bgp, 0, &context, &mut routes).unwrap();
        let Update::Routes(routes) = decoded.update else { panic!("{:?}", decoded.update) };
        let announced = &routes.announced[0];
        let next_hop = announced.next_hop.map(|next_hop| next_hop.address.to_string()).unwrap_or_default();
        format!("{}/{} {next_hop} {:?}", announced.family.afi, announced.family.safi, routes.actions.len())
    }

    #[test]
    fn entries_become_updates_of_their_family() {
        let common = [0x40, 1, 1, 0, 0x40, 2, 0];
        let plain = [&common[..], &[0x40, 3, 4, 192, 0, 2, 1]].concat();
        assert_eq!(decoded(AfiSafi::IPV4_UNICAST, &[8, 10], &plain), "1/1 192.0.2.1 0");
        let next_hop = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        let short = [&common[..], &[0x80, 14, 17, 16], &next_hop].concat();
        assert_eq!(decoded(AfiSafi::IPV6_UNICAST, &[32, 0x20, 1, 0x0d, 0xb8], &short), "2/1 2001:db8::1 0");
        assert_eq!(decoded(AfiSafi::IPV4_UNICAST, &[8, 10], &short), "1/1 2001:db8::1 0");
        let whole = [&common[..], &[0x80, 14, 22, 0, 2, 1, 16], &next_hop, &[0, 0]].concat();
        assert_eq!(decoded(AfiSafi::IPV6_UNICAST, &[32, 0x20, 1, 0x0d, 0xb8], &whole), "2/1 2001:db8::1 0");
        assert_eq!(
            update(AfiSafi::IPV4_UNICAST, None, &[8, 10], &[0x40, 1, 2, 0]),
            Err("an attribute runs past the end")
        );
        assert!(
            update(AfiSafi::IPV4_UNICAST, None, &[8, 10], &[&[0x50, 99, 0xff, 0xf0][..], &[0; 0xfff0]].concat())
                .is_err()
        );
    }
}
