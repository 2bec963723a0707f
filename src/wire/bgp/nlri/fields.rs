//! The fields of one NLRI that is not a prefix: as JSON, and those that identify it as a key.

use std::fmt::{Display, Write};

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::model::Rd;
use crate::model::write_text::hex;
use crate::wire::DecodeError;
use crate::wire::reader::Reader;

/// The longest key, octets of ASCII. An index row with a router's identifier and a table's name beside it then has less
/// than the 2,704 octets that a B-tree accepts.
pub(crate) const KEY_OCTETS_MAX: usize = 1_000;

/// Hexadecimal digits of the hash that marks a cut key.
const MARK_DIGITS: usize = 16;

/// One decoded NLRI.
///
/// Two NLRI have the same key exactly if they identify the same route. A field that its RFC calls a route attribute,
/// such as the label of an EVPN route (RFC 7432 section 7.2), is not in the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields {
    key: String,
    object: Map<String, Value>,
    is_unknown: bool,
}

/// The result of reading one NLRI: the outer error is an NLRI whose end is not known, the inner one an NLRI that is
/// malformed between its ends.
pub(super) type Framed = Result<Result<Fields, DecodeError>, DecodeError>;

/// The presence of a route distinguisher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    Global,
    Vpn,
}

impl Fields {
    /// Returns no fields, with the beginning of a key.
    pub(super) fn new(key: impl Into<String>) -> Fields {
        Fields { key: key.into(), object: Map::new(), is_unknown: false }
    }

    /// Returns the fields of an NLRI of a type that is not known. All its octets identify it.
    pub(super) fn unknown(family: &str, route_type: u16, octets: &[u8]) -> Fields {
        let mut fields = Fields::new(family);
        fields.key_only(route_type);
        fields.key_only(hex(octets));
        fields.add("type", route_type);
        fields.is_unknown = true;
        fields
    }

    /// Returns the fields of an NLRI of a family without types, whose form is not known. All its octets identify it.
    pub(super) fn unknown_form(family: &str, octets: &[u8]) -> Fields {
        let mut fields = Fields::new(family);
        fields.key_only(hex(octets));
        fields.is_unknown = true;
        fields
    }

    /// Returns the name of an NLRI of a family without types, which begins the key.
    pub(super) fn named(family: &str, name: &str) -> Fields {
        let mut fields = Fields::new(family);
        fields.key_only(name);
        fields.add("name", name);
        fields
    }

    /// Adds the type of the NLRI and its name, which begin the key.
    pub(super) fn add_type(&mut self, route_type: u16, name: &str) {
        self.key_only(route_type);
        self.add("type", route_type);
        self.add("name", name);
    }

    /// Adds a field that is not part of the key.
    pub(super) fn add(&mut self, name: &str, value: impl Into<Value>) {
        self.object.insert(name.into(), value.into());
    }

    /// Adds a field that is part of the key.
    pub(super) fn add_to_key(&mut self, name: &str, value: impl Into<Value>) {
        let value = value.into();
        match &value {
            Value::String(text) => self.key_only(format_args!("{name}={text}")),
            other => self.key_only(format_args!("{name}={other}")),
        }
        self.add(name, value);
    }

    /// Adds text to the key only.
    pub(super) fn key_only(&mut self, text: impl Display) {
        write!(self.key, ":{text}").expect("writing to a string cannot fail");
    }

    /// Returns whether there is a field of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.object.contains_key(name)
    }

    /// Returns true if the type of the NLRI is not known.
    pub fn is_unknown(&self) -> bool {
        self.is_unknown
    }

    /// Returns the key: ASCII, at most 1,000 octets. A longer one is cut and ends in `~` and a hash of all of it.
    pub fn key(&self) -> String {
        if self.key.len() <= KEY_OCTETS_MAX {
            return self.key.clone();
        }
        let hash = Sha256::digest(self.key.as_bytes());
        format!("{}~{}", &self.key[..KEY_OCTETS_MAX - MARK_DIGITS - 1], hex(&hash[..MARK_DIGITS / 2]))
    }

    /// Returns the fields as JSON, under their names in snake_case as in the RFC of the family.
    pub fn json(&self) -> &Map<String, Value> {
        &self.object
    }

    /// The same as [`Fields::json`], without a copy.
    pub fn into_json(self) -> Map<String, Value> {
        self.object
    }
}

/// Checks that nothing is left of an NLRI.
///
/// # Errors
/// Octets are left.
pub(super) fn end(body: Reader<'_>) -> Result<(), DecodeError> {
    match body.remaining() {
        0 => Ok(()),
        left => Err(DecodeError::new(body.offset(), "NLRI", format!("{left} octets after the last field"))),
    }
}

/// Reads a route distinguisher (RFC 4364 section 4.2) into `fields`.
///
/// # Errors
/// Fewer than 8 octets are left.
pub(super) fn rd(fields: &mut Fields, body: &mut Reader<'_>) -> Result<(), DecodeError> {
    fields.add_to_key("rd", Rd(body.array("RD")?).to_string());
    Ok(())
}

/// Reads an address after its length in bits; `None` for length 0.
///
/// # Errors
/// The length is neither 0, 32 nor 128, or the address is cut short.
pub(super) fn address_after_bits(body: &mut Reader<'_>, field: &'static str) -> Result<Option<String>, DecodeError> {
    let at = body.offset();
    match body.u8(field)? {
        0 => Ok(None),
        32 => Ok(Some(body.ipv4(field)?.to_string())),
        128 => Ok(Some(body.ipv6(field)?.to_string())),
        other => Err(DecodeError::new(at, field, format!("length {other} is neither 0, 32 nor 128 bits"))),
    }
}

/// Reads an address after its length in bits, which must not be 0.
///
/// # Errors
/// The length is neither 32 nor 128, or the address is cut short.
pub(super) fn address(body: &mut Reader<'_>, field: &'static str) -> Result<String, DecodeError> {
    let at = body.offset();
    address_after_bits(body, field)?.ok_or_else(|| DecodeError::new(at, field, "length 0 is neither 32 nor 128 bits"))
}

/// Reads an address that is all of the rest.
///
/// # Errors
/// Neither 4 nor 16 octets are left.
pub(super) fn last_address(body: &mut Reader<'_>, field: &'static str) -> Result<String, DecodeError> {
    match body.remaining() {
        4 => body.ipv4(field).map(|address| address.to_string()),
        16 => body.ipv6(field).map(|address| address.to_string()),
        left => Err(DecodeError::new(body.offset(), field, format!("{left} octets are neither 4 nor 16"))),
    }
}

/// Returns octets in hex, separated by colons, as in a MAC address.
pub(super) fn colons(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect::<Vec<_>>().join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_keys_are_cut_and_stay_different() {
        let key = |length: usize| Fields::new("x".repeat(length)).key();
        assert_eq!(key(KEY_OCTETS_MAX), "x".repeat(KEY_OCTETS_MAX));
        let (one, other) = (key(KEY_OCTETS_MAX + 1), key(KEY_OCTETS_MAX + 2));
        assert_eq!((one.len(), other.len()), (KEY_OCTETS_MAX, KEY_OCTETS_MAX));
        assert_ne!(one, other);
    }
}
