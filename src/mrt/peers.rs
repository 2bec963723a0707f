//! The peers of a file: what they use, and whether they are up.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr};

use crate::model::AfiSafi;

/// The largest number of peers of a file.
pub const PEERS_MAX: usize = 1 << 16;

/// The largest number of families of a peer: their capabilities fit an OPEN.
const FAMILIES_MAX: usize = 16;

/// Identifies a peer of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct MrtPeerKey {
    pub(crate) address: IpAddr,
    pub(crate) asn: u32,
    /// True if it is the router itself: its routes are a Loc-RIB.
    pub(crate) is_router: bool,
}

/// A peer of a file.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) key: MrtPeerKey,
    /// Zero where the file does not have it.
    pub(crate) bgp_id: Ipv4Addr,
    /// The address of the collector in its session with the peer; unspecified where the file does not have it.
    pub(crate) local_address: IpAddr,
    /// The families of its routes.
    pub(crate) families: BTreeSet<AfiSafi>,
    /// Those whose routes have path identifiers.
    pub(crate) add_path: BTreeSet<AfiSafi>,
    /// Those whose routes have several labels.
    pub(crate) label_stacks: BTreeSet<AfiSafi>,
    pub(crate) is_up: bool,
    /// The families of which entries of a RIB were sent, without the End-of-RIB.
    pub(crate) dumping: BTreeSet<AfiSafi>,
}

impl Peer {
    fn new(key: MrtPeerKey) -> Peer {
        let local_address = match key.address {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
        };
        // Only IPv4 addresses can stand in for an identifier that is not known.
        let bgp_id = match key.address {
            IpAddr::V4(address) => address,
            IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
        };
        let (families, add_path, label_stacks, dumping) = Default::default();
        Peer { key, bgp_id, local_address, families, add_path, label_stacks, is_up: false, dumping }
    }

    /// Notes that it has routes of a family.
    pub(crate) fn uses(&mut self, family: AfiSafi, has_path_ids: bool, has_label_stacks: bool) {
        if self.families.len() < FAMILIES_MAX || self.families.contains(&family) {
            self.families.insert(family);
            if has_path_ids {
                self.add_path.insert(family);
            }
            if has_label_stacks {
                self.label_stacks.insert(family);
            }
        }
    }
}

/// All peers of a file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peers {
    all: Vec<Peer>,
    places: HashMap<MrtPeerKey, usize>,
}

impl Peers {
    /// Returns the place of a peer, which is made if it is new; `None` if there are too many.
    pub(crate) fn place(&mut self, key: MrtPeerKey) -> Option<usize> {
        if let Some(place) = self.places.get(&key) {
            return Some(*place);
        }
        if self.all.len() >= PEERS_MAX {
            return None;
        }
        self.all.push(Peer::new(key));
        self.places.insert(key, self.all.len() - 1);
        Some(self.all.len() - 1)
    }

    pub(crate) fn at(&mut self, place: usize) -> &mut Peer {
        &mut self.all[place]
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Peer> {
        self.all.iter_mut()
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }
}
