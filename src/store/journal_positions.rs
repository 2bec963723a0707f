//! `journal_positions`: how far the input of each session is stored.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use postgres::types::Type;
use postgres::{Client, Transaction};

use super::error::{Error, Result};
use super::time::system_time;
use crate::model::{RouterId, Timestamp};

/// The two writers whose positions are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PositionOf {
    /// The state writer.
    State,
    /// The event writer.
    History,
}

/// The position of one session.
#[derive(Clone, Debug)]
pub(crate) struct Position {
    /// The session in the journal.
    pub(crate) session: String,
    /// The router.
    pub(crate) router: RouterId,
    /// The octets of input whose changes are all stored.
    pub(crate) octet: u64,
    /// The octet at which the last transaction of this writer that was committed has left it; 0 before the first one.
    pub(crate) committed: Arc<AtomicU64>,
}

impl Position {
    /// Notes that the transaction that moves it is committed.
    pub(crate) fn commit(&self) {
        self.committed.fetch_max(self.octet, Ordering::AcqRel);
    }
}

/// The stored positions of a session; `None` where no row is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoredPositions {
    /// That of the state writer, octets.
    pub state: Option<u64>,
    /// That of the event writer, octets.
    pub history: Option<u64>,
}

impl StoredPositions {
    /// Returns the octets up to which everything is stored.
    pub(crate) fn least(self) -> u64 {
        // Where only the state has a position, no history was kept.
        let state = self.state.unwrap_or(0);
        self.history.map_or(state, |history| history.min(state))
    }
}

impl PositionOf {
    fn as_str(self) -> &'static str {
        match self {
            PositionOf::State => "state",
            PositionOf::History => "history",
        }
    }
}

/// Moves positions; each session is in the list once.
///
/// # Errors
/// When the statement fails or the connection is lost; [`Error::WentBack`]: the database has a position that is before
/// the one that it had committed.
pub(crate) fn put(
    transaction: &mut Transaction<'_>,
    of: PositionOf,
    collector: &str,
    positions: &[Position],
) -> Result<()> {
    if positions.is_empty() {
        return Ok(());
    }
    let sessions: Vec<&str> = positions.iter().map(|position| position.session.as_str()).collect();
    let octets: Vec<i64> = positions.iter().map(|position| i64::try_from(position.octet).unwrap_or(i64::MAX)).collect();
    let routers: Vec<&str> = positions.iter().map(|position| position.router.as_str()).collect();
    let committed = |position: &Position| i64::try_from(position.committed.load(Ordering::Acquire)).unwrap_or(i64::MAX);
    let committed: Vec<i64> = positions.iter().map(committed).collect();
    let back = transaction.query_typed(
        include_str!("../../sql/statements/put_journal_positions.sql"),
        &[
            (&sessions, Type::TEXT_ARRAY),
            (&octets, Type::INT8_ARRAY),
            (&routers, Type::TEXT_ARRAY),
            (&of.as_str(), Type::TEXT),
            (&collector, Type::TEXT),
            (&committed, Type::INT8_ARRAY),
        ],
    )?;
    match back.first() {
        None => Ok(()),
        Some(row) => {
            let (router, has, had): (&str, i64, i64) = (row.get(0), row.get(1), row.get(2));
            Err(Error::WentBack(format!("input of router {router} is stored up to octet {has}, and was up to {had}")))
        }
    }
}

/// Returns the positions of all sessions of a collector.
///
/// # Errors
/// When the statement fails or the connection is lost.
pub(crate) fn of_collector(client: &mut Client, collector: &str) -> Result<HashMap<String, StoredPositions>> {
    let rows = client.query_typed(
        "SELECT session::text, max(octet) FILTER (WHERE writer = 'state'), max(octet) FILTER (WHERE writer = 'history')
         FROM journal_positions WHERE collector_id = $1 GROUP BY session",
        &[(&collector, Type::TEXT)],
    )?;
    let octet = |octet: Option<i64>| octet.and_then(|octet| u64::try_from(octet).ok());
    let positions = |row: &postgres::Row| StoredPositions { state: octet(row.get(1)), history: octet(row.get(2)) };
    Ok(rows.iter().map(|row| (row.get(0), positions(row))).collect())
}

/// Returns the positions of a session.
///
/// # Errors
/// When the statement fails or the connection is lost.
pub(super) fn of_session(transaction: &mut Transaction<'_>, session: &str) -> Result<StoredPositions> {
    let rows = transaction.query_typed(
        "SELECT writer, octet FROM journal_positions WHERE session = $1::text::uuid",
        &[(&session, Type::TEXT)],
    )?;
    let of = |writer: PositionOf| {
        let row = rows.iter().find(|row| row.get::<_, &str>(0) == writer.as_str())?;
        u64::try_from(row.get::<_, i64>(1)).ok()
    };
    Ok(StoredPositions { state: of(PositionOf::State), history: of(PositionOf::History) })
}

/// Deletes the positions of sessions that have been over for 7 days at this time: their journal is gone. Returns their
/// number.
///
/// # Errors
/// When the statement fails or the connection is lost.
pub(crate) fn forget_old(client: &mut Client, now: Timestamp) -> Result<u64> {
    let sql = include_str!("../../sql/statements/forget_positions.sql");
    Ok(client.execute_typed(sql, &[(&system_time(now), Type::TIMESTAMPTZ)])?)
}
