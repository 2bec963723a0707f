//! Destinations of routes as NLRI: prefixes, labeled ones (RFC 8277) and those of VPNs (RFC 4364).

use super::writing::nlri;
use crate::model::{Afi, AfiSafi, Prefix, Rd};

/// The S bit: bottom of stack (RFC 8277 section 2.2).
const BOTTOM: u8 = 1;

/// The label field of a withdrawal (RFC 8277 section 2.4).
const WITHDRAWN: [u8; 3] = [0x80, 0, 0];

/// The SAFI of labeled unicast.
pub(crate) const LABELED: u8 = 4;
/// The SAFI of VPNs.
pub(crate) const VPN: u8 = 128;

/// The parts of an RIB that have tables of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RibPart {
    /// Prefixes.
    Unicast,
    /// Prefixes with labels.
    Labeled,
    /// Prefixes with labels, of the VPN of this distinguisher.
    Vpn(Rd),
}

/// A destination, without a path identifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    pub(crate) family: AfiSafi,
    pub(crate) nlri: Vec<u8>,
}

impl RibPart {
    /// Returns the family of its routes.
    pub fn family(self, afi: Afi) -> AfiSafi {
        let safi = match self {
            RibPart::Unicast => 1,
            RibPart::Labeled => LABELED,
            RibPart::Vpn(_) => VPN,
        };
        AfiSafi { safi, ..afi.into() }
    }

    /// Returns the destination of a route with these labels, top first; `None` if its NLRI would have more than 255 bits,
    /// or should have a label and has none.
    pub fn announced(self, prefix: &Prefix, labels: &[u32]) -> Option<Destination> {
        let mut stack: Vec<u8> =
            labels.iter().flat_map(|label| (label << 4).to_be_bytes().into_iter().skip(1)).collect();
        match (stack.last_mut(), self) {
            (Some(bottom), RibPart::Labeled | RibPart::Vpn(_)) => *bottom |= BOTTOM,
            (None, RibPart::Unicast) => {}
            (Some(_), RibPart::Unicast) | (None, RibPart::Labeled | RibPart::Vpn(_)) => return None,
        }
        self.destination(prefix, &stack)
    }

    /// Returns the destination of a withdrawal, whose labels do not count.
    pub fn withdrawn(self, prefix: &Prefix) -> Destination {
        let stack = if self == RibPart::Unicast { &[][..] } else { &WITHDRAWN };
        self.destination(prefix, stack).expect("a label, a distinguisher and an address have 216 bits")
    }

    fn destination(self, prefix: &Prefix, stack: &[u8]) -> Option<Destination> {
        let rd = match self {
            RibPart::Vpn(rd) => Some(rd.0),
            RibPart::Unicast | RibPart::Labeled => None,
        };
        let plain = nlri(prefix);
        let front = [stack, rd.as_ref().map_or(&[][..], |octets| &octets[..])].concat();
        let bits = u8::try_from(8 * front.len() + usize::from(prefix.length())).ok()?;
        Some(Destination { family: self.family(prefix.afi()), nlri: [&[bits][..], &front, &plain[1..]].concat() })
    }
}

