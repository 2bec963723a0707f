//! The network of a made-up site: its prefixes and who originates them, its routers and their peers, and the events
//! that change routes. The same seed and scale give the same network and the same events.
//!
//! The sizes at 1/1 are those of the one published load: 112 routers, 8,580 peers, 369 million routes of 1.94 million
//! prefixes. A route counts in each view that has it: before policy, and after policy for the nine of ten that it
//! accepts. At 1/N the numbers of routers, of peers per router and of prefixes each shrink by the cube root of N.

use std::ops::Range;

use crate::Failure;
use crate::generate::{self, Options};
use crate::router::{cut, parts};

const ROUTERS: f64 = 112.0;
const PEERS: f64 = 8_580.0;
const PREFIXES: f64 = 1_940_000.0;
const ROUTES: f64 = 369_000_000.0;

/// One in this many routes is refused by the import policy.
pub const REFUSED_ONE_IN: u64 = 10;

/// The exponent of the popularity of prefixes: the few noisiest cause most events.
const ZIPF: f64 = 1.1;

/// The fewest and the most prefixes of an origin AS, and the exponent in between: twelve on average.
const ORIGIN: (f64, f64, f64) = (2.0, 2_000.0, 1.2);

/// The variant of a route that is withdrawn.
pub const WITHDRAWN: u16 = u16::MAX;

/// A prefix as in an UPDATE: its length in bits, and the octets that it needs.
type Prefix = Box<[u8]>;

/// The network.
pub struct Network {
    seed: u64,
    /// IPv4 first; those of an origin AS follow each other.
    pub prefixes: Vec<Prefix>,
    /// How many of them are IPv4.
    pub ipv4: u32,
    /// The prefixes of each origin AS.
    pub origins: Vec<Range<u32>>,
    /// The origin AS of each prefix.
    pub origin_of: Vec<u32>,
    /// Prefixes in the order of how often they change.
    noisy: Vec<u32>,
    /// The peers of each router: each peer's number in the site, and its prefixes in order.
    pub routers: Vec<Vec<(u32, Vec<u32>)>>,
}

/// One change of a route, or of all routes of an origin AS, at one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Step {
    /// Microseconds since the event.
    pub after: u64,
    /// The peer, by its place at the router.
    pub peer: usize,
    /// Its prefix, or any prefix of the origin AS.
    pub prefix: u32,
    /// True if all prefixes of the origin AS change.
    pub of_origin: bool,
    /// The new attributes, or [`WITHDRAWN`].
    pub variant: u16,
}

impl Network {
    /// Makes the network at 1/`scale`.
    pub fn new(scale: f64, seed: u64) -> Result<Network, Failure> {
        let shrink = scale.cbrt();
        let size = |full: f64| (full / shrink).round().max(1.0) as usize;
        let (routers, count) = (size(ROUTERS), size(PREFIXES));
        let peers = routers * size(PEERS / ROUTERS);
        let (prefixes, ipv4) = prefixes(count, seed)?;
        let mut network = Network {
            seed,
            noisy: shuffled(prefixes.len(), seed)?,
            prefixes,
            ipv4,
            origins: Vec::new(),
            origin_of: Vec::new(),
            routers: vec![Vec::new(); routers],
        };
        network.give_origins()?;
        let views = 2.0 - 1.0 / REFUSED_ONE_IN as f64;
        let shares = shares(peers, ROUTES / scale / views / network.prefixes.len() as f64);
        for (rank, share) in shares.into_iter().enumerate() {
            // The large peers are spread over the routers.
            let prefixes = network.prefixes_of(rank as u64, share);
            network.routers[rank % routers].push((u32::try_from(rank)?, prefixes));
        }
        Ok(network)
    }

    fn give_origins(&mut self) -> Result<(), Failure> {
        let (least, most, alpha) = ORIGIN;
        let mut at = 0;
        let count = u32::try_from(self.prefixes.len())?;
        while at < count {
            let number = u32::try_from(self.origins.len())?;
            let chance = self.chance(&[1, number.into()]);
            let size = (least / chance.max(1e-9).powf(1.0 / alpha)).min(most) as u32;
            // All of one family.
            let family_end = if at < self.ipv4 { self.ipv4 } else { count };
            let end = (at + size).min(family_end);
            self.origins.push(at..end);
            self.origin_of.extend((at..end).map(|_| number));
            at = end;
        }
        Ok(())
    }

    /// The prefixes that a peer announces: of so large a share of all origin ASes.
    fn prefixes_of(&self, peer: u64, share: f64) -> Vec<u32> {
        let mut left = (share * self.prefixes.len() as f64).round() as usize;
        let mut found = Vec::new();
        for (number, origin) in self.origins.iter().enumerate() {
            if share >= 1.0 || self.chance(&[2, peer, number as u64]) < share * 1.1 {
                found.extend(origin.clone().take(left));
                left = left.saturating_sub(origin.len());
            }
        }
        found
    }

    /// A number that depends on the seed and on `parts` alone.
    pub fn hash(&self, parts: &[u64]) -> u64 {
        parts.iter().fold(mix(self.seed), |hash, part| mix(hash ^ part))
    }

