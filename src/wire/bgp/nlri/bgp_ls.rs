//! NLRI of BGP-LS (RFC 9552 section 5.2): nodes, links, prefixes, and SRv6 SIDs (RFC 9514 section 6); and those of BGP-LS
//! SPF, which are encoded the same (RFC 9815 section 5.1).
//!
//! All TLVs are part of the key. Their order is not checked: an unordered NLRI is malformed for a router that propagates
//! it (RFC 9552 section 5.1), and the router that reports it did not think so.

use std::fmt::Write;
use std::net::Ipv4Addr;

use serde_json::{Map, Value, json};

use super::fields::{Fields, Framed, rd};
use crate::model::write_text::hex;
use crate::model::{Afi, Prefix};
use crate::wire::DecodeError;
use crate::wire::reader::Reader;

/// The TLVs that contain the descriptors of a node (RFC 9552 sections 5.2.1.2 and 5.2.1.3).
const LOCAL_NODE: u16 = 256;
const REMOTE_NODE: u16 = 257;

/// The TLV that says which addresses an unnumbered link has: 1 IPv4, 2 IPv6. In BGP-LS SPF an NLRI with a reserved value
/// or another length is malformed (RFC 9815 sections 5.2.2.1 and 7.1).
const ADDRESS_FAMILY: u16 = 1185;

/// The types of NLRI.
const NODE: u16 = 1;
const LINK: u16 = 2;
const IPV4_PREFIX: u16 = 3;
const IPV6_PREFIX: u16 = 4;
const SRV6_SID: u16 = 6;

/// The families that are encoded so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LinkState {
    /// SAFI 71.
    Global,
    /// SAFI 72, with a distinguisher.
    Vpn,
    /// SAFI 80 (RFC 9815).
    Spf,
}

/// Reads one NLRI: type, length in octets, a distinguisher for VPNs, descriptors.
pub(super) fn read(reader: &mut Reader<'_>, of: LinkState) -> Framed {
    let nlri_type = reader.u16("BGP-LS NLRI type")?;
    let length = usize::from(reader.u16("BGP-LS NLRI length")?);
    let body = reader.sub(length, "BGP-LS NLRI")?;
    Ok(nlri(nlri_type, body, of))
}

fn nlri(nlri_type: u16, mut body: Reader<'_>, of: LinkState) -> Result<Fields, DecodeError> {
    let family = match of {
        LinkState::Global | LinkState::Vpn => "bgp-ls",
        LinkState::Spf => "bgp-ls-spf",
    };
    let name = match nlri_type {
        NODE => "node",
        LINK => "link",
        IPV4_PREFIX => "ipv4_prefix",
        IPV6_PREFIX => "ipv6_prefix",
        SRV6_SID => "srv6_sid",
        _ => return Ok(Fields::unknown(family, nlri_type, body.rest())),
    };
    let mut fields = Fields::new(family);
    fields.add_type(nlri_type, name);
    if of == LinkState::Vpn {
        rd(&mut fields, &mut body)?;
    }
    let protocol = body.u8("Protocol-ID")?;
    fields.add_to_key("protocol_id", protocol);
    if let Some(name) = protocol_name(protocol) {
        fields.add("protocol", name);
    }
    fields.add_to_key("identifier", body.u64("Identifier")?);
    descriptors(&mut fields, body, nlri_type, of)?;
    Ok(fields)
}

/// Reads the descriptors of a node, link, prefix or SID.
fn descriptors(fields: &mut Fields, mut body: Reader<'_>, nlri_type: u16, of: LinkState) -> Result<(), DecodeError> {
    let mut others = Vec::new();
    while !body.is_empty() {
        let (kind, mut value) = tlv(&mut body)?;
        if let LOCAL_NODE | REMOTE_NODE = kind
            && let name = if kind == LOCAL_NODE { "local_node" } else { "remote_node" }
            && !fields.has(name)
        {
            let node = Node::read(value)?;
            fields.key_only(format_args!("{name}=({})", node.key));
            fields.add(name, node.object);
            continue;
        }
        let at = value.offset();
        let value = value.rest();
        if of == LinkState::Spf && kind == ADDRESS_FAMILY && !matches!(value, [1..=254]) {
            let why = format!("{} is no address family", hex(value));
            return Err(DecodeError::new(at, "Address Family Link Descriptor", why));
        }
        match descriptor(kind, value, nlri_type) {
            Some(all) if all.iter().all(|(name, _)| !fields.has(name)) => {
                all.into_iter().for_each(|(name, value)| fields.add_to_key(name, value));
            }
            _ => {
                fields.key_only(format_args!("{kind}={}", hex(value)));
                others.push(json!({ "type": kind, "hex": hex(value) }));
            }
        }
    }
    if !others.is_empty() {
        fields.add("tlvs", others);
    }
    Ok(())
}

/// Reads one TLV (RFC 9552 section 5.1): type, length, value.
fn tlv<'a>(body: &mut Reader<'a>) -> Result<(u16, Reader<'a>), DecodeError> {
    let kind = body.u16("TLV type")?;
    let length = usize::from(body.u16("TLV length")?);
    Ok((kind, body.sub(length, "TLV value")?))
}

/// Returns the name of a source of information (RFC 9552 section 5.2, RFC 9086 section 4).
fn protocol_name(protocol: u8) -> Option<&'static str> {
    Some(match protocol {
        1 => "isis_level_1",
        2 => "isis_level_2",
        3 => "ospfv2",
        4 => "direct",
        5 => "static",
        6 => "ospfv3",
        7 => "bgp",
        _ => return None,
    })
}

