//! The stored routes of one table as the collector knows them: a map of keys to fingerprints.
//!
//! The collector is the only writer, so it can decide for every route whether it is new, changed or the same before
//! anything reaches a writer: re-sending unchanged routes causes no writes. During a dump each confirmed key is marked;
//! what is unmarked at the end of the dump is stale.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::seeded::Seeded;
use crate::model::{Afi, Nlri, PathId, Prefix, StoredRoute};

/// A table that never had more routes keeps its memory.
const SMALL: usize = 4_096;

/// The stored routes of one table.
///
/// A million IPv4 routes take 38 MB: keys and values are packed octets, so there is no padding between them.
#[derive(Debug)]
pub struct RouteMap {
    routes: RoutesByFamily,
    /// The number of routes from before this session that it has not confirmed yet.
    unconfirmed: usize,
    /// The most routes since memory was last given back.
    most: usize,
}

/// The routes by family, since the key size differs: network, prefix length, path identifier (0 also means none, as in
/// the database).
#[derive(Debug)]
enum RoutesByFamily {
    Ipv4(HashMap<[u8; 9], Fingerprint, Seeded>),
    Ipv6(HashMap<[u8; 21], Fingerprint, Seeded>),
}

/// 63 bits of the fingerprint, and one bit that is set once this session has confirmed the route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fingerprint([u8; 8]);

impl Fingerprint {
    const CONFIRMED: u64 = 1;

    fn stored(fingerprint: u64) -> Fingerprint {
        Fingerprint((fingerprint & !Fingerprint::CONFIRMED).to_be_bytes())
    }

    fn confirmed(fingerprint: u64) -> Fingerprint {
        Fingerprint((fingerprint | Fingerprint::CONFIRMED).to_be_bytes())
    }

    fn confirm(&mut self) {
        *self = Fingerprint::confirmed(u64::from_be_bytes(self.0));
    }

    /// Returns whether both are of the same attributes.
    fn is_of(self, other: Fingerprint) -> bool {
        (u64::from_be_bytes(self.0) ^ u64::from_be_bytes(other.0)) & !Fingerprint::CONFIRMED == 0
    }

    fn is_confirmed(self) -> bool {
        u64::from_be_bytes(self.0) & Fingerprint::CONFIRMED != 0
    }
}

/// The effect of an announcement on the stored routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteEffect {
    /// No such key is stored: insert.
    New,
    /// The key is stored with other attributes: update.
    Changed,
    /// The key is stored with these attributes: nothing to write.
    Same,
}

/// The answer to [`RouteMap::announce`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnnounceResult {
    /// The effect on the stored routes.
    pub verdict: RouteEffect,
    /// True if this confirmed a route from before this session.
    pub(crate) confirmed: bool,
}

impl RouteMap {
    /// Returns an empty table.
    pub fn new(afi: Afi) -> RouteMap {
        let routes = match afi {
            Afi::Ipv4 => RoutesByFamily::Ipv4(HashMap::default()),
            Afi::Ipv6 => RoutesByFamily::Ipv6(HashMap::default()),
        };
        RouteMap { routes, unconfirmed: 0, most: 0 }
    }

    /// Returns a table as loaded from the database: every route waits to be confirmed.
    pub fn stored(afi: Afi, stored: &[StoredRoute]) -> RouteMap {
        let mut rib = RouteMap::new(afi);
        match &mut rib.routes {
            RoutesByFamily::Ipv4(routes) => load(routes, stored),
            RoutesByFamily::Ipv6(routes) => load(routes, stored),
        }
        rib.unconfirmed = rib.len();
        rib
    }

    /// Stores an announced route and marks it as confirmed.
    pub fn announce(&mut self, nlri: &Nlri, fingerprint: u64) -> AnnounceResult {
        let announced = match &mut self.routes {
            RoutesByFamily::Ipv4(routes) => announce(routes, nlri, fingerprint),
            RoutesByFamily::Ipv6(routes) => announce(routes, nlri, fingerprint),
        };
        self.unconfirmed -= usize::from(announced.confirmed);
        announced
    }

