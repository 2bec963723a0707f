//! An OPEN of any octets: it is cut at its own length, and its capabilities are no more than its octets.

use rib_ingester::model::Asn;
use rib_ingester::wire::bgp::open::{self, Capability, Open};
use rib_ingester::wire::reader::Reader;

/// The first octet chooses whether the BGP header is made up around the rest or part of it.
pub fn check(input: &[u8]) {
    let Some((control, rest)) = input.split_first() else { return };
    let bytes = if control & 1 == 0 { super::update::framed(1, rest) } else { rest.to_vec() };
    let mut reader = Reader::new(&bytes, 0);
    match Open::decode(&mut reader) {
        Err(error) => assert!(error.offset <= bytes.len() && !error.field.is_empty(), "{error:?}"),
        Ok(open) => {
            let length = usize::from(u16::from_be_bytes([bytes[16], bytes[17]]));
            assert_eq!(reader.offset(), length, "an OPEN ends where its length says");
            assert!(octets(&open.capabilities) <= length);
            let four_octet = open.capabilities.iter().find_map(|capability| match capability {
                Capability::FourOctetAs(asn) => Some(*asn),
                Capability::Multiprotocol(_) | Capability::AddPath(_) | Capability::Other { .. } => None,
            });
            assert_eq!(open.asn, four_octet.unwrap_or(Asn(open.my_as.into())));
        }
    }
    assert!(octets(&open::decode_capabilities(rest)) <= rest.len());
}

/// How many octets these capabilities take on the wire at least.
fn octets(capabilities: &[Capability]) -> usize {
    capabilities
        .iter()
        .map(|capability| match capability {
            Capability::Multiprotocol(_) | Capability::FourOctetAs(_) => 6,
            Capability::AddPath(families) => 2 + 4 * families.len(),
            Capability::Other { value, .. } => 2 + value.len(),
        })
        .sum()
}
