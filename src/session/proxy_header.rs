//! Headers of the PROXY protocol, versions 1 and 2 (haproxy, `doc/proxy-protocol.txt`): the address that a load balancer
//! has accepted a connection from. Pure.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The beginning of a header of version 1, which is a line of text.
const TEXT: &[u8] = b"PROXY ";

/// The longest header of version 1 in octets, with its CR and LF.
const TEXT_MAX: usize = 107;

/// The shortest header of version 1: no address, `PROXY UNKNOWN` with CR and LF. Every header of version 2 is longer.
const SHORTEST: usize = 15;

/// The beginning of a header of version 2.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// The octets of a header of version 2 before the addresses: signature, command, family and length.
const FRONT: usize = 16;

/// The most octets accepted after those. Addresses take 216 at most; the rest is TLVs, which are skipped.
const REST_MAX: u16 = 4_096;

/// The content of a header, as far as it says whose the connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyHeader {
    /// It is for a connection from this address; IPv4-mapped ones are IPv4.
    For(IpAddr),
    /// The load balancer connects for itself: a health check (version 2, command LOCAL).
    Local,
    /// It names no IP address: UNKNOWN of version 1, UNSPEC or a Unix socket of version 2.
    Unnamed,
}

/// The state of a header that is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// At least this many octets are missing: more may be what follows the header.
    Lacks(usize),
    /// It is complete.
    Complete(ProxyHeader),
}

/// The reason why octets are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderError {
    /// They begin otherwise.
    Missing,
    /// The text of version 1 has no end, or is not `PROXY TCP4|TCP6 SOURCE DESTINATION PORT PORT`.
    Text,
    /// Version and command, this octet, are not those of version 2.
    Command(u8),
    /// The address family and protocol, this octet, are not TCP.
    Family(u8),
    /// This length is shorter than the addresses, or longer than 4,096 octets.
    Length(u16),
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HeaderError::Missing => f.write_str(
                "no header of the PROXY protocol: enable it on the load balancer, or take its address out of \
                 RIB_INGESTER_PROXY_FROM",
            ),
            HeaderError::Text => f.write_str("malformed header of the PROXY protocol, version 1"),
            HeaderError::Command(octet) => {
                write!(f, "malformed header of the PROXY protocol: version and command {octet:#04x}")
            }
            HeaderError::Family(octet) => {
                write!(f, "malformed header of the PROXY protocol, version 2: family and protocol {octet:#04x}")
            }
            HeaderError::Length(length) => {
                write!(f, "malformed header of the PROXY protocol, version 2: length {length}")
            }
        }
    }
}

/// Reads the beginning of a connection. `octets` are never more than the header, if no more were read than were lacking.
///
/// # Errors
/// The octets are not, and cannot become, a header.
pub fn parse(octets: &[u8]) -> Result<Progress, HeaderError> {
    let begins = |front: &[u8]| octets.iter().zip(front).all(|(one, other)| one == other);
    if begins(TEXT) {
        return text(octets);
    }
    if begins(SIGNATURE) {
        return binary(octets);
    }
    Err(HeaderError::Missing)
}

fn text(octets: &[u8]) -> Result<Progress, HeaderError> {
    if octets.len() < SHORTEST {
        return Ok(Progress::Lacks(SHORTEST - octets.len()));
    }
    let Some(line) = octets.strip_suffix(b"\r\n") else {
        return if octets.len() < TEXT_MAX { Ok(Progress::Lacks(1)) } else { Err(HeaderError::Text) };
    };
    // Whatever follows it is to be ignored.
    if line.strip_prefix(b"PROXY UNKNOWN").is_some_and(|rest| rest.is_empty() || rest.starts_with(b" ")) {
        return Ok(Progress::Complete(ProxyHeader::Unnamed));
    }
    let line = std::str::from_utf8(line).map_err(|_| HeaderError::Text)?;
    let words: Vec<&str> = line.split(' ').collect();
    let header = match words[..] {
        ["PROXY", "TCP4", source, destination, from, to] if [from, to].into_iter().all(is_port) => {
            ProxyHeader::For(IpAddr::V4(address::<Ipv4Addr>(source, destination)?))
        }
        ["PROXY", "TCP6", source, destination, from, to] if [from, to].into_iter().all(is_port) => {
            ProxyHeader::For(IpAddr::V6(address::<Ipv6Addr>(source, destination)?).to_canonical())
        }
        _ => return Err(HeaderError::Text),
    };
    Ok(Progress::Complete(header))
}

