//! NLRI of VPLS: blocks of labels (RFC 4761 section 3.2.2), and the PEs of auto-discovery (RFC 6074 section 3.2.2.1). Their
//! lengths tell them apart.
//!
//! The size of a block and its first label are no part of the key: a PE that sends the same site and offset again replaces
//! them. Layer 2 VPNs of RFC 6624 have the same family and other lengths: their octets are kept.

use super::fields::{Fields, Framed, end, rd};
use crate::wire::DecodeError;
use crate::wire::reader::Reader;

/// Octets of a block of labels: distinguisher, VE ID, offset, size, label.
const BLOCK_SIZE: usize = 17;

/// Octets of a PE: distinguisher, IPv4 address.
const PE_SIZE: usize = 12;

/// The fewest octets of an NLRI of RFC 6624: distinguisher, CE ID, offset, label.
const L2VPN_SIZE_MIN: usize = 15;

/// Reads one NLRI: length in octets, a block or a PE.
pub(super) fn read(reader: &mut Reader<'_>) -> Framed {
    let at = reader.offset();
    let length = usize::from(reader.u16("VPLS NLRI length")?);
    let body = reader.sub(length, "VPLS NLRI")?;
    Ok(match length {
        BLOCK_SIZE => block(body),
        PE_SIZE => pe(body),
        L2VPN_SIZE_MIN.. => Ok(l2vpn(body)),
        _ => Err(DecodeError::new(at, "VPLS NLRI length", format!("{length} is neither 12 nor 17"))),
    })
}

fn block(mut body: Reader<'_>) -> Result<Fields, DecodeError> {
    let mut fields = Fields::named("vpls", "label_block");
    rd(&mut fields, &mut body)?;
    fields.add_to_key("ve_id", body.u16("VE ID")?);
    fields.add_to_key("ve_block_offset", body.u16("VE Block Offset")?);
    fields.add("ve_block_size", body.u16("VE Block Size")?);
    let [a, b, c] = body.array("Label Base")?;
    fields.add("label_base", u32::from_be_bytes([0, a, b, c]) >> 4);
    end(body)?;
    Ok(fields)
}

fn pe(mut body: Reader<'_>) -> Result<Fields, DecodeError> {
    let mut fields = Fields::named("vpls", "auto_discovery");
    rd(&mut fields, &mut body)?;
    fields.add_to_key("pe_address", body.ipv4("PE_addr")?.to_string());
    end(body)?;
    Ok(fields)
}

fn l2vpn(mut body: Reader<'_>) -> Fields {
    Fields::unknown_form("vpls", body.rest())
}
