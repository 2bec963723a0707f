//! Decodes a captured packet down to its TCP segment: link layer, VLAN tags, IPv4 or IPv6, TCP.
//!
//! A packet may have been captured only in part, and carry padding: the lengths of the IP header decide, and the rest
//! of the payload is known to be missing. Checksums are not verified, since offloading leaves them unset.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use byteorder::{BE, ByteOrder};

use super::packets::Link;

/// The content of a packet.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// A TCP segment.
    Segment(TcpSegment<'a>),
    /// A fragment of an IP packet; fragments are not reassembled.
    Fragment,
    /// A link layer that is not supported.
    UnknownLink,
    /// Any other content, or a packet cut off before the end of its headers.
    Other,
}

/// A TCP segment (RFC 9293 section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TcpSegment<'a> {
    /// The sender.
    pub source: SocketAddr,
    /// The receiver.
    pub destination: SocketAddr,
    /// The sequence number of its first octet, or of its SYN.
    pub sequence: u32,
    /// True if it opens the connection.
    pub(crate) is_syn: bool,
    /// True if it is the sender's last one.
    pub(crate) is_fin: bool,
    /// True if it resets the connection.
    pub(crate) is_rst: bool,
    /// The payload, as far as it was captured.
    pub payload: &'a [u8],
    /// Octets of the payload on the wire.
    pub length: u32,
}

/// The IP protocol number of TCP.
const TCP: u8 = 6;

/// Finds the TCP segment of a packet.
pub(crate) fn find_segment(link: Link, packet: &[u8]) -> Found<'_> {
    let Some(link) = link else { return Found::UnknownLink };
    match link {
        // LINKTYPE_NULL and LINKTYPE_LOOP: an address family, in the numbering of the system that captured it.
        0 | 108 => packet.get(4..).map_or(Found::Other, ip),
        // LINKTYPE_ETHERNET.
        1 => ethertype(packet, 12, 14),
        // LINKTYPE_RAW with its two older numbers, LINKTYPE_IPV4, LINKTYPE_IPV6.
        12 | 14 | 101 | 228 | 229 => ip(packet),
        // LINKTYPE_LINUX_SLL and LINKTYPE_LINUX_SLL2.
        113 => ethertype(packet, 14, 16),
        276 => ethertype(packet, 0, 20),
        _ => Found::UnknownLink,
    }
}

/// Decodes the packet at `next`, whose EtherType is at `at`, after any number of VLAN tags (IEEE 802.1Q).
fn ethertype(packet: &[u8], at: usize, mut next: usize) -> Found<'_> {
    let mut kind = packet.get(at..at + 2).map(BE::read_u16);
    while let Some(0x8100 | 0x88a8 | 0x9100) = kind {
        kind = packet.get(next + 2..next + 4).map(BE::read_u16);
        next += 4;
    }
    match kind {
        Some(0x0800 | 0x86dd) => packet.get(next..).map_or(Found::Other, ip),
        _ => Found::Other,
    }
}

fn ip(packet: &[u8]) -> Found<'_> {
    match packet.first().map(|octet| octet >> 4) {
        Some(4) => ipv4(packet).unwrap_or(Found::Other),
        Some(6) => ipv6(packet).unwrap_or(Found::Other),
        _ => Found::Other,
    }
}

/// Decodes an IPv4 packet (RFC 791 section 3.1). `None` if it ends too early, its lengths contradict each other, or it
/// does not carry TCP.
fn ipv4(packet: &[u8]) -> Option<Found<'_>> {
    let header = packet.first_chunk::<20>()?;
    let header_length = usize::from(header[0] & 0x0f) * 4;
    if header[9] != TCP || header_length < 20 {
        return None;
    }
    const MORE_FRAGMENTS_OR_OFFSET: u16 = 0x3fff;
    if BE::read_u16(&header[6..]) & MORE_FRAGMENTS_OR_OFFSET != 0 {
        return Some(Found::Fragment);
    }
    let length = match usize::from(BE::read_u16(&header[2..])) {
        // Captured before segmentation offload.
        0 => packet.len(),
        length => length,
    };
    let address = |at: usize| Some(IpAddr::from(Ipv4Addr::from(*header.get(at..)?.first_chunk::<4>()?)));
    let (source, destination) = (address(12)?, address(16)?);
    tcp(source, destination, packet.get(header_length..)?, length.checked_sub(header_length)?)
}

/// Decodes an IPv6 packet (RFC 8200 sections 3 and 4), with the extension headers that may precede TCP.
fn ipv6(packet: &[u8]) -> Option<Found<'_>> {
    let (header, mut rest) = packet.split_first_chunk::<40>()?;
    let mut length = match usize::from(BE::read_u16(&header[4..])) {
        // A jumbogram (RFC 2675), or captured before segmentation offload.
        0 => rest.len(),
        length => length,
    };
    let mut next = header[6];
    loop {
        let size = match next {
            TCP => break,
            // Hop-by-hop, routing, destination options, mobility, HIP, Shim6: in units of eight octets, less one.
            0 | 43 | 60 | 135 | 139 | 140 => (usize::from(*rest.get(1)?) + 1) * 8,
            // Authentication header (RFC 4302 section 2.2): in units of four octets, less two.
            51 => (usize::from(*rest.get(1)?) + 2) * 4,
            // A packet that is not fragmented may have a fragment header (RFC 6946).
            44 if BE::read_u16(rest.get(2..4)?) & 0xfff9 == 0 => 8,
            44 => return Some(Found::Fragment),
            _ => return None,
        };
        next = *rest.first()?;
        rest = rest.get(size..)?;
        length = length.checked_sub(size)?;
    }
    let address = |at: usize| Some(IpAddr::from(Ipv6Addr::from(*header.get(at..)?.first_chunk::<16>()?)));
    tcp(address(8)?, address(24)?, rest, length)
}

