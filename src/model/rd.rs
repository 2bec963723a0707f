//! Route distinguishers (RFC 4364 section 4.2).

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// A route distinguisher (RFC 4364 section 4.2), as sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rd(pub [u8; 8]);

impl Rd {
    /// Returns whether all octets are zero, as in a peer of the global instance.
    pub(crate) fn is_zero(self) -> bool {
        self.0 == [0; 8]
    }
}

/// Writes `type:administrator:number`, the administrator as a dotted quad in type 1; an unknown type's six octets as
/// hex.
impl fmt::Display for Rd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [_, _, a, b, c, d, e, g] = self.0;
        match u16::from_be_bytes([self.0[0], self.0[1]]) {
            0 => write!(f, "0:{}:{}", u16::from_be_bytes([a, b]), u32::from_be_bytes([c, d, e, g])),
            1 => write!(f, "1:{}:{}", Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([e, g])),
            2 => write!(f, "2:{}:{}", u32::from_be_bytes([a, b, c, d]), u16::from_be_bytes([e, g])),
            kind => write!(f, "{kind}:{a:02x}{b:02x}{c:02x}{d:02x}{e:02x}{g:02x}"),
        }
    }
}

/// Parses the format that `Display` writes.
impl FromStr for Rd {
    type Err = ();

    fn from_str(text: &str) -> Result<Rd, ()> {
        let (kind, rest) = text.split_once(':').ok_or(())?;
        let kind: u16 = kind.parse().map_err(drop)?;
        let mut octets = [0; 8];
        octets[..2].copy_from_slice(&kind.to_be_bytes());
        let value = &mut octets[2..];
        if kind > 2 {
            if rest.len() != 12 || !rest.is_ascii() {
                return Err(());
            }
            for (octet, at) in value.iter_mut().zip((0..12).step_by(2)) {
                *octet = u8::from_str_radix(&rest[at..at + 2], 16).map_err(drop)?;
            }
            return Ok(Rd(octets));
        }
        let (administrator, number) = rest.split_once(':').ok_or(())?;
        let (high, low) = value.split_at_mut(if kind == 0 { 2 } else { 4 });
        match kind {
            0 => {
                high.copy_from_slice(&administrator.parse::<u16>().map_err(drop)?.to_be_bytes());
                low.copy_from_slice(&number.parse::<u32>().map_err(drop)?.to_be_bytes());
            }
            1 => {
                high.copy_from_slice(&administrator.parse::<Ipv4Addr>().map_err(drop)?.octets());
                low.copy_from_slice(&number.parse::<u16>().map_err(drop)?.to_be_bytes());
            }
            _ => {
                high.copy_from_slice(&administrator.parse::<u32>().map_err(drop)?.to_be_bytes());
                low.copy_from_slice(&number.parse::<u16>().map_err(drop)?.to_be_bytes());
            }
        }
        Ok(Rd(octets))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distinguishers_have_three_forms() {
        let check = |octets, text: &str| {
            assert_eq!((Rd(octets).to_string().as_str(), text.parse()), (text, Ok(Rd(octets))));
        };
        for text in ["", "0", "0:1", "0:65536:1", "1:1:1", "2:1:65536", "9:01", "9:01020304050g", "x:1:1"] {
            assert_eq!(text.parse::<Rd>(), Err(()), "{text}");
        }
        check([0, 0, 0xfb, 0xf3, 0, 0, 0, 75], "0:64499:75");
        check([0, 1, 192, 0, 2, 1, 0, 9], "1:192.0.2.1:9");
        check([0, 2, 0xfa, 0x56, 0xea, 0, 0, 9], "2:4200000000:9");
        check([0, 9, 1, 2, 3, 4, 5, 6], "9:010203040506");
    }
}
