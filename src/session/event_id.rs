//! The identity of a history row: the same event has the same id wherever and however often it is seen.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use sha2::{Digest, Sha256};
use xxhash_rust::xxh3::xxh3_64;

use super::seeded::Seeded;
use crate::model::{Nlri, Table, Timestamp};
use crate::pipeline::{RouteChange, WithdrawReason};

/// How many recent ids each of the two generations holds, at most: about 1 MiB for both, per session.
const RECENT_MAX: usize = 1 << 14;

/// Makes the event ids of one session.
///
/// Routers stamp whole seconds, so a flap within one second makes the very same event twice. An
/// occurrence number among the session's recent events tells them apart: 0 for the first.
#[derive(Debug, Default)]
pub struct EventIds {
    /// By a hash of what is said: how often it was said before, the last time.
    recent: HashMap<u64, u32, Seeded>,
    /// The generation before.
    older: HashMap<u64, u32, Seeded>,
    /// The chunk and the key of all that was said and is not stored yet: what the numbers were before them can be found out.
    unstored: VecDeque<(u64, u64)>,
    /// Room for one encoding.
    encoded: Vec<u8>,
}

impl EventIds {
    /// A session without events.
    pub fn new() -> EventIds {
        EventIds::default()
    }

    /// Those of a session that goes on from what [`EventIds::at_stored`] said.
    pub fn resume(ids: &[(u64, u32)]) -> EventIds {
        EventIds { older: ids.iter().copied().collect(), ..EventIds::default() }
    }

    /// The `event_id` of one more event, which the chunk `chunk` of the session's input made: SHA-256 over router, table,
    /// family, prefix, path identifier, action, time, attributes and occurrence number. `time` is the per-peer timestamp, or
    /// the time of receipt where the router sent none.
    pub fn next(&mut self, chunk: u64, table: &Table, nlri: &Nlri, change: &RouteChange, time: Timestamp) -> [u8; 32] {
        let place = self.encode(table, nlri, change, time);
        let occurrence = self.count(chunk);
        self.encoded[place..place + 4].copy_from_slice(&occurrence.to_be_bytes());
        Sha256::digest(&self.encoded).into()
    }

    /// The router said so once more, and that is no event: if it says it again, that is another time.
    pub fn repeated(&mut self, chunk: u64, table: &Table, nlri: &Nlri, change: &RouteChange, time: Timestamp) {
        self.encode(table, nlri, change, time);
        self.count(chunk);
    }

    /// How often what is encoded was said before.
    fn count(&mut self, chunk: u64) -> u32 {
        let key = xxh3_64(&self.encoded);
        let occurrence = match self.recent.get(&key).or_else(|| self.older.get(&key)) {
            None => 0,
            Some(last) => last + 1,
        };
        if self.recent.len() >= RECENT_MAX {
            self.older = std::mem::take(&mut self.recent);
        }
        self.recent.insert(key, occurrence);
        self.unstored.push_back((chunk, key));
        occurrence
    }

    /// Encodes an event with occurrence number 0; where that number is. Every field has a fixed width or is led by its
    /// length, so no two events share an encoding.
    fn encode(&mut self, table: &Table, nlri: &Nlri, change: &RouteChange, time: Timestamp) -> usize {
        let out = &mut self.encoded;
        out.clear();
        for text in [table.router.as_str(), &table.name] {
            out.extend(u64::try_from(text.len()).expect("a length fits 64 bits").to_be_bytes());
            out.extend(text.as_bytes());
        }
        out.extend(table.afi.column().to_be_bytes());
        out.push(nlri.prefix.length());
        out.extend(nlri.prefix.octets());
        match nlri.path_id {
            None => out.extend([0; 5]),
            Some(id) => {
                out.push(1);
                out.extend(id.0.to_be_bytes());
            }
        }
        out.extend(time.unix_micros().to_be_bytes());
        let place = out.len();
        out.extend(0u32.to_be_bytes());
        // Last but the attributes, and nothing for a Loc-RIB: its encoding is older than the Adj-RIBs'.
        if let Some(peer) = table.view.peer() {
            out.extend(table.view.kind().as_str().as_bytes());
            out.push(u8::from(peer.policy.is_post()));
            match peer.address {
                IpAddr::V4(address) => out.extend(address.octets()),
                IpAddr::V6(address) => out.extend(address.octets()),
            }
        }
        match change {
            RouteChange::Announce(route) => {
                out.push(b'A');
                route.pieces().iter().for_each(|piece| out.extend_from_slice(piece));
            }
            RouteChange::Withdraw(WithdrawReason::Withdrawn) => out.push(b'D'),
            RouteChange::Withdraw(WithdrawReason::Stale) => out.extend(b"DS"),
            RouteChange::Withdraw(WithdrawReason::Reread) => out.extend(b"DR"),
        }
        place
    }

