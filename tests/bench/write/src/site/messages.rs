//! The BMP messages of one peer of a made-up site.

use std::time::Duration;

use super::network::Network;
use crate::generate::{attribute, update};
use crate::router::{HEADER, UPDATE, bmp, stamp};

/// The AS number of all routers.
const OWN: u32 = 64_496;

/// A peer, which names itself in each message.
pub struct Peer {
    number: u32,
    asn: u32,
    /// Its address and BGP identifier.
    pub address: [u8; 4],
}

/// After policy, and IPv6.
type Part = (bool, bool);

impl Peer {
    pub fn new(number: u32) -> Peer {
        let [_, b, c, d] = (number + 1).to_be_bytes();
        Peer { number, asn: 4_200_000_000 + number, address: [100, 64 + b, c, d] }
    }

    /// The per-peer header (RFC 7854 section 4.2), without a time.
    fn header(&self, is_post_policy: bool) -> [u8; 42] {
        let mut header = [0; 42];
        header[1] = if is_post_policy { 0x40 } else { 0 };
        header[22..26].copy_from_slice(&self.address);
        header[26..30].copy_from_slice(&self.asn.to_be_bytes());
        header[30..34].copy_from_slice(&self.address);
        header
    }

    /// Peer Up: both unicast families, AS numbers of four octets.
    pub fn up(&self, own: [u8; 4]) -> Vec<u8> {
        let open = |asn: u32, id: [u8; 4]| {
            let capabilities = [&[1, 4, 0, 1, 0, 1, 1, 4, 0, 2, 0, 1, 65, 4][..], &asn.to_be_bytes()].concat();
            let two_octet = u16::try_from(asn).unwrap_or(23_456).to_be_bytes();
            let body = [&[4][..], &two_octet, &[0, 180], &id, &[20, 2, 18], &capabilities].concat();
            let length = u16::try_from(19 + body.len()).expect("short").to_be_bytes();
            [&[0xff; 16][..], &length, &[1], &body].concat()
        };
        let local = [&[0; 12][..], &own, &179u16.to_be_bytes(), &50_000u16.to_be_bytes()].concat();
        bmp(3, &[&self.header(false)[..], &local, &open(OWN, own), &open(self.asn, self.address)].concat())
    }

    /// Peer Down: the peer closed the session (RFC 7854 section 4.9, reason 4).
    pub fn down(&self) -> Vec<u8> {
        bmp(2, &[&self.header(false)[..], &[4]].concat())
    }

    /// End-of-RIB of both families (RFC 4724 section 2).
    pub fn end_of_rib(&self, is_post_policy: bool) -> Vec<u8> {
        let header = self.header(is_post_policy);
        let families = [update(&[], &[]), update(&[0x80, 15, 3, 0, 2, 1], &[])];
        families.into_iter().flat_map(|update| bmp(0, &[&header[..], &update].concat())).collect()
    }

    /// The MED of a variant of the routes to an origin AS: another for each attribute set.
    pub fn med(&self, network: &Network, origin: u32, variant: u16) -> u32 {
        (network.hash(&[9, self.number.into(), origin.into(), variant.into()]) >> 32) as u32
    }

    /// Announces prefixes of an origin AS. Each variant has its own path and communities; the import policy sets
    /// LOCAL_PREF and adds a community.
    pub fn announce(
        &self,
        network: &Network,
        origin: u32,
        variant: u16,
        (is_post_policy, ipv6): Part,
        nlri: &[u8],
        at: Duration,
    ) -> Vec<u8> {
        let of_origin = network.hash(&[10, origin.into()]);
        let of_variant = network.hash(&[11, origin.into(), self.number.into(), variant.into()]);
        let between = (of_origin % 3 + u64::from(variant > 0) * (of_variant % 3)) as usize;
        let transit = (0..between).map(|hop| 1_000 + (of_variant >> (hop * 10)) as u32 % 1_000);
        let path: Vec<u32> = [self.asn].into_iter().chain(transit).chain([200_000 + origin]).collect();
        let count = u8::try_from(path.len()).expect("at most six");
        let path: Vec<u8> = [2, count].into_iter().chain(path.into_iter().flat_map(u32::to_be_bytes)).collect();
        let mut communities: Vec<u8> =
            (0..of_origin / 8 % 6).flat_map(|i| community(1_000, (of_origin >> (i * 8)) as u32 % 5_000)).collect();
        if variant > 0 {
            communities.extend(community(1_001, of_variant as u32 % 500));
        }
        let mut attributes = attribute(0x40, 1, &[0]);
        attributes.extend(attribute(0x40, 2, &path));
        if !ipv6 {
            attributes.extend(attribute(0x40, 3, &self.address));
        }
        attributes.extend(attribute(0x80, 4, &self.med(network, origin, variant).to_be_bytes()));
        if is_post_policy {
            attributes.extend(attribute(0x40, 5, &(100 + self.number % 3 * 50).to_be_bytes()));
            communities.extend(community(OWN, 100 + self.number % 10));
        }
        if !communities.is_empty() {
            attributes.extend(attribute(0xc0, 8, &communities));
        }
        let update = if ipv6 {
            let next_hop = [&[0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0][..], &self.address].concat();
            let reach = [&[0, 2, 1, 16][..], &next_hop, &[0], nlri].concat();
            update(&[attribute(0x80, 14, &reach), attributes].concat(), &[])
        } else {
            update(&attributes, nlri)
        };
        self.monitoring(is_post_policy, &update, at)
    }

    /// Withdraws prefixes.
    pub fn withdraw(&self, (is_post_policy, ipv6): Part, nlri: &[u8], at: Duration) -> Vec<u8> {
        let update = if ipv6 {
            update(&attribute(0x80, 15, &[&[0, 2, 1], nlri].concat()), &[])
        } else {
            crate::router::withdraw(nlri)
        };
        self.monitoring(is_post_policy, &update, at)
    }

    /// Announces a marker, whose MED tells how far a router has come.
    pub fn mark(&self, prefix: &[u8], marker: u32) -> Vec<u8> {
        let attributes = [
            attribute(0x40, 1, &[0]),
            attribute(0x40, 2, &[]),
            attribute(0x40, 3, &self.address),
            attribute(0x80, 4, &marker.to_be_bytes()),
        ];
        self.monitoring(false, &update(&attributes.concat(), prefix), Duration::ZERO)
    }

    fn monitoring(&self, is_post_policy: bool, update: &[u8], at: Duration) -> Vec<u8> {
        let mut message = bmp(0, &[&self.header(is_post_policy)[..], update].concat());
        debug_assert_eq!(message.len(), HEADER + 42 + update.len());
        debug_assert!(message.len() > UPDATE);
        stamp(&mut message, at);
        message
    }
}

/// A standard community (RFC 1997); both halves are of 16 bits.
fn community(asn: u32, value: u32) -> [u8; 4] {
    ((asn << 16) + value).to_be_bytes()
}
