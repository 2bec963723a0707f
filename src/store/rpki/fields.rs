//! Fields of rows that are read and written by binary COPY.

use super::super::copy_fields::{FieldReader, put_bytes};
use super::super::error::{Error, Result};
use crate::model::{Asn, Prefix};

/// Appends a `smallint` field.
pub(super) fn put_smallint(out: &mut Vec<u8>, value: u8) {
    put_bytes(out, &i16::from(value).to_be_bytes());
}

/// Reads a prefix, which every row has.
pub(super) fn prefix(fields: &mut FieldReader<'_>) -> Result<Prefix> {
    fields.prefix().ok_or_else(|| unexpected("prefix"))
}

/// Reads a maxLength.
pub(super) fn max_length(fields: &mut FieldReader<'_>) -> Result<u8> {
    fields.bigint().and_then(|length| u8::try_from(length).ok()).ok_or_else(|| unexpected("maxLength"))
}

/// Reads an AS number.
pub(super) fn asn(fields: &mut FieldReader<'_>) -> Result<Asn> {
    fields.bigint().and_then(|asn| u32::try_from(asn).ok()).map(Asn).ok_or_else(|| unexpected("AS number"))
}

/// Reads a text; `None` if it is NULL.
pub(super) fn text<'a>(fields: &mut FieldReader<'a>) -> Option<&'a str> {
    std::str::from_utf8(fields.value()?).ok()
}

fn unexpected(what: &str) -> Error {
    Error::Unexpected(format!("a row of the schema rpki without a {what}"))
}
