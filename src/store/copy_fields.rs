//! Single fields of binary COPY rows (PostgreSQL's `COPY .. BINARY`), written and read.
//!
//! A field is a big-endian `i32` length, -1 for NULL, and its value in the type's own binary form, as the types'
//! `*_recv` functions read it. Writing appends to a byte buffer and cannot fail.

use std::net::IpAddr;

use byteorder::{BE, ByteOrder, ReadBytesExt};

use crate::model::{Afi, Fixed, List, Prefix, Timestamp, WriteText};

/// Microseconds from 1970 to 2000, where PostgreSQL's timestamps start.
pub(super) const POSTGRES_EPOCH_MICROS: i64 = 946_684_800_000_000;

/// The object identifier of the type `text`, named inside binary arrays.
const TEXT_OID: i32 = 25;

/// Appends an `afi` field.
#[inline]
pub(super) fn put_afi(out: &mut Vec<u8>, afi: Afi) {
    put_fixed(out, &afi.column().to_be_bytes());
}

/// Appends a `boolean` field.
#[inline]
pub(super) fn put_bool(out: &mut Vec<u8>, value: bool) {
    put_fixed(out, &[u8::from(value)]);
}

/// Appends a `cidr` field.
#[inline]
pub(super) fn put_cidr(out: &mut Vec<u8>, prefix: &Prefix) {
    put_network(out, prefix.address(), prefix.length(), Network::Cidr);
}

/// Appends an `inet` field holding a host address.
#[inline]
pub(super) fn put_inet(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(_) => put_network(out, address, 32, Network::Host),
        IpAddr::V6(_) => put_network(out, address, 128, Network::Host),
    }
}

/// Appends a `timestamptz` field.
#[inline]
pub(super) fn put_timestamp(out: &mut Vec<u8>, time: Timestamp) {
    put_fixed(out, &time.unix_micros().saturating_sub(POSTGRES_EPOCH_MICROS).to_be_bytes());
}

/// Appends a `bigint` field.
#[inline]
pub(super) fn put_bigint(out: &mut Vec<u8>, value: i64) {
    // In one piece, like an address below: appending is where most of the time is spent.
    let [a, b, c, d, e, f, g, h] = value.to_be_bytes();
    out.extend_from_slice(&[0, 0, 0, 8, a, b, c, d, e, f, g, h]);
}

/// Appends a `text`, `char(n)` or `bytea` field: all three are their bytes.
#[inline]
pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = i32::try_from(bytes.len()).expect("no value of ours comes near 2 GiB: a BMP message is 1 MiB at most");
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes);
}

/// Appends a `text` field.
#[inline]
pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_bytes(out, text.as_bytes());
}

/// Appends a `text` field holding the text that `value` writes.
#[inline]
pub(super) fn put_written(out: &mut Vec<u8>, value: &impl WriteText) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    value.write_text(out);
    put_length(out, start);
}

/// Writes the length of the field that begins at `start` and ends where `out` does.
#[inline]
pub(super) fn put_length(out: &mut [u8], start: usize) {
    let length = i32::try_from(out.len() - start - 4).expect("a field is made of one BGP message");
    BE::write_i32(&mut out[start..], length);
}

/// Appends a NULL of any type.
#[inline]
pub(super) fn put_null(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0xff; 4]);
}

/// Appends a field of fixed length.
#[inline]
fn put_fixed<const N: usize>(out: &mut Vec<u8>, bytes: &[u8; N]) {
    put_bytes(out, bytes);
}

#[inline]
pub(super) fn put_u32_as_bigint(out: &mut Vec<u8>, value: Option<u32>) {
    match value {
        Some(value) => put_bigint(out, i64::from(value)),
        None => put_null(out),
    }
}

/// The third octet of an `inet` or `cidr`, which tells the two apart.
#[derive(Clone, Copy)]
enum Network {
    Host = 0,
    Cidr = 1,
}

/// Appends an `inet` or `cidr` field: family, bits, whether it is a cidr, length of the address, address.
#[inline]
fn put_network(out: &mut Vec<u8>, address: IpAddr, bits: u8, network: Network) {
    // PostgreSQL numbers the families 2 and 3 on every system (PGSQL_AF_INET, PGSQL_AF_INET6).
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            out.extend_from_slice(&[0, 0, 0, 8, 2, bits, network as u8, 4, a, b, c, d]);
        }
        IpAddr::V6(address) => {
            out.extend_from_slice(&[0, 0, 0, 20, 3, bits, network as u8, 16]);
            out.extend_from_slice(&address.octets());
        }
    }
}

