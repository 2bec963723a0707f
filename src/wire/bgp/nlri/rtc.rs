//! NLRI of route target constraints (RFC 4684 section 4): a prefix of an origin AS and a route target.

use super::fields::{Fields, Framed, end};
use crate::model::ExtendedCommunity;
use crate::model::write_text::hex;
use crate::wire::DecodeError;
use crate::wire::reader::Reader;

/// Bits of the origin AS.
const ORIGIN_AS_BITS: u8 = 32;

/// Bits of the longest prefix: origin AS and a whole route target.
const BITS_MAX: u8 = 96;

/// Reads one NLRI: length in bits, prefix.
pub(super) fn read(reader: &mut Reader<'_>) -> Framed {
    let at = reader.offset();
    let bits = reader.u8("prefix length")?;
    if bits > BITS_MAX {
        return Err(DecodeError::new(at, "prefix length", format!("{bits} is longer than 96")));
    }
    let body = reader.sub(usize::from(bits).div_ceil(8), "prefix")?;
    Ok(route(bits, at, body))
}

/// A length of 0 is the default, which asks for all routes; any other contains the whole origin AS. Bits after the
/// length do not count.
fn route(bits: u8, at: usize, mut body: Reader<'_>) -> Result<Fields, DecodeError> {
    let mut fields = Fields::new("rtc");
    fields.add_to_key("prefix_length", bits);
    let Some(target_bits) = bits.checked_sub(ORIGIN_AS_BITS) else {
        return if bits == 0 {
            Ok(fields)
        } else {
            Err(DecodeError::new(at, "prefix length", format!("{bits} is neither 0 nor 32 to 96")))
        };
    };
    fields.add_to_key("origin_as", body.u32("origin AS")?);
    let mut target = body.rest().to_vec();
    if let Some(last) = target.last_mut() {
        *last &= 0xff_u8 << (7 - (target_bits + 7) % 8);
    }
    match (<[u8; 8]>::try_from(&target[..]), target_bits) {
        (Ok(whole), 64) => fields.add_to_key("route_target", ExtendedCommunity(whole).to_string()),
        _ if target.is_empty() => {}
        _ => fields.add_to_key("route_target", hex(&target)),
    }
    end(body)?;
    Ok(fields)
}
