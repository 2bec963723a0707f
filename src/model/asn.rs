//! Autonomous system numbers.

use std::fmt;

/// An autonomous system number: four octets here (RFC 6793), whatever its width on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Asn(pub u32);

impl Asn {
    /// AS_TRANS, which represents a four-octet number in a two-octet field (RFC 6793 section 9).
    pub const TRANS: Asn = Asn(23456);
}

impl fmt::Display for Asn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
