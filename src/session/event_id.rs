//! The identity of a history row: the same event has the same id wherever and however often it is seen.

use std::collections::HashMap;
use std::net::IpAddr;

use byteorder::{BE, ByteOrder};
use sha2::{Digest, Sha256};
use xxhash_rust::xxh3::xxh3_64;

use super::seeded::Seeded;
use crate::model::{Nlri, Table, Timestamp};
use crate::pipeline::{RouteChange, WithdrawReason};

/// The most recent ids that each of the two generations keeps: about 1 MiB for both, per session.
const RECENT_MAX: usize = 1 << 14;

/// Makes the event ids of one session.
///
/// Routers stamp whole seconds, so a flap within one second makes the very same event twice. An occurrence number among
/// the session's recent events distinguishes them: 0 for the first.
#[derive(Debug, Default)]
pub(crate) struct EventIds {
    /// The last occurrence number of each recent event, by a hash of the event.
    recent: HashMap<u64, u32, Seeded>,
    /// The previous generation.
    older: HashMap<u64, u32, Seeded>,
    /// A buffer for one encoding.
    encoded: Vec<u8>,
}

impl EventIds {
    /// Creates the ids of a session that continues from the result of [`EventIds::recent`].
    pub(crate) fn resume(ids: &[(u64, u32)]) -> EventIds {
        EventIds { older: ids.iter().copied().collect(), ..EventIds::default() }
    }

    /// Returns the `event_id` of another event: SHA-256 over router, table, family, prefix, path identifier, action, time, attributes and occurrence number. `time` is the
    /// per-peer timestamp, or the time of receipt where the router sent none.
    pub fn next(&mut self, table: &Table, nlri: &Nlri, change: &RouteChange, time: Timestamp) -> [u8; 32] {
        let place = self.encode(table, nlri, change, time);
        let occurrence = self.count();
        BE::write_u32(&mut self.encoded[place..], occurrence);
        Sha256::digest(&self.encoded).into()
    }

    /// Counts a repeated message that makes no event, so that the next one like it has another occurrence number.
    pub fn repeated(&mut self, table: &Table, nlri: &Nlri, change: &RouteChange, time: Timestamp) {
        self.encode(table, nlri, change, time);
        self.count();
    }

    /// Counts the encoded event and returns its occurrence number.
    fn count(&mut self) -> u32 {
        let key = xxh3_64(&self.encoded);
        let occurrence = match self.recent.get(&key).or_else(|| self.older.get(&key)) {
            None => 0,
            Some(last) => last + 1,
        };
        if self.recent.len() >= RECENT_MAX {
            self.older = std::mem::take(&mut self.recent);
        }
        self.recent.insert(key, occurrence);
        occurrence
    }

    /// Encodes an event with occurrence number 0 and returns the offset of that number. Every field has a fixed width
    /// or is preceded by its length, so no two events share an encoding.
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
        // The last field before the change; empty for a Loc-RIB, whose encoding is older than that of the Adj-RIBs.
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

    /// Returns the keys and last occurrence numbers of recent events.
    pub(crate) fn recent(&self) -> Vec<(u64, u32)> {
        let older = self.older.iter().filter(|(key, _)| !self.recent.contains_key(key));
        older.chain(&self.recent).map(|(key, occurrence)| (*key, *occurrence)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Afi, PathId, Prefix, RouterId};

    #[test]
    fn flaps_in_one_second_differ_and_replays_match() {
        let table = Table::loc_rib(RouterId::new("10.0.0.1"), "global", Afi::Ipv4);
        let nlri = Nlri { prefix: Prefix::new(Afi::Ipv4, &[10], 8).unwrap(), path_id: None };
        let gone = RouteChange::Withdraw(WithdrawReason::Withdrawn);
        let time = Timestamp::from_wire(1_000, 0);
        let ids = || {
            let mut ids = EventIds::default();
            [ids.next(&table, &nlri, &gone, time), ids.next(&table, &nlri, &gone, time)]
        };
        assert_ne!(ids()[0], ids()[1]);
        assert_eq!(ids(), ids());

        let mut one = EventIds::default();
        let with_path = Nlri { path_id: Some(PathId(0)), ..nlri };
        let base = one.next(&table, &nlri, &gone, time);
        let stale = RouteChange::Withdraw(WithdrawReason::Stale);
        assert_ne!(base, one.next(&table, &with_path, &gone, time));
        assert_ne!(base, one.next(&table, &nlri, &stale, time));
        assert_ne!(base, one.next(&table, &nlri, &gone, Timestamp::from_wire(1_001, 0)));
    }

    #[test]
    fn numbers_continue_in_another_process() {
        let table = Table::loc_rib(RouterId::new("10.0.0.1"), "global", Afi::Ipv4);
        let nlri = |octet| Nlri { prefix: Prefix::new(Afi::Ipv4, &[octet], 8).unwrap(), path_id: None };
        let gone = RouteChange::Withdraw(WithdrawReason::Withdrawn);
        let time = Timestamp::from_wire(1_000, 0);
        let input = [1, 1, 1, 2, 1, 2, 3];
        let mut ids = EventIds::default();
        let all = input.map(|octet| ids.next(&table, &nlri(octet), &gone, time));
        for stored in 0..input.len() {
            let mut before = EventIds::default();
            input[..stored].iter().for_each(|octet| {
                let _ = before.next(&table, &nlri(*octet), &gone, time);
            });
            let mut next = EventIds::resume(&before.recent());
            for (octet, id) in input.iter().zip(all).skip(stored) {
                assert_eq!(next.next(&table, &nlri(*octet), &gone, time), id, "stored up to {stored}");
            }
        }
    }
}
