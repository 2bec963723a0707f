//! The steps of the removal of a router or a peer: short transactions, each of which sees whether a session is live.

use std::net::IpAddr;

use postgres::types::Type;
use postgres::{Client, Transaction};

use crate::model::RouterId;
use crate::store::error::Result;

/// The number of rows that one step deletes at most.
pub const STEP_ROWS: i64 = 10_000;

/// The longest time a statement that searches the history of all routers may take.
pub(super) const HISTORY_TIMEOUT: &str = "10min";

/// The choice whether history is deleted as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Past {
    /// History stays until its retention ends.
    Stays,
    /// History is deleted.
    Goes,
}

/// A live session, because of which a router stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    /// The collector that has its session.
    pub collector: String,
    /// The address that the session comes from.
    pub source: IpAddr,
    /// `dumping` or `up`.
    pub state: String,
}

/// Rows by table, each table once, without tables that have none.
pub type Rows = Vec<(&'static str, u64)>;

/// The result of a removal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forgotten {
    /// The router is deleted; these are its rows.
    Whole(Rows),
    /// The router has a session now. These rows are deleted, and its dump restores its routes.
    Live(Live, Rows),
}

/// Returns the live session of a router, if it has one.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn live(client: &mut Client, router: &RouterId) -> Result<Option<Live>> {
    let mut transaction = client.transaction()?;
    live_in(&mut transaction, router)
}

/// The same within a transaction.
pub(super) fn live_in(transaction: &mut Transaction<'_>, router: &RouterId) -> Result<Option<Live>> {
    let row = transaction.query_typed_opt(
        "SELECT s.collector_id, s.source, s.state FROM bmp_sessions s JOIN collectors c USING (collector_id)
         WHERE s.router_id = $1 AND s.state IN ('dumping', 'up', 'standby') AND c.alive_until > now()
         ORDER BY s.since DESC LIMIT 1",
        &[(&router.as_str(), Type::TEXT)],
    )?;
    Ok(row.map(|row| Live { collector: row.get(0), source: row.get(1), state: row.get(2) }))
}

/// Runs one transaction, unless `obstacle` finds a live session.
pub(super) fn step<T>(
    client: &mut Client,
    router: &RouterId,
    obstacle: impl FnOnce(&mut Transaction<'_>) -> Result<Option<Live>>,
    work: impl FnOnce(&mut Transaction<'_>) -> Result<T>,
) -> Result<std::result::Result<T, Live>> {
    let mut transaction = client.transaction()?;
    // A session that begins waits for this lock, or has begun and is visible below.
    transaction.query_typed_opt(
        "SELECT FROM router_owner WHERE router_id = $1 FOR UPDATE",
        &[(&router.as_str(), Type::TEXT)],
    )?;
    if let Some(live) = obstacle(&mut transaction)? {
        return Ok(Err(live));
    }
    let done = work(&mut transaction)?;
    transaction.commit()?;
    Ok(Ok(done))
}

/// Returns a table, or its partitions if it is partitioned.
pub(super) fn parts(client: &mut Client, table: &str) -> Result<Vec<String>> {
    let rows = client.query_typed(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = $1::text::regclass ORDER BY inhrelid",
        &[(&table, Type::TEXT)],
    )?;
    let parts: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    Ok(if parts.is_empty() { vec![table.to_owned()] } else { parts })
}

/// Rows by table, as they are removed.
pub(super) struct Gone<D> {
    pub(super) rows: Rows,
    /// Called after each step with the table and its rows.
    pub(super) done: D,
}

impl<D: FnMut(&str, u64)> Gone<D> {
    pub(super) fn add(&mut self, table: &'static str, rows: u64) {
        (self.done)(table, rows);
        match self.rows.iter_mut().find(|(name, _)| *name == table) {
            Some((_, count)) => *count += rows,
            None if rows > 0 => self.rows.push((table, rows)),
            None => {}
        }
    }
}
