//! What the database holds of one table, as far as the collector knows: key to fingerprint.
//!
//! The collector is the only writer, so it can decide for every route whether it is new, changed or the
//! same before anything reaches a writer: a re-dump of what is already stored writes nothing. During a
//! dump each confirmed key is marked; what is left unmarked at its end is stale.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::model::{Nlri, PathId, Prefix};
use crate::pipeline::StoredRoute;

/// A route's key as the database has it: 0 stands for "no path identifier" too.
type Key = (Prefix, u32);

/// The stored routes of one table.
#[derive(Debug, Default)]
pub struct Rib {
    routes: HashMap<Key, Known, xxhash_rust::xxh3::Xxh3DefaultBuilder>,
    /// How many routes are stored from before this session and not yet confirmed by it.
    unconfirmed: usize,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    fingerprint: u64,
    confirmed: bool,
}

/// What an announcement is to the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No such key is stored: insert.
    New,
    /// The key is stored with other attributes: update.
    Changed,
    /// Stored like this already: nothing to write.
    Same,
}

/// The answer to [`Rib::announce`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announced {
    /// What to do.
    pub verdict: Verdict,
    /// Whether a route from before this session was waiting for this.
    pub confirmed: bool,
}

impl Rib {
    /// A table as loaded from the database: every route waits to be confirmed.
    pub fn stored(routes: Vec<StoredRoute>) -> Rib {
        let routes: HashMap<Key, Known, _> = routes
            .into_iter()
            .map(|r| ((r.prefix, r.path_id), Known { fingerprint: r.fingerprint, confirmed: false }))
            .collect();
        Rib { unconfirmed: routes.len(), routes }
    }

    /// Notes an announced route.
    pub fn announce(&mut self, nlri: &Nlri, fingerprint: u64) -> Announced {
        match self.routes.entry((nlri.prefix, nlri.path_id_column())) {
            Entry::Vacant(entry) => {
                entry.insert(Known { fingerprint, confirmed: true });
                Announced { verdict: Verdict::New, confirmed: false }
            }
            Entry::Occupied(mut entry) => {
                let known = entry.get_mut();
                let verdict = if known.fingerprint == fingerprint { Verdict::Same } else { Verdict::Changed };
                let confirmed = !known.confirmed;
                self.unconfirmed -= usize::from(confirmed);
                *known = Known { fingerprint, confirmed: true };
                Announced { verdict, confirmed }
            }
        }
    }

    /// Notes a withdrawn route; whether it was stored.
    pub fn withdraw(&mut self, nlri: &Nlri) -> bool {
        match self.routes.remove(&(nlri.prefix, nlri.path_id_column())) {
            None => false,
            Some(known) => {
                self.unconfirmed -= usize::from(!known.confirmed);
                true
            }
        }
    }

    /// Takes out the routes that this session has not confirmed, sorted.
    pub fn take_stale(&mut self) -> Vec<Nlri> {
        if self.unconfirmed == 0 {
            return Vec::new();
        }
        let mut stale = Vec::with_capacity(self.unconfirmed);
        self.routes.retain(|(prefix, path_id), known| {
            if !known.confirmed {
                let path_id = (*path_id != 0).then_some(PathId(*path_id));
                stale.push(Nlri { prefix: *prefix, path_id });
            }
            known.confirmed
        });
        self.unconfirmed = 0;
        stale.sort_unstable();
        stale
    }

    /// How many routes are stored.
    pub fn len(&self) -> usize {
        self.routes.len()
    }

    /// Whether no route is stored.
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }

    /// How many routes from before this session still wait to be confirmed.
    pub fn unconfirmed(&self) -> usize {
        self.unconfirmed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Afi;

    fn nlri(octet: u8, path_id: Option<u32>) -> Nlri {
        Nlri { prefix: Prefix::new(Afi::Ipv4, &[10, octet], 16).unwrap(), path_id: path_id.map(PathId) }
    }

    fn stored(octet: u8, path_id: u32, fingerprint: u64) -> StoredRoute {
        StoredRoute { prefix: nlri(octet, None).prefix, path_id, fingerprint }
    }

    #[test]
    fn a_redump_confirms_and_the_rest_is_stale() {
        let mut rib = Rib::stored(vec![stored(1, 0, 11), stored(2, 0, 22), stored(3, 7, 33), stored(4, 0, 44)]);
        let announced = |verdict, confirmed| Announced { verdict, confirmed };
        assert_eq!(rib.announce(&nlri(1, None), 11), announced(Verdict::Same, true));
        assert_eq!(rib.announce(&nlri(1, None), 11), announced(Verdict::Same, false));
        assert_eq!(rib.announce(&nlri(2, None), 23), announced(Verdict::Changed, true));
        assert_eq!(rib.announce(&nlri(5, None), 55), announced(Verdict::New, false));
        assert!(rib.withdraw(&nlri(4, None)));
        assert!(!rib.withdraw(&nlri(9, None)));
        assert_eq!((rib.unconfirmed(), rib.len()), (1, 4));
        assert_eq!(rib.take_stale(), vec![nlri(3, Some(7))]);
        assert_eq!((rib.take_stale(), rib.len()), (vec![], 3));
    }

    #[test]
    fn path_identifier_zero_and_none_are_one_key() {
        let mut rib = Rib::default();
        assert_eq!(rib.announce(&nlri(1, Some(0)), 1).verdict, Verdict::New);
        assert_eq!(rib.announce(&nlri(1, None), 1).verdict, Verdict::Same);
        assert_eq!(rib.announce(&nlri(1, Some(1)), 1).verdict, Verdict::New);
    }
}
