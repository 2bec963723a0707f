//! The enabled watches, found by prefix and by address.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::ops::Bound;

use crate::model::watch::{Condition, Kind, Watch, WatchId};
use crate::model::{Afi, Asn, Prefix, RouterId};
use crate::store::watch::evaluate::WatchRow;

/// Returns the prefix of one address.
pub fn host(address: IpAddr) -> Prefix {
    let (afi, octets) = match address {
        IpAddr::V4(address) => (Afi::Ipv4, address.octets().to_vec()),
        IpAddr::V6(address) => (Afi::Ipv6, address.octets().to_vec()),
    };
    Prefix::fitting(afi, &octets, afi.max_prefix_length())
}

/// All enabled watches.
#[derive(Debug, Default)]
pub struct Watches {
    rows: HashMap<WatchId, WatchRow>,
    by_prefix: HashMap<Prefix, Vec<WatchId>>,
    by_address: BTreeMap<IpAddr, Vec<WatchId>>,
    /// Watches of ASes.
    by_origin: HashMap<Asn, Vec<WatchId>>,
    /// The lengths that prefixes of watches have, so that others are not looked up.
    lengths: HashSet<(Afi, u8)>,
    /// True if some watch judges paths.
    pub has_paths: bool,
}

impl Watches {
    /// Sorts watches.
    pub fn new(rows: Vec<WatchRow>) -> Watches {
        let mut watches = Watches::default();
        for row in rows {
            let watch = &row.watch;
            if let Some(prefix) = watch.prefix {
                watches.by_prefix.entry(prefix).or_default().push(watch.id);
                watches.lengths.insert((prefix.afi(), prefix.length()));
            }
            if let Some(address) = watch.address {
                watches.by_address.entry(address).or_default().push(watch.id);
            }
            if let Some(asn) = watch.asn.filter(|_| watch.kind == Kind::Origin) {
                watches.by_origin.entry(asn).or_default().push(watch.id);
            }
            watches.has_paths |= reads_paths(watch);
            watches.rows.insert(watch.id, row);
        }
        watches
    }

    /// Returns a watch.
    pub fn get(&self, id: WatchId) -> Option<&Watch> {
        self.rows.get(&id).map(|row| &row.watch)
    }

    /// Returns a watch with its versions.
    pub fn row(&self, id: WatchId) -> Option<&WatchRow> {
        self.rows.get(&id)
    }

    /// Returns all watches.
    pub fn all(&self) -> impl Iterator<Item = &WatchRow> {
        self.rows.values()
    }

