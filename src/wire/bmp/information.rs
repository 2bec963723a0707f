//! Information TLVs of Initiation, Termination, Peer Up and Peer Down (RFC 7854 section 4.4, RFC 9736).

use std::ops::Deref;

use crate::model::Text;
use crate::model::text::NOTE_OCTETS_MAX;
use crate::wire::DecodeError;
use crate::wire::reader::Reader;

/// The TLVs of a message, up to the first malformed one.
///
/// The data before them (a peer, its OPENs, the end of the session) is valid even if the last TLV runs past the end of
/// the message, so a malformed TLV costs only itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InformationList<'a> {
    /// The TLVs that could be decoded, in order.
    pub tlvs: Vec<Information<'a>>,
    /// The reason for which the octets after them could not be decoded.
    pub defect: Option<DecodeError>,
}

impl<'a> InformationList<'a> {
    /// Decodes to the end of the message, or to the first TLV that runs past it.
    pub fn decode(reader: &mut Reader<'a>) -> InformationList<'a> {
        let mut list = InformationList::default();
        while !reader.is_empty() && list.defect.is_none() {
            match Information::decode(reader) {
                Ok(tlv) => list.tlvs.push(tlv),
                Err(defect) => list.defect = Some(defect),
            }
        }
        list
    }
}

impl<'a> Deref for InformationList<'a> {
    type Target = [Information<'a>];

    fn deref(&self) -> &[Information<'a>] {
        &self.tlvs
    }
}

impl<'a> FromIterator<Information<'a>> for InformationList<'a> {
    fn from_iter<I: IntoIterator<Item = Information<'a>>>(tlvs: I) -> InformationList<'a> {
        InformationList { tlvs: tlvs.into_iter().collect(), defect: None }
    }
}

/// One Information TLV, its value as sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Information<'a> {
    /// The type; its meaning depends on the message.
    pub type_code: u16,
    /// The value, as sent.
    pub value: &'a [u8],
}

impl<'a> Information<'a> {
    /// Free text, in every message; Termination numbers its other types on its own.
    pub(crate) const STRING: u16 = 0;
    /// Initiation: sysDescr.
    pub(crate) const SYS_DESCR: u16 = 1;
    /// Initiation: sysName.
    pub(crate) const SYS_NAME: u16 = 2;
    /// Peer Up and Peer Down: VRF/Table Name (RFC 9069 section 5.2.1).
    pub(crate) const TABLE_NAME: u16 = 3;
    /// Initiation: Admin Label (RFC 8671 section 6.3.1 and RFC 9736).
    pub(crate) const ADMIN_LABEL: u16 = 4;
    /// Version 4: Sequence Number (draft-ietf-grow-bmp-tlv-21).
    pub(crate) const SEQUENCE_NUMBER: u16 = 5;
    /// Termination: the reason, two octets (RFC 7854 section 4.5).
    pub(crate) const REASON: u16 = 1;

    fn decode(reader: &mut Reader<'a>) -> Result<Information<'a>, DecodeError> {
        let type_code = reader.u16("information type")?;
        let length = usize::from(reader.u16("information length")?);
        Ok(Information { type_code, value: reader.take(length, "information value")? })
    }

    /// Returns the value as text that is part of a key: a table's or a router's name.
    pub fn key(&self) -> Text {
        Text::key(self.value)
    }

    /// Returns the value as free text for display.
    pub fn note(&self) -> Text {
        Text::note(self.value)
    }
}

/// Returns a Termination's reason in words (RFC 7854 section 4.5).
pub(crate) fn termination_reason(code: u16) -> &'static str {
    match code {
        0 => "session administratively closed",
        1 => "unspecified reason",
        2 => "out of resources",
        3 => "redundant connection",
        4 => "session permanently administratively closed",
        _ => "unknown reason",
    }
}

/// Returns the reasons and texts of a Termination in words (RFC 7854 section 4.5): no longer than one note, however
/// many TLVs it has.
pub(crate) fn termination_text(information: &[Information<'_>]) -> String {
    let mut words: Vec<String> = Vec::new();
    for tlv in information {
        if words.iter().map(String::len).sum::<usize>() > NOTE_OCTETS_MAX {
            break;
        }
        match (tlv.type_code, tlv.value) {
            (Information::STRING, text) => words.push(Text::note(text).to_string()),
            (Information::REASON, [high, low]) => {
                words.push(termination_reason(u16::from_be_bytes([*high, *low])).to_owned());
            }
            _ => {}
        }
    }
    if words.is_empty() { "no reason given".to_owned() } else { Text::note(words.join(", ").as_bytes()).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tlvs_are_read_as_far_as_they_go() {
        let bytes = [0, 2, 0, 2, b'r', b'1', 0, 1, 0, 0];
        let check = |bytes: &[u8], want: &[(u16, &[u8])], defect: Option<(usize, &str)>| {
            let list = InformationList::decode(&mut Reader::new(bytes, 6));
            assert_eq!(list.iter().map(|tlv| (tlv.type_code, tlv.value)).collect::<Vec<_>>(), want);
            assert_eq!(list.defect.as_ref().map(|error| (error.offset, error.field)), defect);
        };
        check(&[], &[], None);
        check(&bytes, &[(2, b"r1"), (1, b"")], None);
        check(&bytes[..5], &[], Some((10, "information value")));
        check(&bytes[..7], &[(2, b"r1")], Some((12, "information type")));
        check(&bytes[..9], &[(2, b"r1")], Some((14, "information length")));
    }
}
