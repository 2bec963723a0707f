//! The columns of a route, back to path attributes: those of a RIB entry (RFC 6396 section 4.3.4).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::{Map, Value};

use super::attrs::{self, NON_TRANSITIVE, TRANSITIVE, WELL_KNOWN, Written};
use super::destinations::VPN;
use super::splitting::MP_REACH;
use super::texts;
use crate::model::{AfiSafi, AsPath, Fixed, RouteColumns};

/// A flag: the length has two octets.
const EXTENDED_LENGTH: u8 = 0x10;

/// The type code of ATTR_SET.
const ATTR_SET: u8 = 128;

/// Path attributes, and the keys and columns that they do not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoded {
    /// The octets of the attributes, ascending by type code.
    pub octets: Vec<u8>,
    /// The keys and columns that could not be said.
    pub unsaid: Vec<String>,
}

/// Encodes the attributes of a route of this family. AS numbers have four octets.
pub fn encode(family: AfiSafi, columns: &RouteColumns<'_>) -> Encoded {
    let mut encoder = Encoder::default();
    encoder.columns(columns);
    let link_local = match &columns.attrs {
        Some(Value::Object(members)) => {
            let mut others = members.clone();
            others.retain(|key, _| !ELSEWHERE.contains(&key.as_str()));
            encoder.members(&others);
            match members.get("attr_set").map(attr_set) {
                Some(Some(value)) => encoder.put(ATTR_SET, TRANSITIVE, value),
                Some(None) => encoder.unsaid.push("attr_set".to_owned()),
                None => {}
            }
            members.get("link_local_next_hop").and_then(|text| text.as_str()?.parse().ok())
        }
        Some(_) | None => None,
    };
    encoder.next_hop(family, columns.nexthop, link_local);
    encoder.finish()
}

/// Encodes an ATTR_SET: an AS, and path attributes whose AS numbers have four octets (RFC 6368 section 5); `None` if one of
/// these cannot be encoded.
fn attr_set(set: &Value) -> Option<Vec<u8>> {
    let origin_as = u32::try_from(set.get("origin_as")?.as_u64()?).ok()?;
    let members = set.get("attributes")?.as_object()?;
    let text = |key| members.get(key).and_then(Value::as_str);
    let texts =
        |key| members.get(key).map(|all| all.as_array()?.iter().map(Value::as_str).collect()).unwrap_or_default();
    let number = |key| members.get(key).and_then(Value::as_i64);
    let mut encoder = Encoder::default();
    encoder.columns(&RouteColumns {
        as_path: text("as_path"),
        origin: text("origin"),
        localpref: number("localpref"),
        med: number("med"),
        communities_std: texts("communities_std"),
        communities_ext: texts("communities_ext"),
        communities_large: texts("communities_large"),
        ..RouteColumns::default()
    });
    let next_hop: Option<Option<Ipv4Addr>> = members.get("next_hop").map(|text| text.as_str()?.parse().ok());
    encoder.next_hop(AfiSafi::IPV4_UNICAST, next_hop.map_or(Some(None), |address| Some(Some(address?.into())))?, None);
    let mut others = members.clone();
    others.retain(|key, _| !SET_COLUMNS.contains(&key.as_str()));
    encoder.members(&others);
    let Encoded { octets, unsaid } = encoder.finish();
    unsaid.is_empty().then(|| [&origin_as.to_be_bytes()[..], &octets].concat())
}

/// The keys of what is encoded elsewhere: the next hop, the parts of the NLRI, an ATTR_SET.
const ELSEWHERE: [&str; 4] = ["link_local_next_hop", "labels", "rd", "attr_set"];

/// The keys in an ATTR_SET of what has columns elsewhere.
const SET_COLUMNS: [&str; 8] =
    ["origin", "as_path", "next_hop", "localpref", "med", "communities_std", "communities_ext", "communities_large"];

#[derive(Default)]
struct Encoder {
    written: Vec<Written>,
    unsaid: Vec<String>,
}

impl Encoder {
    fn put(&mut self, code: u8, flags: u8, value: Vec<u8>) {
        self.written.push(Written { code, flags, value });
    }

    /// Puts what has no column.
    fn members(&mut self, members: &Map<String, Value>) {
        let (written, unsaid) = attrs::attributes(members);
        self.written.extend(written);
        self.unsaid.extend(unsaid.into_iter().map(str::to_owned));
    }

