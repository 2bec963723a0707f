//! NOTIFICATION (RFC 4271 section 4.5) in words: the names of its codes, and the text for people that it may carry.

use std::fmt;

use crate::model::Text;

/// The largest depth of NOTIFICATIONs in Hard Resets: one is what RFC 8538 section 3.1 knows.
const NESTED_MAX: u8 = 1;

/// The error of a NOTIFICATION.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notification<'a> {
    /// The error code.
    pub code: u8,
    /// The error subcode.
    pub subcode: u8,
    /// The data.
    pub data: &'a [u8],
}

/// The data of a Cease.
enum Cease<'a> {
    /// The text of RFC 9003, without its length.
    Shutdown(&'a [u8]),
    /// The limit (RFC 4486 section 4).
    MaximumPrefixes(u32),
    /// The NOTIFICATION that it stands for (RFC 8538 section 3.1).
    HardReset(Notification<'a>),
}

impl<'a> Notification<'a> {
    /// Reads the data of a Cease, as far as it is as its RFC wants it.
    fn cease(&self) -> Option<Cease<'a>> {
        match (self.code, self.subcode, self.data) {
            (6, 1, [_, _, _, limit @ ..]) => Some(Cease::MaximumPrefixes(u32::from_be_bytes(limit.try_into().ok()?))),
            (6, 2 | 4, [length, text @ ..]) => {
                text.get(..usize::from(*length)).filter(|text| !text.is_empty()).map(Cease::Shutdown)
            }
            (6, 9, [code, subcode, data @ ..]) => {
                Some(Cease::HardReset(Notification { code: *code, subcode: *subcode, data }))
            }
            _ => None,
        }
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, depth: u8) -> fmt::Result {
        match error_name(self.code) {
            Some(name) => f.write_str(name)?,
            None => write!(f, "code {}", self.code)?,
        }
        match (subcode_name(self.code, self.subcode), self.subcode) {
            (Some(name), _) => write!(f, ", {name}")?,
            (None, 0) => {}
            (None, subcode) => write!(f, ", subcode {subcode}")?,
        }
        match self.cease() {
            // It stands in lines of logs and messages.
            Some(Cease::Shutdown(text)) => {
                write!(f, ": \"{}\"", Text::note(text).as_str().replace(char::is_control, " "))
            }
            Some(Cease::MaximumPrefixes(limit)) => write!(f, " (limit {limit})"),
            Some(Cease::HardReset(inner)) if depth < NESTED_MAX => {
                f.write_str(" (")?;
                inner.write(f, depth + 1)?;
                f.write_str(")")
            }
            Some(Cease::HardReset(_)) | None => Ok(()),
        }
    }
}

/// Writes the names of code and subcode, and the text for people.
impl fmt::Display for Notification<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, 0)
    }
}

/// Returns the name of an error code in the IANA registry of BGP error codes.
fn error_name(code: u8) -> Option<&'static str> {
    Some(match code {
        1 => "Message Header Error",
        2 => "OPEN Message Error",
        3 => "UPDATE Message Error",
        4 => "Hold Timer Expired",
        5 => "Finite State Machine Error",
        6 => "Cease",
        7 => "ROUTE-REFRESH Message Error",
        8 => "Send Hold Timer Expired",
        _ => return None,
    })
}

/// Returns the name of an error subcode: RFC 4271 section 4.5, RFC 5492, RFC 9234, RFC 6608, RFC 4486, RFC 8538, RFC 9384
/// and RFC 7313.
fn subcode_name(code: u8, subcode: u8) -> Option<&'static str> {
    Some(match (code, subcode) {
        (1, 1) => "Connection Not Synchronized",
        (1, 2) => "Bad Message Length",
        (1, 3) => "Bad Message Type",
        (2, 1) => "Unsupported Version Number",
        (2, 2) => "Bad Peer AS",
        (2, 3) => "Bad BGP Identifier",
        (2, 4) => "Unsupported Optional Parameter",
        (2, 6) => "Unacceptable Hold Time",
        (2, 7) => "Unsupported Capability",
        (2, 11) => "Role Mismatch",
        (3, 1) => "Malformed Attribute List",
        (3, 2) => "Unrecognized Well-known Attribute",
        (3, 3) => "Missing Well-known Attribute",
        (3, 4) => "Attribute Flags Error",
        (3, 5) => "Attribute Length Error",
        (3, 6) => "Invalid ORIGIN Attribute",
        (3, 8) => "Invalid NEXT_HOP Attribute",
        (3, 9) => "Optional Attribute Error",
        (3, 10) => "Invalid Network Field",
        (3, 11) => "Malformed AS_PATH",
        (5, 1) => "Unexpected Message in OpenSent State",
        (5, 2) => "Unexpected Message in OpenConfirm State",
        (5, 3) => "Unexpected Message in Established State",
        (6, 1) => "Maximum Number of Prefixes Reached",
        (6, 2) => "Administrative Shutdown",
        (6, 3) => "Peer De-configured",
        (6, 4) => "Administrative Reset",
        (6, 5) => "Connection Rejected",
        (6, 6) => "Other Configuration Change",
        (6, 7) => "Connection Collision Resolution",
        (6, 8) => "Out of Resources",
        (6, 9) => "Hard Reset",
        (6, 10) => "BFD Down",
        (7, 1) => "Invalid Message Length",
        _ => return None,
    })
}

