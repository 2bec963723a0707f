//! NLRI of EVPN: types 1 to 4 (RFC 7432 section 7), 5 (RFC 9136 section 3.1), 6 to 8 (RFC 9251 section 9), 9 to 11 (RFC
//! 9572 section 3).
//!
//! The route distinguisher is in every key: it is what makes the rest unique among VPNs (RFC 4364 section 4.1). The
//! route key that the RFCs name for each type is the rest of it.

use serde_json::Value;

use super::fields::{Fields, Framed, address, address_after_bits, colons, end, rd};
use crate::model::write_text::hex;
use crate::model::{Afi, Prefix};
use crate::wire::DecodeError;
use crate::wire::reader::Reader;

/// Reads the fields of one type.
type Decode = fn(&mut Fields, &mut Reader<'_>) -> Result<(), DecodeError>;

/// Octets of the type and the length before each route.
const HEADER_SIZE: usize = 2;

/// Reads one NLRI: type, length in octets, route (RFC 7432 section 7).
pub(super) fn read(reader: &mut Reader<'_>) -> Framed {
    let route_type = reader.u8("EVPN route type")?;
    let length = usize::from(reader.u8("EVPN length")?);
    let body = reader.sub(length, "EVPN route")?;
    Ok(route(route_type, body))
}

fn route(route_type: u8, mut body: Reader<'_>) -> Result<Fields, DecodeError> {
    let (name, decode): (&str, Decode) = match route_type {
        1 => ("ethernet_auto_discovery", ethernet_auto_discovery),
        2 => ("mac_ip_advertisement", mac_ip_advertisement),
        3 => ("inclusive_multicast_ethernet_tag", inclusive_multicast),
        4 => ("ethernet_segment", ethernet_segment),
        5 => ("ip_prefix", ip_prefix),
        6 => ("selective_multicast_ethernet_tag", selective_multicast),
        7 => ("multicast_membership_report_synch", membership_report),
        8 => ("multicast_leave_synch", leave),
        9 => ("per_region_i_pmsi_a_d", per_region),
        10 => ("s_pmsi_a_d", s_pmsi),
        11 => ("leaf_a_d", leaf),
        _ => return Ok(Fields::unknown("evpn", route_type.into(), body.rest())),
    };
    let mut fields = Fields::new("evpn");
    fields.add_type(route_type.into(), name);
    decode(&mut fields, &mut body)?;
    end(body)?;
    Ok(fields)
}

/// Type 1 (RFC 7432 section 7.1): the label is a route attribute.
fn ethernet_auto_discovery(fields: &mut Fields, body: &mut Reader<'_>) -> Result<(), DecodeError> {
    rd(fields, body)?;
    let esi = esi(body)?;
    fields.add_to_key("esi", esi);
    ethernet_tag(fields, body)?;
    labels(fields, body, 1)
}

/// Type 2 (RFC 7432 section 7.2): the segment and both labels are route attributes.
fn mac_ip_advertisement(fields: &mut Fields, body: &mut Reader<'_>) -> Result<(), DecodeError> {
    rd(fields, body)?;
    let esi = esi(body)?;
    fields.add("esi", esi);
    ethernet_tag(fields, body)?;
    let at = body.offset();
    let length = body.u8("MAC address length")?;
    if length != 48 {
        return Err(DecodeError::new(at, "MAC address length", format!("{length} is not 48 bits")));
    }
    fields.add_to_key("mac", colons(body.take(6, "MAC address")?));
    if let Some(ip) = address_after_bits(body, "IP address")? {
        fields.add_to_key("ip", ip);
    }
    // The second label is there for routes to an IP address that have a label of their own.
    let labels_of = if body.remaining() > 3 { 2 } else { 1 };
    labels(fields, body, labels_of)
}

/// Type 3 (RFC 7432 section 7.3).
fn inclusive_multicast(fields: &mut Fields, body: &mut Reader<'_>) -> Result<(), DecodeError> {
    rd(fields, body)?;
    ethernet_tag(fields, body)?;
    originator(fields, body)
}

/// Type 4 (RFC 7432 section 7.4).
fn ethernet_segment(fields: &mut Fields, body: &mut Reader<'_>) -> Result<(), DecodeError> {
    rd(fields, body)?;
    let esi = esi(body)?;
    fields.add_to_key("esi", esi);
    originator(fields, body)
}

/// Type 5 (RFC 9136 section 3.1): the whole length tells IPv4 from IPv6. Segment, gateway and label are route attributes.
/// A gateway of zero is none.
fn ip_prefix(fields: &mut Fields, body: &mut Reader<'_>) -> Result<(), DecodeError> {
    const IPV4_SIZE: usize = 34;
    const IPV6_SIZE: usize = 58;
    let afi = match body.remaining() {
        IPV4_SIZE => Afi::Ipv4,
        IPV6_SIZE => Afi::Ipv6,
        other => return Err(DecodeError::new(body.offset(), "EVPN length", format!("{other} is neither 34 nor 58"))),
    };
    let octets = usize::from(afi.max_prefix_length() / 8);
    rd(fields, body)?;
    let esi = esi(body)?;
    fields.add("esi", esi);
    ethernet_tag(fields, body)?;
    let at = body.offset();
    let length = body.u8("IP prefix length")?;
    let prefix = Prefix::truncating(afi, body.take(octets, "IP prefix")?, length)
        .map_err(|_| DecodeError::new(at, "IP prefix length", format!("{length} is too long for {afi}")))?;
    fields.add_to_key("prefix", prefix.to_string());
    let gateway = body.take(octets, "GW IP address")?;
    let gateway = Prefix::truncating(afi, gateway, afi.max_prefix_length())
        .map_err(|_| DecodeError::new(at, "GW IP address", "is no address"))?;
    if !gateway.address().is_unspecified() {
        fields.add("gateway", gateway.address().to_string());
    }
    labels(fields, body, 1)
}

/// Type 6 (RFC 9251 section 9.1): everything but the flags is part of the route key.
fn selective_multicast(fields: &mut Fields, body: &mut Reader<'_>) -> Result<(), DecodeError> {
    rd(fields, body)?;
    tag_to_originator(fields, body)?;
    flags(fields, body)
}

/// Type 7 (RFC 9251 section 9.2): everything but the flags is part of the route key.
fn membership_report(fields: &mut Fields, body: &mut Reader<'_>) -> Result<(), DecodeError> {
    rd(fields, body)?;
    let esi = esi(body)?;
    fields.add_to_key("esi", esi);
    tag_to_originator(fields, body)?;
    flags(fields, body)
}

/// Type 8 (RFC 9251 section 9.3): the reserved octets, the maximum response time and the flags are not part of the route
/// key.
fn leave(fields: &mut Fields, body: &mut Reader<'_>) -> Result<(), DecodeError> {
    rd(fields, body)?;
    let esi = esi(body)?;
    fields.add_to_key("esi", esi);
    tag_to_originator(fields, body)?;
    body.take(4, "reserved")?;
    fields.add("maximum_response_time", body.u8("maximum response time")?);
    flags(fields, body)
}

/// Type 9 (RFC 9572 section 3.1). The Region ID is encoded like an extended community.
fn per_region(fields: &mut Fields, body: &mut Reader<'_>) -> Result<(), DecodeError> {
    rd(fields, body)?;
    ethernet_tag(fields, body)?;
    fields.add_to_key("region_id", hex(body.take(8, "Region ID")?));
    Ok(())
}

/// Type 10 (RFC 9572 section 3.2).
fn s_pmsi(fields: &mut Fields, body: &mut Reader<'_>) -> Result<(), DecodeError> {
    rd(fields, body)?;
    tag_to_originator(fields, body)
}

/// Type 11 (RFC 9572 section 3.3): the route key is the NLRI of the route that asked for leaves.
fn leaf(fields: &mut Fields, body: &mut Reader<'_>) -> Result<(), DecodeError> {
    let mut ahead = *body;
    let (route_type, length) = (ahead.u8("route key type")?, ahead.u8("route key length")?);
    let route_key = body.take(HEADER_SIZE + usize::from(length), "route key")?;
    fields.add_to_key("route_key", hex(route_key));
    // A leaf of a leaf is not defined: hex.
    if route_type != 11
        && let Ok(inner) = route(route_type, ahead.sub(length.into(), "route key")?)
        && !inner.is_unknown()
    {
        fields.add("route", inner.into_json());
    }
    originator(fields, body)
}

/// Reads an Ethernet Segment Identifier (RFC 7432 section 5).
fn esi(body: &mut Reader<'_>) -> Result<String, DecodeError> {
    body.take(10, "ESI").map(colons)
}

fn ethernet_tag(fields: &mut Fields, body: &mut Reader<'_>) -> Result<(), DecodeError> {
    fields.add_to_key("ethernet_tag", body.u32("Ethernet Tag ID")?);
    Ok(())
}

fn originator(fields: &mut Fields, body: &mut Reader<'_>) -> Result<(), DecodeError> {
    fields.add_to_key("originator", address(body, "originating router's address")?);
    Ok(())
}

/// Reads the fields that routes of a multicast flow share: tag, source, group, originator.
fn tag_to_originator(fields: &mut Fields, body: &mut Reader<'_>) -> Result<(), DecodeError> {
    ethernet_tag(fields, body)?;
    source_and_group(fields, body)?;
    originator(fields, body)
}

/// Reads source and group; length 0 is any (RFC 9251 section 9.1).
fn source_and_group(fields: &mut Fields, body: &mut Reader<'_>) -> Result<(), DecodeError> {
    for (name, field) in [("source", "multicast source"), ("group", "multicast group")] {
        if let Some(address) = address_after_bits(body, field)? {
            fields.add_to_key(name, address);
        }
    }
    Ok(())
}

fn flags(fields: &mut Fields, body: &mut Reader<'_>) -> Result<(), DecodeError> {
    fields.add("flags", body.u8("flags")?);
    Ok(())
}

/// Reads labels of three octets: the 20-bit MPLS label of each, or a whole VNI where the tunnel is VXLAN (RFC 8365
/// section 5.1.3), which the NLRI does not indicate.
fn labels(fields: &mut Fields, body: &mut Reader<'_>, count: usize) -> Result<(), DecodeError> {
    let mut vnis = Vec::with_capacity(count);
    for _ in 0..count {
        let [a, b, c] = body.array("MPLS label")?;
        vnis.push(u32::from_be_bytes([0, a, b, c]));
    }
    fields.add("labels", vnis.iter().map(|vni| Value::from(vni >> 4)).collect::<Vec<_>>());
    fields.add("vnis", vnis);
    Ok(())
}
