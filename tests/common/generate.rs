//! A full Internet table as one router's BMP stream, made up and always the same for the same seed.
//!
//! Initiation, a Loc-RIB Peer Up, Route Monitoring of all IPv4 and then all IPv6 routes, each followed by its
//! End-of-RIB. The shape is that of the Internet in the middle of the 2020s: prefix lengths as they are announced,
//! about four prefixes an UPDATE, one in six attribute sets distinct, AS paths of three to six ASes, up to eight
//! communities. No prefix is repeated. It uses only the standard library, so that tests and benchmarks can include it
//! as a file.

use std::io::{self, Write};

/// The size of the table, and the seed that selects one of all such tables.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// IPv4 unicast routes; up to 5 million.
    pub ipv4: usize,
    /// IPv6 unicast routes; up to 5 million.
    pub ipv6: usize,
    /// Another seed, another table.
    pub seed: u64,
}

impl Options {
    /// A full table: `ipv4` routes, a fifth as many for IPv6.
    pub fn full_table(ipv4: usize) -> Options {
        Options { ipv4, ipv6: ipv4 / 5, seed: 1 }
    }
}

/// The figures of what was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// BMP messages of any type.
    pub messages: usize,
    /// UPDATEs with routes.
    pub updates: usize,
    /// Distinct attribute sets among them, next hop included.
    pub attribute_sets: usize,
    /// Octets.
    pub bytes: usize,
}

/// One UPDATE in this many has an attribute set that no UPDATE before it had.
const UPDATES_PER_SET: usize = 6;

/// The number of prefixes per UPDATE, each entry as likely as any other: 4 on average.
const PREFIXES_PER_UPDATE: [usize; 20] = [1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 4, 6, 8, 12, 13, 15];

/// The share of each length in a million IPv4 prefixes; the rest are /24.
const IPV4_LENGTHS: [(u8, usize); 16] = [
    (8, 16),
    (9, 13),
    (10, 40),
    (11, 100),
    (12, 300),
    (13, 600),
    (14, 1_200),
    (15, 2_000),
    (16, 13_600),
    (17, 8_300),
    (18, 13_800),
    (19, 25_000),
    (20, 45_000),
    (21, 53_000),
    (22, 110_000),
    (23, 100_000),
];

/// The share of each length in a million IPv6 prefixes; the rest are /48.
const IPV6_LENGTHS: [(u8, usize); 14] = [
    (28, 900),
    (29, 35_000),
    (30, 3_000),
    (31, 1_500),
    (32, 125_000),
    (33, 20_000),
    (34, 12_000),
    (36, 60_000),
    (40, 95_000),
    (42, 16_000),
    (44, 110_000),
    (45, 15_000),
    (46, 35_000),
    (47, 22_000),
];

/// The router's AS.
const ASN: u32 = 64_496;
/// The router's BGP identifier.
const BGP_ID: [u8; 4] = [10, 0, 0, 2];
/// The time when the first route was learned: 2026-01-01T00:00:00Z.
const EPOCH: u32 = 1_767_225_600;

/// Writes the table's BMP stream.
///
/// # Errors
/// If writing to `out` fails.
pub fn write_table(out: &mut impl Write, options: &Options) -> io::Result<Written> {
    let mut stream = Stream { out, written: Written::default(), rng: Rng(options.seed) };
    stream.send(4, &[information(1, b"generated full table"), information(2, b"generator")].concat())?;
    stream.send(3, &peer_up())?;
    stream.dump(Family::Ipv4, options.ipv4)?;
    stream.dump(Family::Ipv6, options.ipv6)?;
    stream.out.flush()?;
    Ok(stream.written)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Ipv4,
    Ipv6,
}

struct Stream<'a, W> {
    out: &'a mut W,
    written: Written,
    rng: Rng,
}