    /// Marks the routes that are the same in `heard` as confirmed. Returns the keys of the others of `heard`.
    pub(super) fn confirm_equal(&mut self, heard: &RouteMap, afi: Afi) -> Vec<Nlri> {
        let (confirmed, others) = match (&mut self.routes, &heard.routes) {
            (RoutesByFamily::Ipv4(routes), RoutesByFamily::Ipv4(heard)) => confirm_equal(routes, heard, afi),
            (RoutesByFamily::Ipv6(routes), RoutesByFamily::Ipv6(heard)) => confirm_equal(routes, heard, afi),
            (RoutesByFamily::Ipv4(_), _) | (RoutesByFamily::Ipv6(_), _) => (0, heard.nlri()),
        };
        self.unconfirmed -= confirmed;
        others
    }

    /// Returns whether the route is stored with these attributes.
    pub(super) fn has(&self, nlri: &Nlri, fingerprint: u64) -> bool {
        let known = match &self.routes {
            RoutesByFamily::Ipv4(routes) => routes.get(&pack(&nlri.prefix, nlri.path_id_column())),
            RoutesByFamily::Ipv6(routes) => routes.get(&pack(&nlri.prefix, nlri.path_id_column())),
        };
        known.is_some_and(|known| known.is_of(Fingerprint::stored(fingerprint)))
    }

    /// Returns whether the route is stored.
    pub fn knows(&self, nlri: &Nlri) -> bool {
        match &self.routes {
            RoutesByFamily::Ipv4(routes) => routes.contains_key(&pack(&nlri.prefix, nlri.path_id_column())),
            RoutesByFamily::Ipv6(routes) => routes.contains_key(&pack(&nlri.prefix, nlri.path_id_column())),
        }
    }

    /// Removes a withdrawn route. Returns whether it was stored.
    pub fn withdraw(&mut self, nlri: &Nlri) -> bool {
        let known = match &mut self.routes {
            RoutesByFamily::Ipv4(routes) => routes.remove(&pack(&nlri.prefix, nlri.path_id_column())),
            RoutesByFamily::Ipv6(routes) => routes.remove(&pack(&nlri.prefix, nlri.path_id_column())),
        };
        if known.is_some_and(|known| !known.is_confirmed()) {
            self.unconfirmed -= 1;
        }
        self.give_back(self.len() + usize::from(known.is_some()));
        known.is_some()
    }

    /// Gives memory back if fewer than a quarter of the most routes are left. `before`: the number before the removal.
    fn give_back(&mut self, before: usize) {
        self.most = self.most.max(before);
        let room = (2 * self.len()).max(SMALL);
        if self.most > 2 * room {
            match &mut self.routes {
                RoutesByFamily::Ipv4(routes) => routes.shrink_to(room),
                RoutesByFamily::Ipv6(routes) => routes.shrink_to(room),
            }
            self.most = room;
        }
    }

    /// Marks every route as confirmed: this session continues one that had confirmed them.
    pub(crate) fn confirm_all(&mut self) {
        match &mut self.routes {
            RoutesByFamily::Ipv4(routes) => routes.values_mut().for_each(Fingerprint::confirm),
            RoutesByFamily::Ipv6(routes) => routes.values_mut().for_each(Fingerprint::confirm),
        }
        self.unconfirmed = 0;
    }

    /// Removes the routes that this session has not confirmed, and returns them sorted.
    pub(crate) fn take_stale(&mut self) -> Vec<Nlri> {
        if self.unconfirmed == 0 {
            return Vec::new();
        }
        let before = self.len();
        let mut stale: Vec<Nlri> = match &mut self.routes {
            RoutesByFamily::Ipv4(routes) => take_unconfirmed(routes, Afi::Ipv4),
            RoutesByFamily::Ipv6(routes) => take_unconfirmed(routes, Afi::Ipv6),
        };
        self.unconfirmed = 0;
        self.give_back(before);
        stale.sort_unstable();
        stale
    }

    /// Returns the keys of all routes, sorted.
    pub fn nlri(&self) -> Vec<Nlri> {
        let mut all: Vec<Nlri> = match &self.routes {
            RoutesByFamily::Ipv4(routes) => routes.keys().filter_map(|key| unpack(Afi::Ipv4, key)).collect(),
            RoutesByFamily::Ipv6(routes) => routes.keys().filter_map(|key| unpack(Afi::Ipv6, key)).collect(),
        };
        all.sort_unstable();
        all
    }

