//! `peers` and `peer_statistics`: the peers of each router, and the statistics that routers report about them.

use postgres::types::Type;
use postgres::{Client, Transaction};

use super::error::Result;
use crate::model::{PeerName, PeerRecord, PeerState, RouterId, StatisticRecord, Timestamp, cut_reason};

/// The Peer Ups and Peer Downs of one peer, summarized.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PeerChange {
    /// The latest value of each field.
    record: PeerRecord,
    /// The first state reported.
    first: PeerState,
    /// The number of changes from up to down since.
    flaps: i64,
    /// True if more than one state was reported.
    has_changed: bool,
}

impl PeerChange {
    /// Begins with one report.
    pub fn new(record: PeerRecord) -> PeerChange {
        PeerChange { first: record.state, record, flaps: 0, has_changed: false }
    }

    /// Adds the next report; fields that it leaves out keep their values.
    pub fn then(&mut self, next: PeerRecord) {
        self.flaps += i64::from(self.record.state == PeerState::Up && next.state == PeerState::Down);
        self.has_changed |= self.record.state != next.state;
        let last = &mut self.record;
        last.state = next.state;
        last.bgp_id = next.bgp_id.or(last.bgp_id);
        last.local_address = next.local_address.or(last.local_address);
        last.local_port = next.local_port.or(last.local_port);
        last.remote_port = next.remote_port.or(last.remote_port);
        last.hold_time = next.hold_time.or(last.hold_time);
        last.capabilities = next.capabilities.or(last.capabilities.take());
        last.description = next.description.or(last.description.take());
        last.reason = next.reason.or(last.reason.take());
    }
}

/// Stores the changes of peers, each peer once.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn upsert<'a>(
    transaction: &mut Transaction<'_>,
    all: impl Iterator<Item = (&'a RouterId, &'a PeerChange)>,
) -> Result<()> {
    let all: Vec<_> = all.collect();
    if all.is_empty() {
        return Ok(());
    }
    let state = |state| match state {
        PeerState::Up => "up",
        PeerState::Down => "down",
    };
    let routers: Vec<&str> = all.iter().map(|(router, _)| router.as_str()).collect();
    let records: Vec<&PeerRecord> = all.iter().map(|(_, change)| &change.record).collect();
    let kinds: Vec<&str> = records.iter().map(|peer| peer.name.kind.as_str()).collect();
    let distinguishers: Vec<&str> = records.iter().map(|peer| peer.name.distinguisher.as_str()).collect();
    let addresses: Vec<_> = records.iter().map(|peer| peer.name.address).collect();
    let asns: Vec<i64> = records.iter().map(|peer| i64::from(peer.name.asn.0)).collect();
    let bgp_ids: Vec<_> = records.iter().map(|peer| peer.bgp_id.map(|id| id.to_string())).collect();
    let local_addresses: Vec<_> = records.iter().map(|peer| peer.local_address).collect();
    let local_ports: Vec<_> = records.iter().map(|peer| peer.local_port.map(i32::from)).collect();
    let remote_ports: Vec<_> = records.iter().map(|peer| peer.remote_port.map(i32::from)).collect();
    let hold_times: Vec<_> = records.iter().map(|peer| peer.hold_time.map(i32::from)).collect();
    let capabilities: Vec<_> = records.iter().map(|peer| peer.capabilities.as_deref()).collect();
    let descriptions: Vec<_> = records.iter().map(|peer| peer.description.as_deref()).collect();
    let states: Vec<&str> = records.iter().map(|peer| state(peer.state)).collect();
    let reasons: Vec<_> = records.iter().map(|peer| peer.reason.as_deref().map(cut_reason)).collect();
    let first_states: Vec<&str> = all.iter().map(|(_, change)| state(change.first)).collect();
    let flaps: Vec<i64> = all.iter().map(|(_, change)| change.flaps).collect();
    let have_changed: Vec<bool> = all.iter().map(|(_, change)| change.has_changed).collect();
    transaction.execute_typed(
        include_str!("../../sql/statements/upsert_peers.sql"),
        &[
            (&routers, Type::TEXT_ARRAY),
            (&kinds, Type::TEXT_ARRAY),
            (&distinguishers, Type::TEXT_ARRAY),
            (&addresses, Type::INET_ARRAY),
            (&asns, Type::INT8_ARRAY),
            (&bgp_ids, Type::TEXT_ARRAY),
            (&local_addresses, Type::INET_ARRAY),
            (&local_ports, Type::INT4_ARRAY),
            (&remote_ports, Type::INT4_ARRAY),
            (&hold_times, Type::INT4_ARRAY),
            (&capabilities, Type::TEXT_ARRAY),
            (&descriptions, Type::TEXT_ARRAY),
            (&states, Type::TEXT_ARRAY),
            (&reasons, Type::TEXT_ARRAY),
            (&first_states, Type::TEXT_ARRAY),
            (&flaps, Type::INT8_ARRAY),
            (&have_changed, Type::BOOL_ARRAY),
        ],
    )?;
    Ok(())
}

