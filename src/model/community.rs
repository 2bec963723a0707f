//! Standard, extended and large communities, with the texts of their database columns.

use std::fmt;
use std::net::Ipv4Addr;

use super::list::Fixed;
use super::write_text::WriteText;
use super::write_text::{display, write_hex, write_ipv4, write_number, write_numbers};

/// A standard community (RFC 1997): `64496:100`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Community(pub u32);

impl Fixed for Community {
    const SIZE: usize = 4;

    #[inline]
    fn read(octets: &[u8]) -> Community {
        Community(u32::read(octets))
    }

    fn write(self, out: &mut Vec<u8>) {
        self.0.write(out);
    }
}

impl WriteText for Community {
    #[inline]
    fn write_text(&self, out: &mut Vec<u8>) {
        write_numbers(out, b':', [self.0 >> 16, self.0 & 0xffff]);
    }
}

impl fmt::Display for Community {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        display(self, f)
    }
}

/// A large community (RFC 8092): `64496:1:2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LargeCommunity {
    /// Global administrator, an AS number.
    pub global: u32,
    /// Local data part 1.
    pub local1: u32,
    /// Local data part 2.
    pub local2: u32,
}

impl Fixed for LargeCommunity {
    const SIZE: usize = 12;

    #[inline]
    fn read(octets: &[u8]) -> LargeCommunity {
        let [global, local1, local2] = [0, 4, 8].map(|at| u32::read(&octets[at..at + 4]));
        LargeCommunity { global, local1, local2 }
    }

    fn write(self, out: &mut Vec<u8>) {
        [self.global, self.local1, self.local2].into_iter().for_each(|part| part.write(out));
    }
}

impl WriteText for LargeCommunity {
    fn write_text(&self, out: &mut Vec<u8>) {
        write_numbers(out, b':', [self.global, self.local1, self.local2]);
    }
}

impl fmt::Display for LargeCommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        display(self, f)
    }
}

/// An extended community, eight octets as sent (RFC 4360 section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExtendedCommunity(pub [u8; 8]);

impl Fixed for ExtendedCommunity {
    const SIZE: usize = 8;

    #[inline]
    fn read(octets: &[u8]) -> ExtendedCommunity {
        ExtendedCommunity(Fixed::read(octets))
    }

    fn write(self, out: &mut Vec<u8>) {
        self.0.write(out);
    }
}

/// Writes `RT:` and `SOO:` in the two-octet-AS, IPv4-address and four-octet-AS forms (RFC 4360 sections 3 to 5, RFC
/// 5668), transitive or not; any other as 16 hex digits.
impl WriteText for ExtendedCommunity {
    fn write_text(&self, out: &mut Vec<u8>) {
        let [kind, subtype, a, b, c, d, e, g] = self.0;
        // Bit 0x40 means "not transitive over ASes" (RFC 4360 section 2), the rest is the form.
        let form = kind & !0x40;
        let name = match (subtype, form) {
            (0x02, 0x00..=0x02) => b"RT:",
            (0x03, 0x00..=0x02) => &b"SOO:"[..],
            _ => return write_hex(out, &self.0),
        };
        out.extend_from_slice(name);
        match form {
            0x00 => write_numbers(out, b':', [u16::from_be_bytes([a, b]).into(), u32::from_be_bytes([c, d, e, g])]),
            0x01 => {
                write_ipv4(out, Ipv4Addr::new(a, b, c, d));
                out.push(b':');
                write_number(out, u16::from_be_bytes([e, g]).into());
            }
            _ => write_numbers(out, b':', [u32::from_be_bytes([a, b, c, d]), u16::from_be_bytes([e, g]).into()]),
        }
    }
}

/// Returns an extended community as people read it: the origin validation state that a router attached (RFC 8097 section
/// 2) as `OVS:valid`, `OVS:not-found` or `OVS:invalid`, any other as it is stored. Stored and decoded it stays hex. The
/// reserved octets are ignored.
pub fn readable(text: &str) -> &str {
    let is_hex = text.len() == 16 && text.bytes().all(|c| c.is_ascii_hexdigit());
    match (is_hex && text.starts_with("4300"), text.get(14..)) {
        (true, Some("00")) => "OVS:valid",
        (true, Some("01")) => "OVS:not-found",
        (true, Some("02")) => "OVS:invalid",
        (_, Some(_) | None) => text,
    }
}

impl fmt::Display for ExtendedCommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        display(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origin_validation_states_are_readable() {
        let check = |hex: u64, text: &str| {
            assert_eq!(readable(&ExtendedCommunity(hex.to_be_bytes()).to_string()), text);
        };
        check(0x4300_0000_0000_0000, "OVS:valid");
        check(0x4300_0000_0000_0001, "OVS:not-found");
        check(0x4300_0000_0000_0002, "OVS:invalid");
        check(0x4300_dead_beef_0002, "OVS:invalid");
        check(0x4300_0000_0000_0003, "4300000000000003");
        check(0x0300_0000_0000_0000, "0300000000000000");
        check(0x4301_0000_0000_0000, "4301000000000000");
        assert_eq!(["65000:100", "RT:65000:1", ""].map(readable), ["65000:100", "RT:65000:1", ""]);
    }

    #[test]
    fn extended_community_texts() {
        let check = |hex: u64, text: &str| assert_eq!(ExtendedCommunity(hex.to_be_bytes()).to_string(), text);
        check(0x0002_fde8_0000_0064, "RT:65000:100");
        check(0x0102_c000_0201_000a, "RT:192.0.2.1:10");
        check(0x0202_ffff_ffff_0005, "RT:4294967295:5");
        check(0x0003_fde8_0000_0007, "SOO:65000:7");
        check(0x4002_fde8_0000_0001, "RT:65000:1");
        check(0x0602_fde8_0000_0001, "0602fde800000001");
        check(0x030b_0000_0000_0064, "030b000000000064");
        assert_eq!(Community(0xffff_0001).to_string(), "65535:1");
        assert_eq!(LargeCommunity { global: u32::MAX, local1: 0, local2: 1 }.to_string(), "4294967295:0:1");
    }
}