/// Returns the fields of a link or prefix descriptor (RFC 9552 sections 5.2.2 and 5.2.3); `None` for a TLV that is not
/// known or has another length than its definition.
fn descriptor(kind: u16, value: &[u8], nlri_type: u16) -> Option<Vec<(&'static str, Value)>> {
    Some(match kind {
        258 => {
            let (local, remote) = <[u8; 8]>::try_from(value).ok()?.split_first_chunk().map(|(local, remote)| {
                (u32::from_be_bytes(*local), <[u8; 4]>::try_from(remote).map(u32::from_be_bytes))
            })?;
            vec![("local_id", json!(local)), ("remote_id", json!(remote.ok()?))]
        }
        259 => vec![("ipv4_interface_address", address(value, 4)?)],
        260 => vec![("ipv4_neighbor_address", address(value, 4)?)],
        261 => vec![("ipv6_interface_address", address(value, 16)?)],
        262 => vec![("ipv6_neighbor_address", address(value, 16)?)],
        // The first four bits are reserved (section 5.2.2.1).
        263 if !value.is_empty() && value.len().is_multiple_of(2) => {
            let ids = value.as_chunks::<2>().0.iter().map(|id| u16::from_be_bytes(*id) & 0x0fff);
            vec![("multi_topology_ids", json!(ids.collect::<Vec<_>>()))]
        }
        264 => match value {
            [route_type] => vec![("ospf_route_type", json!(route_type))],
            _ => return None,
        },
        265 => vec![("prefix", prefix(value, nlri_type)?)],
        518 => vec![("sid", address(value, 16)?)],
        ADDRESS_FAMILY => match value {
            [family] => vec![("address_family", json!(family))],
            _ => return None,
        },
        _ => return None,
    })
}

fn address(value: &[u8], octets: usize) -> Option<Value> {
    if value.len() != octets {
        return None;
    }
    match value.len() {
        4 => <[u8; 4]>::try_from(value).ok().map(|octets| json!(Ipv4Addr::from(octets))),
        _ => <[u8; 16]>::try_from(value).ok().map(|octets| json!(std::net::Ipv6Addr::from(octets))),
    }
}

/// Returns the prefix of an IP reachability TLV: its length, and no more octets than that needs.
fn prefix(value: &[u8], nlri_type: u16) -> Option<Value> {
    let afi = match nlri_type {
        IPV4_PREFIX => Afi::Ipv4,
        IPV6_PREFIX => Afi::Ipv6,
        _ => return None,
    };
    let (length, octets) = value.split_first()?;
    if octets.len() != usize::from(*length).div_ceil(8) {
        return None;
    }
    Prefix::truncating(afi, octets, *length).ok().map(|prefix| json!(prefix.to_string()))
}

/// The descriptors of a node (RFC 9552 section 5.2.1.4, RFC 9086 section 4.1).
#[derive(Default)]
struct Node {
    object: Map<String, Value>,
    key: String,
}

impl Node {
    fn read(mut value: Reader<'_>) -> Result<Node, DecodeError> {
        let mut node = Node::default();
        let mut others = Vec::new();
        while !value.is_empty() {
            let (kind, mut value) = tlv(&mut value)?;
            let value = value.rest();
            let field = match (kind, <[u8; 4]>::try_from(value)) {
                (512, Ok(asn)) => Some(("asn", json!(u32::from_be_bytes(asn)))),
                (513, Ok(id)) => Some(("bgp_ls_id", json!(u32::from_be_bytes(id)))),
                (514, Ok(area)) => Some(("ospf_area_id", json!(Ipv4Addr::from(area)))),
                (515, _) => Some(("igp_router_id", json!(igp_router_id(value)))),
                (516, Ok(id)) => Some(("bgp_router_id", json!(Ipv4Addr::from(id)))),
                (517, Ok(asn)) => Some(("member_asn", json!(u32::from_be_bytes(asn)))),
                _ => None,
            };
            match field.filter(|(name, _)| !node.object.contains_key(*name)) {
                Some((name, field)) => {
                    let text = field.as_str().map_or_else(|| field.to_string(), str::to_owned);
                    node.add_to_key(name, &text);
                    node.object.insert(name.into(), field);
                }
                None => {
                    node.add_to_key(&kind.to_string(), &hex(value));
                    others.push(json!({ "type": kind, "hex": hex(value) }));
                }
            }
        }
        if !others.is_empty() {
            node.object.insert("tlvs".into(), others.into());
        }
        Ok(node)
    }

    fn add_to_key(&mut self, name: &str, text: &str) {
        let between = if self.key.is_empty() { "" } else { "," };
        write!(self.key, "{between}{name}={text}").expect("writing to a string cannot fail");
    }
}

/// Returns the identifier of a node in its IGP: an ISO system identifier, that with the number of a pseudonode, an OSPF
/// router identifier, that with the interface of a pseudonode; hex for other lengths.
fn igp_router_id(value: &[u8]) -> String {
    match *value {
        [a, b, c, d, e, f] => format!("{a:02x}{b:02x}.{c:02x}{d:02x}.{e:02x}{f:02x}"),
        [a, b, c, d, e, f, number] => format!("{a:02x}{b:02x}.{c:02x}{d:02x}.{e:02x}{f:02x}.{number:02x}"),
        [a, b, c, d] => Ipv4Addr::new(a, b, c, d).to_string(),
        [a, b, c, d, e, f, g, h] => format!("{}:{}", Ipv4Addr::new(a, b, c, d), Ipv4Addr::new(e, f, g, h)),
        _ => hex(value),
    }
}