/// Sets all peers of a router to `unknown`: monitoring ended, or the router did not come back.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn forget(transaction: &mut Transaction<'_>, router: &RouterId) -> Result<()> {
    transaction.execute_typed(
        "UPDATE peers SET state = 'unknown', since = now() WHERE router_id = $1 AND state <> 'unknown'",
        &[(&router.as_str(), Type::TEXT)],
    )?;
    Ok(())
}

/// Sets these peers to `unknown`, if the router is `collector`'s: their session is lost, and no other one reports them.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn forget_these(client: &mut Client, collector: &str, router: &RouterId, peers: &[PeerName]) -> Result<()> {
    let mut transaction = client.transaction()?;
    let is_ours = transaction.query_typed_opt(
        "SELECT FROM router_owner WHERE router_id = $1 AND collector_id = $2 FOR SHARE",
        &[(&router.as_str(), Type::TEXT), (&collector, Type::TEXT)],
    )?;
    if is_ours.is_some() {
        forget_named(&mut transaction, router, peers)?;
    }
    Ok(transaction.commit()?)
}

/// Sets these peers of a router to `unknown`, because no session reports them any more.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn forget_named(transaction: &mut Transaction<'_>, router: &RouterId, peers: &[PeerName]) -> Result<()> {
    let kinds: Vec<&str> = peers.iter().map(|peer| peer.kind.as_str()).collect();
    let distinguishers: Vec<&str> = peers.iter().map(|peer| peer.distinguisher.as_str()).collect();
    let addresses: Vec<_> = peers.iter().map(|peer| peer.address).collect();
    let asns: Vec<i64> = peers.iter().map(|peer| i64::from(peer.asn.0)).collect();
    transaction.execute_typed(
        "UPDATE peers p SET state = 'unknown', since = now()
         FROM unnest($2::text[], $3::text[], $4::inet[], $5::bigint[]) AS gone (peer_type, distinguisher, peer_address, peer_asn)
         WHERE p.router_id = $1 AND p.state <> 'unknown' AND p.peer_type = gone.peer_type
           AND p.distinguisher = gone.distinguisher AND p.peer_address = gone.peer_address AND p.peer_asn = gone.peer_asn",
        &[
            (&router.as_str(), Type::TEXT),
            (&kinds, Type::TEXT_ARRAY),
            (&distinguishers, Type::TEXT_ARRAY),
            (&addresses, Type::INET_ARRAY),
            (&asns, Type::INT8_ARRAY),
        ],
    )?;
    Ok(())
}

/// Sets the peers not reported since `began` to `unknown`: the router's present sessions have had the time to report
/// all of theirs.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn forget_unreported(transaction: &mut Transaction<'_>, router: &RouterId, began: Timestamp) -> Result<()> {
    transaction.execute_typed(
        "UPDATE peers SET state = 'unknown', since = now() WHERE router_id = $1 AND state <> 'unknown'
             AND updated_at < 'epoch'::timestamptz + $2 * interval '1 microsecond'",
        &[(&router.as_str(), Type::TEXT), (&began.unix_micros(), Type::INT8)],
    )?;
    Ok(())
}

/// Stores the latest values of statistics, each key once.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn statistics<'a>(
    transaction: &mut Transaction<'_>,
    all: impl Iterator<Item = (&'a RouterId, &'a StatisticRecord)>,
) -> Result<()> {
    let all: Vec<_> = all.collect();
    if all.is_empty() {
        return Ok(());
    }
    let routers: Vec<&str> = all.iter().map(|(router, _)| router.as_str()).collect();
    let kinds: Vec<&str> = all.iter().map(|(_, one)| one.peer.kind.as_str()).collect();
    let distinguishers: Vec<&str> = all.iter().map(|(_, one)| one.peer.distinguisher.as_str()).collect();
    let addresses: Vec<_> = all.iter().map(|(_, one)| one.peer.address).collect();
    let asns: Vec<i64> = all.iter().map(|(_, one)| i64::from(one.peer.asn.0)).collect();
    let types: Vec<i32> = all.iter().map(|(_, one)| i32::from(one.type_code)).collect();
    let afis: Vec<i32> = all.iter().map(|(_, one)| i32::from(one.afi)).collect();
    let safis: Vec<i32> = all.iter().map(|(_, one)| i32::from(one.safi)).collect();
    let names: Vec<&str> = all.iter().map(|(_, one)| one.name.as_str()).collect();
    let values: Vec<String> = all.iter().map(|(_, one)| one.value.to_string()).collect();
    transaction.execute_typed(
        include_str!("../../sql/statements/upsert_statistics.sql"),
        &[
            (&routers, Type::TEXT_ARRAY),
            (&kinds, Type::TEXT_ARRAY),
            (&distinguishers, Type::TEXT_ARRAY),
            (&addresses, Type::INET_ARRAY),
            (&asns, Type::INT8_ARRAY),
            (&types, Type::INT4_ARRAY),
            (&afis, Type::INT4_ARRAY),
            (&safis, Type::INT4_ARRAY),
            (&names, Type::TEXT_ARRAY),
            (&values, Type::TEXT_ARRAY),
        ],
    )?;
    Ok(())
}
