//! The structured values of the `attrs` column, back to octets: PMSI tunnel, tunnel encapsulation, BGP Prefix-SID.
//!
//! Octets whose value no RFC defines are zero: reserved fields, the flags of a color, the reserved octets of an endpoint.
//! The labels of a stack have the traffic class 0 and the TTL 255 (RFC 9012 section 3.6).

use std::net::{IpAddr, Ipv6Addr};

use serde_json::Value;

use super::texts::hex;

/// The TTL of a label of a tunnel's stack.
const TTL: u32 = 255;

/// Returns the octets of a structured value; `None` for other types, and for JSON that no such value has.
pub(super) fn octets(code: u8, value: &Value) -> Option<Vec<u8>> {
    match code {
        22 => pmsi_tunnel(value),
        23 => tunnel_encapsulation(value),
        40 => prefix_sid(value),
        _ => None,
    }
}

/// Encodes a PMSI tunnel (RFC 6514 section 5).
fn pmsi_tunnel(value: &Value) -> Option<Vec<u8>> {
    let mut out = vec![octet(value, "flags")?, octet(value, "type")?];
    out.extend(three_octets(number(value, "vni")?)?);
    for key in ["endpoint", "root", "group"].into_iter().filter_map(|key| value.get(key)) {
        out.extend(address(key)?.1);
    }
    if let Some(identifier) = value.get("identifier") {
        out.extend(hex(identifier.as_str()?)?);
    }
    Some(out)
}

/// Encodes a tunnel encapsulation (RFC 9012 section 2).
fn tunnel_encapsulation(value: &Value) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    for tunnel in value.as_array()? {
        let mut all = Vec::new();
        for sub_tlv in tunnel.get("sub_tlvs")?.as_array()? {
            let (kind, value) = (octet(sub_tlv, "type")?, tunnel_sub_tlv(sub_tlv)?);
            all.push(kind);
            // From type 128 on the length has two octets.
            match kind {
                0..128 => all.push(u8::try_from(value.len()).ok()?),
                128.. => all.extend(length(&value)?),
            }
            all.extend(value);
        }
        out.extend(u16::try_from(number(tunnel, "type")?).ok()?.to_be_bytes());
        out.extend(length(&all)?);
        out.extend(all);
    }
    Some(out)
}

/// Encodes the value of a sub-TLV of a tunnel (RFC 9012 section 3).
fn tunnel_sub_tlv(sub_tlv: &Value) -> Option<Vec<u8>> {
    if let Some(octets) = raw(sub_tlv) {
        return octets;
    }
    Some(match octet(sub_tlv, "type")? {
        2 => short(sub_tlv, "protocol")?.to_vec(),
        // A Color Extended Community (section 4.3).
        4 => [&[0x03, 0x0b, 0, 0][..], &number(sub_tlv, "color")?.to_be_bytes()].concat(),
        6 => match sub_tlv.get("endpoint")?.as_str()? {
            "next_hop" => vec![0; 6],
            _ => {
                let (family, octets) = address(sub_tlv.get("endpoint")?)?;
                [&[0, 0, 0, 0, 0, family][..], &octets].concat()
            }
        },
        7 => vec![octet(sub_tlv, "ds")?],
        8 => short(sub_tlv, "port")?.to_vec(),
        10 => {
            let labels: Option<Vec<u32>> = sub_tlv.get("labels")?.as_array()?.iter().map(whole).collect();
            labels?.into_iter().flat_map(|label| (label << 12 | TTL).to_be_bytes()).collect()
        }
        11 => prefix_sid(sub_tlv.get("prefix_sid")?)?,
        _ => return None,
    })
}

/// Encodes the TLVs of a Prefix-SID (RFC 8669 section 3, RFC 9252 section 2).
fn prefix_sid(value: &Value) -> Option<Vec<u8>> {
    tlvs(value, |tlv| {
        Some(match octet(tlv, "type")? {
            1 => [&[0][..], &short(tlv, "flags")?, &number(tlv, "label_index")?.to_be_bytes()].concat(),
            3 => {
                let mut out = short(tlv, "flags")?.to_vec();
                for block in tlv.get("srgb")?.as_array()? {
                    out.extend(three_octets(number(block, "base")?)?);
                    out.extend(three_octets(number(block, "range")?)?);
                }
                out
            }
            5 | 6 => [&[0][..], &tlvs(tlv.get("services")?, srv6_service)?].concat(),
            _ => return None,
        })
    })
}

/// Encodes a sub-TLV of an SRv6 service (RFC 9252 sections 3.1 and 3.2.1).
fn srv6_service(service: &Value) -> Option<Vec<u8>> {
    let sid: Ipv6Addr = service.get("sid")?.as_str()?.parse().ok()?;
    let mut out = [&[0][..], &sid.octets(), &[octet(service, "flags")?], &short(service, "behavior")?, &[0]].concat();
    out.extend(tlvs(service.get("details")?, |detail| {
        ["block", "node", "function", "argument", "transposition_length", "transposition_offset"]
            .iter()
            .map(|key| octet(detail, key))
            .collect()
    })?);
    Some(out)
}

/// Encodes TLVs of one octet of type and two of length.
fn tlvs(all: &Value, encode: impl Fn(&Value) -> Option<Vec<u8>>) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    for tlv in all.as_array()? {
        let value = match raw(tlv) {
            Some(octets) => octets?,
            None => encode(tlv)?,
        };
        out.push(octet(tlv, "type")?);
        out.extend(length(&value)?);
        out.extend(value);
    }
    Some(out)
}

