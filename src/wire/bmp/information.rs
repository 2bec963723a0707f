//! Information TLVs of Initiation, Termination, Peer Up and Peer Down (RFC 7854 section 4.4, RFC 9736).

use crate::model::Text;
use crate::wire::Error;
use crate::wire::reader::Reader;

/// One TLV, its value as sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Information<'a> {
    /// The type; what it means depends on the message.
    pub type_code: u16,
    /// The value.
    pub value: &'a [u8],
}

impl<'a> Information<'a> {
    /// Free text, in every message but Termination's own numbering.
    pub const STRING: u16 = 0;
    /// Initiation: sysDescr.
    pub const SYS_DESCR: u16 = 1;
    /// Initiation: sysName.
    pub const SYS_NAME: u16 = 2;
    /// Peer Up and Peer Down: VRF/Table Name (RFC 9069 section 5.2.1).
    pub const TABLE_NAME: u16 = 3;
    /// Initiation: Admin Label (RFC 8671 section 6.3.1 and RFC 9736).
    pub const ADMIN_LABEL: u16 = 4;
    /// Termination: the reason, two octets (RFC 7854 section 4.5).
    pub const REASON: u16 = 1;

    /// All TLVs up to the end of the message.
    ///
    /// # Errors
    /// A TLV runs over the end.
    pub fn decode_all(reader: &mut Reader<'a>) -> Result<Vec<Information<'a>>, Error> {
        let mut all = Vec::new();
        while !reader.is_empty() {
            let type_code = reader.u16("information type")?;
            let length = usize::from(reader.u16("information length")?);
            all.push(Information { type_code, value: reader.take(length, "information value")? });
        }
        Ok(all)
    }

    /// The value as text.
    pub fn text(&self) -> Text {
        Text::from_wire(self.value)
    }
}

/// The reason of a Termination in words (RFC 7854 section 4.5).
pub fn termination_reason(code: u16) -> &'static str {
    match code {
        0 => "session administratively closed",
        1 => "unspecified reason",
        2 => "out of resources",
        3 => "redundant connection",
        4 => "session permanently administratively closed",
        _ => "unknown reason",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tlvs_fill_the_message_exactly() {
        let bytes = [0, 2, 0, 2, b'r', b'1', 0, 1, 0, 0];
        let all = Information::decode_all(&mut Reader::new(&bytes, 6)).unwrap();
        assert_eq!(all.iter().map(|tlv| (tlv.type_code, tlv.value)).collect::<Vec<_>>(), [(2, &b"r1"[..]), (1, b"")]);
        let error = Information::decode_all(&mut Reader::new(&bytes[..5], 6)).unwrap_err();
        assert_eq!((error.offset, error.field), (10, "information value"));
        let error = Information::decode_all(&mut Reader::new(&bytes[..7], 6)).unwrap_err();
        assert_eq!((error.offset, error.field), (12, "information type"));
    }
}
