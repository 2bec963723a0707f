//! BMP messages made by hand, byte by byte: the tests send them as a router would.

use std::net::{IpAddr, Ipv4Addr};

/// The header of one peer, which every message but Initiation and Termination carries (RFC 7854 section 4.2).
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    pub kind: u8,
    pub flags: u8,
    pub rd: u64,
    pub address: Option<IpAddr>,
    pub asn: u32,
    pub bgp_id: Ipv4Addr,
    pub seconds: u32,
}

impl Peer {
    /// The global Loc-RIB instance of the router with this identifier.
    pub fn loc_rib(bgp_id: &str) -> Peer {
        let bgp_id = bgp_id.parse().unwrap();
        Peer { kind: 3, flags: 0, rd: 0, address: None, asn: 64_500, bgp_id, seconds: 1_700_000_000 }
    }

    /// A global peer, Adj-RIB-In before policy. The BGP Identifier of one at an IPv6 address ends as the address does.
    pub fn global_instance(address: &str, asn: u32) -> Peer {
        let address: IpAddr = address.parse().unwrap();
        let (flags, bgp_id) = match address {
            IpAddr::V4(address) => (0, address),
            IpAddr::V6(address) => (0x80, Ipv4Addr::new(198, 51, 100, address.octets()[15])),
        };
        Peer { kind: 0, flags, rd: 0, address: Some(address), asn, bgp_id, seconds: 1_700_000_000 }
    }

    pub fn with_rd(self, rd: u64) -> Peer {
        Peer { rd, ..self }
    }

    pub fn at(self, seconds: u32) -> Peer {
        Peer { seconds, ..self }
    }

    /// Its 42 octets.
    pub fn bytes(self) -> Vec<u8> {
        let mut out = vec![self.kind, self.flags];
        out.extend(self.rd.to_be_bytes());
        match self.address {
            Some(IpAddr::V6(address)) => out.extend(address.octets()),
            Some(IpAddr::V4(address)) => out.extend([&[0; 12][..], &address.octets()].concat()),
            None => out.extend([0; 16]),
        }
        out.extend(self.asn.to_be_bytes());
        out.extend(self.bgp_id.octets());
        out.extend(self.seconds.to_be_bytes());
        out.extend(0u32.to_be_bytes());
        out
    }
}

/// A message of version 3 around its body (RFC 7854 section 4.1).
pub fn message(type_code: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![3];
    out.extend(u32::try_from(body.len() + 6).unwrap().to_be_bytes());
    out.push(type_code);
    out.extend(body);
    out
}

fn tlv(type_code: u16, value: &[u8]) -> Vec<u8> {
    let mut out = type_code.to_be_bytes().to_vec();
    out.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
    out.extend(value);
    out
}

pub fn initiation(name: &[u8], description: &[u8]) -> Vec<u8> {
    message(4, &[tlv(1, description), tlv(2, name)].concat())
}

pub fn termination(reason: u16) -> Vec<u8> {
    message(5, &tlv(1, &reason.to_be_bytes()))
}

/// The contents of an OPEN.
#[derive(Clone, Debug, Default)]
pub struct Open {
    pub asn: u32,
    pub bgp_id: Option<Ipv4Addr>,
    pub families: Vec<(u16, u8)>,
    /// Families with path identifiers in both directions.
    pub add_path: Vec<(u16, u8)>,
    /// Octets of further capabilities.
    pub further: Vec<u8>,
}

impl Open {
    /// IPv4 and IPv6 unicast.
    pub fn of(asn: u32, bgp_id: &str) -> Open {
        let bgp_id = Some(bgp_id.parse().unwrap());
        Open { asn, bgp_id, families: vec![(1, 1), (2, 1)], ..Open::default() }
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut capabilities = Vec::new();
        for (afi, safi) in &self.families {
            capabilities.extend([1, 4]);
            capabilities.extend(afi.to_be_bytes());
            capabilities.extend([0, *safi]);
        }
        capabilities.extend([65, 4]);
        capabilities.extend(self.asn.to_be_bytes());
        if !self.add_path.is_empty() {
            capabilities.extend([69, u8::try_from(self.add_path.len() * 4).unwrap()]);
            for (afi, safi) in &self.add_path {
                capabilities.extend(afi.to_be_bytes());
                capabilities.extend([*safi, 3]);
            }
        }
        capabilities.extend(&self.further);
        let mut body = vec![4];
        body.extend(u16::try_from(self.asn).unwrap_or(23_456).to_be_bytes());
        body.extend(180u16.to_be_bytes());
        body.extend(self.bgp_id.unwrap_or(Ipv4Addr::UNSPECIFIED).octets());
        body.push(u8::try_from(capabilities.len() + 2).unwrap());
        body.extend([2, u8::try_from(capabilities.len()).unwrap()]);
        body.extend(capabilities);
        bgp(1, &body)
    }
}

