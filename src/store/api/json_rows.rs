//! All rows of a list as JSON that is made here, from their columns: PostgreSQL's `row_to_json` takes several times as
//! long for a full table. The values are the same.

use std::io::Write;
use std::net::Ipv6Addr;

use byteorder::{BE, ByteOrder};
use postgres::types::{FromSql, Type};
use postgres::{Column, Row};

use crate::model::write_text::{write_ipv4, write_number};
use crate::store::copy_fields::{FieldReader, POSTGRES_EPOCH_MICROS};
use crate::store::error::{Error, Result};

/// The beginning of what the lists of the API select: each row as JSON.
const AS_JSON: &str = "SELECT row_to_json(";

/// Returns the statement of a list with the columns of its rows instead of their JSON and key.
pub(super) fn with_columns(statement: &str) -> String {
    let parts = statement.split_once(AS_JSON).and_then(|(before, rest)| {
        let (name, rest) = rest.split_once(')')?;
        let (_, from) = rest.split_once("\nFROM ")?;
        Some(format!("{before}SELECT {name}.*\nFROM {from}"))
    });
    parts.unwrap_or_else(|| statement.to_owned())
}

/// Writes the rows of one statement as JSON objects.
#[derive(Debug, Default)]
pub(super) struct JsonRows {
    /// For each column what stands before its value, and the type; none before the first row.
    columns: Vec<(String, ColumnKind)>,
    text: Vec<u8>,
}

/// The way in which a column's value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ColumnKind {
    Bool,
    Smallint,
    Integer,
    Bigint,
    Text,
    Network,
    Time,
    Json,
    Jsonb,
    Texts,
    Bigints,
}

impl ColumnKind {
    fn of(kind: &Type) -> Option<ColumnKind> {
        let kinds = [
            (Type::BOOL, ColumnKind::Bool),
            (Type::INT2, ColumnKind::Smallint),
            (Type::INT4, ColumnKind::Integer),
            (Type::INT8, ColumnKind::Bigint),
            (Type::TEXT, ColumnKind::Text),
            (Type::BPCHAR, ColumnKind::Text),
            (Type::INET, ColumnKind::Network),
            (Type::CIDR, ColumnKind::Network),
            (Type::TIMESTAMPTZ, ColumnKind::Time),
            (Type::JSON, ColumnKind::Json),
            (Type::JSONB, ColumnKind::Jsonb),
            (Type::TEXT_ARRAY, ColumnKind::Texts),
            (Type::INT8_ARRAY, ColumnKind::Bigints),
        ];
        kinds.into_iter().find_map(|(of, one)| (of == *kind).then_some(one))
    }
}

/// A value as PostgreSQL sends it.
struct Raw<'a>(&'a [u8]);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> std::result::Result<Raw<'a>, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Raw(raw))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

impl JsonRows {
    /// Returns a row as JSON.
    ///
    /// # Errors
    /// When a column has a type of which no list has had one, or a value is not of its type.
    pub(super) fn write(&mut self, row: &Row) -> Result<&str> {
        if self.columns.is_empty() {
            self.columns = columns(row)?;
        }
        let unexpected = || Error::Unexpected("a value that is not of its type".to_owned());
        self.text.clear();
        for (i, (before, kind)) in self.columns.iter().enumerate() {
            self.text.extend_from_slice(before.as_bytes());
            match row.get::<_, Option<Raw<'_>>>(i) {
                Some(Raw(value)) => put(&mut self.text, *kind, value).ok_or_else(unexpected)?,
                None => self.text.extend_from_slice(b"null"),
            }
        }
        self.text.push(b'}');
        std::str::from_utf8(&self.text).map_err(|_| unexpected())
    }
}

fn columns(row: &Row) -> Result<Vec<(String, ColumnKind)>> {
    let one = |(i, column): (usize, &Column)| {
        let kind = ColumnKind::of(column.type_())
            .ok_or_else(|| Error::Unexpected(format!("{} has the type {}", column.name(), column.type_())))?;
        Ok((format!("{}\"{}\":", if i == 0 { '{' } else { ',' }, column.name()), kind))
    };
    row.columns().iter().enumerate().map(one).collect()
}

/// Appends a value; `None` if it is not of its type.
fn put(out: &mut Vec<u8>, kind: ColumnKind, value: &[u8]) -> Option<()> {
    match kind {
        ColumnKind::Bool => out.extend_from_slice(if *value.first()? == 0 { b"false" } else { b"true" }),
        ColumnKind::Smallint => put_json(out, &i16::from_be_bytes(value.try_into().ok()?))?,
        ColumnKind::Integer => put_json(out, &i32::from_be_bytes(value.try_into().ok()?))?,
        ColumnKind::Bigint => put_json(out, &i64::from_be_bytes(value.try_into().ok()?))?,
        ColumnKind::Text => put_json(out, std::str::from_utf8(value).ok()?)?,
        ColumnKind::Network => put_network(out, value)?,
        ColumnKind::Time => put_time(out, i64::from_be_bytes(value.try_into().ok()?))?,
        ColumnKind::Json => out.extend_from_slice(value),
        // After the version of the format.
        ColumnKind::Jsonb => out.extend_from_slice(value.get(1..)?),
        ColumnKind::Texts => put_list(out, ColumnKind::Text, value)?,
        ColumnKind::Bigints => put_list(out, ColumnKind::Bigint, value)?,
    }
    Some(())
}

