//! `peers` and `peer_statistics`: the neighbours of each router, and what routers count of them.

use postgres::Transaction;
use postgres::types::Type;

use super::error::Result;
use super::record::{PeerRecord, PeerState, StatisticRecord};
use crate::model::RouterId;

/// Stores what a Peer Up or Peer Down said of a neighbour.
///
/// # Errors
/// Whatever PostgreSQL says.
pub fn upsert(transaction: &mut Transaction<'_>, router: &RouterId, peer: &PeerRecord) -> Result<()> {
    let state = match peer.state {
        PeerState::Up => "up",
        PeerState::Down => "down",
    };
    transaction.execute_typed(
        include_str!("../../sql/upsert_peer.sql"),
        &[
            (&router.as_str(), Type::TEXT),
            (&peer.name.kind, Type::TEXT),
            (&peer.name.distinguisher, Type::TEXT),
            (&peer.name.address, Type::INET),
            (&i64::from(peer.name.asn.0), Type::INT8),
            (&peer.bgp_id.map(|id| id.to_string()), Type::TEXT),
            (&peer.local_address, Type::INET),
            (&peer.local_port.map(i32::from), Type::INT4),
            (&peer.remote_port.map(i32::from), Type::INT4),
            (&peer.hold_time.map(i32::from), Type::INT4),
            (&peer.capabilities, Type::TEXT),
            (&peer.description, Type::TEXT),
            (&state, Type::TEXT),
            (&peer.reason, Type::TEXT),
        ],
    )?;
    Ok(())
}

/// Nobody tells of the router's neighbours any more: monitoring ended, or the router did not come back.
///
/// # Errors
/// Whatever PostgreSQL says.
pub fn forget(transaction: &mut Transaction<'_>, router: &RouterId) -> Result<()> {
    transaction.execute_typed(
        "UPDATE peers SET state = 'unknown', since = now() WHERE router_id = $1 AND state <> 'unknown'",
        &[(&router.as_str(), Type::TEXT)],
    )?;
    Ok(())
}

/// The router's present session has had the time to report its neighbours: nobody tells of the others any more.
///
/// # Errors
/// Whatever PostgreSQL says.
pub fn forget_unreported(transaction: &mut Transaction<'_>, router: &RouterId) -> Result<()> {
    transaction.execute_typed(
        "UPDATE peers SET state = 'unknown', since = now() WHERE router_id = $1 AND state <> 'unknown'
             AND updated_at < (SELECT since FROM router_owner WHERE router_id = $1)",
        &[(&router.as_str(), Type::TEXT)],
    )?;
    Ok(())
}

/// Stores the latest values of statistics, each key once.
///
/// # Errors
/// Whatever PostgreSQL says.
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
        include_str!("../../sql/upsert_statistics.sql"),
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
