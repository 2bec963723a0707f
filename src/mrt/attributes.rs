//! The columns of a route, back to path attributes: those of a RIB entry (RFC 6396 section 4.3.4).

use std::net::{IpAddr, Ipv6Addr};

use super::attrs::{self, NON_TRANSITIVE, TRANSITIVE, WELL_KNOWN, Written};
use super::splitting::MP_REACH;
use super::texts;
use crate::model::{Afi, AsPath, Fixed, RouteColumns};

/// A flag: the length has two octets.
const EXTENDED_LENGTH: u8 = 0x10;

/// Path attributes, and the keys and columns that they do not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoded {
    /// The octets of the attributes, ascending by type code.
    pub octets: Vec<u8>,
    /// The keys and columns that could not be said.
    pub unsaid: Vec<String>,
}

/// Encodes the attributes of a route of this family. AS numbers have four octets.
pub fn encode(afi: Afi, columns: &RouteColumns<'_>) -> Encoded {
    let mut encoder = Encoder::default();
    encoder.columns(columns);
    let link_local = match &columns.attrs {
        Some(serde_json::Value::Object(members)) => {
            let (written, unsaid) = attrs::attributes(members);
            encoder.written.extend(written);
            encoder.unsaid.extend(unsaid.into_iter().map(str::to_owned));
            members.get("link_local_next_hop").and_then(|text| text.as_str()?.parse().ok())
        }
        Some(_) | None => None,
    };
    encoder.next_hop(afi, columns.nexthop, link_local);
    encoder.finish()
}

#[derive(Default)]
struct Encoder {
    written: Vec<Written>,
    unsaid: Vec<String>,
}

impl Encoder {
    fn put(&mut self, code: u8, flags: u8, value: Vec<u8>) {
        self.written.push(Written { code, flags, value });
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

    /// Puts the next hop: an IPv4 one of an IPv4 route into NEXT_HOP, any other into an MP_REACH_NLRI that has nothing
    /// else.
    fn next_hop(&mut self, afi: Afi, next_hop: Option<IpAddr>, link_local: Option<Ipv6Addr>) {
        let octets = match (afi, next_hop) {
            (Afi::Ipv4, Some(IpAddr::V4(address))) => return self.put(3, WELL_KNOWN, address.octets().to_vec()),
            (_, None) => return,
            (_, Some(IpAddr::V4(address))) => address.octets().to_vec(),
            (_, Some(IpAddr::V6(address))) => address.octets().to_vec(),
        };
        let link_local = link_local.map(|address| address.octets()).filter(|_| octets.len() == 16);
        let all = [&octets[..], link_local.as_ref().map_or(&[][..], |octets| &octets[..])].concat();
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
