//! Messages and state changes of BGP sessions: BGP4MP (RFC 6396 section 4.4, RFC 8050 section 3).

use std::net::IpAddr;

use crate::model::AsWidth;
use crate::wire::DecodeError;
use crate::wire::reader::Reader;

use super::rib::{address, asn};
use super::types::{STATE_CHANGE, STATE_CHANGE_AS4};

/// A record of one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bgp4mp<'a> {
    pub(crate) peer_asn: u32,
    pub(crate) local_asn: u32,
    pub(crate) peer: IpAddr,
    pub(crate) local: IpAddr,
    pub(crate) event: SessionRecord<'a>,
}

/// The content of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionRecord<'a> {
    /// A state of the finite state machine (RFC 4271 section 8.2.2) follows another.
    State { old: u16, new: u16 },
    /// A BGP message.
    Message {
        bgp: &'a [u8],
        /// The offset of the message in the record.
        offset: usize,
        /// The width of AS numbers in it.
        width: AsWidth,
        /// True if its NLRI have path identifiers.
        has_path_ids: bool,
        /// True if the collector sent it to the peer.
        is_sent: bool,
    },
}

/// The form of a record.
struct Form {
    is_as4: bool,
    /// Of a message: path identifiers, and whether it was sent.
    message: Option<(bool, bool)>,
}

fn form(subtype: u16) -> Option<Form> {
    let message = |is_as4, has_path_ids, is_sent| Some(Form { is_as4, message: Some((has_path_ids, is_sent)) });
    match subtype {
        STATE_CHANGE => Some(Form { is_as4: false, message: None }),
        STATE_CHANGE_AS4 => Some(Form { is_as4: true, message: None }),
        1 => message(false, false, false),
        4 => message(true, false, false),
        6 => message(false, false, true),
        7 => message(true, false, true),
        8 => message(false, true, false),
        9 => message(true, true, false),
        10 => message(false, true, true),
        11 => message(true, true, true),
        _ => None,
    }
}

impl<'a> Bgp4mp<'a> {
    /// Decodes the body of a record; `None` if the subtype is unknown or deprecated.
    pub(crate) fn decode(subtype: u16, body: &'a [u8]) -> Option<Result<Bgp4mp<'a>, DecodeError>> {
        form(subtype).map(|form| Bgp4mp::read(Reader::new(body, 0), &form))
    }

    fn read(mut reader: Reader<'a>, form: &Form) -> Result<Bgp4mp<'a>, DecodeError> {
        let peer_asn = asn(&mut reader, form.is_as4, "Peer AS Number")?;
        let local_asn = asn(&mut reader, form.is_as4, "Local AS Number")?;
        reader.u16("Interface Index")?;
        let at = reader.offset();
        let is_ipv6 = match reader.u16("Address Family")? {
            1 => false,
            2 => true,
            other => return Err(DecodeError::new(at, "Address Family", format!("{other} is neither IPv4 nor IPv6"))),
        };
        let peer = address(&mut reader, is_ipv6, "Peer IP Address")?;
        let local = address(&mut reader, is_ipv6, "Local IP Address")?;
        let event = match form.message {
            None => SessionRecord::State { old: reader.u16("Old State")?, new: reader.u16("New State")? },
            Some((has_path_ids, is_sent)) => {
                let offset = reader.offset();
                let width = if form.is_as4 { AsWidth::Four } else { AsWidth::Two };
                let bgp = message(&mut reader)?;
                SessionRecord::Message { bgp, offset, width, has_path_ids, is_sent }
            }
        };
        Ok(Bgp4mp { peer_asn, local_asn, peer, local, event })
    }
}

/// Reads the BGP message, which has to fill the rest of the record.
fn message<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], DecodeError> {
    let at = reader.offset();
    let bgp = reader.rest();
    let length = bgp.get(16..18).map(|length| usize::from(u16::from_be_bytes([length[0], length[1]])));
    match length {
        Some(length) if length == bgp.len() && length >= 19 => Ok(bgp),
        Some(length) => {
            let why = format!("a BGP message of {length} octets in {} octets", bgp.len());
            Err(DecodeError::new(at + 16, "BGP Message", why))
        }
        None => Err(DecodeError::new(at, "BGP Message", format!("{} octets are no BGP message", bgp.len()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_of_both_widths() {
        let keepalive = [&[0xff; 16][..], &[0, 19, 4]].concat();
        let addresses = [0, 0, 0, 1, 192, 0, 2, 1, 192, 0, 2, 2];
        let two = [&[0xfb, 0xf1, 0xfb, 0xf2][..], &addresses, &keepalive].concat();
        let four = [&[0, 1, 0, 0, 0, 0, 0xfb, 0xf2][..], &addresses, &[0, 5, 0, 6]].concat();
        let of_two = Bgp4mp::decode(1, &two).unwrap().unwrap();
        let of_four = Bgp4mp::decode(5, &four).unwrap().unwrap();
        assert_eq!((of_two.peer_asn, of_four.peer_asn, of_two.peer), (64_497, 65_536, of_four.peer));
        assert_eq!(of_four.event, SessionRecord::State { old: 5, new: 6 });
        for end in 0..two.len() {
            assert!(Bgp4mp::decode(1, &two[..end]).unwrap().is_err(), "{end}");
        }
        assert!(Bgp4mp::decode(1, &[&two[..], &[0]].concat()).unwrap().is_err(), "octets after the message");
        assert!(Bgp4mp::decode(2, &two).is_none());
    }
}