    /// Returns the number of watches.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Returns the watches of a kind.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Watch> {
        self.rows.values().map(|row| &row.watch).filter(move |watch| watch.kind == kind)
    }

    /// Returns the watches of exactly this prefix that ask this router.
    pub fn at<'a>(&'a self, prefix: &Prefix, router: &RouterId) -> impl Iterator<Item = &'a Watch> {
        let found = self.by_prefix.get(prefix).into_iter().flatten();
        found.filter_map(|id| self.get(*id)).filter(move |watch| asks(watch, router))
    }

    /// Returns the watches that judge routes of `prefix` in a router's table: of each team the most specific one that
    /// covers it, or several of the same prefix.
    pub fn judges(&self, prefix: &Prefix, router: &RouterId, table: &str) -> Vec<&Watch> {
        let mut judges: Vec<&Watch> = Vec::new();
        for above in self.above(prefix) {
            let done = judges.len();
            for watch in self.at(&above, router).filter(|watch| watch.table.as_deref().is_none_or(|only| only == table))
            {
                if !judges[..done].iter().any(|judge| judge.team == watch.team) {
                    judges.push(watch);
                }
            }
        }
        judges
    }

    /// Returns all watches whose prefix covers `prefix`.
    pub fn covering(&self, prefix: &Prefix) -> impl Iterator<Item = &Watch> {
        self.above(prefix)
            .flat_map(|above| self.by_prefix.get(&above).into_iter().flatten())
            .filter_map(|id| self.get(*id))
    }

    /// The prefix itself and those that cover it, longest first, as far as watches have such lengths.
    fn above(&self, prefix: &Prefix) -> impl Iterator<Item = Prefix> {
        let (afi, octets) = (prefix.afi(), prefix.octets().to_vec());
        (0..=prefix.length())
            .rev()
            .filter(move |length| self.lengths.contains(&(afi, *length)))
            .map(move |length| Prefix::fitting(afi, &octets, length))
    }

    /// Returns the watches of addresses inside `prefix` that ask this router.
    pub fn inside<'a>(&'a self, prefix: &Prefix, router: &RouterId) -> impl Iterator<Item = &'a Watch> {
        let found = self.by_address.range((Bound::Included(prefix.address()), Bound::Included(last(prefix))));
        found.flat_map(|(_, ids)| ids).filter_map(|id| self.get(*id)).filter(move |watch| asks(watch, router))
    }

    /// Returns the watches of an AS that ask this router and table.
    pub fn of_origin<'a>(&'a self, asn: Asn, router: &RouterId, table: &str) -> impl Iterator<Item = &'a Watch> {
        let found = self.by_origin.get(&asn).into_iter().flatten().filter_map(|id| self.get(*id));
        found.filter(move |watch| asks_table(watch, router, table))
    }

    /// Returns whether a watch of a prefix says more of a route than `watch` of an AS of the same team, and judges it
    /// instead: the prefix is one that it expects, or the origin is, or it judges more specific prefixes.
    pub fn is_taken(
        &self,
        watch: &Watch,
        prefix: &Prefix,
        origin: Option<Asn>,
        (router, table): (&RouterId, &str),
    ) -> bool {
        let takes = |judge: &&Watch| {
            let longest = judge.max_length.or(judge.prefix.map(|prefix| prefix.length())).unwrap_or(0);
            prefix.length() <= longest
                || origin.is_some_and(|asn| judge.expected_origins.contains(&asn))
                || judge.judges(Condition::MoreSpecific) && !judge.expected_origins.is_empty()
        };
        self.judges(prefix, router, table).iter().filter(|judge| judge.team == watch.team).any(takes)
    }

    /// Returns the addresses and ASes of peers that watches name.
    pub fn peers(&self) -> (Vec<IpAddr>, Vec<Asn>) {
        let watches = || self.of_kind(Kind::Session);
        let addresses: HashSet<IpAddr> = watches().filter_map(|watch| watch.peer).collect();
        let asns: HashSet<Asn> = watches().filter_map(|watch| watch.asn).collect();
        (addresses.into_iter().collect(), asns.into_iter().collect())
    }
}

/// Returns whether a watch asks this router.
pub fn asks(watch: &Watch, router: &RouterId) -> bool {
    watch.router.as_ref().is_none_or(|only| only == router)
}

/// Returns whether a watch asks this table of this router.
pub fn asks_table(watch: &Watch, router: &RouterId, table: &str) -> bool {
    asks(watch, router) && watch.table.as_deref().is_none_or(|only| only == table)
}

/// Returns whether a watch judges the paths of routes, and not only their origins.
fn reads_paths(watch: &Watch) -> bool {
    watch.judges(Condition::Upstream) && !watch.expected_upstreams.is_empty()
        || watch.judges(Condition::Downstream) && !watch.expected_downstreams.is_empty()
        || watch.judges(Condition::Path) && watch.path_match.is_some()
        || !watch.expected_via.is_empty()
}

/// The last address of a prefix.
fn last(prefix: &Prefix) -> IpAddr {
    let length = u32::from(prefix.length());
    match prefix.address() {
        IpAddr::V4(address) => {
            std::net::Ipv4Addr::from(u32::from(address) | u32::MAX.checked_shr(length).unwrap_or(0)).into()
        }
        IpAddr::V6(address) => {
            std::net::Ipv6Addr::from(u128::from(address) | u128::MAX.checked_shr(length).unwrap_or(0)).into()
        }
    }
}
