//! NLRI of SR policies (RFC 9830 section 2.1): the candidate path that an UPDATE advertises.

use super::fields::{Fields, Framed, end, last_address};
use crate::model::Afi;
use crate::wire::DecodeError;
use crate::wire::reader::Reader;

/// Reads one NLRI: length in bits, distinguisher, color, endpoint. All fields are part of the key.
pub(super) fn read(reader: &mut Reader<'_>, afi: Afi) -> Framed {
    let at = reader.offset();
    let bits = reader.u8("NLRI length")?;
    let body = reader.sub(usize::from(bits).div_ceil(8), "SR policy")?;
    Ok(route(bits, at, body, afi))
}

/// The length and the AFI have to agree (RFC 9830 section 5).
fn route(bits: u8, at: usize, mut body: Reader<'_>, afi: Afi) -> Result<Fields, DecodeError> {
    let expected = 64 + afi.max_prefix_length();
    if bits != expected {
        return Err(DecodeError::new(at, "NLRI length", format!("{bits} is not {expected} bits")));
    }
    let mut fields = Fields::new(format!("sr-policy:{}", afi.column()));
    fields.add_to_key("distinguisher", body.u32("distinguisher")?);
    fields.add_to_key("color", body.u32("policy color")?);
    fields.add_to_key("endpoint", last_address(&mut body, "endpoint")?);
    end(body)?;
    Ok(fields)
}