/// Returns whether an announced NLRI of this family can only be read as one with several labels: the first one is not the
/// bottom of its stack. A peer that sends such has announced the Multiple Labels Capability (RFC 8277 section 2.1).
pub(crate) fn has_label_stack(family: AfiSafi, nlri: &[u8]) -> bool {
    let (rd_bits, address_bits) = match (family.safi, family.afi) {
        (LABELED, 1) => (0, 32),
        (LABELED, 2) => (0, 128),
        (VPN, 1) => (64, 32),
        (VPN, 2) => (64, 128),
        _ => return false,
    };
    let Some((bits, octets)) = nlri.split_first() else { return false };
    let labels = octets.as_chunks::<3>().0.iter().position(|label| label[2] & BOTTOM != 0).map(|place| place + 1);
    let Some(labels @ 2..) = labels else { return false };
    let rest = usize::from(*bits).checked_sub(24 * labels + rd_bits);
    rest.is_some_and(|rest| rest <= address_bits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::bgp::add_path::AddPath;
    use crate::wire::bgp::labels::LabelReading;
    use crate::wire::bgp::nlri::{Expected, NlriSet, decode};
    use crate::wire::reader::Reader;

    /// The text of what is read of a destination.
    fn read(destination: &Destination, labels: LabelReading) -> String {
        let expected = Expected { labels, ..AddPath::Plain.into() };
        let decoded = decode(Reader::new(&destination.nlri, 0), destination.family, expected).unwrap();
        let NlriSet::Labeled(all) = decoded.nlri else { panic!("{:?}", decoded.nlri) };
        let rd = all[0].rd.map(|rd| rd.to_string()).unwrap_or_default();
        format!("{} {rd} {} {:?}", all.len(), all[0].nlri.prefix, all[0].labels)
    }

    #[test]
    fn destinations_are_read_as_they_were() {
        let prefix = |afi, octets: &[u8], length| Prefix::new(afi, octets, length).unwrap();
        let four = prefix(Afi::Ipv4, &[198, 51, 100, 128], 25);
        let six = prefix(Afi::Ipv6, &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 32);
        let vpn = RibPart::Vpn("0:65000:7".parse().unwrap());
        let (one, stack) = (LabelReading::One, LabelReading::Stack);
        let announced = |part: RibPart, prefix, labels: &[u32]| part.announced(prefix, labels).unwrap();
        assert_eq!(read(&announced(RibPart::Labeled, &four, &[100]), one), "1  198.51.100.128/25 [100]");
        assert_eq!(read(&announced(RibPart::Labeled, &six, &[0xf_ffff, 3]), stack), "1  2001:db8::/32 [1048575, 3]");
        assert_eq!(read(&announced(vpn, &four, &[16]), one), "1 0:65000:7 198.51.100.128/25 [16]");
        assert_eq!(read(&announced(vpn, &six, &[1, 2, 3]), stack), "1 0:65000:7 2001:db8::/32 [1, 2, 3]");
        assert_eq!(read(&vpn.withdrawn(&four), LabelReading::One), "1 0:65000:7 198.51.100.128/25 [524288]");
        assert_eq!(RibPart::Unicast.announced(&four, &[]).unwrap().nlri, [25, 198, 51, 100, 128]);
        assert_eq!(RibPart::Labeled.announced(&four, &[]), None);
        assert_eq!(RibPart::Unicast.announced(&four, &[1]), None);
        assert_eq!(vpn.announced(&six, &[1; 7]), None, "264 bits");
    }

    #[test]
    fn stacks_are_found_by_their_s_bits() {
        let prefix = Prefix::new(Afi::Ipv4, &[198, 51, 100, 0], 24).unwrap();
        let has_stack = |part: RibPart, labels: &[u32]| {
            let Destination { family, nlri } = part.announced(&prefix, labels).unwrap();
            has_label_stack(family, &nlri)
        };
        let vpn = RibPart::Vpn(Rd([0, 0, 0, 1, 0, 0, 0, 1]));
        assert!(has_stack(RibPart::Labeled, &[5, 6]) && has_stack(vpn, &[5, 6, 7]));
        assert!(!has_stack(RibPart::Labeled, &[5]) && !has_stack(vpn, &[5]));
        // A single label without the S bit, as RFC 8277 section 2.2 lets a receiver accept it.
        assert!(!has_label_stack(AfiSafi { afi: 1, safi: LABELED }, &[48, 0, 0, 0x50, 198, 51, 100]));
        assert!(!has_label_stack(AfiSafi { afi: 1, safi: LABELED }, &[]));
        assert!(!has_label_stack(AfiSafi::IPV4_UNICAST, &[24, 198, 51, 100]));
    }
}