    fn columns(&mut self, columns: &RouteColumns<'_>) {
        match columns.origin {
            Some("IGP") => self.put(1, WELL_KNOWN, vec![0]),
            Some("EGP") => self.put(1, WELL_KNOWN, vec![1]),
            Some("INCOMPLETE") => self.put(1, WELL_KNOWN, vec![2]),
            Some(_) => self.unsaid.push("origin".to_owned()),
            None => {}
        }
        if let Some(text) = columns.as_path {
            match texts::as_path(text) {
                Some(path) => self.put(2, WELL_KNOWN, octets_of(&path)),
                None => self.unsaid.push("as_path".to_owned()),
            }
        }
        self.number("med", 4, NON_TRANSITIVE, columns.med);
        self.number("localpref", 5, WELL_KNOWN, columns.localpref);
        self.list("communities_std", 8, columns.communities_std.as_deref(), texts::community);
        self.list("communities_ext", 16, columns.communities_ext.as_deref(), texts::extended_community);
        self.list("communities_large", 32, columns.communities_large.as_deref(), texts::large_community);
    }

    fn number(&mut self, column: &str, code: u8, flags: u8, value: Option<i64>) {
        match value.map(u32::try_from) {
            Some(Ok(number)) => self.put(code, flags, number.to_be_bytes().to_vec()),
            Some(Err(_)) => self.unsaid.push(column.to_owned()),
            None => {}
        }
    }

    fn list<T: Fixed>(&mut self, column: &str, code: u8, all: Option<&[&str]>, parse: impl Fn(&str) -> Option<T>) {
        let Some(all) = all else { return };
        let mut octets = Vec::with_capacity(all.len() * T::SIZE);
        for text in all {
            match parse(text) {
                Some(one) => one.write(&mut octets),
                None => return self.unsaid.push(column.to_owned()),
            }
        }
        self.put(code, TRANSITIVE, octets);
    }

    /// Puts the next hop: an IPv4 one of an IPv4 unicast route into NEXT_HOP, any other into an MP_REACH_NLRI that has
    /// nothing else. In that of a VPN each address is after a distinguisher of zero (RFC 4364 section 4.3.2, RFC 4659
    /// section 3.2.1).
    fn next_hop(&mut self, family: AfiSafi, next_hop: Option<IpAddr>, link_local: Option<Ipv6Addr>) {
        let octets = match (family, next_hop) {
            (AfiSafi::IPV4_UNICAST, Some(IpAddr::V4(address))) => {
                return self.put(3, WELL_KNOWN, address.octets().to_vec());
            }
            (_, None) => return,
            (_, Some(IpAddr::V4(address))) => address.octets().to_vec(),
            (_, Some(IpAddr::V6(address))) => address.octets().to_vec(),
        };
        let link_local = link_local.map(|address| address.octets()).filter(|_| octets.len() == 16);
        let rd = if family.safi == VPN { &[0; 8][..] } else { &[] };
        let mut all = [rd, &octets].concat();
        link_local.iter().for_each(|octets| all.extend([rd, octets].concat()));
        let length = u8::try_from(all.len()).expect("two addresses at most");
        self.put(MP_REACH, NON_TRANSITIVE, [&[length][..], &all].concat());
    }

    fn finish(mut self) -> Encoded {
        self.written.sort_by_key(|attribute| attribute.code);
        let mut octets = Vec::new();
        for Written { code, flags, value } in self.written {
            let Ok(length) = u16::try_from(value.len()) else {
                self.unsaid.push(format!("attribute {code}"));
                continue;
            };
            match u8::try_from(length) {
                Ok(short) => octets.extend([flags, code, short]),
                Err(_) => {
                    octets.extend([flags | EXTENDED_LENGTH, code]);
                    octets.extend(length.to_be_bytes());
                }
            }
            octets.extend(value);
        }
        Encoded { octets, unsaid: self.unsaid }
    }
}

fn octets_of(path: &AsPath<'_>) -> Vec<u8> {
    let mut octets = Vec::new();
    for segment in path.segments() {
        let asns = segment.asns();
        octets.extend([segment.kind.type_code(), u8::try_from(asns.len()).expect("a segment has an octet of count")]);
        octets.extend(asns.flat_map(|asn| asn.0.to_be_bytes()));
    }
    octets
}