impl<W: Write> Stream<'_, W> {
    fn send(&mut self, type_code: u8, body: &[u8]) -> io::Result<()> {
        let length = u32::try_from(body.len() + 6).expect("no message of ours is longer than an UPDATE");
        self.out.write_all(&[3])?;
        self.out.write_all(&length.to_be_bytes())?;
        self.out.write_all(&[type_code])?;
        self.out.write_all(body)?;
        self.written.messages += 1;
        self.written.bytes += body.len() + 6;
        Ok(())
    }

    /// All routes of one family and their End-of-RIB.
    fn dump(&mut self, family: Family, routes: usize) -> io::Result<()> {
        let mut sizes = Vec::new();
        let mut left = routes;
        while left > 0 {
            let size = (*self.rng.pick(&PREFIXES_PER_UPDATE)).min(left);
            sizes.push(size);
            left -= size;
        }
        let mut sets: Vec<usize> = (0..sizes.len()).map(|update| update / UPDATES_PER_SET).collect();
        self.rng.shuffle(&mut sets);
        let count = sizes.len().div_ceil(UPDATES_PER_SET);
        let attributes: Vec<AttributeSet> = (0..count).map(|set| AttributeSet::make(&mut self.rng, set)).collect();
        self.written.attribute_sets += count;
        let mut prefixes = Prefixes::new(family, routes, &mut self.rng);
        let mut nlri = Vec::new();
        for (update, (size, set)) in sizes.into_iter().zip(sets).enumerate() {
            nlri.clear();
            (0..size).for_each(|_| prefixes.next(&mut self.rng, &mut nlri));
            let seconds = EPOCH + u32::try_from(update / 1_000).expect("at most five million UPDATEs");
            self.route_monitoring(seconds, &attributes[set].update(family, &nlri))?;
            self.written.updates += 1;
        }
        let end_of_rib = match family {
            Family::Ipv4 => update(&[], &[]),
            Family::Ipv6 => update(&[0x80, 15, 3, 0, 2, 1], &[]),
        };
        self.route_monitoring(EPOCH, &end_of_rib)
    }

    fn route_monitoring(&mut self, seconds: u32, update: &[u8]) -> io::Result<()> {
        self.send(0, &[&per_peer_header(seconds)[..], update].concat())
    }
}

/// Of a Loc-RIB instance peer without distinguisher (RFC 9069 section 4).
fn per_peer_header(seconds: u32) -> [u8; 42] {
    let mut header = [0; 42];
    header[0] = 3;
    header[26..30].copy_from_slice(&ASN.to_be_bytes());
    header[30..34].copy_from_slice(&BGP_ID);
    header[34..38].copy_from_slice(&seconds.to_be_bytes());
    header
}

/// Peer Up of the global Loc-RIB: both unicast families, four-octet AS numbers, no Add-Path.
fn peer_up() -> Vec<u8> {
    let capabilities = [&[1, 4, 0, 1, 0, 1, 1, 4, 0, 2, 0, 1, 65, 4][..], &ASN.to_be_bytes()].concat();
    let size = u8::try_from(capabilities.len()).expect("20 octets");
    let two_octet = u16::try_from(ASN).expect("a documentation AS number of two octets").to_be_bytes();
    let open = [&[4][..], &two_octet, &[0, 180], &BGP_ID, &[size + 2, 2, size], &capabilities].concat();
    let open = bgp(1, &open);
    let local = [[0; 16].as_slice(), &[0; 4]].concat();
    [&per_peer_header(EPOCH)[..], &local, &open, &open, &information(3, b"global")].concat()
}

/// An information TLV.
fn information(type_code: u16, text: &[u8]) -> Vec<u8> {
    let length = u16::try_from(text.len()).expect("short");
    [&type_code.to_be_bytes()[..], &length.to_be_bytes(), text].concat()
}

/// A BGP message around its body.
fn bgp(type_code: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len() + 19).expect("a BGP message is shorter than 64 KiB");
    [&[0xff; 16][..], &length.to_be_bytes(), &[type_code], body].concat()
}

/// An UPDATE without withdrawn routes.
pub fn update(attributes: &[u8], nlri: &[u8]) -> Vec<u8> {
    let length = u16::try_from(attributes.len()).expect("attributes fit an UPDATE").to_be_bytes();
    bgp(2, &[&[0, 0][..], &length, attributes, nlri].concat())
}

/// A path attribute, with the length field that its value needs.
pub fn attribute(flags: u8, code: u8, value: &[u8]) -> Vec<u8> {
    match u8::try_from(value.len()) {
        Ok(length) => [&[flags, code, length], value].concat(),
        Err(_) => {
            let length = u16::try_from(value.len()).expect("an attribute fits an UPDATE").to_be_bytes();
            [&[flags | 0x10, code], &length[..], value].concat()
        }
    }
}