    /// Everything up to the chunk `stored` is in the database.
    pub fn forget(&mut self, stored: u64) {
        while self.unstored.front().is_some_and(|(chunk, _)| *chunk <= stored) {
            self.unstored.pop_front();
        }
    }

    /// The keys and last occurrence numbers of recent events, without those that are not stored.
    pub fn at_stored(&self) -> Vec<(u64, u32)> {
        let mut last: HashMap<u64, i64> = HashMap::new();
        for (key, occurrence) in self.older.iter().chain(&self.recent) {
            last.insert(*key, i64::from(*occurrence));
        }
        for (_, key) in &self.unstored {
            last.entry(*key).and_modify(|occurrence| *occurrence -= 1);
        }
        last.into_iter().filter_map(|(key, occurrence)| Some((key, u32::try_from(occurrence).ok()?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Afi, PathId, Prefix, RouterId};

    #[test]
    fn a_flap_within_one_second_is_two_events_and_a_replay_of_it_the_same_two() {
        let table = Table::loc_rib(RouterId::new("10.0.0.1"), "global", Afi::Ipv4);
        let nlri = Nlri { prefix: Prefix::new(Afi::Ipv4, &[10], 8).unwrap(), path_id: None };
        let gone = RouteChange::Withdraw(WithdrawReason::Withdrawn);
        let time = Timestamp::from_wire(1_000, 0);
        let ids = || {
            let mut ids = EventIds::new();
            [ids.next(1, &table, &nlri, &gone, time), ids.next(1, &table, &nlri, &gone, time)]
        };
        assert_ne!(ids()[0], ids()[1]);
        assert_eq!(ids(), ids());

        let mut one = EventIds::new();
        let with_path = Nlri { path_id: Some(PathId(0)), ..nlri };
        let base = one.next(1, &table, &nlri, &gone, time);
        let stale = RouteChange::Withdraw(WithdrawReason::Stale);
        assert_ne!(base, one.next(1, &table, &with_path, &gone, time));
        assert_ne!(base, one.next(1, &table, &nlri, &stale, time));
        assert_ne!(base, one.next(1, &table, &nlri, &gone, Timestamp::from_wire(1_001, 0)));
    }

    #[test]
    fn the_numbers_go_on_in_another_process_from_what_was_stored() {
        let table = Table::loc_rib(RouterId::new("10.0.0.1"), "global", Afi::Ipv4);
        let nlri = |octet| Nlri { prefix: Prefix::new(Afi::Ipv4, &[octet], 8).unwrap(), path_id: None };
        let gone = RouteChange::Withdraw(WithdrawReason::Withdrawn);
        let time = Timestamp::from_wire(1_000, 0);
        let input = [(1, 1), (1, 1), (2, 1), (2, 2), (3, 1), (3, 2), (3, 3)];
        let mut ids = EventIds::new();
        let all = input.map(|(chunk, octet)| ids.next(chunk, &table, &nlri(octet), &gone, time));
        for stored in 0..=3 {
            ids.forget(stored);
            let mut next = EventIds::resume(&ids.at_stored());
            for ((chunk, octet), id) in input.iter().zip(all).filter(|((chunk, _), _)| *chunk > stored) {
                assert_eq!(next.next(*chunk, &table, &nlri(*octet), &gone, time), id, "stored up to {stored}");
            }
        }
    }
}
