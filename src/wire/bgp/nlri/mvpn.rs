//! NLRI of multicast VPN (RFC 6514 section 4). All fields are part of the key.

use super::fields::{Fields, Framed, end, last_address, rd};
use crate::model::Afi;
use crate::model::write_text::hex;
use crate::wire::DecodeError;
use crate::wire::reader::Reader;

/// Reads the fields of one type.
type Decode = fn(&mut Fields, &mut Reader<'_>) -> Result<(), DecodeError>;

/// Octets of the type and the length before each route.
const HEADER_SIZE: usize = 2;

/// Reads one NLRI: type, length in octets, route. The AFI is that of sources and groups.
pub(super) fn read(reader: &mut Reader<'_>, afi: Afi) -> Framed {
    let route_type = reader.u8("MCAST-VPN route type")?;
    let length = usize::from(reader.u8("MCAST-VPN length")?);
    let body = reader.sub(length, "MCAST-VPN route")?;
    Ok(route(route_type, body, afi))
}

fn route(route_type: u8, mut body: Reader<'_>, afi: Afi) -> Result<Fields, DecodeError> {
    let (name, decode): (&str, Decode) = match route_type {
        1 => ("intra_as_i_pmsi_a_d", intra_as),
        2 => ("inter_as_i_pmsi_a_d", inter_as),
        3 => ("s_pmsi_a_d", s_pmsi),
        // It contains another route.
        4 => ("leaf_a_d", if afi == Afi::Ipv4 { leaf_v4 } else { leaf_v6 }),
        5 => ("source_active_a_d", source_active),
        6 => ("shared_tree_join", join),
        7 => ("source_tree_join", join),
        _ => return Ok(Fields::unknown(&family(afi), route_type.into(), body.rest())),
    };
    let mut fields = Fields::new(family(afi));
    fields.add_type(route_type.into(), name);
    decode(&mut fields, &mut body)?;
    end(body)?;
    Ok(fields)
}

/// Returns the beginning of the keys of a family.
fn family(afi: Afi) -> String {
    format!("mvpn:{}", afi.column())
}

/// Type 1 (section 4.1).
fn intra_as(fields: &mut Fields, body: &mut Reader<'_>) -> Result<(), DecodeError> {
    rd(fields, body)?;
    originator(fields, body)
}

/// Type 2 (section 4.2).
fn inter_as(fields: &mut Fields, body: &mut Reader<'_>) -> Result<(), DecodeError> {
    rd(fields, body)?;
    source_as(fields, body)
}

/// Type 3 (section 4.3).
fn s_pmsi(fields: &mut Fields, body: &mut Reader<'_>) -> Result<(), DecodeError> {
    rd(fields, body)?;
    source_and_group(fields, body)?;
    originator(fields, body)
}

fn leaf_v4(fields: &mut Fields, body: &mut Reader<'_>) -> Result<(), DecodeError> {
    leaf(fields, body, Afi::Ipv4)
}

fn leaf_v6(fields: &mut Fields, body: &mut Reader<'_>) -> Result<(), DecodeError> {
    leaf(fields, body, Afi::Ipv6)
}

/// Type 4 (section 4.4): the route key is the NLRI of the route that asked for leaves, which is a type 2 or 3. Other
/// route keys, which later RFCs define, have no type in front.
fn leaf(fields: &mut Fields, body: &mut Reader<'_>, afi: Afi) -> Result<(), DecodeError> {
    let whole = body.remaining();
    let mut ahead = *body;
    let (route_type, length) = (ahead.u8("route key type")?, usize::from(ahead.u8("route key length")?));
    let is_nlri = matches!(route_type, 2 | 3) && matches!(whole.checked_sub(HEADER_SIZE + length), Some(4 | 16));
    let size = match (is_nlri, afi) {
        (true, _) => HEADER_SIZE + length,
        (false, Afi::Ipv4) => whole.saturating_sub(4),
        (false, Afi::Ipv6) => whole.saturating_sub(16),
    };
    fields.add_to_key("route_key", hex(body.take(size, "route key")?));
    if is_nlri && let Ok(inner) = route(route_type, ahead.sub(length, "route key")?, afi) {
        fields.add("route", inner.into_json());
    }
    originator(fields, body)
}

/// Type 5 (section 4.5).
fn source_active(fields: &mut Fields, body: &mut Reader<'_>) -> Result<(), DecodeError> {
    rd(fields, body)?;
    source_and_group(fields, body)
}

/// Types 6 and 7 (section 4.6). The source of a shared tree is its rendezvous point.
fn join(fields: &mut Fields, body: &mut Reader<'_>) -> Result<(), DecodeError> {
    rd(fields, body)?;
    source_as(fields, body)?;
    source_and_group(fields, body)
}

fn source_as(fields: &mut Fields, body: &mut Reader<'_>) -> Result<(), DecodeError> {
    fields.add_to_key("source_as", body.u32("Source AS")?);
    Ok(())
}

fn originator(fields: &mut Fields, body: &mut Reader<'_>) -> Result<(), DecodeError> {
    fields.add_to_key("originator", last_address(body, "originating router's address")?);
    Ok(())
}

/// Reads source and group, each after its length in bits; 0 is any (RFC 6625). A group of another length is an
/// opaque value of LDP, whose length is in octets (section 11.3.2).
fn source_and_group(fields: &mut Fields, body: &mut Reader<'_>) -> Result<(), DecodeError> {
    for (name, field) in [("source", "multicast source"), ("group", "multicast group")] {
        let at = body.offset();
        match body.u8(field)? {
            0 => {}
            32 => fields.add_to_key(name, body.ipv4(field)?.to_string()),
            128 => fields.add_to_key(name, body.ipv6(field)?.to_string()),
            other if name == "group" => fields.add_to_key("group_opaque", hex(body.take(other.into(), field)?)),
            other => {
                return Err(DecodeError::new(at, field, format!("length {other} is neither 0, 32 nor 128 bits")));
            }
        }
    }
    Ok(())
}
