//! The Peer Downs that a session has heard that stands by, and which of them the collector before it has stored. Pure.
//!
//! A Peer Down is stored as a row of `session_events` for the tables that it removed, with the peer's address and the
//! name of its unicast table, and in the peer's own row. The name tells peers of one address apart.

use std::collections::HashMap;
use std::sync::Arc;

use super::earlier_tables::TableOrigin;
use super::peer_id::PeerId;
use crate::model::{PeerName, Table, TableKey, Timestamp};
use crate::pipeline::{Recent, Removal};

/// The largest difference between the clocks of a collector and of the database that is expected.
const CLOCKS_APART_MICROS: i64 = 30_000_000;

/// A Peer Down in a window.
#[derive(Clone, Debug)]
pub(crate) struct HeardDown {
    /// The peer.
    pub peer: PeerId,
    /// The key of the peer's row.
    pub name: PeerName,
    /// True if it was up.
    pub was_up: bool,
    /// The tables that it removed, by [`name_in_rows`], in order.
    pub tables: Vec<Arc<str>>,
    /// When it was read.
    pub received_at: Timestamp,
    /// The message.
    pub message: Box<[u8]>,
}

impl HeardDown {
    /// Returns whether it removed this table: one of its peer with the name of one of its unicast tables, or with that
    /// and what sets a table of other routes apart.
    pub(super) fn removes(&self, table: &Table) -> bool {
        let is_of = |name: &Arc<str>| {
            table.name.strip_prefix(&**name).is_some_and(|rest| rest.is_empty() || rest.starts_with('|'))
        };
        table.view.peer().map(|of| of.address) == self.peer.address && self.tables.iter().any(is_of)
    }
}

/// Returns the name that a row of `session_events` has for the removal of a table: that of the peer's unicast table, or
/// a Loc-RIB table's own.
pub(super) fn name_in_rows(key: &TableKey, origin: &TableOrigin) -> Arc<str> {
    Arc::clone(if key.view.peer().is_some() { &origin.unicast } else { &key.name })
}

/// Returns the Peer Downs that are not stored, the last one of each peer and its tables, in their order. What was stored
/// before the session `began` is none of them. `is_up` says of a peer whether it has come up after all of its Peer Downs.
pub(super) fn not_stored(
    all: Vec<HeardDown>,
    recent: &Recent,
    began: Timestamp,
    is_up: impl Fn(&HeardDown) -> bool,
) -> Vec<HeardDown> {
    let mut last: HashMap<(PeerId, &[Arc<str>]), usize> = HashMap::new();
    for (place, down) in all.iter().enumerate() {
        last.insert((down.peer, &down.tables), place);
    }
    let mut places: Vec<usize> = last.into_values().collect();
    places.sort_unstable();
    places.retain(|place| !is_stored(*place, &all, recent, began, &is_up));
    let mut places = places.into_iter().peekable();
    let wanted = all.into_iter().enumerate().filter(|(place, _)| places.next_if_eq(place).is_some());
    wanted.map(|(_, down)| down).collect()
}

/// Returns when the newest stored event of a table at the latest was written that says nothing of it any more: the table
/// was removed then, or after all that is stored if the removal is one of `downs`, which are not.
pub(super) fn is_over_until(
    (key, origin): (&TableKey, &TableOrigin),
    recent: &Recent,
    downs: &[HeardDown],
) -> Option<Timestamp> {
    let name = name_in_rows(key, origin);
    if downs.iter().any(|down| down.peer == origin.peer && down.tables.contains(&name)) {
        return Some(Timestamp::from_unix_micros(i64::MAX));
    }
    let address = key.view.peer().map(|of| of.address);
    let is_of = |removal: &&Removal| match &removal.table_name {
        Some(removed) => removal.address == address && *removed == name,
        None => !removal.is_down && removal.address.is_none(),
    };
    recent.removals.iter().filter(is_of).map(|removal| removal.at).max()
}

