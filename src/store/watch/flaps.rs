//! `watch.flap_counts`: how often watched routes change, from the collectors that hear of it to the evaluator.

use std::net::IpAddr;

use postgres::types::Type;
use postgres::{Client, Row, Transaction};

use crate::model::watch::WatchId;
use crate::model::watch::flaps::{FlapPlace, PathCount};
use crate::model::{Prefix, RouterId, Timestamp};
use crate::store::error::Result;

/// Adds counts to those that are stored. `false`: the table is locked, nothing is stored.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn add(client: &mut Client, counts: &[(FlapPlace, PathCount)]) -> Result<bool> {
    let places = || counts.iter().map(|(place, _)| place);
    let routers: Vec<&str> = places().map(|place| place.router.as_str()).collect();
    let tables: Vec<&str> = places().map(|place| &*place.table).collect();
    let ribs: Vec<&str> = places().map(|place| place.view.name()).collect();
    let peers: Vec<Option<IpAddr>> = places().map(|place| place.view.peer().map(|peer| peer.address)).collect();
    let prefixes: Vec<String> = places().map(|place| place.prefix.to_string()).collect();
    let minutes: Vec<i64> = places().map(|place| place.minute).collect();
    let paths: Vec<Option<&str>> = counts.iter().map(|(_, count)| count.path.as_deref()).collect();
    let announced: Vec<i32> = counts.iter().map(|(_, count)| count.announced).collect();
    let withdrawn: Vec<i32> = counts.iter().map(|(_, count)| count.withdrawn).collect();
    let done = super::unless_locked(client, |transaction| {
        transaction.execute_typed(
            include_str!("../../../sql/statements/watch_add_flap_counts.sql"),
            &[
                (&routers, Type::TEXT_ARRAY),
                (&tables, Type::TEXT_ARRAY),
                (&ribs, Type::TEXT_ARRAY),
                (&peers, Type::INET_ARRAY),
                (&prefixes, Type::TEXT_ARRAY),
                (&minutes, Type::INT8_ARRAY),
                (&paths, Type::TEXT_ARRAY),
                (&announced, Type::INT4_ARRAY),
                (&withdrawn, Type::INT4_ARRAY),
            ],
        )?;
        Ok(())
    })?;
    Ok(done.is_some())
}

/// A RIB in which the route of a watch changes often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlapRow {
    /// The watch.
    pub watch: WatchId,
    /// The router.
    pub router: RouterId,
    /// Its table.
    pub table: String,
    /// `loc-rib`, `adj-rib-in-pre` or `adj-rib-in-post`.
    pub rib: String,
    /// The peer of an Adj-RIB-In.
    pub peer: Option<IpAddr>,
    /// The limits of the watch, and the counts.
    pub counted: Counted,
}

/// A number of changes, and the one that is too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// The number of changes that is flapping.
    pub limit: i64,
    /// The seconds in which they must be.
    pub secs: i64,
    /// The changes in that time.
    pub changes: i64,
    /// The changes in the last quarter of an hour.
    pub recent: i64,
}

/// Returns what changes often, or did in the last quarter of an hour.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn flaps(transaction: &mut Transaction<'_>) -> Result<Vec<FlapRow>> {
    let rows = transaction.query_typed(include_str!("../../../sql/statements/watch_flaps.sql"), &[])?;
    let flap = |row: &Row| FlapRow {
        watch: WatchId(row.get(0)),
        router: RouterId::new(row.get(1)),
        table: row.get(2),
        rib: row.get(3),
        peer: row.get(4),
        counted: Counted {
            limit: row.get::<_, i32>(5).into(),
            secs: row.get::<_, i32>(6).into(),
            changes: row.get(7),
            recent: row.get(8),
        },
    };
    Ok(rows.iter().map(flap).collect())
}

/// The counts of one minute and AS path: the position of what was asked, the minute, the path, how often it came and
/// went.
pub type PathRow = (usize, i64, Option<String>, i64, i64);

/// Returns the counts of these RIBs and prefixes since a minute of each.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn paths(transaction: &mut Transaction<'_>, asked: &[(&FlapRow, Prefix, i64)]) -> Result<Vec<PathRow>> {
    let routers: Vec<&str> = asked.iter().map(|(row, ..)| row.router.as_str()).collect();
    let tables: Vec<&str> = asked.iter().map(|(row, ..)| row.table.as_str()).collect();
    let ribs: Vec<&str> = asked.iter().map(|(row, ..)| row.rib.as_str()).collect();
    let peers: Vec<Option<IpAddr>> = asked.iter().map(|(row, ..)| row.peer).collect();
    let prefixes: Vec<String> = asked.iter().map(|(_, prefix, _)| prefix.to_string()).collect();
    let minutes: Vec<i64> = asked.iter().map(|(.., minute)| *minute).collect();
    let rows = transaction.query_typed(
        include_str!("../../../sql/statements/watch_flap_paths.sql"),
        &[
            (&routers, Type::TEXT_ARRAY),
            (&tables, Type::TEXT_ARRAY),
            (&ribs, Type::TEXT_ARRAY),
            (&peers, Type::INET_ARRAY),
            (&prefixes, Type::TEXT_ARRAY),
            (&minutes, Type::INT8_ARRAY),
        ],
    )?;
    let path = |row: &Row| {
        let number = usize::try_from(row.get::<_, i64>(0)).unwrap_or(0);
        (number.saturating_sub(1), row.get(1), row.get(2), row.get::<_, i32>(3).into(), row.get::<_, i32>(4).into())
    };
    Ok(rows.iter().map(path).collect())
}

/// A BGP session that goes down often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionFlapRow {
    /// The watch.
    pub watch: WatchId,
    /// The router.
    pub router: RouterId,
    /// The peer.
    pub peer: IpAddr,
    /// The limits of the watch, and the counts.
    pub counted: Counted,
    /// When the first of the Peer Downs was.
    pub first: Timestamp,
    /// The reason of the last one, in words.
    pub reason: Option<String>,
    /// The peer's AS.
    pub asn: Option<u32>,
    /// The router's name for the peer.
    pub description: Option<String>,
}

/// Returns the watched sessions that go down often, or did in the last quarter of an hour.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn session_flaps(transaction: &mut Transaction<'_>) -> Result<Vec<SessionFlapRow>> {
    let rows = transaction.query_typed(include_str!("../../../sql/statements/watch_session_flaps.sql"), &[])?;
    let flap = |row: &Row| SessionFlapRow {
        watch: WatchId(row.get(0)),
        router: RouterId::new(row.get(1)),
        peer: row.get(2),
        counted: Counted {
            limit: row.get::<_, i32>(3).into(),
            secs: row.get::<_, i32>(4).into(),
            changes: row.get(5),
            recent: row.get(6),
        },
        first: Timestamp::from_unix_micros(row.get(7)),
        reason: row.get(8),
        asn: row.get::<_, Option<i64>>(9).and_then(|asn| u32::try_from(asn).ok()),
        description: row.get(10),
    };
    Ok(rows.iter().map(flap).collect())
}

/// Deletes the counts of minutes that no watch looks at any more.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn prune(transaction: &mut Transaction<'_>) -> Result<()> {
    transaction.execute_typed(
        "DELETE FROM watch.flap_counts WHERE minute < now() - interval '1 second' *
             GREATEST((SELECT max(flap_secs) FROM watch.watches WHERE enabled AND kind = 'prefix'), 900) - interval '2 minutes'",
        &[],
    )?;
    Ok(())
}