/// A Peer Up with the same OPEN on both sides; `table` becomes a VRF/Table Name TLV.
pub fn peer_up(peer: Peer, open: &Open, table: Option<&str>) -> Vec<u8> {
    let further = table.map(|table| tlv(3, table.as_bytes())).unwrap_or_default();
    peer_up_of(peer, &open.bytes(), &open.bytes(), &further)
}

/// A Peer Up around two OPENs and what follows them.
pub fn peer_up_of(peer: Peer, sent: &[u8], received: &[u8], further: &[u8]) -> Vec<u8> {
    let mut body = peer.bytes();
    body.extend([0; 16]);
    body.extend(179u16.to_be_bytes());
    body.extend(50_000u16.to_be_bytes());
    body.extend([sent, received, further].concat());
    message(3, &body)
}

pub fn peer_down(peer: Peer, reason: u8) -> Vec<u8> {
    message(2, &[peer.bytes(), vec![reason]].concat())
}

/// A Statistics Report (RFC 7854 section 4.8) of one 64-bit gauge and one gauge of a family.
pub fn statistics(peer: Peer, routes: u64) -> Vec<u8> {
    let gauge = [&[0, 7, 0, 8][..], &routes.to_be_bytes()].concat();
    let of_family = [&[0, 9, 0, 11, 0, 1, 1][..], &routes.to_be_bytes()].concat();
    message(1, &[peer.bytes(), vec![0, 0, 0, 2], gauge, of_family].concat())
}

/// A Statistics Report with statistics of one family each: type, AFI (unicast) and value.
pub fn statistics_of_family(peer: Peer, all: &[(u16, u16, u64)]) -> Vec<u8> {
    let count = u32::try_from(all.len()).unwrap().to_be_bytes();
    let mut body = [&peer.bytes()[..], &count].concat();
    for (kind, afi, value) in all {
        let value = [&afi.to_be_bytes()[..], &[1], &value.to_be_bytes()].concat();
        body.extend([&kind.to_be_bytes()[..], &11u16.to_be_bytes(), &value].concat());
    }
    message(1, &body)
}

/// A Statistics Report of the number of routes in a Loc-RIB instance.
pub fn loc_rib_statistics(peer: Peer, routes: u64) -> Vec<u8> {
    let gauge = [&[0, 8, 0, 8][..], &routes.to_be_bytes()].concat();
    message(1, &[peer.bytes(), vec![0, 0, 0, 1], gauge].concat())
}

/// A Route Monitoring message around one BGP message.
pub fn route_monitoring(peer: Peer, bgp: &[u8]) -> Vec<u8> {
    message(0, &[&peer.bytes(), bgp].concat())
}

/// A BGP message around its body.
pub fn bgp(type_code: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![0xff; 16];
    out.extend(u16::try_from(body.len() + 19).unwrap().to_be_bytes());
    out.push(type_code);
    out.extend(body);
    out
}

/// The path attributes of a route; builders for those that tests check.
#[derive(Clone, Debug)]
pub struct Attributes {
    pub origin: u8,
    pub as_path: Vec<u32>,
    pub local_pref: Option<u32>,
    pub med: Option<u32>,
    pub communities: Vec<u32>,
    pub extended: Vec<u64>,
    pub large: Vec<[u32; 3]>,
    /// More attributes, whole, with flags and length.
    pub raw: Vec<u8>,
}

impl Attributes {
    pub fn path(asns: &[u32]) -> Attributes {
        Attributes {
            origin: 0,
            as_path: asns.to_vec(),
            local_pref: Some(100),
            med: None,
            communities: vec![],
            extended: vec![],
            large: vec![],
            raw: vec![],
        }
    }

