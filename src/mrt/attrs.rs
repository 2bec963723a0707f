//! The `attrs` column, back to path attributes.

use std::net::Ipv4Addr;

use serde_json::{Map, Value};

use super::texts::hex;
use super::tunnels;
use crate::model::attrs::code_of;

/// A path attribute to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) code: u8,
    pub(crate) flags: u8,
    pub(crate) value: Vec<u8>,
}

/// The flags of well-known attributes, and of optional ones that are transitive or not (RFC 4271 section 4.3).
pub(crate) const WELL_KNOWN: u8 = 0x40;
pub(crate) const TRANSITIVE: u8 = 0xc0;
pub(crate) const NON_TRANSITIVE: u8 = 0x80;

/// Returns the attributes, and the keys that cannot be encoded: those that are no path attributes.
pub(crate) fn attributes(attrs: &Map<String, Value>) -> (Vec<Written>, Vec<&str>) {
    let (mut written, mut unsaid) = (Vec::new(), Vec::new());
    for (key, value) in attrs {
        let code = code_of(key).or_else(|| key.parse().ok());
        let attribute = code.and_then(|code| attribute(code, value));
        match attribute {
            Some(attribute) => written.push(attribute),
            None => unsaid.push(key.as_str()),
        }
    }
    (written, unsaid)
}

fn attribute(code: u8, value: &Value) -> Option<Written> {
    let (flags, value) = match (code, value) {
        (6, Value::Bool(true)) => (WELL_KNOWN, Vec::new()),
        (7, value) => {
            let address: Ipv4Addr = value.get("address")?.as_str()?.parse().ok()?;
            (TRANSITIVE, [number(value.get("asn")?)?.to_be_bytes(), address.octets()].concat())
        }
        (9, Value::String(text)) => (NON_TRANSITIVE, ipv4(text)?.to_vec()),
        (10, Value::Array(all)) => (NON_TRANSITIVE, list(all, |text| ipv4(text).map(Vec::from))?),
        (25, Value::Array(all)) => (TRANSITIVE, list(all, |text| hex(text).filter(|octets| octets.len() == 20))?),
        // The only TLV that is stored: the metric (RFC 7311 section 3).
        (26, metric) => (NON_TRANSITIVE, [&[1, 0, 11][..], &metric.as_u64()?.to_be_bytes()].concat()),
        (35, asn) => (TRANSITIVE, number(asn)?.to_be_bytes().to_vec()),
        (code, Value::String(text)) => (flags(code), hex(text)?),
        (code, value) => (TRANSITIVE, tunnels::octets(code, value)?),
    };
    Some(Written { code, flags, value })
}

/// Returns the flags of an attribute of which only the octets of its value are stored. An unknown one reached the router
/// through others only if it is transitive.
fn flags(code: u8) -> u8 {
    match code {
        // DPA to RCID_PATH, BGP-LS, BGPsec_PATH.
        11..=13 | 29 | 33 => NON_TRANSITIVE,
        _ => TRANSITIVE,
    }
}

fn number(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|number| u32::try_from(number).ok())
}

fn ipv4(text: &str) -> Option<[u8; 4]> {
    text.parse().ok().map(|address: Ipv4Addr| address.octets())
}

fn list(all: &[Value], one: impl Fn(&str) -> Option<Vec<u8>>) -> Option<Vec<u8>> {
    let parts: Option<Vec<Vec<u8>>> = all.iter().map(|item| one(item.as_str()?)).collect();
    parts.map(|parts| parts.concat())
}
