//! OPEN (RFC 4271 section 4.2) with its capabilities (RFC 5492), including long optional parameters (RFC 9072).

use std::net::Ipv4Addr;

use crate::model::{AfiSafi, Asn};
use crate::wire::DecodeError;
use crate::wire::reader::Reader;

/// Octets of a BGP header: marker, length and type.
const HEADER_SIZE: usize = 19;

/// Optional parameter type: capabilities.
const CAPABILITIES: u8 = 2;

/// The OPEN message of one side of a BGP session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// The BGP version.
    pub version: u8,
    /// The two-octet AS field; 23456 for a four-octet AS.
    pub my_as: u16,
    /// The AS: from the four-octet capability if there is one, else from the two-octet field.
    pub asn: Asn,
    /// Hold time, seconds.
    pub hold_time: u16,
    /// The BGP identifier.
    pub bgp_id: Ipv4Addr,
    /// The capabilities that could be decoded, in order.
    pub capabilities: Vec<Capability>,
    /// The reason for which the rest of the Optional Parameters could not be decoded; the OPEN's end is known from its
    /// own length.
    pub defect: Option<DecodeError>,
}

/// One capability.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Capability {
    /// Code 1 (RFC 4760 section 8).
    Multiprotocol(AfiSafi),
    /// Code 65 (RFC 6793 section 3).
    FourOctetAs(Asn),
    /// Code 69 (RFC 7911 section 4).
    AddPath(Vec<(AfiSafi, AddPathDirection)>),
    /// Any other code, or one of the above with another length.
    Other {
        /// The capability code.
        code: u8,
        /// The capability's value, as sent.
        value: Box<[u8]>,
    },
}

/// The direction in which a speaker supports several paths per prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddPathDirection {
    /// 1: able to receive.
    Receive,
    /// 2: able to send.
    Send,
    /// 3: both.
    Both,
}

impl Open {
    /// Returns whether the OPEN was a header alone (see [`Open::decode`]): no BGP version is 0.
    pub(crate) fn is_dummy(&self) -> bool {
        self.version == 0
    }

    /// Decodes one OPEN, which ends at its own length.
    ///
    /// A router may send a header alone for a Loc-RIB, which has no BGP session: it decodes as an OPEN of zeros.
    ///
    /// # Errors
    /// The message is not an OPEN, runs past the end, or is shorter than its fixed fields. Malformed parameters are not
    /// an error but its [`Open::defect`].
    pub fn decode(reader: &mut Reader<'_>) -> Result<Open, DecodeError> {
        reader.take(16, "OPEN marker")?;
        let at = reader.offset();
        let length = usize::from(reader.u16("OPEN length")?);
        let type_code = reader.u8("OPEN type")?;
        if type_code != 1 {
            return Err(DecodeError::new(at + 2, "OPEN type", format!("BGP message type {type_code} is not OPEN")));
        }
        let Some(body) = length.checked_sub(HEADER_SIZE) else {
            return Err(DecodeError::new(at, "OPEN length", format!("{length} is shorter than a BGP header")));
        };
        let mut body = reader.sub(body, "OPEN body")?;
        if body.is_empty() {
            return Ok(Open {
                version: 0,
                my_as: 0,
                asn: Asn(0),
                hold_time: 0,
                bgp_id: Ipv4Addr::UNSPECIFIED,
                capabilities: Vec::new(),
                defect: None,
            });
        }
        let version = body.u8("OPEN version")?;
        let my_as = body.u16("My Autonomous System")?;
        let hold_time = body.u16("Hold Time")?;
        let bgp_id = body.ipv4("BGP Identifier")?;
        let mut capabilities = Vec::new();
        let defect = decode_parameters(&mut body, &mut capabilities).err();
        let four_octet = capabilities.iter().find_map(|capability| match capability {
            Capability::FourOctetAs(asn) => Some(*asn),
            Capability::Multiprotocol(_) | Capability::AddPath(_) | Capability::Other { .. } => None,
        });
        let asn = four_octet.unwrap_or(Asn(my_as.into()));
        Ok(Open { version, my_as, asn, hold_time, bgp_id, capabilities, defect })
    }

    /// Returns the value of the first [`Capability::Other`] of this code.
    pub fn other(&self, wanted: u8) -> Option<&[u8]> {
        self.capabilities.iter().find_map(|capability| match capability {
            Capability::Other { code, value } if *code == wanted => Some(&**value),
            Capability::Other { .. }
            | Capability::Multiprotocol(_)
            | Capability::FourOctetAs(_)
            | Capability::AddPath(_) => None,
        })
    }

