//! The present and the usual numbers of routes of the peers that watches name.

use std::net::IpAddr;

use postgres::types::Type;
use postgres::{Row, Transaction};

use super::super::error::Result;
use super::super::table_columns::read_afi;
use super::evaluate::{asn, time};
use crate::model::{Afi, Asn, RouterId, Timestamp};

/// One table and family of a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerCountRow {
    /// The router.
    pub router: RouterId,
    /// The peer's address.
    pub peer: IpAddr,
    /// Its AS.
    pub asn: Asn,
    /// The router's name for it.
    pub description: Option<String>,
    /// True if a Peer Up arrived in the live BMP session, and no Peer Down since.
    pub is_up: bool,
    /// The table and family; `None`: nothing of the peer is stored.
    pub table: Option<(String, Afi)>,
    /// When the dump was complete; `None`: it is not.
    pub complete: Option<Timestamp>,
    /// The routes before the policy; `None`: they are not stored.
    pub pre: Option<i64>,
    /// The routes after the policy; `None`: they are not stored.
    pub post: Option<i64>,
}

/// Returns the tables of peers with these addresses or ASes, at every router.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn peer_counts(transaction: &mut Transaction<'_>, addresses: &[IpAddr], asns: &[Asn]) -> Result<Vec<PeerCountRow>> {
    let asns: Vec<i64> = asns.iter().map(|asn| i64::from(asn.0)).collect();
    let rows = transaction.query_typed(
        include_str!("../../../sql/statements/watch_peer_counts.sql"),
        &[(&addresses, Type::INET_ARRAY), (&asns, Type::INT8_ARRAY)],
    )?;
    let count = |row: &Row| {
        let table: Option<String> = row.get(5);
        let afi = row.get::<_, Option<i16>>(6).map(read_afi).transpose()?;
        Ok(PeerCountRow {
            router: RouterId::new(row.get(0)),
            peer: row.get(1),
            asn: asn(row.get(2)).unwrap_or_default(),
            description: row.get(3),
            is_up: row.get(4),
            table: table.zip(afi),
            complete: time(row, 7),
            pre: row.get(8),
            post: row.get(9),
        })
    };
    rows.iter().map(count).collect()
}

/// The usual number of routes of one table and family of a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MedianRow {
    /// The router.
    pub router: RouterId,
    /// The peer's address.
    pub peer: IpAddr,
    /// The table.
    pub table: String,
    /// The family.
    pub afi: Afi,
    /// Before the policy; `None`: not known for long enough.
    pub pre: Option<i64>,
    /// After the policy; `None`: not known for long enough.
    pub post: Option<i64>,
}

/// Returns what peers with these addresses or ASes usually have: the median of the last 24 hours, where 6 hours of them
/// or more are known.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn medians(transaction: &mut Transaction<'_>, addresses: &[IpAddr], asns: &[Asn]) -> Result<Vec<MedianRow>> {
    let asns: Vec<i64> = asns.iter().map(|asn| i64::from(asn.0)).collect();
    let rows = transaction.query_typed(
        include_str!("../../../sql/statements/watch_route_medians.sql"),
        &[(&addresses, Type::INET_ARRAY), (&asns, Type::INT8_ARRAY)],
    )?;
    let median = |row: &Row| {
        Ok(MedianRow {
            router: RouterId::new(row.get(0)),
            peer: row.get(1),
            table: row.get(2),
            afi: read_afi(row.get(3))?,
            pre: row.get(4),
            post: row.get(5),
        })
    };
    rows.iter().map(median).collect()
}
