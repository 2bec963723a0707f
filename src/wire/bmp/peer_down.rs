//! Peer Down (RFC 7854 section 4.9, RFC 9069 section 5.3).

use std::fmt;

use super::information::InformationList;
use super::peer::PerPeerHeader;
use crate::wire::DecodeError;
use crate::wire::bgp::notification::{Notification, fsm_event_name};
use crate::wire::reader::Reader;

/// A Peer Down message: a peer, or a Loc-RIB instance, is no longer monitored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerDown<'a> {
    /// The peer or Loc-RIB instance.
    pub peer: PerPeerHeader,
    /// The reason code.
    pub reason: u8,
    /// Reasons 1 and 3: the NOTIFICATION that ended the session.
    pub notification: Option<Notification<'a>>,
    /// Reason 2: the FSM event, 0 for "unknown".
    pub fsm_event: Option<u16>,
    /// The TLVs, among them the table name: those of reason 6, and in version 4 those after the data of every other
    /// reason (draft-ietf-grow-bmp-tlv-20 section 5.3).
    pub information: InformationList<'a>,
}

/// Octets of marker, length and type before a NOTIFICATION's error code.
const BGP_HEADER_SIZE: usize = 19;

impl<'a> PeerDown<'a> {
    /// Decodes the message. The data that the reason requires may be missing altogether: the peer is down anyway.
    ///
    /// # Errors
    /// The header, or the data that the reason requires, is cut short.
    pub fn decode(version: u8, reader: &mut Reader<'a>) -> Result<PeerDown<'a>, DecodeError> {
        let peer = PerPeerHeader::decode(reader)?;
        let reason = reader.u8("peer down reason")?;
        let mut down =
            PeerDown { peer, reason, notification: None, fsm_event: None, information: InformationList::default() };
        match reason {
            1..=3 if reader.is_empty() => {}
            1 | 3 => {
                let header = reader.take(BGP_HEADER_SIZE, "NOTIFICATION header")?;
                let length = usize::from(u16::from_be_bytes([header[16], header[17]]));
                let code = reader.u8("NOTIFICATION error code")?;
                let subcode = reader.u8("NOTIFICATION error subcode")?;
                let size = length.saturating_sub(BGP_HEADER_SIZE + 2);
                let data = reader.take(size, "NOTIFICATION data").ok();
                down.notification = Some(Notification { code, subcode, data: data.unwrap_or_default() });
                if version == 4 && data.is_some() {
                    down.information = InformationList::decode(reader);
                }
            }
            2 => {
                down.fsm_event = Some(reader.u16("FSM event code")?);
                if version == 4 {
                    down.information = InformationList::decode(reader);
                }
            }
            _ if version == 4 || reason == 6 => down.information = InformationList::decode(reader),
            _ => {}
        }
        Ok(down)
    }

    /// Returns the reason's name in RFC 7854 section 4.9 and RFC 9069 section 5.3, in snake case.
    pub(crate) fn reason_name(&self) -> &'static str {
        match self.reason {
            1 => "local_notification",
            2 => "local_no_notification",
            3 => "remote_notification",
            4 => "remote_no_notification",
            5 => "peer_de_configured",
            6 => "local_system_closed",
            _ => "unknown",
        }
    }
}

