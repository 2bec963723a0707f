//! Tables that the database has and the session has not begun. They are from earlier sessions, and are kept until this
//! one sends them or the stale time is over. They are indexed by peer, so that a Peer Down finds its tables without a
//! scan.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use super::changes::TableKind;
use super::peer_id::PeerId;
use crate::model::TableKey;
use crate::wire::bmp::peer::PeerKind;

/// The origin of a table: the peer, and which of the peer's tables it is. This is the structure of its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableOrigin {
    /// The peer or instance.
    pub peer: PeerId,
    /// The router's name for it, escaped.
    pub given: Arc<str>,
    /// The `table_name` of the unicast table that belongs to it.
    pub unicast: Arc<str>,
    /// The SAFI, and the route distinguisher for VPN.
    pub part: TableKind,
}

/// The stored tables that the session has not begun.
#[derive(Debug, Default)]
pub(crate) struct EarlierTables {
    tables: BTreeMap<TableKey, Option<TableOrigin>>,
    by_peer: HashMap<PeerId, BTreeSet<TableKey>>,
    /// The peers that have tables here, by type, distinguisher and address.
    alike: HashMap<(PeerKind, Option<IpAddr>), BTreeSet<PeerId>>,
    /// Tables of unknown peers, by address.
    strays: HashMap<Option<IpAddr>, BTreeSet<TableKey>>,
}

impl EarlierTables {
    /// Creates the set from the stored tables, each with its origin if that is known.
    pub fn new(tables: impl IntoIterator<Item = (TableKey, Option<TableOrigin>)>) -> EarlierTables {
        let mut earlier = EarlierTables::default();
        tables.into_iter().for_each(|(key, origin)| earlier.insert(key, origin));
        earlier
    }

    /// Adds a table.
    pub fn insert(&mut self, key: TableKey, origin: Option<TableOrigin>) {
        match &origin {
            Some(TableOrigin { peer, .. }) => {
                self.by_peer.entry(*peer).or_default().insert(key.clone());
                self.alike.entry((peer.kind, peer.address)).or_default().insert(*peer);
            }
            None => {
                self.strays.entry(address(&key)).or_default().insert(key.clone());
            }
        }
        self.tables.insert(key, origin);
    }

    /// Returns true if the table is in the set.
    pub fn contains(&self, key: &TableKey) -> bool {
        self.tables.contains_key(key)
    }

    /// Removes a table.
    pub fn remove(&mut self, key: &TableKey) {
        match self.tables.remove(key) {
            None => {}
            Some(Some(TableOrigin { peer, .. })) => {
                let Some(keys) = self.by_peer.get_mut(&peer) else { return };
                keys.remove(key);
                if keys.is_empty() {
                    self.by_peer.remove(&peer);
                    let alike = (peer.kind, peer.address);
                    if let Some(peers) = self.alike.get_mut(&alike) {
                        peers.remove(&peer);
                        if peers.is_empty() {
                            self.alike.remove(&alike);
                        }
                    }
                }
            }
            Some(None) => {
                let address = address(key);
                if let Some(keys) = self.strays.get_mut(&address) {
                    keys.remove(key);
                    if keys.is_empty() {
                        self.strays.remove(&address);
                    }
                }
            }
        }
    }

    /// Returns all tables.
    pub fn keys(&self) -> impl Iterator<Item = &TableKey> {
        self.tables.keys()
    }

    /// Returns the origin of a table, if it is known.
    pub fn origin(&self, key: &TableKey) -> Option<&TableOrigin> {
        self.tables.get(key)?.as_ref()
    }

    /// Returns the tables of one peer.
    pub fn of<'a>(&'a self, peer: &PeerId) -> impl Iterator<Item = (&'a TableKey, &'a TableOrigin)> {
        let keys = self.by_peer.get(peer).into_iter().flatten();
        keys.filter_map(|key| Some((key, self.origin(key)?)))
    }

    /// Returns the peer whose tables a Peer Down means if its header names `peer`.
    pub(crate) fn meant_down(&self, peer: &PeerId) -> Option<PeerId> {
        if self.by_peer.contains_key(peer) {
            return Some(*peer);
        }
        peer.meant_down(self.alike.get(&(peer.kind, peer.address)).into_iter().flatten())
    }

    /// Returns the tables of this name at this address whose peer is unknown.
    pub(crate) fn strays<'a>(&'a self, address: Option<IpAddr>, name: &'a str) -> impl Iterator<Item = &'a TableKey> {
        self.strays.get(&address).into_iter().flatten().filter(move |key| &*key.name == name)
    }
}

fn address(key: &TableKey) -> Option<IpAddr> {
    key.view.peer().map(|of| of.address)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::model::{Afi, Asn, Rd};

    #[test]
    fn a_removed_table_leaves_nothing_behind() {
        let kind = PeerKind::LocRib(Rd::default());
        let peer = PeerId { kind, address: None, asn: Asn(0), bgp_id: Ipv4Addr::UNSPECIFIED };
        let origin = TableOrigin { peer, given: "red".into(), unicast: "red".into(), part: TableKind::Unicast };
        let keys = ["red", "stray"].map(|name| TableKey::loc_rib(name, Afi::Ipv4));
        let mut earlier = EarlierTables::new(keys.clone().into_iter().zip([Some(origin), None]));
        keys.iter().for_each(|key| earlier.remove(key));
        let EarlierTables { tables, by_peer, alike, strays } = &earlier;
        assert_eq!((tables.len(), by_peer.len(), alike.len(), strays.len()), (0, 0, 0, 0));
    }
}