/// The part that routes share: next hop and attributes, in wire form.
struct AttributeSet {
    /// ORIGIN and AS_PATH.
    head: Vec<u8>,
    /// MULTI_EXIT_DISC and everything after it.
    tail: Vec<u8>,
    next_hop: u8,
    has_link_local: bool,
}

impl AttributeSet {
    /// `number` is part of the set, so that no two are the same.
    fn make(rng: &mut Rng, number: usize) -> AttributeSet {
        let origin = match rng.below(100) {
            0..85 => 0,
            85..99 => 2,
            _ => 1,
        };
        let path = as_path(rng);
        let origin_as = path[path.len() - 4..].to_vec();
        let head = [attribute(0x40, 1, &[origin]), attribute(0x40, 2, &path)].concat();
        let med = u32::try_from(number).expect("at most a million sets");
        let mut tail = attribute(0x80, 4, &med.to_be_bytes());
        tail.extend(attribute(0x40, 5, &100u32.to_be_bytes()));
        if rng.below(20) == 0 {
            tail.extend(attribute(0x40, 6, &[]));
        }
        if rng.below(12) == 0 {
            tail.extend(attribute(0xc0, 7, &[origin_as, vec![192, 0, 2, rng.octet()]].concat()));
        }
        let communities: Vec<u8> = (0..rng.below(9)).flat_map(|_| rng.community()).collect();
        if !communities.is_empty() {
            tail.extend(attribute(0xc0, 8, &communities));
        }
        if rng.below(12) == 0 {
            let all: Vec<u8> = (0..=rng.below(2)).flat_map(|_| rng.route_target()).collect();
            tail.extend(attribute(0xc0, 16, &all));
        }
        if rng.below(10) == 0 {
            let all: Vec<u8> = (0..=rng.below(3)).flat_map(|_| rng.large_community()).collect();
            tail.extend(attribute(0xc0, 32, &all));
        }
        AttributeSet { head, tail, next_hop: rng.octet() % 32, has_link_local: rng.below(4) == 0 }
    }

    fn update(&self, family: Family, nlri: &[u8]) -> Vec<u8> {
        let AttributeSet { head, tail, next_hop, has_link_local } = self;
        match family {
            Family::Ipv4 => {
                let next_hop = attribute(0x40, 3, &[192, 0, 2, *next_hop]);
                update(&[&head[..], &next_hop, tail].concat(), nlri)
            }
            Family::Ipv6 => {
                let mut global = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, *next_hop];
                let mut addresses = global.to_vec();
                if *has_link_local {
                    global[..8].copy_from_slice(&[0xfe, 0x80, 0, 0, 0, 0, 0, 0]);
                    addresses.extend(global);
                }
                let length = u8::try_from(addresses.len()).expect("16 or 32");
                let reach = [&[0, 2, 1, length], &addresses[..], &[0], nlri].concat();
                // Routers put MP_REACH_NLRI first (RFC 7606 section 5.1).
                update(&[&attribute(0x80, 14, &reach)[..], head, tail].concat(), &[])
            }
        }
    }
}

/// One AS_SEQUENCE of three to six different ASes; sometimes the last one is repeated.
fn as_path(rng: &mut Rng) -> Vec<u8> {
    let mut asns: Vec<u32> = (0..3 + rng.below(4)).map(|_| rng.asn()).collect();
    if rng.below(10) == 0 {
        let last = asns[asns.len() - 1];
        asns.extend((0..=rng.below(3)).map(|_| last));
    }
    let count = u8::try_from(asns.len()).expect("at most 9");
    [2, count].into_iter().chain(asns.into_iter().flat_map(u32::to_be_bytes)).collect()
}

/// Prefixes of one family, none twice.
struct Prefixes {
    family: Family,
    /// The number of prefixes of each length that are still to be written, and the next one's number.
    left: Vec<(u8, usize, u128)>,
    total: usize,
    offset: u128,
}

impl Prefixes {
    fn new(family: Family, count: usize, rng: &mut Rng) -> Prefixes {
        let (shares, common): (&[(u8, usize)], u8) = match family {
            Family::Ipv4 => (&IPV4_LENGTHS, 24),
            Family::Ipv6 => (&IPV6_LENGTHS, 48),
        };
        let mut left: Vec<(u8, usize, u128)> = Vec::new();
        let mut rest = count;
        for (length, share) in shares {
            // At most half of all prefixes of a length: the other half may be where none is announced.
            let room = 1usize << (u32::from(*length) - 1).min(30);
            let count = (count * share / 1_000_000).min(room);
            left.push((*length, count, 0));
            rest -= count;
        }
        left.push((common, rest, 0));
        Prefixes { family, left, total: count, offset: u128::from(rng.next()) << 64 | u128::from(rng.next()) }
    }

