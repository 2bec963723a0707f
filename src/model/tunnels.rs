//! Attributes made of TLVs, as JSON: PMSI tunnel, tunnel encapsulation, BGP Prefix-SID with the SRv6 services.
//!
//! Numbers become JSON numbers; TLVs and fields whose meaning is not known here become hex. A malformed value has no
//! JSON, and its attribute is in `attrs` as hex.

use std::net::{Ipv4Addr, Ipv6Addr};

use byteorder::{BE, ByteOrder, ReadBytesExt};
use serde_json::{Value, json};

use super::write_text::hex;

/// The longest value that is structured, octets; a longer one stays hex. Real ones have a hundred octets, and the JSON
/// of empty TLVs is fifty times as long as they are.
const STRUCTURED_MAX: usize = 1024;

/// Returns the structured value of an attribute that has one; `None` for other types, and for a value that is malformed
/// or longer than `STRUCTURED_MAX`.
pub(crate) fn structured(code: u8, value: &[u8]) -> Option<Value> {
    match code {
        _ if value.len() > STRUCTURED_MAX => None,
        22 => pmsi_tunnel(value),
        23 => tunnel_encapsulation(value),
        40 => prefix_sid(value),
        _ => None,
    }
}

/// Decodes a PMSI tunnel: flags, tunnel type, label, identifier (RFC 6514 section 5). The label's three octets are a
/// 20-bit MPLS label, or a whole VNI where the tunnel is VXLAN (RFC 8365 section 5.1.3), which the attribute does not
/// indicate.
fn pmsi_tunnel(value: &[u8]) -> Option<Value> {
    let [flags, tunnel_type, _, _, _, identifier @ ..] = value else { return None };
    let vni = BE::read_u24(&value[2..]);
    let mut tunnel = json!({ "type": tunnel_type, "flags": flags, "label": vni >> 4, "vni": vni });
    let (first, second) = identifier.split_at(identifier.len() / 2);
    match (tunnel_type, address(identifier), address(first), address(second)) {
        (0, ..) if identifier.is_empty() => {}
        // Ingress replication: the endpoint. PIM: the root or sender, and the group.
        (6, Some(endpoint), ..) => tunnel["endpoint"] = json!(endpoint),
        (3..=5, _, Some(root), Some(group)) => {
            tunnel["root"] = json!(root);
            tunnel["group"] = json!(group);
        }
        _ => tunnel["identifier"] = json!(hex(identifier)),
    }
    Some(tunnel)
}

/// Returns the text of an IPv4 or IPv6 address, by the number of octets.
fn address(octets: &[u8]) -> Option<String> {
    match octets.len() {
        4 => <[u8; 4]>::try_from(octets).ok().map(|octets| Ipv4Addr::from(octets).to_string()),
        16 => <[u8; 16]>::try_from(octets).ok().map(|octets| Ipv6Addr::from(octets).to_string()),
        _ => None,
    }
}

/// Decodes a tunnel encapsulation: one tunnel per TLV, each with its sub-TLVs (RFC 9012 section 2).
fn tunnel_encapsulation(value: &[u8]) -> Option<Value> {
    let mut rest = value;
    let mut tunnels = Vec::new();
    while let Some((&[a, b, c, d], tail)) = rest.split_first_chunk() {
        let (mut sub_tlvs, tail) = tail.split_at_checked(u16::from_be_bytes([c, d]).into())?;
        let mut all = Vec::new();
        while let [kind, tail @ ..] = sub_tlvs {
            // From type 128 on the length has two octets.
            let mut tail = tail;
            let length = if *kind < 128 { tail.read_u8().map(u16::from) } else { tail.read_u16::<BE>() };
            let (value, tail) = tail.split_at_checked(length.ok()?.into())?;
            all.push(sub_tlv(*kind, value));
            sub_tlvs = tail;
        }
        tunnels.push(json!({ "type": u16::from_be_bytes([a, b]), "sub_tlvs": all }));
        rest = tail;
    }
    (rest.is_empty() && !tunnels.is_empty()).then_some(Value::Array(tunnels))
}