/// Decodes a TCP segment. `length` is its length by the IP header; `bytes` may be shorter, or have padding after it.
fn tcp(source: IpAddr, destination: IpAddr, bytes: &[u8], length: usize) -> Option<Found<'_>> {
    let bytes = &bytes[..bytes.len().min(length)];
    let header = bytes.first_chunk::<20>()?;
    let header_length = usize::from(header[12] >> 4) * 4;
    if header_length < 20 {
        return None;
    }
    let flags = header[13];
    Some(Found::Segment(TcpSegment {
        source: SocketAddr::new(source, BE::read_u16(header)),
        destination: SocketAddr::new(destination, BE::read_u16(&header[2..])),
        sequence: BE::read_u32(&header[4..]),
        is_fin: flags & 1 != 0,
        is_syn: flags & 2 != 0,
        is_rst: flags & 4 != 0,
        // Options may have been cut off.
        payload: bytes.get(header_length..).unwrap_or_default(),
        length: u32::try_from(length.checked_sub(header_length)?).ok()?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A TCP header with 12 octets of options and "abc".
    const TCP_ABC: &[u8] = b"\x00\x01\x2b\x0b\0\0\0\x07\0\0\0\0\x80\x10\0\0\0\0\0\0OPTIONS.OPT.abc";

    /// An IPv6 packet whose extension headers end with TCP.
    fn ipv6(first: u8, extensions: &[u8]) -> Vec<u8> {
        let length = u8::try_from(extensions.len() + TCP_ABC.len()).unwrap();
        let mut packet = vec![0x60, 0, 0, 0, 0, length, first, 64];
        packet.extend([0x20; 32]);
        packet.extend(extensions);
        packet.extend(TCP_ABC);
        packet
    }

    fn ipv4(header: &[u8]) -> Vec<u8> {
        [header, &[10, 0, 0, 1, 10, 0, 0, 2], TCP_ABC].concat()
    }

    fn payload(link: i32, packet: &[u8]) -> String {
        match find_segment(Some(link), packet) {
            Found::Segment(segment) => {
                assert_eq!((segment.source.port(), segment.destination.port(), segment.sequence), (1, 11019, 7));
                format!("{} of {}", String::from_utf8_lossy(segment.payload), segment.length)
            }
            Found::Fragment => "fragment".to_string(),
            Found::UnknownLink => "unknown link".to_string(),
            Found::Other => "other".to_string(),
        }
    }

    #[test]
    fn extension_headers_are_skipped() {
        let check = |first: u8, extensions: &[u8], want: &str| {
            assert_eq!(payload(101, &ipv6(first, extensions)), want, "{first} {extensions:?}");
        };
        check(6, &[], "abc of 3");
        check(0, &[6, 0, 1, 4, 0, 0, 0, 0], "abc of 3");
        check(43, &[&[60, 1][..], &[0; 14], &[6, 0], &[0; 6]].concat(), "abc of 3");
        // Authentication header of 24 octets.
        check(51, &[&[6, 4][..], &[0; 22]].concat(), "abc of 3");
        check(44, &[6, 0, 0, 0, 1, 2, 3, 4], "abc of 3");
        check(44, &[6, 0, 0, 1, 1, 2, 3, 4], "fragment");
        check(44, &[6, 0, 0, 8, 1, 2, 3, 4], "fragment");
        check(17, &[], "other");
        check(0, &[6, 255, 0, 0, 0, 0, 0, 0], "other");
    }

    #[test]
    fn lengths_decide_and_not_what_was_captured() {
        const HEADER: [u8; 12] = [0x45, 0, 0, 55, 0, 0, 0x40, 0, 64, 6, 0, 0];
        let with = |at: usize, octet: u8| {
            let mut header = HEADER;
            header[at] = octet;
            ipv4(&header)
        };
        let whole = ipv4(&HEADER);
        assert_eq!(payload(228, &whole), "abc of 3");
        assert_eq!(payload(228, &[&whole[..], b"padding"].concat()), "abc of 3");
        assert_eq!(payload(228, &whole[..whole.len() - 2]), "a of 3");
        assert_eq!(payload(228, &whole[..45]), " of 3");
        assert_eq!(payload(228, &whole[..39]), "other");
        // Total length 0 means the captured length.
        assert_eq!(payload(228, &with(3, 0)), "abc of 3");
        assert_eq!(payload(228, &with(3, 19)), "other");
        assert_eq!(payload(228, &with(3, 45)), "other");
        assert_eq!(payload(228, &with(6, 0x20)), "fragment");
        assert_eq!(payload(228, &with(7, 1)), "fragment");
        assert_eq!(payload(228, &with(9, 17)), "other");
        assert_eq!(payload(228, &with(0, 0x44)), "other");
        assert_eq!(payload(147, &whole), "unknown link");
        assert_eq!(find_segment(None, &whole), Found::UnknownLink);
    }

    #[test]
    fn endless_vlan_tags_end_with_the_packet() {
        assert_eq!(payload(1, &[0x81, 0x00].repeat(1000)), "other");
        assert_eq!(payload(1, &[]), "other");
    }
}