    /// Returns the seconds for which the other side keeps the routes of this speaker while it restarts (RFC 4724
    /// section 3): 0 where it does not ask for that in any family.
    pub(crate) fn restart_time(&self) -> u16 {
        let asked = self.capabilities.iter().filter_map(|capability| match capability {
            // Flags and the time, then four octets per family.
            Capability::Other { code: 64, value } if value.len() >= 6 => {
                Some(u16::from_be_bytes([value[0] & 0x0f, value[1]]))
            }
            Capability::Other { .. }
            | Capability::Multiprotocol(_)
            | Capability::FourOctetAs(_)
            | Capability::AddPath(_) => None,
        });
        asked.max().unwrap_or(0)
    }
}

/// Decodes the Optional Parameters; a first one of type 255 marks the long form, whatever the short length unless it is
/// 0 (RFC 9072 section 2).
fn decode_parameters(body: &mut Reader<'_>, capabilities: &mut Vec<Capability>) -> Result<(), DecodeError> {
    let short_length = body.u8("Opt Parm Len")?;
    let mut peek = *body;
    let is_long = short_length != 0 && peek.u8("Non-Ext OP Type") == Ok(255);
    let mut parameters = if is_long {
        body.u8("Non-Ext OP Type")?;
        let length = usize::from(body.u16("Extended Opt Parm Len")?);
        body.sub(length, "Optional Parameters")?
    } else {
        body.sub(usize::from(short_length), "Optional Parameters")?
    };
    while !parameters.is_empty() {
        let type_code = parameters.u8("Parm Type")?;
        let length = if is_long {
            usize::from(parameters.u16("Parm Length")?)
        } else {
            usize::from(parameters.u8("Parm Length")?)
        };
        let mut value = parameters.sub(length, "Parm Value")?;
        while type_code == CAPABILITIES && !value.is_empty() {
            capabilities.push(Capability::decode(&mut value)?);
        }
    }
    Ok(())
}

/// Returns the consecutive capabilities in `value`, up to the first that runs past its end.
pub fn decode_capabilities(value: &[u8]) -> Vec<Capability> {
    let mut reader = Reader::new(value, 0);
    std::iter::from_fn(|| Capability::decode(&mut reader).ok()).collect()
}

impl Capability {
    fn decode(reader: &mut Reader<'_>) -> Result<Capability, DecodeError> {
        let code = reader.u8("Capability Code")?;
        let length = usize::from(reader.u8("Capability Length")?);
        reader.take(length, "Capability Value").map(|value| Capability::from_value(code, value))
    }

    fn from_value(code: u8, value: &[u8]) -> Capability {
        match (code, value) {
            (1, [afi1, afi2, _, safi]) => {
                Capability::Multiprotocol(AfiSafi { afi: u16::from_be_bytes([*afi1, *afi2]), safi: *safi })
            }
            (65, [a, b, c, d]) => Capability::FourOctetAs(Asn(u32::from_be_bytes([*a, *b, *c, *d]))),
            (69, tuples) if tuples.len().is_multiple_of(4) => Capability::AddPath(
                // A direction other than 1 to 3 is ignored (RFC 7911 section 4).
                tuples
                    .as_chunks::<4>()
                    .0
                    .iter()
                    .filter_map(|[afi1, afi2, safi, direction]| {
                        let family = AfiSafi { afi: u16::from_be_bytes([*afi1, *afi2]), safi: *safi };
                        Some((family, AddPathDirection::from_wire(*direction)?))
                    })
                    .collect(),
            ),
            (code, value) => Capability::Other { code, value: value.into() },
        }
    }
}

