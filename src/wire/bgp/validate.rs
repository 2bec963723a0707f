//! Checks the structure of attributes whose value is kept as sent: only as far as their error handling requires.

use crate::model::tunnels::prefix_sid_tiles;
use crate::wire::reader::Reader;

/// Checks that the value of an attribute that is not decoded is well formed. Types without a rule always are.
///
/// # Errors
/// The value is malformed; the text is the reason.
pub fn check(code: u8, value: &[u8]) -> Result<(), &'static str> {
    match code {
        22 => pmsi_tunnel(value),
        23 => tunnel_encapsulation(value),
        40 => prefix_sid(value),
        _ => Ok(()),
    }
}

/// Checks for flags, tunnel type, a label of three octets and the tunnel's identifier (RFC 6514 section 5). Tunnel
/// types are not checked: the registry grows.
fn pmsi_tunnel(value: &[u8]) -> Result<(), &'static str> {
    if value.len() < 5 { Err("shorter than flags, tunnel type and label") } else { Ok(()) }
}

/// Checks for TLVs of sub-TLVs, both exactly filled, at least one TLV (RFC 9012 sections 2, 3 and 13).
fn tunnel_encapsulation(value: &[u8]) -> Result<(), &'static str> {
    /// The first sub-TLV type whose length field has two octets.
    const LONG: u8 = 128;
    const OVER: &str = "a TLV or sub-TLV runs past the end";
    let mut tlvs = Reader::new(value, 0);
    if tlvs.is_empty() {
        return Err("contains no TLV");
    }
    while !tlvs.is_empty() {
        tlvs.u16("tunnel type").map_err(|_| OVER)?;
        let length = tlvs.u16("tunnel length").map_err(|_| OVER)?;
        let mut sub_tlvs = tlvs.sub(length.into(), "tunnel").map_err(|_| OVER)?;
        while !sub_tlvs.is_empty() {
            let kind = sub_tlvs.u8("sub-TLV type").map_err(|_| OVER)?;
            let length =
                if kind < LONG { sub_tlvs.u8("sub-TLV length").map(u16::from) } else { sub_tlvs.u16("sub-TLV length") };
            sub_tlvs.take(length.map_err(|_| OVER)?.into(), "sub-TLV").map_err(|_| OVER)?;
        }
    }
    Ok(())
}

/// Checks for TLVs that fill the value exactly (RFC 8669 section 6).
fn prefix_sid(value: &[u8]) -> Result<(), &'static str> {
    if prefix_sid_tiles(value) { Ok(()) } else { Err("a TLV runs past the end") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_hold_together_or_not() {
        let good = |code, value: &[u8]| assert_eq!(check(code, value), Ok(()), "{code} {value:?}");
        let bad = |code, value: &[u8]| assert!(check(code, value).is_err(), "{code} {value:?}");
        good(99, &[]);
        good(22, &[0, 6, 0, 0, 0]);
        bad(22, &[0, 6, 0, 0]);
        good(23, &[0, 8, 0, 6, 0, 4, 192, 0, 2, 1]);
        good(23, &[0, 8, 0, 0, 0, 9, 0, 4, 200, 0, 1, 7]);
        bad(23, &[]);
        bad(23, &[0, 8, 0]);
        bad(23, &[0, 8, 0, 6, 0, 4, 192, 0, 2]);
        bad(23, &[0, 8, 0, 6, 0, 5, 192, 0, 2, 1]);
        bad(23, &[0, 9, 0, 2, 200, 0]);
    }
}
