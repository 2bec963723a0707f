//! Messages and state changes of sessions, written as BGP4MP_ET (RFC 6396 section 4.4, RFC 8050 section 3).

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::destinations::Destination;
use super::types::{BGP4MP_ET, ESTABLISHED, IDLE, MESSAGE_AS4, MESSAGE_AS4_ADDPATH, OPEN_CONFIRM, STATE_CHANGE_AS4};
use super::updates;
use super::writing::{address, record};
use crate::model::Timestamp;

/// A session of the router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BgpSession {
    /// The peer.
    pub peer: IpAddr,
    /// Its AS.
    pub peer_asn: u32,
    /// The router's address.
    pub local: IpAddr,
    /// Its AS.
    pub local_asn: u32,
}

/// A change of a route.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    /// Announced, with the attributes of a RIB entry.
    Announced(&'a [u8]),
    /// Withdrawn.
    Withdrawn,
}

/// Writes the UPDATE of one route.
///
/// # Errors
/// The file cannot be written, or the attributes are no attributes or too long for a message.
pub fn route(
    out: &mut impl Write,
    time: Timestamp,
    session: &BgpSession,
    (destination, path_id): (&Destination, Option<u32>),
    change: Change<'_>,
) -> io::Result<()> {
    let Destination { family, ref nlri } = *destination;
    let update = match change {
        Change::Announced(attributes) => {
            updates::update(family, path_id, nlri, attributes).map_err(io::Error::other)?
        }
        Change::Withdrawn => updates::withdrawal(family, path_id, nlri),
    };
    let subtype = if path_id.is_some() { MESSAGE_AS4_ADDPATH } else { MESSAGE_AS4 };
    let mut body = header(session);
    body.extend(update);
    record(out, time, BGP4MP_ET, subtype, &body)
}

/// Writes that the session came up, or went down.
///
/// # Errors
/// The file cannot be written.
pub fn state(out: &mut impl Write, time: Timestamp, session: &BgpSession, is_up: bool) -> io::Result<()> {
    let (old, new) = if is_up { (OPEN_CONFIRM, ESTABLISHED) } else { (ESTABLISHED, IDLE) };
    let mut body = header(session);
    body.extend(old.to_be_bytes());
    body.extend(new.to_be_bytes());
    record(out, time, BGP4MP_ET, STATE_CHANGE_AS4, &body)
}

/// Both addresses of a record have one family: a local address of the other one is left unspecified.
fn header(session: &BgpSession) -> Vec<u8> {
    let mut out = session.peer_asn.to_be_bytes().to_vec();
    out.extend(session.local_asn.to_be_bytes());
    let (afi, none): (u16, IpAddr) = match session.peer {
        IpAddr::V4(_) => (1, Ipv4Addr::UNSPECIFIED.into()),
        IpAddr::V6(_) => (2, Ipv6Addr::UNSPECIFIED.into()),
    };
    out.extend([0, 0]);
    out.extend(afi.to_be_bytes());
    address(&mut out, session.peer);
    let is_same_family = session.local.is_ipv4() == session.peer.is_ipv4();
    address(&mut out, if is_same_family { session.local } else { none });
    out
}