impl AddPathDirection {
    fn from_wire(direction: u8) -> Option<AddPathDirection> {
        match direction {
            1 => Some(AddPathDirection::Receive),
            2 => Some(AddPathDirection::Send),
            3 => Some(AddPathDirection::Both),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(parameters: &[u8]) -> Vec<u8> {
        let body = [&[4, 0x5b, 0xa0, 0, 180, 10, 0, 0, 1][..], parameters].concat();
        let mut out = vec![0xff; 16];
        out.extend(u16::try_from(body.len() + HEADER_SIZE).unwrap().to_be_bytes());
        out.push(1);
        out.extend(body);
        out
    }

    const AS4: [u8; 6] = [65, 4, 0xfa, 0x56, 0xea, 0];

    #[test]
    fn capabilities_in_both_forms_of_parameters() {
        let ipv6 = Capability::Multiprotocol(AfiSafi::IPV6_UNICAST);
        let four = Capability::FourOctetAs(Asn(4_200_000_000));
        let check = |parameters: &[u8], want: &[Capability]| {
            let bytes = open(parameters);
            let mut reader = Reader::new(&bytes, 0);
            let open = Open::decode(&mut reader).unwrap();
            assert_eq!((open.capabilities.as_slice(), reader.is_empty()), (want, true));
        };
        check(&[0], &[]);
        let body = [&[1, 4, 0, 2, 0, 1][..], &AS4].concat();
        check(&[&[14, 2, 12][..], &body].concat(), &[ipv6.clone(), four.clone()]);
        check(&[&[16, 2, 6][..], &body[..6], &[2, 6], &AS4].concat(), &[ipv6.clone(), four.clone()]);
        check(&[&[255, 255, 0, 15, 2, 0, 12][..], &body].concat(), &[ipv6.clone(), four.clone()]);
        check(&[&[1, 255, 0, 15, 2, 0, 12][..], &body].concat(), &[ipv6, four]);
        let add_path = Capability::AddPath(vec![(AfiSafi::IPV4_UNICAST, AddPathDirection::Both)]);
        check(&[12, 2, 10, 69, 8, 0, 1, 1, 3, 0, 2, 1, 9], &[add_path]);
    }

    #[test]
    fn malformed_parameters_cost_no_more_than_themselves() {
        let ipv6 = Capability::Multiprotocol(AfiSafi::IPV6_UNICAST);
        let check = |parameters: &[u8], offset, field| {
            let bytes = [&open(parameters)[..], &[0xee]].concat();
            let mut reader = Reader::new(&bytes, 0);
            let open = Open::decode(&mut reader).unwrap();
            assert_eq!((open.capabilities.as_slice(), open.bgp_id), (&[ipv6.clone()][..], [10, 0, 0, 1].into()));
            assert_eq!(open.defect.map(|error| (error.offset, error.field)), Some((offset, field)));
            assert_eq!(reader.remaining(), 1, "what follows the OPEN is found");
        };
        // A capability, a parameter and the parameters that run past their end.
        check(&[10, 2, 8, 1, 4, 0, 2, 0, 1, 65, 4], 39, "Capability Value");
        check(&[10, 2, 6, 1, 4, 0, 2, 0, 1, 2, 9], 39, "Parm Value");
        check(&[9, 2, 6, 1, 4, 0, 2, 0, 1, 2], 38, "Parm Length");
    }

    #[test]
    fn a_restart_time_counts_where_a_family_is_named() {
        let check = |capability: &[u8], want| {
            let length = u8::try_from(capability.len()).unwrap();
            let bytes = open(&[&[length + 2, 2, length][..], capability].concat());
            assert_eq!(Open::decode(&mut Reader::new(&bytes, 0)).unwrap().restart_time(), want, "{capability:?}");
        };
        check(&[64, 6, 0x80, 120, 0, 1, 1, 0x80], 120);
        check(&[64, 6, 0xff, 0xff, 0, 1, 1, 0], 4_095);
        // FRR sends this where it only helps others to restart.
        check(&[64, 2, 0xc0, 0x78], 0);
        check(&[64, 0], 0);
        check(&AS4, 0);
    }

    #[test]
    fn the_four_octet_capability_names_the_as() {
        let bytes = open(&[&[8, 2, 6][..], &AS4].concat());
        let open = Open::decode(&mut Reader::new(&bytes, 0)).unwrap();
        assert_eq!((open.asn, open.my_as), (Asn(4_200_000_000), 23_456));
    }

    #[test]
    fn a_bare_header_is_a_dummy_and_excess_length_fails() {
        let mut header = vec![0xff; 16];
        header.extend([0, 19, 1]);
        let open = Open::decode(&mut Reader::new(&header, 0)).unwrap();
        assert_eq!((open.asn, open.bgp_id, open.capabilities.len()), (Asn(0), Ipv4Addr::UNSPECIFIED, 0));
        assert!(open.is_dummy());
        header[17] = 20;
        let error = Open::decode(&mut Reader::new(&header, 100)).unwrap_err();
        assert_eq!((error.offset, error.field), (119, "OPEN body"));
        header[17] = 18;
        let error = Open::decode(&mut Reader::new(&header, 100)).unwrap_err();
        assert_eq!((error.offset, error.field), (116, "OPEN length"));
        header[18] = 2;
        let error = Open::decode(&mut Reader::new(&header, 100)).unwrap_err();
        assert_eq!((error.offset, error.field), (118, "OPEN type"));
    }
}