fn put_json(out: &mut Vec<u8>, value: &(impl serde::Serialize + ?Sized)) -> Option<()> {
    serde_json::to_writer(out, value).ok()
}

/// Appends an array of one dimension: the number of dimensions, whether there are NULLs, the type, the number of elements
/// and the first index are before the elements.
fn put_list(out: &mut Vec<u8>, kind: ColumnKind, value: &[u8]) -> Option<()> {
    if value.len() < 12 {
        return None;
    }
    let count = if BE::read_i32(value) == 0 { 0 } else { BE::read_i32(value.get(12..16)?) };
    let mut elements = FieldReader::new(value.get(20..).unwrap_or_default());
    out.push(b'[');
    for i in 0..count {
        if i > 0 {
            out.push(b',');
        }
        match elements.value() {
            Some(element) => put(out, kind, element)?,
            None => out.extend_from_slice(b"null"),
        }
    }
    out.push(b']');
    Some(())
}

/// Appends an address or prefix: the family, the length, whether it is a prefix, and the address are its octets.
fn put_network(out: &mut Vec<u8>, value: &[u8]) -> Option<()> {
    let [_family, bits, is_cidr, _length, octets @ ..] = value else { return None };
    out.push(b'"');
    let address_bits = match octets.len() {
        4 => {
            write_ipv4(out, <[u8; 4]>::try_from(octets).ok()?.into());
            32
        }
        _ => {
            let octets = <[u8; 16]>::try_from(octets).ok()?;
            put_ipv6(out, octets)?;
            128
        }
    };
    if *is_cidr != 0 || *bits != address_bits {
        out.push(b'/');
        write_number(out, u32::from(*bits));
    }
    out.push(b'"');
    Some(())
}

/// Appends an IPv6 address. Unlike others PostgreSQL writes one of 32 bits like an IPv4 address.
fn put_ipv6(out: &mut Vec<u8>, octets: [u8; 16]) -> Option<()> {
    let [zeros @ .., a, b, c, d] = octets;
    if zeros == [0; 12] && [a, b] != [0, 0] {
        out.extend_from_slice(b"::");
        write_ipv4(out, [a, b, c, d].into());
        return Some(());
    }
    write!(out, "{}", Ipv6Addr::from(octets)).ok()
}

/// Appends a time, in microseconds since 2000.
fn put_time(out: &mut Vec<u8>, micros: i64) -> Option<()> {
    let time = jiff::Timestamp::from_microsecond(micros.checked_add(POSTGRES_EPOCH_MICROS)?).ok()?;
    // PostgreSQL writes the offset, also that of UTC.
    write!(out, "\"{}+00:00\"", time.to_string().trim_end_matches('Z')).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(kind: ColumnKind, value: &[u8]) -> Option<String> {
        let mut out = Vec::new();
        put(&mut out, kind, value).map(|()| String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_list_gives_its_columns_instead_of_their_json() {
        let text = "-- A comment.\nWITH a AS (SELECT 1)\nSELECT row_to_json(line)::text AS json,\n       \
                    json_build_array(line.id)::text AS key\nFROM (\n    SELECT 1\n    FROM a\n) AS line\nORDER BY 1\n";
        let want = "-- A comment.\nWITH a AS (SELECT 1)\nSELECT line.*\nFROM (\n    SELECT 1\n    FROM a\n) AS line\nORDER BY 1\n";
        assert_eq!(with_columns(text), want);
    }

    #[test]
    fn values_that_are_cut_are_refused() {
        for kind in [
            ColumnKind::Bool,
            ColumnKind::Smallint,
            ColumnKind::Bigint,
            ColumnKind::Network,
            ColumnKind::Time,
            ColumnKind::Jsonb,
            ColumnKind::Texts,
        ] {
            assert_eq!(json(kind, &[]), None, "{kind:?}");
        }
        assert_eq!(json(ColumnKind::Text, &[0xff]), None);
        assert_eq!(json(ColumnKind::Texts, &[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 25]), None);
        assert_eq!(json(ColumnKind::Network, &[2, 24, 1, 4, 192, 0, 2, 0]).as_deref(), Some("\"192.0.2.0/24\""));
    }
}
