//! BMP messages made of what a file says (RFC 7854, RFC 8671, RFC 9069).

use std::net::{IpAddr, Ipv4Addr};

use super::peers::Peer;
use super::updates::bgp;
use crate::model::{AsWidth, Asn, Timestamp};

/// BMP message types (RFC 7854 section 4.1).
const ROUTE_MONITORING: u8 = 0;
const PEER_DOWN: u8 = 2;
const PEER_UP: u8 = 3;
const INITIATION: u8 = 4;

/// Peer type: Loc-RIB instance (RFC 9069 section 4.1).
const LOC_RIB_INSTANCE: u8 = 3;

/// Peer flags: IPv6, post-policy, two-octet AS_PATH, Adj-RIB-Out.
const FLAG_V: u8 = 0x80;
const FLAG_L: u8 = 0x40;
const FLAG_A: u8 = 0x20;
const FLAG_O: u8 = 0x10;

/// TLV of a Peer Up: the name of the table (RFC 9069 section 5.2.1).
const TABLE_NAME: u16 = 3;

/// The hold time of fabricated OPENs, seconds: the one that RFC 4271 section 10 suggests.
const HOLD_TIME: u16 = 90;

/// The router that the messages come from: the collector that wrote the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Router {
    /// Unspecified where nothing says it.
    pub(crate) bgp_id: Ipv4Addr,
    /// Zero where nothing says it.
    pub(crate) asn: u32,
    /// The name of the Loc-RIB; empty where nothing says it.
    pub(crate) table: String,
}

/// The form of a message in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MessageForm {
    pub(crate) width: AsWidth,
    /// True if the collector sent it to the peer.
    pub(crate) is_sent: bool,
}

impl MessageForm {
    /// Received by the collector, with AS numbers of four octets.
    pub(crate) const RECEIVED: MessageForm = MessageForm { width: AsWidth::Four, is_sent: false };
}

fn message(out: &mut Vec<u8>, type_code: u8, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend([3, 0, 0, 0, 0, type_code]);
    write(out);
    let length = u32::try_from(out.len() - start).expect("a message is made of one BGP message or two");
    out[start + 1..start + 5].copy_from_slice(&length.to_be_bytes());
}

fn tlv(out: &mut Vec<u8>, type_code: u16, text: &str) {
    let text = &text.as_bytes()[..text.len().min(u16::MAX.into())];
    out.extend(type_code.to_be_bytes());
    out.extend(u16::try_from(text.len()).expect("it was cut to that").to_be_bytes());
    out.extend(text);
}

/// Appends an Initiation (RFC 7854 section 4.3).
pub(crate) fn initiation(out: &mut Vec<u8>, name: &str, description: &str) {
    message(out, INITIATION, |out| {
        tlv(out, 1, description);
        tlv(out, 2, name);
    });
}

fn header(out: &mut Vec<u8>, router: &Router, peer: &Peer, form: MessageForm, time: Timestamp) {
    let mut flags = 0;
    if peer.key.is_router {
        out.extend([LOC_RIB_INSTANCE, flags]);
        out.extend([0; 24]);
        out.extend(router.asn.to_be_bytes());
        out.extend(router.bgp_id.octets());
    } else {
        if peer.key.address.is_ipv6() {
            flags |= FLAG_V;
        }
        if form.width == AsWidth::Two {
            flags |= FLAG_A;
        }
        if form.is_sent {
            flags |= FLAG_O | FLAG_L;
        }
        out.extend([0, flags]);
        out.extend([0; 8]);
        address(out, peer.key.address);
        out.extend(peer.key.asn.to_be_bytes());
        out.extend(peer.bgp_id.octets());
    }
    let micros = time.unix_micros();
    let part = |value: i64| u32::try_from(value).unwrap_or(0).to_be_bytes();
    out.extend(part(micros.div_euclid(1_000_000)));
    out.extend(part(micros.rem_euclid(1_000_000)));
}