    /// All of them, without a next hop.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = attribute(0x40, 1, &[self.origin]);
        let mut path = Vec::new();
        if !self.as_path.is_empty() {
            path.extend([2, u8::try_from(self.as_path.len()).unwrap()]);
            path.extend(self.as_path.iter().flat_map(|asn| asn.to_be_bytes()));
        }
        out.extend(attribute(0x40, 2, &path));
        if let Some(med) = self.med {
            out.extend(attribute(0x80, 4, &med.to_be_bytes()));
        }
        if let Some(local_pref) = self.local_pref {
            out.extend(attribute(0x40, 5, &local_pref.to_be_bytes()));
        }
        if !self.communities.is_empty() {
            out.extend(attribute(0xc0, 8, &self.communities.iter().flat_map(|c| c.to_be_bytes()).collect::<Vec<_>>()));
        }
        if !self.extended.is_empty() {
            out.extend(attribute(0xc0, 16, &self.extended.iter().flat_map(|c| c.to_be_bytes()).collect::<Vec<_>>()));
        }
        if !self.large.is_empty() {
            let parts = self.large.iter().flatten().flat_map(|part| part.to_be_bytes());
            out.extend(attribute(0xc0, 32, &parts.collect::<Vec<_>>()));
        }
        out.extend(&self.raw);
        out
    }
}

/// One path attribute with an extended length where it needs one (RFC 4271 section 4.3).
pub fn attribute(flags: u8, code: u8, value: &[u8]) -> Vec<u8> {
    let mut out = match u8::try_from(value.len()) {
        Ok(length) => vec![flags, code, length],
        Err(_) => {
            let [high, low] = u16::try_from(value.len()).unwrap().to_be_bytes();
            vec![flags | 0x10, code, high, low]
        }
    };
    out.extend(value);
    out
}

/// The NLRI encoding of `prefix`, e.g. `10.1.0.0/16` or `2001:db8::/32`; with a path identifier if given.
pub fn nlri(prefix: &str, path_id: Option<u32>) -> Vec<u8> {
    let (address, length) = prefix.split_once('/').unwrap();
    let length: u8 = length.parse().unwrap();
    let octets = match address.parse().unwrap() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let mut out = path_id.map(|id| id.to_be_bytes().to_vec()).unwrap_or_default();
    out.push(length);
    out.extend(&octets[..usize::from(length).div_ceil(8)]);
    out
}

/// An UPDATE from its three parts (RFC 4271 section 4.3).
pub fn update(withdrawn: &[u8], attributes: &[u8], nlri: &[u8]) -> Vec<u8> {
    let mut body = u16::try_from(withdrawn.len()).unwrap().to_be_bytes().to_vec();
    body.extend(withdrawn);
    body.extend(u16::try_from(attributes.len()).unwrap().to_be_bytes());
    body.extend(attributes);
    body.extend(nlri);
    bgp(2, &body)
}

/// Announces prefixes of one family; IPv6 ones by MP_REACH_NLRI. Prefixes are `(text, path identifier)`.
pub fn announce_paths(attributes: &Attributes, next_hop: &str, prefixes: &[(&str, Option<u32>)]) -> Vec<u8> {
    let encoded: Vec<u8> = prefixes.iter().flat_map(|(prefix, path_id)| nlri(prefix, *path_id)).collect();
    let mut all = attributes.bytes();
    match next_hop.parse().unwrap() {
        IpAddr::V4(next_hop) => {
            all.extend(attribute(0x40, 3, &next_hop.octets()));
            update(&[], &all, &encoded)
        }
        IpAddr::V6(next_hop) => {
            let mut reach = vec![0, 2, 1, 16];
            reach.extend(next_hop.octets());
            reach.push(0);
            reach.extend(encoded);
            all.extend(attribute(0x80, 14, &reach));
            update(&[], &all, &[])
        }
    }
}

/// Announces prefixes without path identifiers.
pub fn announce(attributes: &Attributes, next_hop: &str, prefixes: &[&str]) -> Vec<u8> {
    let prefixes: Vec<_> = prefixes.iter().map(|prefix| (*prefix, None)).collect();
    announce_paths(attributes, next_hop, &prefixes)
}

/// Withdraws prefixes of one family; IPv6 ones by MP_UNREACH_NLRI.
pub fn withdraw(prefixes: &[&str]) -> Vec<u8> {
    let encoded: Vec<u8> = prefixes.iter().flat_map(|prefix| nlri(prefix, None)).collect();
    if prefixes.iter().any(|prefix| prefix.contains(':')) {
        let unreach = [&[0, 2, 1][..], &encoded].concat();
        update(&[], &attribute(0x80, 15, &unreach), &[])
    } else {
        update(&encoded, &[], &[])
    }
}

/// End-of-RIB of IPv4 unicast (RFC 4724 section 2).
pub fn end_of_rib_ipv4() -> Vec<u8> {
    update(&[], &[], &[])
}

/// End-of-RIB of any other family.
pub fn end_of_rib(afi: u16, safi: u8) -> Vec<u8> {
    let [high, low] = afi.to_be_bytes();
    update(&[], &attribute(0x80, 15, &[high, low, safi]), &[])
}