    /// Returns the number of stored routes.
    pub fn len(&self) -> usize {
        match &self.routes {
            RoutesByFamily::Ipv4(routes) => routes.len(),
            RoutesByFamily::Ipv6(routes) => routes.len(),
        }
    }

    /// Returns whether no route is stored.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of routes from before this session that are not confirmed yet.
    pub(crate) fn unconfirmed(&self) -> usize {
        self.unconfirmed
    }
}

type Map<const N: usize> = HashMap<[u8; N], Fingerprint, Seeded>;

fn load<const N: usize>(routes: &mut Map<N>, stored: &[StoredRoute]) {
    routes.reserve(stored.len());
    routes.extend(stored.iter().map(|r| (pack(&r.prefix, r.path_id), Fingerprint::stored(r.fingerprint))));
}

fn announce<const N: usize>(routes: &mut Map<N>, nlri: &Nlri, fingerprint: u64) -> AnnounceResult {
    let now = Fingerprint::confirmed(fingerprint);
    match routes.entry(pack(&nlri.prefix, nlri.path_id_column())) {
        Entry::Vacant(entry) => {
            entry.insert(now);
            AnnounceResult { verdict: RouteEffect::New, confirmed: false }
        }
        Entry::Occupied(mut entry) => {
            let before = entry.insert(now);
            let same = before == now || before == Fingerprint::stored(fingerprint);
            let verdict = if same { RouteEffect::Same } else { RouteEffect::Changed };
            AnnounceResult { verdict, confirmed: !before.is_confirmed() }
        }
    }
}

fn confirm_equal<const N: usize>(routes: &mut Map<N>, heard: &Map<N>, afi: Afi) -> (usize, Vec<Nlri>) {
    let (mut confirmed, mut others) = (0, Vec::new());
    for (key, fingerprint) in heard {
        match routes.get_mut(key) {
            Some(known) if known.is_of(*fingerprint) => {
                confirmed += usize::from(!known.is_confirmed());
                known.confirm();
            }
            _ => others.extend(unpack(afi, key)),
        }
    }
    (confirmed, others)
}

fn take_unconfirmed<const N: usize>(routes: &mut Map<N>, afi: Afi) -> Vec<Nlri> {
    let unconfirmed = routes.extract_if(|_, known| !known.is_confirmed());
    unconfirmed.filter_map(|(key, _)| unpack(afi, &key)).collect()
}

/// Returns the key: network octets, length, path identifier; `N` is the family's 4 or 16 octets and 5 more.
fn pack<const N: usize>(prefix: &Prefix, path_id: u32) -> [u8; N] {
    let mut key = [0; N];
    let (network, rest) = key.split_at_mut(N - 5);
    network.copy_from_slice(prefix.octets());
    rest[0] = prefix.length();
    rest[1..].copy_from_slice(&path_id.to_be_bytes());
    key
}