/// Writes the reason in words, for the log and for `session_events`.
impl fmt::Display for PeerDown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(notification), 1 | 3) = (self.notification, self.reason) {
            return write!(f, "NOTIFICATION {}: {notification}", if self.reason == 1 { "sent" } else { "received" });
        }
        match self.reason {
            1 => f.write_str("local system closed the session with a NOTIFICATION"),
            2 => f.write_str("local system closed the session without a NOTIFICATION"),
            3 => f.write_str("remote system closed the session with a NOTIFICATION"),
            4 => f.write_str("remote system closed the session without a NOTIFICATION"),
            5 => f.write_str("monitoring of the peer was ended by configuration"),
            6 => f.write_str("local system closed, table no longer monitored"),
            reason => write!(f, "reason {reason}"),
        }?;
        match self.fsm_event.map(|event| (event, fsm_event_name(event))) {
            None | Some((0, _)) => Ok(()),
            Some((event, None)) => write!(f, " (FSM event {event})"),
            Some((event, Some(name))) => write!(f, " (FSM event {event}, {name})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A Peer Down with a header of zeros.
    fn down(body: &[u8]) -> Result<PeerDown<'static>, DecodeError> {
        let bytes = [&[0; 42][..], body].concat().leak();
        PeerDown::decode(3, &mut Reader::new(bytes, 6))
    }

    #[test]
    fn each_reason_has_its_own_data() {
        let notification = [&[0xff; 16][..], &[0, 23, 3, 6, 2, 1, b'x']].concat();
        let check = |reason: u8, data: &[u8], text: &str, tables: usize| {
            let body = [&[reason][..], data].concat();
            let down = down(&body).unwrap();
            assert_eq!((down.to_string().as_str(), down.information.len()), (text, tables));
        };
        check(1, &notification, "NOTIFICATION sent: Cease, Administrative Shutdown: \"x\"", 0);
        check(3, &notification, "NOTIFICATION received: Cease, Administrative Shutdown: \"x\"", 0);
        // Its data is cut short.
        check(3, &notification[..22], "NOTIFICATION received: Cease, Administrative Shutdown", 0);
        check(1, &[], "local system closed the session with a NOTIFICATION", 0);
        check(
            2,
            &[0, 18],
            "local system closed the session without a NOTIFICATION (FSM event 18, TcpConnectionFails)",
            0,
        );
        check(2, &[0, 0], "local system closed the session without a NOTIFICATION", 0);
        check(2, &[], "local system closed the session without a NOTIFICATION", 0);
        check(4, &[], "remote system closed the session without a NOTIFICATION", 0);
        check(5, &[], "monitoring of the peer was ended by configuration", 0);
        check(6, &[0, 3, 0, 1, b'a'], "local system closed, table no longer monitored", 1);
        check(0, &[1, 2, 3], "reason 0", 0);
    }

    #[test]
    fn in_version_4_tlvs_follow_the_data_of_every_reason() {
        let notification = [&[0xff; 16][..], &[0, 23, 3, 6, 2, 1, b'x']].concat();
        let name = [0, 3, 0, 3, b'r', b'e', b'd'];
        for (reason, data) in
            [(1, &notification[..]), (2, &[0, 18]), (3, &notification), (4, &[]), (5, &[]), (6, &[]), (9, &[])]
        {
            let bytes = [&[0; 42][..], &[reason], data, &name].concat().leak();
            let down = PeerDown::decode(4, &mut Reader::new(bytes, 6)).unwrap();
            assert_eq!(
                down.information.iter().map(|tlv| (tlv.type_code, tlv.value)).collect::<Vec<_>>(),
                [(3, &b"red"[..])]
            );
            assert_eq!(down.notification.is_some(), reason == 1 || reason == 3);
            let before = PeerDown::decode(3, &mut Reader::new(bytes, 6)).unwrap();
            assert_eq!(before.information.len(), usize::from(reason == 6));
        }
    }

    #[test]
    fn what_is_cut_short_is_named_with_its_place() {
        let check = |body: &[u8], offset, field| {
            let error = down(body).unwrap_err();
            assert_eq!((error.offset, error.field), (offset, field), "{body:?}");
        };
        check(&[], 48, "peer down reason");
        check(&[1, 0xff], 49, "NOTIFICATION header");
        check(&[&[3][..], &[0xff; 19]].concat(), 68, "NOTIFICATION error code");
        check(&[2, 1], 49, "FSM event code");
        let down = down(&[6, 0, 3, 0, 2, 1]).unwrap();
        assert_eq!(down.information.defect.map(|error| (error.offset, error.field)), Some((53, "information value")));
    }
}
