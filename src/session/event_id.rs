//! The identity of a history row: the same event has the same id wherever and however often it is seen.

use std::collections::HashMap;
use std::net::IpAddr;

use sha2::{Digest, Sha256};

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
    /// By the first 64 bits of the id with occurrence number 0.
    recent: HashMap<u64, u32>,
    /// The generation before.
    older: HashMap<u64, u32>,
}

impl EventIds {
    /// A session without events.
    pub fn new() -> EventIds {
        EventIds::default()
    }

    /// The `event_id` of one more event: SHA-256 over router, table, family, prefix, path identifier,
    /// action, time, attributes and occurrence number. `time` is the per-peer timestamp, or the time of
    /// receipt where the router sent none.
    pub fn next(&mut self, table: &Table, nlri: &Nlri, change: &RouteChange, time: Timestamp) -> [u8; 32] {
        let first = digest(table, nlri, change, time, 0);
        let [a, b, c, d, e, f, g, h, ..] = first;
        let key = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
        let occurrence = match self.recent.get(&key).or_else(|| self.older.get(&key)) {
            None => 0,
            Some(last) => last + 1,
        };
        if self.recent.len() >= RECENT_MAX {
            self.older = std::mem::take(&mut self.recent);
        }
        self.recent.insert(key, occurrence);
        if occurrence == 0 { first } else { digest(table, nlri, change, time, occurrence) }
    }
}

/// Every field has a fixed width or is led by its length, so no two events share an encoding.
fn digest(table: &Table, nlri: &Nlri, change: &RouteChange, time: Timestamp, occurrence: u32) -> [u8; 32] {
    let mut hash = Sha256::new();
    for text in [table.router.as_str(), &table.name] {
        hash.update(u64::try_from(text.len()).expect("a length fits 64 bits").to_be_bytes());
        hash.update(text);
    }
    hash.update(table.afi.column().to_be_bytes());
    hash.update([nlri.prefix.length()]);
    hash.update(nlri.prefix.octets());
    match nlri.path_id {
        None => hash.update([0; 5]),
        Some(id) => {
            hash.update([1]);
            hash.update(id.0.to_be_bytes());
        }
    }
    hash.update(time.unix_micros().to_be_bytes());
    hash.update(occurrence.to_be_bytes());
    // Last but the attributes, and nothing for a Loc-RIB: its encoding is older than the Adj-RIBs'.
    if let Some(neighbour) = table.view.neighbour() {
        hash.update(table.view.kind().as_str());
        hash.update([u8::from(neighbour.policy.is_post())]);
        match neighbour.address {
            IpAddr::V4(address) => hash.update(address.octets()),
            IpAddr::V6(address) => hash.update(address.octets()),
        }
    }
    match change {
        RouteChange::Announce(route) => {
            hash.update(b"A");
            hash.update(route.columns());
        }
        RouteChange::Withdraw(WithdrawReason::Withdrawn) => hash.update(b"D"),
        RouteChange::Withdraw(WithdrawReason::Stale) => hash.update(b"DS"),
    }
    hash.finalize().into()
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
            [ids.next(&table, &nlri, &gone, time), ids.next(&table, &nlri, &gone, time)]
        };
        assert_ne!(ids()[0], ids()[1]);
        assert_eq!(ids(), ids());

        let mut one = EventIds::new();
        let with_path = Nlri { path_id: Some(PathId(0)), ..nlri };
        let base = one.next(&table, &nlri, &gone, time);
        let stale = RouteChange::Withdraw(WithdrawReason::Stale);
        assert_ne!(base, one.next(&table, &with_path, &gone, time));
        assert_ne!(base, one.next(&table, &nlri, &stale, time));
        assert_ne!(base, one.next(&table, &nlri, &gone, Timestamp::from_wire(1_001, 0)));
    }
}