/// Returns the octets of a value that is kept as sent; `None` if it has fields.
fn raw(tlv: &Value) -> Option<Option<Vec<u8>>> {
    tlv.get("hex").map(|text| hex(text.as_str()?))
}

/// Returns an address with the number of its family.
fn address(text: &Value) -> Option<(u8, Vec<u8>)> {
    Some(match text.as_str()?.parse().ok()? {
        IpAddr::V4(address) => (1, address.octets().to_vec()),
        IpAddr::V6(address) => (2, address.octets().to_vec()),
    })
}

fn length(value: &[u8]) -> Option<[u8; 2]> {
    u16::try_from(value.len()).ok().map(u16::to_be_bytes)
}

fn whole(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|number| u32::try_from(number).ok())
}

fn number(object: &Value, key: &str) -> Option<u32> {
    object.get(key).and_then(whole)
}

fn octet(object: &Value, key: &str) -> Option<u8> {
    number(object, key).and_then(|number| u8::try_from(number).ok())
}

fn short(object: &Value, key: &str) -> Option<[u8; 2]> {
    number(object, key).and_then(|number| u16::try_from(number).ok()).map(u16::to_be_bytes)
}

fn three_octets(number: u32) -> Option<[u8; 3]> {
    match number.to_be_bytes() {
        [0, octets @ ..] => Some(octets),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::tunnels::structured;

    /// TLVs of the types that have fields and of others, with a length of `length_octets`.
    fn tlvs_of(kinds: &'static [u8], value: BoxedStrategy<Vec<u8>>, is_tunnel: bool) -> BoxedStrategy<Vec<u8>> {
        let one = (prop::sample::select(kinds), value).prop_map(move |(kind, value)| {
            let size = u16::try_from(value.len()).unwrap();
            let short = is_tunnel && kind < 128;
            let length = if short { vec![u8::try_from(size).unwrap()] } else { size.to_be_bytes().to_vec() };
            [&[kind][..], &length, &value].concat()
        });
        prop::collection::vec(one, 1..4).prop_map(|all| all.concat()).boxed()
    }

    fn any_octets() -> BoxedStrategy<Vec<u8>> {
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..22),
            prop::collection::vec(prop::sample::select(vec![0_u8, 1, 2, 3, 11]), 0..14)
        ]
        .boxed()
    }

    fn prefix_sids() -> BoxedStrategy<Vec<u8>> {
        let after = |value: BoxedStrategy<Vec<u8>>, octets: usize| {
            (value, prop::collection::vec(any::<u8>(), octets))
                .prop_map(|(value, front)| [front, value].concat())
                .boxed()
        };
        let details = prop_oneof![tlvs_of(&[1, 9], any_octets(), false), Just(Vec::new())].boxed();
        let services = after(tlvs_of(&[1, 2], after(details, 21), false), 1);
        prop_oneof![tlvs_of(&[1, 3, 5, 6, 7], any_octets(), false), tlvs_of(&[5, 6], services, false)].boxed()
    }

    fn tunnels() -> BoxedStrategy<Vec<u8>> {
        let sub_tlvs = prop_oneof![
            tlvs_of(&[2, 4, 6, 7, 8, 10, 11, 12, 128, 255], any_octets(), true),
            tlvs_of(&[11], prefix_sids().prop_filter("a length", |value| value.len() < 256).boxed(), true)
        ];
        (any::<u16>(), sub_tlvs)
            .prop_map(|(kind, all)| {
                let size = u16::try_from(all.len()).unwrap();
                [&kind.to_be_bytes()[..], &size.to_be_bytes(), &all].concat()
            })
            .boxed()
    }

    /// The octets that are made of a stored value are stored as the same.
    fn comes_back(code: u8, value: &[u8]) {
        let Some(stored) = structured(code, value) else { return };
        let made = octets(code, &stored).unwrap_or_else(|| panic!("{code} {value:?} {stored}"));
        assert_eq!(structured(code, &made), Some(stored), "{code} {value:?} {made:?}");
        assert_eq!(made.len(), value.len(), "{code} {value:?}");
    }

    proptest! {
        #[test]
        fn pmsi_tunnels_come_back(kind in 0..8_u8, rest in any_octets()) {
            comes_back(22, &[&[rest.first().copied().unwrap_or(0), kind][..], &rest].concat());
        }

        #[test]
        fn tunnel_encapsulations_come_back(value in tunnels()) {
            comes_back(23, &value);
        }

        #[test]
        fn prefix_sids_come_back(value in prefix_sids()) {
            comes_back(40, &value);
        }
    }

    #[test]
    fn json_that_no_value_has_is_not_said() {
        for (code, text) in [
            (22, r#"{"flags": 1, "type": 6}"#),
            (22, r#"{"flags": 256, "type": 6, "vni": 1}"#),
            (23, r#"[{"type": 1, "sub_tlvs": [{"type": 99, "what": 1}]}]"#),
            (40, r#"[{"type": 1, "flags": 1}]"#),
            (99, "[]"),
        ] {
            assert_eq!(octets(code, &serde_json::from_str(text).unwrap()), None, "{text}");
        }
    }
}