    /// The same from 0 to 1.
    fn chance(&self, parts: &[u64]) -> f64 {
        (self.hash(parts) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Returns whether the import policy takes a peer's routes of an origin AS.
    pub fn is_accepted(&self, peer: u32, origin: u32) -> bool {
        !self.hash(&[3, peer.into(), origin.into()]).is_multiple_of(REFUSED_ONE_IN)
    }

    /// The changes that an event causes at a router's peers.
    ///
    /// Six of ten events are a new path and a third is a flap, of one prefix; the rest are new attributes of all prefixes of
    /// an origin AS. Before a route settles a peer may explore up to three other paths.
    pub fn steps(&self, event: u64, router: usize) -> Vec<Step> {
        let rank = {
            let s = 1.0 - ZIPF;
            let most = (self.noisy.len() as f64).powf(s);
            ((most - 1.0) * self.chance(&[4, event]) + 1.0).powf(1.0 / s) as usize - 1
        };
        let prefix = self.noisy[rank.min(self.noisy.len() - 1)];
        let kind = self.hash(&[5, event]) % 100;
        let mut steps = Vec::new();
        for (peer, (number, prefixes)) in self.routers[router].iter().enumerate() {
            let hash = self.hash(&[6, event, (*number).into()]);
            // The event does not reach all peers.
            if hash.is_multiple_of(2) || prefixes.binary_search(&prefix).is_err() {
                continue;
            }
            let variant = |step: u64| (self.hash(&[7, event, (*number).into(), step]) % u64::from(WITHDRAWN)) as u16;
            let explored = if kind < 93 { (hash >> 8) % 4 } else { 0 };
            let mut after = (hash >> 16) % 500_000;
            let mut step = |after, variant| steps.push(Step { after, peer, prefix, of_origin: kind >= 93, variant });
            for number in 0..explored {
                step(after, variant(number));
                after += 100_000 + (hash >> (20 + number)) % 1_500_000;
            }
            if (60..93).contains(&kind) {
                step(after, WITHDRAWN);
                after += 1_000_000 + (hash >> 24) % 4_000_000;
                step(after, 0);
            } else {
                step(after, variant(explored));
            }
        }
        steps
    }

    /// UPDATEs that an event causes on average, both views counted: of the first events.
    pub fn updates_per_event(&self) -> f64 {
        let of = 2_000;
        let steps: usize =
            (0..of).map(|event| (0..self.routers.len()).map(|r| self.steps(event, r).len()).sum::<usize>()).sum();
        steps as f64 * (2.0 - 1.0 / REFUSED_ONE_IN as f64) / of as f64
    }

    /// Peers of all routers.
    pub fn peers(&self) -> usize {
        self.routers.iter().map(Vec::len).sum()
    }
}

/// The share of all prefixes that each peer announces, the largest first: in inverse proportion to the rank, as many as
/// make `full_tables` in all.
fn shares(peers: usize, full_tables: f64) -> Vec<f64> {
    let of = |first: f64| (1..=peers).map(move |rank| (first / rank as f64).min(1.0));
    let (mut low, mut high) = (0.0, peers as f64);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if of(middle).sum::<f64>() < full_tables { low = middle } else { high = middle }
    }
    of(high).collect()
}

/// So many prefixes, a sixth of them IPv6, and how many are IPv4.
fn prefixes(count: usize, seed: u64) -> Result<(Vec<Prefix>, u32), Failure> {
    let mut bytes = Vec::new();
    let ipv6 = count / 6;
    generate::write_table(&mut bytes, &Options { ipv4: count - ipv6, ipv6, seed })?;
    let (mut all, mut ipv4) = (Vec::with_capacity(count), 0);
    for message in cut(&bytes).iter().filter(|message| message[5] == 0) {
        let (attributes, nlri) = parts(message);
        all.extend(split(nlri));
        ipv4 = ipv4.max(if nlri.is_empty() { 0 } else { all.len() });
        // MP_REACH_NLRI comes first, with a length of one octet or two.
        if let [flags, 14, rest @ ..] = attributes {
            let (length, rest) = if flags & 0x10 == 0 {
                (usize::from(rest[0]), &rest[1..])
            } else {
                (usize::from(u16::from_be_bytes([rest[0], rest[1]])), &rest[2..])
            };
            all.extend(split(&rest[5 + usize::from(rest[3])..length]));
        }
    }
    Ok((all, u32::try_from(ipv4)?))
}

/// The prefixes of an NLRI field, each with its length in front.
fn split(mut nlri: &[u8]) -> Vec<Prefix> {
    let mut all = Vec::new();
    while let Some(length) = nlri.first() {
        let (one, rest) = nlri.split_at(1 + usize::from(length.div_ceil(8)));
        all.push(one.into());
        nlri = rest;
    }
    all
}

fn shuffled(count: usize, seed: u64) -> Result<Vec<u32>, Failure> {
    let mut all: Vec<u32> = (0..u32::try_from(count)?).collect();
    all.sort_by_key(|number| mix(seed ^ u64::from(*number) << 20));
    Ok(all)
}

/// The last steps of SplitMix64.
fn mix(value: u64) -> u64 {
    let z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousandth_has_its_routes() {
        let network = Network::new(1_000.0, 1).unwrap();
        assert_eq!((network.routers.len(), network.peers(), network.prefixes.len()), (11, 88, 194_000));
        assert_eq!(network.origin_of.len(), network.prefixes.len());
        let announced: usize = network.routers.iter().flatten().map(|(_, prefixes)| prefixes.len()).sum();
        // With the view after policy 1.9 routes each.
        assert!((180_000..210_000).contains(&announced), "{announced}");
        let (first, rest) = network.prefixes.split_at(network.ipv4 as usize);
        assert!(first.iter().all(|prefix| prefix.len() <= 5) && rest.len() == 194_000 / 6);
    }

    #[test]
    fn the_same_seed_gives_the_same_events() {
        let steps = |seed| {
            let network = Network::new(10_000.0, seed).unwrap();
            (0..500).flat_map(|event| network.steps(event, 0)).collect::<Vec<_>>()
        };
        assert_eq!(steps(1), steps(1));
        assert_ne!(steps(1), steps(2));
    }
}