/// Returns the name of an event of the finite state machine (RFC 4271 section 8.1).
pub(crate) fn fsm_event_name(event: u16) -> Option<&'static str> {
    Some(match event {
        1 => "ManualStart",
        2 => "ManualStop",
        3 => "AutomaticStart",
        4 => "ManualStart_with_PassiveTcpEstablishment",
        5 => "AutomaticStart_with_PassiveTcpEstablishment",
        6 => "AutomaticStart_with_DampPeerOscillations",
        7 => "AutomaticStart_with_DampPeerOscillations_and_PassiveTcpEstablishment",
        8 => "AutomaticStop",
        9 => "ConnectRetryTimer_Expires",
        10 => "HoldTimer_Expires",
        11 => "KeepaliveTimer_Expires",
        12 => "DelayOpenTimer_Expires",
        13 => "IdleHoldTimer_Expires",
        14 => "TcpConnection_Valid",
        15 => "Tcp_CR_Invalid",
        16 => "Tcp_CR_Acked",
        17 => "TcpConnectionConfirmed",
        18 => "TcpConnectionFails",
        19 => "BGPOpen",
        20 => "BGPOpen with DelayOpenTimer running",
        21 => "BGPHeaderErr",
        22 => "BGPOpenMsgErr",
        23 => "OpenCollisionDump",
        24 => "NotifMsgVerErr",
        25 => "NotifMsg",
        26 => "KeepAliveMsg",
        27 => "UpdateMsg",
        28 => "UpdateMsgErr",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_their_names() {
        let check = |code, subcode, data: &[u8], text: &str| {
            assert_eq!(Notification { code, subcode, data }.to_string(), text);
        };
        check(4, 0, &[], "Hold Timer Expired");
        check(2, 2, &[0, 1], "OPEN Message Error, Bad Peer AS");
        check(3, 11, &[], "UPDATE Message Error, Malformed AS_PATH");
        check(6, 6, &[], "Cease, Other Configuration Change");
        check(6, 10, &[], "Cease, BFD Down");
        check(6, 77, &[], "Cease, subcode 77");
        check(9, 3, &[], "code 9, subcode 3");
        check(0, 0, &[], "code 0");
        // Every code has a name, and no subcode of an unknown code.
        assert!((1..=8).all(|code| error_name(code).is_some()));
        assert!((0..=255).all(|subcode| subcode_name(9, subcode).is_none() && subcode_name(4, subcode).is_none()));
        assert!((1..=28).all(|event| fsm_event_name(event).is_some()) && fsm_event_name(29).is_none());
    }

    #[test]
    fn data_of_a_cease_is_told() {
        let check = |subcode, data: &[u8], text: &str| {
            assert_eq!(Notification { code: 6, subcode, data }.to_string(), format!("Cease, {text}"));
        };
        check(2, b"\x0funtil 06:00 UTC", "Administrative Shutdown: \"until 06:00 UTC\"");
        check(4, b"\x04back and more", "Administrative Reset: \"back\"");
        // Empty, and longer than the message.
        check(2, b"\0", "Administrative Shutdown");
        check(2, b"\x05back", "Administrative Shutdown");
        check(1, &[0, 1, 1, 0, 0, 3, 0xe8], "Maximum Number of Prefixes Reached (limit 1000)");
        check(1, &[0, 1, 1], "Maximum Number of Prefixes Reached");
        check(9, b"\x06\x02\x04back", "Hard Reset (Cease, Administrative Shutdown: \"back\")");
        check(9, &[4, 0], "Hard Reset (Hold Timer Expired)");
        check(9, &[6, 9, 6, 9, 6, 9], "Hard Reset (Cease, Hard Reset)");
        check(9, &[6], "Hard Reset");
    }

    #[test]
    fn text_cannot_leave_its_line() {
        let text = Notification { code: 6, subcode: 2, data: b"\x06a\nb\0\xffc" }.to_string();
        assert!(!text.contains(char::is_control), "{text:?}");
    }
}