/// Decodes a sub-TLV of a tunnel (RFC 9012 section 3).
fn sub_tlv(kind: u8, value: &[u8]) -> Value {
    match (kind, value) {
        (2, [_, _]) => json!({ "type": kind, "protocol": BE::read_u16(value) }),
        // The value is a Color Extended Community (section 4.3): type, subtype, flags, color.
        (4, [0x03, 0x0b, _, _, color @ ..]) if color.len() == 4 => {
            json!({ "type": kind, "color": BE::read_u32(color) })
        }
        // Four reserved octets, the family, the address; family 0 is "the next hop".
        (6, [_, _, _, _, 0, 0]) => json!({ "type": kind, "endpoint": "next_hop" }),
        (6, [_, _, _, _, 0, 1 | 2, octets @ ..]) => match address(octets) {
            Some(endpoint) => json!({ "type": kind, "endpoint": endpoint }),
            None => json!({ "type": kind, "hex": hex(value) }),
        },
        (7, [field]) => json!({ "type": kind, "ds": field }),
        (8, [_, _]) => json!({ "type": kind, "port": BE::read_u16(value) }),
        (10, stack) if !stack.is_empty() && stack.len().is_multiple_of(4) => {
            let labels: Vec<u32> = stack.chunks_exact(4).map(|entry| BE::read_u32(entry) >> 12).collect();
            json!({ "type": kind, "labels": labels })
        }
        (11, value) => match prefix_sid(value) {
            Some(tlvs) => json!({ "type": kind, "prefix_sid": tlvs }),
            None => json!({ "type": kind, "hex": hex(value) }),
        },
        (kind, value) => json!({ "type": kind, "hex": hex(value) }),
    }
}

/// Decodes the TLVs of a Prefix-SID (RFC 8669 section 3, RFC 9252 section 2).
fn prefix_sid(value: &[u8]) -> Option<Value> {
    let tlv = |kind: u8, value: &[u8]| match (kind, value) {
        (1, value) if value.len() == 7 => json!({
            "type": kind,
            "flags": BE::read_u16(&value[1..]),
            "label_index": BE::read_u32(&value[3..]),
        }),
        (3, [_, _, blocks @ ..]) if blocks.len().is_multiple_of(6) => {
            let one = |block: &[u8]| json!({ "base": BE::read_u24(block), "range": BE::read_u24(&block[3..]) });
            let srgb: Vec<Value> = blocks.chunks_exact(6).map(one).collect();
            json!({ "type": kind, "flags": BE::read_u16(value), "srgb": srgb })
        }
        // SRv6 L3 and L2 Service.
        (5 | 6, [_, services @ ..]) => match tlvs(services, srv6_service) {
            Some(services) => json!({ "type": kind, "services": services }),
            None => json!({ "type": kind, "hex": hex(value) }),
        },
        (kind, value) => json!({ "type": kind, "hex": hex(value) }),
    };
    tlvs(value, tlv).filter(|tlvs| !tlvs.is_empty()).map(Value::Array)
}

/// Decodes a sub-TLV of an SRv6 service: SID information (RFC 9252 section 3.1).
fn srv6_service(kind: u8, value: &[u8]) -> Value {
    if let (1, [_, rest @ ..]) = (kind, value)
        && let Some((sid, [flags, high, low, _, rest @ ..])) = rest.split_first_chunk::<16>()
        && let Some(details) = tlvs(rest, sid_detail)
    {
        json!({
            "type": kind,
            "sid": Ipv6Addr::from(*sid).to_string(),
            "flags": flags,
            "behavior": u16::from_be_bytes([*high, *low]),
            "details": details,
        })
    } else {
        json!({ "type": kind, "hex": hex(value) })
    }
}

/// Decodes the SID structure, the division of a SID's bits (RFC 9252 section 3.2.1).
fn sid_detail(kind: u8, value: &[u8]) -> Value {
    match (kind, value) {
        (1, [block, node, function, argument, transposed, offset]) => json!({
            "type": kind,
            "block": block,
            "node": node,
            "function": function,
            "argument": argument,
            "transposition_length": transposed,
            "transposition_offset": offset,
        }),
        (kind, value) => json!({ "type": kind, "hex": hex(value) }),
    }
}

/// Returns whether the TLVs of a Prefix-SID fill the value exactly, without decoding them.
pub(crate) fn prefix_sid_tiles(value: &[u8]) -> bool {
    tlvs(value, |_, _| Value::Null).is_some()
}