/// Returns whether the collector before has stored the Peer Down at this place.
fn is_stored(
    place: usize,
    all: &[HeardDown],
    recent: &Recent,
    began: Timestamp,
    is_up: impl Fn(&HeardDown) -> bool,
) -> bool {
    let down = &all[place];
    let first = |down: &HeardDown| (down.received_at.unix_micros() - CLOCKS_APART_MICROS).max(began.unix_micros());
    if down.tables.is_empty() && down.peer.address.is_some() {
        // Its row is all that is stored of it. That of a Peer Up may be written after the next Peer Down was heard.
        return recent.peers.iter().filter(|peer| peer.name == down.name).any(|peer| {
            let at = peer.since.unix_micros();
            if peer.is_up { is_up(down) && peer.since > down.received_at } else { at >= first(down) }
        });
    }
    let of_row = |removal: &Removal, down: &HeardDown| removal.is_down && is_of(removal, down);
    // Peer Downs are stored in their order, each after it was heard, sooner or later.
    let mut stored: Vec<&Removal> = recent.removals.iter().filter(|removal| of_row(removal, down)).collect();
    stored.sort_unstable_by_key(|removal| (&removal.table_name, removal.at));
    stored.chunk_by(|one, other| one.table_name == other.table_name).any(|rows| {
        let mut rows = rows.iter();
        let heard = all[..=place].iter().filter(|other| other.peer == down.peer && of_row(rows.as_slice()[0], other));
        let heard: Vec<&HeardDown> = heard.collect();
        heard.into_iter().fold(false, |_, heard| rows.any(|row| row.at.unix_micros() >= first(heard)))
    })
}