/// Appends a `text[]` field: number of dimensions, whether there are NULLs, element type, then count and lower bound of
/// the one dimension and the elements. An empty array has no dimension.
#[inline]
pub(super) fn put_text_array<T: Fixed + WriteText>(out: &mut Vec<u8>, items: Option<&List<'_, T>>) {
    let Some(items) = items else { return put_null(out) };
    let start = out.len();
    let (length, no_nulls, element) = ([0; 4], [0; 4], TEXT_OID.to_be_bytes());
    let dimensions = i32::from(!items.is_empty()).to_be_bytes();
    out.extend_from_slice([length, dimensions, no_nulls, element].as_flattened());
    if !items.is_empty() {
        let count = i32::try_from(items.len()).expect("a path attribute has at most 64 KiB of communities");
        out.extend_from_slice([count.to_be_bytes(), 1i32.to_be_bytes()].as_flattened());
        // A community's text with its length is at most four times as long as its octets.
        out.reserve(4 * T::SIZE * items.len());
        for item in items.iter() {
            put_written(out, &item);
        }
    }
    put_length(out, start);
}

/// Appends a `jsonb` field: version 1 and the text. `json` is in the normal form that the database returns.
#[inline]
pub(super) fn put_jsonb(out: &mut Vec<u8>, json: &str) {
    let start = begin_jsonb(out);
    out.extend_from_slice(json.as_bytes());
    put_length(out, start);
}

/// Begins a `jsonb` field. The caller appends the text and then writes its length at the returned offset.
#[inline]
pub(super) fn begin_jsonb(out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0, 0, 0, 0, 1]);
    start
}

/// Reads the fields of binary COPY rows, as COPY OUT sends them.
#[derive(Debug)]
pub(crate) struct FieldReader<'a> {
    rest: &'a [u8],
}

impl<'a> FieldReader<'a> {
    /// Starts at the first byte after a row's field count.
    pub fn new(row: &'a [u8]) -> FieldReader<'a> {
        FieldReader { rest: row }
    }

    /// Returns the part that has not been read.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Skips `count` fields and returns the octets behind them.
    pub fn skip(&mut self, count: usize) -> &'a [u8] {
        (0..count).for_each(|_| {
            self.value();
        });
        self.rest
    }

    /// Reads the next field's value. `None` if it is NULL or cut short.
    pub fn value(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.rest.split_first_chunk::<4>()?;
        let length = usize::try_from(i32::from_be_bytes(*length)).ok();
        let (value, rest) = rest.split_at_checked(length.unwrap_or(0))?;
        self.rest = rest;
        length.map(|_| value)
    }

    /// Reads the next field as a prefix.
    pub fn prefix(&mut self) -> Option<Prefix> {
        let [family, bits, _is_cidr, _length, octets @ ..] = self.value()? else { return None };
        let afi = match family {
            2 => Afi::Ipv4,
            3 => Afi::Ipv6,
            _ => return None,
        };
        Prefix::new(afi, octets, *bits).ok()
    }

    /// Reads the next field as a `bigint`.
    pub fn bigint(&mut self) -> Option<i64> {
        self.value()?.read_i64::<BE>().ok()
    }

    /// Reads the next field as the `path_id` of `current_routes`.
    pub fn path_id(&mut self) -> Option<u32> {
        u32::try_from(self.bigint()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_they_are_written() {
        for (afi, octets, length) in [(Afi::Ipv4, &[10, 128][..], 9), (Afi::Ipv6, &[0x20, 1, 0x0d, 0xb8], 32)] {
            let prefix = Prefix::new(afi, octets, length).unwrap();
            let mut out = Vec::new();
            put_cidr(&mut out, &prefix);
            put_bigint(&mut out, i64::from(u32::MAX));
            let mut fields = FieldReader::new(&out);
            assert_eq!((fields.prefix(), fields.path_id(), fields.rest()), (Some(prefix), Some(u32::MAX), &[][..]));
            assert_eq!(FieldReader::new(&out[..out.len() - 13]).prefix(), None);
        }
    }
}