fn address<T: std::str::FromStr>(source: &str, destination: &str) -> Result<T, HeaderError> {
    let parse = |text: &str| text.parse::<T>().map_err(|_| HeaderError::Text);
    parse(destination).and_then(|_| parse(source))
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|octet| octet.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

fn binary(octets: &[u8]) -> Result<Progress, HeaderError> {
    let Some((front, rest)) = octets.split_first_chunk::<FRONT>() else {
        return Ok(Progress::Lacks(FRONT - octets.len()));
    };
    let [.., command, family, high, low] = *front;
    let length = u16::from_be_bytes([high, low]);
    let (is_local, of_addresses) = match (command, family) {
        (0x20, _) => (true, 0),
        (0x21, 0x00) => (false, 0),
        (0x21, 0x11) => (false, 12),
        (0x21, 0x21) => (false, 36),
        (0x21, 0x31) => (false, 216),
        (0x21, _) => return Err(HeaderError::Family(family)),
        _ => return Err(HeaderError::Command(command)),
    };
    if !(of_addresses..=REST_MAX).contains(&length) {
        return Err(HeaderError::Length(length));
    }
    match usize::from(length).checked_sub(rest.len()) {
        Some(0) => {}
        Some(lacking) => return Ok(Progress::Lacks(lacking)),
        None => return Err(HeaderError::Length(length)),
    }
    let header = match (is_local, family) {
        (true, _) => ProxyHeader::Local,
        (false, 0x11) => rest.first_chunk::<4>().map_or(ProxyHeader::Unnamed, |four| ProxyHeader::For((*four).into())),
        (false, 0x21) => rest
            .first_chunk::<16>()
            .map_or(ProxyHeader::Unnamed, |six| ProxyHeader::For(IpAddr::from(*six).to_canonical())),
        (false, _) => ProxyHeader::Unnamed,
    };
    Ok(Progress::Complete(header))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// Reads a header from the beginning of a stream, in the pieces that [`parse`] asks for and of `piece` octets at most.
    /// Returns it with the octets read.
    fn read(stream: &[u8], piece: usize) -> Result<(ProxyHeader, usize), Option<HeaderError>> {
        let mut read = 0;
        loop {
            match parse(&stream[..read]).map_err(Some)? {
                Progress::Complete(header) => return Ok((header, read)),
                Progress::Lacks(0) => panic!("nothing lacks after {read} octets of {stream:?}"),
                Progress::Lacks(lacking) => read += lacking.min(piece),
            }
            if read > stream.len() {
                return Err(None);
            }
        }
    }

    /// Reads a header that stands before other octets, as a whole and octet by octet.
    fn check(header: &[u8], expected: Result<ProxyHeader, HeaderError>) {
        let stream = [header, &[3; 5_000]].concat();
        for piece in [usize::MAX, 1] {
            let expected = expected.map(|content| (content, header.len())).map_err(Some);
            assert_eq!(read(&stream, piece), expected, "{}", header.escape_ascii());
        }
    }

    fn version_2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [SIGNATURE, &[command, family][..], &length, rest].concat()
    }

    fn from(address: &str) -> Result<ProxyHeader, HeaderError> {
        Ok(ProxyHeader::For(address.parse().unwrap()))
    }

    #[test]
    fn the_source_is_read_from_both_versions() {
        check(b"PROXY TCP4 192.0.2.1 198.51.100.9 56324 11019\r\n", from("192.0.2.1"));
        check(b"PROXY TCP6 2001:db8::1 2001:db8::9 65535 0\r\n", from("2001:db8::1"));
        check(b"PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.9 1 2\r\n", from("192.0.2.1"));
        let longest = format!("PROXY TCP6 {0} {0} 65535 65535\r\n", ["ffff"; 8].join(":"));
        check(longest.as_bytes(), from("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"));

        let four = [192, 0, 2, 1, 198, 51, 100, 9, 0xdc, 4, 0x2b, 0x0b];
        check(&version_2(0x21, 0x11, &four), from("192.0.2.1"));
        // A unique identifier (type 5) and what a balancer may pad with (type 4).
        check(&version_2(0x21, 0x11, &[&four[..], &[5, 0, 2, b'i', b'd', 4, 0, 1, 0]].concat()), from("192.0.2.1"));
        check(&version_2(0x21, 0x11, &[&four[..], &[0xee; 4_084]].concat()), from("192.0.2.1"));
        let six = |source: &str| {
            let source: Ipv6Addr = source.parse().unwrap();
            version_2(0x21, 0x21, &[&source.octets()[..], &[1; 20]].concat())
        };
        check(&six("2001:db8::1"), from("2001:db8::1"));
        check(&six("::ffff:192.0.2.1"), from("192.0.2.1"));
    }

    #[test]
    fn headers_without_a_router_are_told_apart() {
        check(b"PROXY UNKNOWN\r\n", Ok(ProxyHeader::Unnamed));
        check(b"PROXY UNKNOWN ffff:: \xff\r and more\r\n", Ok(ProxyHeader::Unnamed));
        check(&version_2(0x21, 0x00, &[]), Ok(ProxyHeader::Unnamed));
        check(&version_2(0x21, 0x31, &[b'/'; 216]), Ok(ProxyHeader::Unnamed));
        check(&version_2(0x20, 0x00, &[]), Ok(ProxyHeader::Local));
        check(&version_2(0x20, 0x11, &[0; 12]), Ok(ProxyHeader::Local));
    }

    #[test]
    fn malformed_headers_are_refused() {
        for text in [
            &b"PROXY TCP4 192.0.2.1 198.51.100.9 56324\r\n"[..],
            b"PROXY TCP4 192.0.2.1 198.51.100.9 56324 11019 \r\n",
            b"PROXY TCP4  192.0.2.1 198.51.100.9 56324 11019\r\n",
            b"PROXY TCP4 192.0.2.256 198.51.100.9 56324 11019\r\n",
            b"PROXY TCP4 192.0.2.1 198.51.100.9 65536 11019\r\n",
            b"PROXY TCP4 192.0.2.1 198.51.100.9 +1 11019\r\n",
            b"PROXY TCP4 192.0.2.1 198.51.100.9  11019\r\n",
            b"PROXY TCP4 2001:db8::1 2001:db8::9 1 2\r\n",
            b"PROXY TCP6 2001:db8::1 192.0.2.1 1 2\r\n",
            b"PROXY UDP4 192.0.2.1 198.51.100.9 1 2\r\n",
            b"PROXY UNKNOWNS\r\n",
            b"PROXY TCP4 \xff92.0.2.1 198.51.100.9 1 2\r\n",
        ] {
            check(text, Err(HeaderError::Text));
        }
        let endless = [b"PROXY UNKNOWN ".as_slice(), &[b'x'; 200]].concat();
        check(&endless, Err(HeaderError::Text));
        for other in [&b"\x03\0\0\0\x20\x04"[..], b"GET / HTTP/1.1\r\n", b"PROXX ", b"\r\n\r\n\0\r\nQUIX", b"proxy "] {
            check(other, Err(HeaderError::Missing));
        }
        check(&version_2(0x22, 0x11, &[0; 12]), Err(HeaderError::Command(0x22)));
        check(&version_2(0x11, 0x11, &[0; 12]), Err(HeaderError::Command(0x11)));
        for family in [0x12, 0x22, 0x01, 0x10, 0x41] {
            check(&version_2(0x21, family, &[0; 12]), Err(HeaderError::Family(family)));
        }
        check(&version_2(0x21, 0x11, &[0; 11]), Err(HeaderError::Length(11)));
        check(&version_2(0x21, 0x21, &[0; 35]), Err(HeaderError::Length(35)));
        check(&version_2(0x21, 0x11, &[0; 4_097]), Err(HeaderError::Length(4_097)));
        check(&version_2(0x20, 0x00, &[0; 65_535]), Err(HeaderError::Length(65_535)));
    }

    /// Octets that are close to a header.
    fn any_stream() -> impl Strategy<Value = Vec<u8>> {
        let front = prop_oneof![
            Just(vec![]),
            Just(TEXT.to_vec()),
            Just(b"PROXY TCP4 192.0.2.1 198.51.100.9 1 ".to_vec()),
            Just(SIGNATURE.to_vec()),
            (0x1f..0x23u8, any::<u8>(), 0..300u16).prop_map(|(command, family, length)| {
                [SIGNATURE, &[command, family][..], &length.to_be_bytes()].concat()
            }),
        ];
        let rest = prop_oneof![vec(any::<u8>(), 0..400), "[0-9TCP. \r\n]{0,130}".prop_map(String::into_bytes)];
        (front, rest, any::<(u16, u8)>()).prop_map(|(front, rest, (at, flip))| {
            let mut stream = [front, rest].concat();
            // One octet of every fourth stream is changed.
            if let Some(octet) = stream.get_mut(usize::from(at)) {
                *octet ^= flip;
            }
            stream
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]
        #[test]
        fn any_octets_are_read_within_bounds(stream in any_stream(), piece in 1..40usize) {
            let whole = read(&stream, usize::MAX);
            prop_assert!(matches!(whole, Ok((_, 0..=4_112)) | Err(_)));
            match (whole, read(&stream, piece)) {
                // What is wrong may show earlier.
                (Err(_), Err(_)) => {}
                (whole, in_pieces) => prop_assert_eq!(whole, in_pieces),
            }
        }
    }
}