    /// Appends the NLRI of one more prefix.
    fn next(&mut self, rng: &mut Rng, out: &mut Vec<u8>) {
        let mut pick = rng.below(self.total);
        let chosen = self.left.iter_mut().find(|(_, left, _)| {
            let is_here = pick < *left;
            pick = pick.wrapping_sub(if is_here { 0 } else { *left });
            is_here
        });
        let (length, left, number) = chosen.expect("the counts add up to the total");
        *left -= 1;
        self.total -= 1;
        let octets = usize::from(length.div_ceil(8));
        let address = loop {
            let address = scatter(*number, self.offset, *length, self.family);
            *number += 1;
            if is_announced(address, self.family) {
                break address;
            }
        };
        out.push(*length);
        out.extend_from_slice(&address[..octets]);
    }
}

/// The `number`th prefix of this length: multiplying by an odd number permutes the networks, so none is repeated.
fn scatter(number: u128, offset: u128, length: u8, family: Family) -> [u8; 16] {
    const ODD: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;
    // All of 2000::/3, and for IPv4 what `is_announced` leaves of everything.
    let free = match family {
        Family::Ipv4 => u32::from(length),
        Family::Ipv6 => u32::from(length) - 3,
    };
    let network = number.wrapping_add(1).wrapping_mul(ODD).wrapping_add(offset) & ((1 << free) - 1);
    let top = match family {
        Family::Ipv4 => 0,
        Family::Ipv6 => 0x2000u128 << 112,
    };
    (top | network << (128 - u32::from(length))).to_be_bytes()
}

/// Unicast, and neither loopback nor private.
fn is_announced(address: [u8; 16], family: Family) -> bool {
    match family {
        Family::Ipv4 => !matches!(address[0], 0 | 10 | 127 | 224..),
        Family::Ipv6 => true,
    }
}

/// SplitMix64: small, quick, and the same everywhere.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).expect("small");
        usize::try_from(self.next() % bound).expect("below a usize")
    }

    fn octet(&mut self) -> u8 {
        self.next().to_be_bytes()[0]
    }

    fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            let j = self.below(i + 1);
            items.swap(i, j);
        }
    }

    /// Seven in ten from before four-octet numbers.
    fn asn(&mut self) -> u32 {
        let low = u32::try_from(self.below(60_000)).expect("below 60,000");
        if self.below(10) < 7 { low + 1 } else { low + 196_608 }
    }

    fn community(&mut self) -> [u8; 4] {
        let asn = u16::try_from(self.below(60_000) + 1).expect("below 65,536").to_be_bytes();
        let value = u16::try_from(self.below(10_000)).expect("below 10,000").to_be_bytes();
        [asn[0], asn[1], value[0], value[1]]
    }

    fn large_community(&mut self) -> [u8; 12] {
        let mut out = [0; 12];
        out[..4].copy_from_slice(&self.asn().to_be_bytes());
        out[7] = self.octet();
        out[10..].copy_from_slice(&self.community()[2..]);
        out
    }

    fn route_target(&mut self) -> [u8; 8] {
        let [a, b, c, d] = self.community();
        [0, 2, a, b, 0, 0, c, d]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_bytes() {
        let table = |seed| {
            let mut bytes = Vec::new();
            let written = write_table(&mut bytes, &Options { ipv4: 1_000, ipv6: 200, seed }).unwrap();
            assert_eq!(written.bytes, bytes.len());
            assert!((200..400).contains(&written.updates), "{written:?}");
            bytes
        };
        assert_eq!(table(1), table(1));
        assert_ne!(table(1), table(2));
    }

    #[test]
    fn no_prefix_comes_twice() {
        for family in [Family::Ipv4, Family::Ipv6] {
            let mut rng = Rng(7);
            let mut prefixes = Prefixes::new(family, 200_000, &mut rng);
            let mut seen = std::collections::HashSet::new();
            for _ in 0..200_000 {
                let mut nlri = Vec::new();
                prefixes.next(&mut rng, &mut nlri);
                assert!(seen.insert(nlri.clone()), "{nlri:?} twice");
            }
        }
    }
}