fn address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            out.extend([0; 12]);
            out.extend(address.octets());
        }
        IpAddr::V6(address) => out.extend(address.octets()),
    }
}

/// Appends a Peer Up (RFC 7854 section 4.10) whose OPENs have the capabilities that the peer's routes need: with those,
/// their UPDATEs are read as they are. A message with AS numbers of two octets says so itself (A flag).
pub(crate) fn peer_up(out: &mut Vec<u8>, router: &Router, peer: &Peer, time: Timestamp) {
    message(out, PEER_UP, |out| {
        header(out, router, peer, MessageForm::RECEIVED, time);
        if peer.key.is_router {
            out.extend([0; 16])
        } else {
            address(out, peer.local_address)
        }
        // No file says the ports.
        out.extend([0; 4]);
        open(out, router.asn, router.bgp_id, peer);
        let (asn, bgp_id) = if peer.key.is_router { (router.asn, router.bgp_id) } else { (peer.key.asn, peer.bgp_id) };
        open(out, asn, bgp_id, peer);
        if peer.key.is_router && !router.table.is_empty() {
            tlv(out, TABLE_NAME, &router.table);
        }
    });
}

/// Appends an OPEN (RFC 4271 section 4.2).
fn open(out: &mut Vec<u8>, asn: u32, bgp_id: Ipv4Addr, peer: &Peer) {
    let mut capabilities = Vec::new();
    for family in &peer.families {
        capabilities.extend([1, 4]);
        capabilities.extend(family.afi.to_be_bytes());
        capabilities.extend([0, family.safi]);
    }
    capabilities.extend([65, 4]);
    capabilities.extend(asn.to_be_bytes());
    if !peer.add_path.is_empty() {
        capabilities.extend([69, u8::try_from(4 * peer.add_path.len()).expect("a peer has few families")]);
        for family in &peer.add_path {
            capabilities.extend(family.afi.to_be_bytes());
            capabilities.extend([family.safi, 3]);
        }
    }
    if !peer.label_stacks.is_empty() {
        // Multiple Labels, without a limit (RFC 8277 section 2.1).
        capabilities.extend([8, u8::try_from(4 * peer.label_stacks.len()).expect("a peer has few families")]);
        for family in &peer.label_stacks {
            capabilities.extend(family.afi.to_be_bytes());
            capabilities.extend([family.safi, u8::MAX]);
        }
    }
    let size = u8::try_from(capabilities.len()).expect("those of 16 families fit");
    let two_octets = u16::try_from(asn).unwrap_or(u16::try_from(Asn::TRANS.0).expect("AS_TRANS has two octets"));
    bgp(out, 1, |out| {
        out.push(4);
        out.extend(two_octets.to_be_bytes());
        out.extend(HOLD_TIME.to_be_bytes());
        out.extend(bgp_id.octets());
        out.extend([size + 2, 2, size]);
        out.extend(capabilities);
    });
}

/// Appends a Peer Down (RFC 7854 section 4.9): of a peer without a cause, which no file says; of a Loc-RIB that the
/// router removed it (RFC 9069 section 5.3).
pub(crate) fn peer_down(out: &mut Vec<u8>, router: &Router, peer: &Peer, time: Timestamp) {
    message(out, PEER_DOWN, |out| {
        header(out, router, peer, MessageForm::RECEIVED, time);
        if peer.key.is_router { out.push(6) } else { out.extend([2, 0, 0]) }
    });
}

/// Appends a Route Monitoring message (RFC 7854 section 4.6) around a BGP message of the file.
pub(crate) fn route_monitoring(
    out: &mut Vec<u8>,
    router: &Router,
    peer: &Peer,
    form: MessageForm,
    time: Timestamp,
    bgp: &[u8],
) {
    message(out, ROUTE_MONITORING, |out| {
        header(out, router, peer, form, time);
        out.extend(bgp);
    });
}
