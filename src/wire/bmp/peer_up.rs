//! Peer Up (RFC 7854 section 4.10, RFC 9069 section 5.2): the OPENs of both sides.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::information::InformationList;
use super::peer::PerPeerHeader;
use super::peer::Rib;
use crate::wire::DecodeError;
use crate::wire::bgp::open::Open;
use crate::wire::reader::Reader;

/// A Peer Up message: a peer, or a Loc-RIB instance, is monitored from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerUp<'a> {
    /// The peer or Loc-RIB instance.
    pub peer: PerPeerHeader,
    /// The router's address in the BGP session.
    pub local_address: IpAddr,
    /// The router's port.
    pub local_port: u16,
    /// The peer's port.
    pub remote_port: u16,
    /// The OPEN that the router sent.
    pub sent_open: Open,
    /// The OPEN that the router received.
    pub received_open: Open,
    /// The TLVs at the end of the message: descriptions, the table name.
    pub information: InformationList<'a>,
}

impl<'a> PeerUp<'a> {
    /// Decodes the message.
    ///
    /// # Errors
    /// The header or an OPEN is short or malformed.
    pub fn decode(reader: &mut Reader<'a>) -> Result<PeerUp<'a>, DecodeError> {
        let peer = PerPeerHeader::decode(reader)?;
        let local_address = local_address(reader.array("local address")?, &peer);
        let local_port = reader.u16("local port")?;
        let remote_port = reader.u16("remote port")?;
        let sent_open = Open::decode(reader)?;
        let received_open = Open::decode(reader)?;
        let information = InformationList::decode(reader);
        Ok(PeerUp { peer, local_address, local_port, remote_port, sent_open, received_open, information })
    }
}

/// Returns the local address, in the family of the peer address (RFC 7854 section 4.10); a Loc-RIB's is zero.
fn local_address(octets: [u8; 16], peer: &PerPeerHeader) -> IpAddr {
    let is_ipv6 = match peer.rib {
        Rib::LocRib { .. } => false,
        Rib::AdjRibIn(_) | Rib::AdjRibOut(_) => peer.peer.address.is_ipv6(),
    };
    let [.., a, b, c, d] = octets;
    if is_ipv6 { Ipv6Addr::from(octets).to_canonical() } else { Ipv4Addr::new(a, b, c, d).into() }
}
