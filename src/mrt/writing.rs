//! Records and their parts, written (RFC 6396 sections 2 and 4).

use std::io::{self, Write};
use std::net::IpAddr;

use super::types::BGP4MP_ET;
use crate::model::{Prefix, Timestamp};

/// Writes a record. One of BGP4MP_ET has its microseconds.
pub(crate) fn record(
    out: &mut impl Write,
    time: Timestamp,
    type_code: u16,
    subtype: u16,
    body: &[u8],
) -> io::Result<()> {
    let micros = time.unix_micros();
    let part = |value: i64| u32::try_from(value).unwrap_or(0).to_be_bytes();
    let (seconds, micros) = (part(micros.div_euclid(1_000_000)), part(micros.rem_euclid(1_000_000)));
    let micros = if type_code == BGP4MP_ET { &micros[..] } else { &[] };
    let length = u32::try_from(micros.len() + body.len()).map_err(io::Error::other)?;
    out.write_all(&seconds)?;
    out.write_all(&type_code.to_be_bytes())?;
    out.write_all(&subtype.to_be_bytes())?;
    out.write_all(&length.to_be_bytes())?;
    out.write_all(micros)?;
    out.write_all(body)
}

/// Appends the octets of an address.
pub(crate) fn address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => out.extend(address.octets()),
        IpAddr::V6(address) => out.extend(address.octets()),
    }
}

/// Returns a prefix as NLRI: its length in bits, and the octets that these need.
pub(crate) fn nlri(prefix: &Prefix) -> Vec<u8> {
    let mut out = Vec::with_capacity(17);
    out.push(prefix.length());
    address(&mut out, prefix.address());
    out.truncate(1 + usize::from(prefix.length()).div_ceil(8));
    out
}