/// Returns whether the row may be of this Peer Down.
fn is_of(removal: &Removal, down: &HeardDown) -> bool {
    removal.address == down.peer.address
        && match &removal.table_name {
            Some(name) => down.tables.contains(name),
            None => down.tables.is_empty(),
        }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::model::{Asn, Rd};
    use crate::pipeline::StoredPeer;
    use crate::session::peer_records;
    use crate::wire::bmp::peer::{PeerKey, PeerKind};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_micros(seconds * 1_000_000)
    }

    /// The peer of the VRF with this number, always at the same address.
    fn heard(vrf: u8, tables: &[&str], second: i64) -> HeardDown {
        let (kind, address) = (PeerKind::Vrf(Rd([0, 0, 0, 1, 0, 0, 0, vrf])), IpAddr::from([192, 0, 2, 1]));
        let key = PeerKey { kind, address, asn: Asn(64_501), bgp_id: Ipv4Addr::UNSPECIFIED };
        HeardDown {
            peer: PeerId::of(&key),
            name: peer_records::name(&key),
            was_up: true,
            tables: tables.iter().map(|name| Arc::from(*name)).collect(),
            received_at: at(second),
            message: Box::new([]),
        }
    }

    fn removed(table: Option<&str>, second: i64) -> Removal {
        let address = Some([192, 0, 2, 1].into());
        Removal { address, table_name: table.map(Arc::from), at: at(second), is_down: true }
    }

    fn seconds_of_new(all: &[HeardDown], recent: &Recent) -> Vec<(i64, usize)> {
        seconds_of(not_stored(all.to_vec(), recent, at(15), |_| true))
    }

    fn seconds_of(new: Vec<HeardDown>) -> Vec<(i64, usize)> {
        new.iter().map(|down| (down.received_at.unix_micros() / 1_000_000, down.tables.len())).collect()
    }

    #[test]
    fn the_last_peer_down_of_each_peer_counts() {
        let all = [heard(1, &["a"], 0), heard(2, &["b"], 5), heard(3, &["c"], 6), heard(2, &["b"], 7)];
        assert_eq!(seconds_of_new(&all, &Recent::default()), [(0, 1), (6, 1), (7, 1)]);
        // Two tables of one peer go one by one.
        let all = [heard(1, &["a"], 0), heard(1, &["b"], 1), heard(1, &["a"], 2)];
        assert_eq!(seconds_of_new(&all, &Recent::default()), [(1, 1), (2, 1)]);
    }

    #[test]
    fn peers_at_one_address_are_told_apart() {
        let all = [heard(1, &["a"], 100), heard(2, &["b"], 101)];
        let recent = Recent { removals: vec![removed(Some("a"), 100)], ..Recent::default() };
        assert_eq!(seconds_of_new(&all, &recent), [(101, 1)]);
        // Those without tables by their rows.
        let all = [heard(1, &[], 100), heard(2, &[], 101)];
        let peer = |down: &HeardDown, is_up, second| StoredPeer { name: down.name.clone(), is_up, since: at(second) };
        let stored = |is_up, second| Recent { peers: vec![peer(&all[1], is_up, second)], ..Recent::default() };
        assert_eq!(seconds_of_new(&all, &stored(false, 100)), [(100, 0)]);
        assert_eq!(seconds_of_new(&all, &stored(true, 102)), [(100, 0)]);
        assert_eq!(seconds_of_new(&all, &stored(true, 99)), [(100, 0), (101, 0)]);
        // Where the peer is still down, its row is that of the Peer Up before, by whatever clock.
        let still_down = not_stored(all.to_vec(), &stored(true, 160), at(15), |_| false);
        assert_eq!(seconds_of(still_down), [(100, 0), (101, 0)]);
        assert_eq!(seconds_of_new(&all, &stored(false, 9)), [(100, 0), (101, 0)]);
    }

    #[test]
    fn peer_downs_of_a_peer_are_stored_in_their_order() {
        let all = [heard(1, &["a"], 100), heard(1, &["a"], 110)];
        let recent = |second| Recent { removals: vec![removed(Some("a"), second)], ..Recent::default() };
        assert_eq!(seconds_of_new(&all, &recent(101)), [(110, 1)]);
        assert_eq!(seconds_of_new(&all, &recent(111)), [(110, 1)]);
        let both = |one, other| Recent { removals: [one, other].map(|at| removed(Some("a"), at)).into(), ..recent(0) };
        assert_eq!(seconds_of_new(&all, &both(113, 111)), []);
        assert_eq!(seconds_of_new(&all, &recent(20)), [(110, 1)]);
        // The database's clock is before or after, or the first one was stored late.
        let all = [heard(1, &["a"], 100), heard(1, &["a"], 125)];
        assert_eq!(seconds_of_new(&all, &recent(130)), [(125, 1)]);
        assert_eq!(seconds_of_new(&all, &recent(120)), [(125, 1)]);
        assert_eq!(seconds_of_new(&all, &both(120, 145)), []);
        assert_eq!(seconds_of_new(&all, &recent(80)), [(125, 1)]);
        assert_eq!(seconds_of_new(&all, &both(80, 105)), []);
        // A removal of long before is of neither.
        assert_eq!(seconds_of_new(&all, &both(60, 101)), [(125, 1)]);
        // What was stored before the session is of an earlier Peer Down.
        let soon = [heard(1, &["a"], 20)];
        assert_eq!(seconds_of_new(&soon, &recent(14)), [(20, 1)]);
        assert_eq!(seconds_of_new(&soon, &recent(16)), []);
    }

    #[test]
    fn a_removed_table_alone_has_no_past() {
        use crate::model::{Afi, View};
        use crate::session::changes::TableKind;
        let key = |name: &str| TableKey { view: View::LocRib, name: name.into(), afi: Afi::Ipv4 };
        let peer = heard(1, &[], 0).peer;
        let origin = |name: &str| TableOrigin {
            peer: PeerId { address: None, ..peer },
            given: name.into(),
            unicast: name.into(),
            part: TableKind::Unicast,
        };
        let mut down = heard(1, &["a"], 100);
        down.peer.address = None;
        let over = |name: &str, recent: &Recent, downs: &[HeardDown]| {
            is_over_until((&key(name), &origin(name)), recent, downs).map(|at| at.unix_micros() / 1_000_000)
        };
        let recent = Recent {
            removals: vec![
                Removal { address: None, ..removed(Some("a"), 7) },
                Removal { address: None, ..removed(Some("a"), 5) },
            ],
            ..Recent::default()
        };
        assert_eq!((over("a", &recent, &[]), over("b", &recent, &[])), (Some(7), None));
        assert!(over("a", &recent, &[down.clone()]).is_some_and(|second| second > 1_000));
        assert_eq!(over("b", &recent, &[down]), None);
    }
}