/// Decodes TLVs of one octet of type and two of length; `None` if they do not fill the value exactly.
fn tlvs(value: &[u8], meaning: impl Fn(u8, &[u8]) -> Value) -> Option<Vec<Value>> {
    let mut rest = value;
    let mut all = Vec::new();
    while let Some((&[kind, high, low], tail)) = rest.split_first_chunk() {
        let (value, tail) = tail.split_at_checked(u16::from_be_bytes([high, low]).into())?;
        all.push(meaning(kind, value));
        rest = tail;
    }
    rest.is_empty().then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(code: u8, value: &[u8], want: Option<Value>) {
        assert_eq!(structured(code, value), want, "{code} {value:?}");
    }

    #[test]
    fn pmsi_tunnels() {
        let none = json!({ "type": 0, "flags": 0, "label": 0, "vni": 0 });
        check(22, &[0; 5], Some(none));
        check(
            22,
            &[1, 6, 0, 0x27, 0x10, 192, 0, 2, 1],
            Some(json!({ "type": 6, "flags": 1, "label": 625, "vni": 10_000, "endpoint": "192.0.2.1" })),
        );
        check(
            22,
            &[0, 3, 0, 0, 0, 192, 0, 2, 1, 232, 1, 1, 1],
            Some(json!({ "type": 3, "flags": 0, "label": 0, "vni": 0, "root": "192.0.2.1", "group": "232.1.1.1" })),
        );
        let other = json!({ "type": 2, "flags": 0, "label": 0, "vni": 0, "identifier": "0600" });
        check(22, &[0, 2, 0, 0, 0, 6, 0], Some(other));
        check(22, &[0, 2, 0, 0], None);
    }

    #[test]
    fn tunnel_encapsulations() {
        let value = [
            &[0, 8, 0, 36][..],
            &[6, 10, 0, 0, 0, 0, 0, 1, 192, 0, 2, 1],
            &[4, 8, 3, 11, 0, 0, 0, 0, 0, 100],
            &[8, 2, 0x12, 0xb5],
            &[10, 4, 0, 1, 0, 0xff],
            &[200, 0, 1, 7],
        ]
        .concat();
        check(
            23,
            &value,
            Some(json!([{ "type": 8, "sub_tlvs": [
                { "type": 6, "endpoint": "192.0.2.1" },
                { "type": 4, "color": 100 },
                { "type": 8, "port": 4789 },
                { "type": 10, "labels": [16] },
                { "type": 200, "hex": "07" },
            ] }])),
        );
        let cut_short = json!([{ "type": 8, "sub_tlvs": [{ "type": 6, "hex": "00000000000101" }] }]);
        check(23, &[0, 8, 0, 9, 6, 7, 0, 0, 0, 0, 0, 1, 1], Some(cut_short));
        check(23, &value[..value.len() - 1], None);
        check(23, &[], None);
    }

    #[test]
    fn prefix_sids() {
        check(40, &[1, 0, 7, 0, 0, 0, 0, 0, 0, 9], Some(json!([{ "type": 1, "flags": 0, "label_index": 9 }])));
        let srgb = json!([{ "type": 3, "flags": 0, "srgb": [{ "base": 16_000, "range": 8_000 }] }]);
        check(40, &[3, 0, 8, 0, 0, 0, 0x3e, 0x80, 0, 0x1f, 0x40], Some(srgb));
        let sid = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        let details = [1, 0, 6, 40, 24, 16, 0, 16, 64];
        let service = [&[0][..], &sid, &[0, 0, 19, 0], &details].concat();
        let value = [&[5, 0, 34, 0, 1, 0, 30][..], &service].concat();
        check(
            40,
            &value,
            Some(json!([{ "type": 5, "services": [{
                "type": 1, "sid": "2001:db8::1", "flags": 0, "behavior": 19,
                "details": [{
                    "type": 1, "block": 40, "node": 24, "function": 16, "argument": 0,
                    "transposition_length": 16, "transposition_offset": 64,
                }],
            }] }])),
        );
        check(40, &[9, 0, 1, 7], Some(json!([{ "type": 9, "hex": "07" }])));
        check(40, &[1, 0, 7, 0], None);
        check(40, &[], None);
        check(99, &[1, 0, 7, 0], None);
        check(40, &[9, 0, 0].repeat(STRUCTURED_MAX), None);
    }
}