/// Reverses [`pack`]. Never `None` for its keys, since only valid prefixes are packed.
fn unpack(afi: Afi, key: &[u8]) -> Option<Nlri> {
    let (rest, path_id) = key.split_last_chunk::<4>()?;
    let (length, network) = rest.split_last()?;
    let path_id = u32::from_be_bytes(*path_id);
    let prefix = Prefix::new(afi, network, *length).ok()?;
    Some(Nlri { prefix, path_id: (path_id != 0).then_some(PathId(path_id)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nlri(octet: u8, path_id: Option<u32>) -> Nlri {
        Nlri { prefix: Prefix::new(Afi::Ipv4, &[10, octet], 16).unwrap(), path_id: path_id.map(PathId) }
    }

    fn stored(octet: u8, path_id: u32, fingerprint: u64) -> StoredRoute {
        StoredRoute { prefix: nlri(octet, None).prefix, path_id, fingerprint }
    }

    #[test]
    fn a_redump_confirms_and_the_rest_is_stale() {
        let mut rib =
            RouteMap::stored(Afi::Ipv4, &[stored(1, 0, 11), stored(2, 0, 22), stored(3, 7, 33), stored(4, 0, 44)]);
        let announced = |verdict, confirmed| AnnounceResult { verdict, confirmed };
        assert_eq!(rib.announce(&nlri(1, None), 11), announced(RouteEffect::Same, true));
        assert_eq!(rib.announce(&nlri(1, None), 11), announced(RouteEffect::Same, false));
        assert_eq!(rib.announce(&nlri(2, None), 24), announced(RouteEffect::Changed, true));
        assert_eq!(rib.announce(&nlri(5, None), 55), announced(RouteEffect::New, false));
        assert!(rib.withdraw(&nlri(4, None)));
        assert!(!rib.withdraw(&nlri(9, None)));
        assert_eq!((rib.unconfirmed(), rib.len()), (1, 4));
        assert_eq!(rib.take_stale(), vec![nlri(3, Some(7))]);
        assert_eq!((rib.take_stale(), rib.len()), (vec![], 3));
    }

    #[test]
    fn what_was_heard_as_it_is_stored_is_confirmed() {
        let mut stored = RouteMap::stored(Afi::Ipv4, &[stored(1, 0, 10), stored(2, 0, 20), stored(3, 0, 30)]);
        let mut heard = RouteMap::new(Afi::Ipv4);
        for (octet, fingerprint) in [(1, 10), (2, 22), (4, 40)] {
            heard.announce(&nlri(octet, None), fingerprint);
        }
        let mut others = stored.confirm_equal(&heard, Afi::Ipv4);
        others.sort_unstable();
        assert_eq!((others, stored.unconfirmed()), (vec![nlri(2, None), nlri(4, None)], 2));
        assert!(stored.has(&nlri(1, None), 10) && stored.has(&nlri(2, None), 20) && !stored.has(&nlri(2, None), 22));
        assert_eq!(stored.take_stale(), [nlri(2, None), nlri(3, None)]);
    }

    #[test]
    fn memory_of_routes_that_left_is_given_back() {
        let room = |rib: &RouteMap| match &rib.routes {
            RoutesByFamily::Ipv4(routes) => routes.capacity(),
            RoutesByFamily::Ipv6(routes) => routes.capacity(),
        };
        let all: Vec<StoredRoute> = (0..200_000).map(|id| stored(1, id, 0)).collect();
        let full = || RouteMap::stored(Afi::Ipv4, &all);
        let mut rib = full();
        assert!((1..200_000).all(|id| rib.withdraw(&nlri(1, Some(id)))));
        assert!(rib.len() == 1 && room(&rib) <= 4 * SMALL, "{}", room(&rib));
        // Identifiers that never return take no more than those that are there.
        (1..200_000).for_each(|id| {
            rib.announce(&nlri(1, Some(id)), 0);
            rib.withdraw(&nlri(1, Some(id - 1)));
        });
        assert!(rib.len() == 1 && room(&rib) <= 4 * SMALL, "{}", room(&rib));
        let mut rib = full();
        rib.announce(&nlri(1, None), 0);
        assert_eq!(rib.take_stale().len(), all.len() - 1);
        assert!(room(&rib) <= 4 * SMALL, "{}", room(&rib));
    }

    #[test]
    fn keys_of_both_families_come_back_as_they_went_in() {
        for (afi, octets, length) in [(Afi::Ipv4, &[192, 0, 2, 255][..], 32), (Afi::Ipv6, &[0x20, 1, 0xd, 0xb8], 30)] {
            let nlri =
                Nlri { prefix: Prefix::truncating(afi, octets, length).unwrap(), path_id: Some(PathId(u32::MAX)) };
            let stored = StoredRoute { prefix: nlri.prefix, path_id: u32::MAX, fingerprint: u64::MAX };
            assert_eq!(RouteMap::stored(afi, &[stored]).take_stale(), [nlri]);
        }
        // No padding: 17 octets for an IPv4 route, 29 for an IPv6 one.
        assert_eq!((size_of::<([u8; 9], Fingerprint)>(), size_of::<([u8; 21], Fingerprint)>()), (17, 29));
    }

    #[test]
    fn path_identifier_zero_and_none_are_one_key() {
        let mut rib = RouteMap::new(Afi::Ipv4);
        assert_eq!(rib.announce(&nlri(1, Some(0)), 1).verdict, RouteEffect::New);
        assert_eq!(rib.announce(&nlri(1, None), 1).verdict, RouteEffect::Same);
        assert_eq!(rib.announce(&nlri(1, Some(1)), 1).verdict, RouteEffect::New);
    }
}
