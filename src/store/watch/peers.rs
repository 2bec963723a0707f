//! The peers that watches of sessions ask for, and their Peer Downs.

use std::net::IpAddr;

use postgres::types::Type;
use postgres::{Row, Transaction};

use super::super::error::Result;
use super::evaluate::asn;
use crate::model::{Asn, RouterId, Timestamp};

/// A BGP peer of a router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchedPeer {
    /// The router.
    pub router: RouterId,
    /// The peer's address.
    pub address: IpAddr,
    /// Its AS.
    pub asn: Asn,
    /// The router's name for it.
    pub description: Option<String>,
    /// True if a Peer Up arrived in the live BMP session, and no Peer Down since.
    pub is_up: bool,
    /// True if anything arrived about it in the live BMP session.
    pub is_reported: bool,
    /// The reason of the last Peer Down.
    pub reason: Option<String>,
    /// Since when it is as it is.
    pub since: Timestamp,
    /// The number of routes that went with the last Peer Down.
    pub routes: Option<i64>,
}

/// Returns the peers with these addresses or ASes, at every router. `began`: when the live BMP session of a router began
/// that the caller knows of. It is not read here: a session that replaced it meanwhile has reported no peer yet.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn peers(
    transaction: &mut Transaction<'_>,
    (addresses, asns): (&[IpAddr], &[Asn]),
    began: impl Fn(&RouterId) -> Option<Timestamp>,
) -> Result<Vec<WatchedPeer>> {
    let asns: Vec<i64> = asns.iter().map(|asn| i64::from(asn.0)).collect();
    let rows = transaction.query_typed(
        include_str!("../../../sql/statements/watch_peers.sql"),
        &[(&addresses, Type::INET_ARRAY), (&asns, Type::INT8_ARRAY)],
    )?;
    let peer = |row: &Row| {
        let router = RouterId::new(row.get(0));
        let is_reported = began(&router).is_some_and(|began| row.get::<_, i64>(5) >= began.unix_micros());
        WatchedPeer {
            router,
            address: row.get(1),
            asn: asn(row.get(2)).unwrap_or_default(),
            description: row.get(3),
            is_up: is_reported && row.get(4),
            is_reported,
            reason: row.get(6),
            since: Timestamp::from_unix_micros(row.get(7)),
            routes: row.get(8),
        }
    };
    Ok(rows.iter().map(peer).collect())
}

/// Returns the number of peers of a router that are up.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn peers_up(transaction: &mut Transaction<'_>, router: &RouterId) -> Result<usize> {
    let row = transaction.query_typed_one(
        "SELECT count(DISTINCT peer_address) FROM peers
         WHERE router_id = $1 AND state = 'up' AND peer_address IS NOT NULL
           AND updated_at >= (SELECT max(began_at) FROM bmp_sessions WHERE router_id = $1 AND state IN ('dumping', 'up'))",
        &[(&router.as_str(), Type::TEXT)],
    )?;
    Ok(usize::try_from(row.get::<_, i64>(0)).unwrap_or(0))
}

/// A Peer Down that took routes along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerDownRow {
    /// The router.
    pub router: RouterId,
    /// The peer.
    pub address: IpAddr,
    /// Its AS, if it is known.
    pub asn: Option<Asn>,
    /// The router's name for it.
    pub description: Option<String>,
    /// When it happened.
    pub at: Timestamp,
    /// The reason, in words.
    pub reason: Option<String>,
    /// The number of routes.
    pub routes: Option<i64>,
}

/// Returns the Peer Downs of routers since `since`, oldest first.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn peer_downs(transaction: &mut Transaction<'_>, routers: &[&str], since: Timestamp) -> Result<Vec<PeerDownRow>> {
    let rows = transaction.query_typed(
        include_str!("../../../sql/statements/watch_peer_downs.sql"),
        &[(&routers, Type::TEXT_ARRAY), (&since.unix_micros(), Type::INT8)],
    )?;
    let down = |row: &Row| PeerDownRow {
        router: RouterId::new(row.get(0)),
        address: row.get(1),
        asn: row.get::<_, Option<i64>>(2).and_then(asn),
        description: row.get(3),
        at: Timestamp::from_unix_micros(row.get(4)),
        reason: row.get(5),
        routes: row.get(6),
    };
    Ok(rows.iter().map(down).collect())
}
