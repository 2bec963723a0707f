//! Protocols other than BMP on the BMP port: recognized by their first octets, so that the log names the remedy.

use std::fmt;

use crate::wire::bmp::FrameError;

/// Methods of HTTP requests (RFC 9110 section 9.3, RFC 5789), and the preface of HTTP/2 (RFC 9113 section 3.4).
const HTTP_METHODS: [&[u8]; 10] =
    [b"GET ", b"HEAD ", b"POST ", b"PUT ", b"DELETE ", b"CONNECT ", b"OPTIONS ", b"TRACE ", b"PATCH ", b"PRI * HTTP/2"];

/// A TLS record of type handshake, with any minor version (RFC 8446 section 5.1).
const TLS_HANDSHAKE: &[u8] = &[22, 3];

/// The beginning of a text header of the PROXY protocol, version 1.
const PROXY_TEXT: &[u8] = b"PROXY ";

/// The signature of a binary header of the PROXY protocol, version 2.
const PROXY_BINARY: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The beginning of an SSH identification string (RFC 4253 section 4.2).
const SSH: &[u8] = b"SSH-";

/// The marker of a BGP message (RFC 4271 section 4.1).
const BGP_MARKER: &[u8] = &[0xff; 16];

/// A protocol that is not BMP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherProtocol {
    /// A browser, or a health check by HTTP.
    Http,
    /// A router that is configured for TLS.
    Tls,
    /// A load balancer in front of the collector, with the version of its header.
    Proxy(u8),
    /// A scanner, or a wrong port.
    Ssh,
    /// A router that treats the collector as a BGP peer.
    Bgp,
}

impl OtherProtocol {
    /// Returns the protocol of a connection that begins with these octets, if it is recognized.
    pub fn of(first: &[u8]) -> Option<OtherProtocol> {
        let begins = |front: &[u8]| first.starts_with(front);
        if HTTP_METHODS.iter().any(|method| begins(method)) {
            return Some(OtherProtocol::Http);
        }
        [
            (TLS_HANDSHAKE, OtherProtocol::Tls),
            (PROXY_TEXT, OtherProtocol::Proxy(1)),
            (PROXY_BINARY, OtherProtocol::Proxy(2)),
            (SSH, OtherProtocol::Ssh),
            (BGP_MARKER, OtherProtocol::Bgp),
        ]
        .into_iter()
        .find_map(|(front, protocol)| begins(front).then_some(protocol))
    }
}

/// The protocol's name and the remedy.
impl fmt::Display for OtherProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OtherProtocol::Http => f.write_str(
                "an HTTP request: the status page and /readyz are at RIB_INGESTER_HTTP_LISTEN; a health check of this port \
                 connects and closes",
            ),
            OtherProtocol::Tls => f.write_str(
                "a TLS handshake: this port accepts plain BMP; send TLS to RIB_INGESTER_BMP_TLS_LISTEN, or disable it on \
                 the router",
            ),
            OtherProtocol::Proxy(version) => write!(
                f,
                "a header of the PROXY protocol, version {version}: add the load balancer to RIB_INGESTER_PROXY_FROM, or \
                 disable it there"
            ),
            OtherProtocol::Ssh => f.write_str("an SSH client: wrong port"),
            OtherProtocol::Bgp => f.write_str("a BGP message: configure the collector as a BMP station, not as a BGP peer"),
        }
    }
}

/// The reason why a stream is not, or no longer, BMP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotBmp {
    /// The framing error.
    pub error: FrameError,
    /// The other protocol, which is recognized only from the first octets of a connection.
    pub protocol: Option<OtherProtocol>,
}

impl fmt::Display for NotBmp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.protocol {
            Some(protocol) => protocol.fmt(f),
            None => self.error.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_are_told_by_their_first_octets() {
        let check =
            |first: &[u8], expected: Option<OtherProtocol>| assert_eq!(OtherProtocol::of(first), expected, "{first:?}");
        check(b"GET / HTTP/1.1\r\n", Some(OtherProtocol::Http));
        check(b"OPTIONS * HTTP/1.0\r\n", Some(OtherProtocol::Http));
        check(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Some(OtherProtocol::Http));
        check(&[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3], Some(OtherProtocol::Tls));
        check(b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 11019\r\n", Some(OtherProtocol::Proxy(1)));
        check(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c", Some(OtherProtocol::Proxy(2)));
        check(b"SSH-2.0-OpenSSH_9.2\r\n", Some(OtherProtocol::Ssh));
        check(&[&[0xff; 16][..], &[0, 29, 1, 4]].concat(), Some(OtherProtocol::Bgp));
        // Too short to decide, or only similar.
        for first in [&b""[..], b"G", b"GETTING", b"\r\n\r\n", &[22], &[0xff; 15], &[3, 0, 0, 0, 6, 4]] {
            check(first, None);
        }
    }
}
