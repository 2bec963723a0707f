//! Removal of all that is stored of a router that is gone for good.
//!
//! It runs in short steps, each one transaction: no one waits for a million rows, and finished steps stay done if the
//! command is interrupted. The row of `router_owner` is deleted last. A session that begins waits for that row, so
//! either the step sees the session, or the session sees what the step has left.

use std::net::IpAddr;

use postgres::types::Type;
use postgres::{Client, Transaction};

use super::error::Result;
use super::watch::outbox::{self, Cause};
use super::{maintenance, routes, statement, sync};
use crate::model::{RibKind, RouterId, SessionEvent, SessionEventKind, cut_reason};

/// The number of rows that one step deletes at most.
pub const STEP_ROWS: i64 = 10_000;

/// The longest time a statement that searches the history of all routers may take.
const HISTORY_TIMEOUT: &str = "10min";

/// The tables of the router's present state, in the order of deletion.
const STATE: [&str; 12] = [
    "current_routes",
    "adj_rib_in",
    "adj_rib_out",
    "peer_statistics",
    "peers",
    "add_path_evidence",
    "table_names",
    "rib_sync_status",
    "adj_rib_in_sync_status",
    "adj_rib_out_sync_status",
    "route_counts",
    "peer_route_counts",
];

/// The tables of its history, in the order of deletion.
const PAST: [&str; 4] = ["route_snapshots", "snapshots", "route_events", "session_events"];

/// The tables of its identity and owner: deleted last, in one step.
const IDENTITY: [&str; 3] = ["bmp_sessions", "routers", "router_owner"];

/// The choice whether history is deleted as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Past {
    /// History stays until its retention ends.
    Stays,
    /// History is deleted.
    Goes,
}

/// Returns the tables from which rows are deleted.
pub fn tables(past: Past) -> Vec<&'static str> {
    let past: &[&str] = match past {
        Past::Stays => &[],
        Past::Goes => &PAST,
    };
    [&STATE, past, &IDENTITY].concat()
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

/// The result of [`forget`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forgotten {
    /// The router is deleted; these are its rows.
    Whole(Rows),
    /// The router has a session now. These rows are deleted, and its dump restores its routes.
    Live(Live, Rows),
}

/// Counts the rows of a router, by table.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn count(client: &mut Client, router: &RouterId, past: Past) -> Result<Rows> {
    client.batch_execute(&format!("SET statement_timeout = '{HISTORY_TIMEOUT}'"))?;
    let mut rows = Vec::new();
    for table in tables(past) {
        let sql = format!("SELECT count(*) FROM {table} WHERE router_id = $1");
        let count: i64 = client.query_typed_one(&sql, &[(&router.as_str(), Type::TEXT)])?.get(0);
        rows.push((table, u64::try_from(count).unwrap_or(0)));
    }
    rows.retain(|(_, count)| *count > 0);
    Ok(rows)
}

/// Returns the live session of a router, if it has one.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn live(client: &mut Client, router: &RouterId) -> Result<Option<Live>> {
    let mut transaction = client.transaction()?;
    live_in(&mut transaction, router)
}

fn live_in(transaction: &mut Transaction<'_>, router: &RouterId) -> Result<Option<Live>> {
    let row = transaction.query_typed_opt(
        "SELECT s.collector_id, s.source, s.state FROM bmp_sessions s JOIN collectors c USING (collector_id)
         WHERE s.router_id = $1 AND s.state IN ('dumping', 'up') AND c.alive_until > now()
         ORDER BY s.since DESC LIMIT 1",
        &[(&router.as_str(), Type::TEXT)],
    )?;
    Ok(row.map(|row| Live { collector: row.get(0), source: row.get(1), state: row.get(2) }))
}

/// Deletes the router, unless it has a live session; `done` is called after each step.
///
/// # Errors
/// When a statement fails or the connection is lost. Rows deleted by then stay deleted; the next call continues from
/// there.
pub fn forget(
    client: &mut Client,
    router: &RouterId,
    past: Past,
    mut done: impl FnMut(&str, u64),
) -> Result<Forgotten> {
    let mut gone: Rows = Vec::new();
    let mut add = |table: &'static str, rows: u64| {
        done(table, rows);
        match gone.iter_mut().find(|(name, _)| *name == table) {
            Some((_, count)) => *count += rows,
            None if rows > 0 => gone.push((table, rows)),
            None => {}
        }
    };
    let in_steps = tables(past).into_iter().filter(|table| !IDENTITY.contains(table));
    let mut live = None;
    'tables: for table in in_steps {
        if PAST.contains(&table) {
            client.batch_execute(&format!("SET statement_timeout = '{HISTORY_TIMEOUT}'"))?;
        }
        for part in parts(client, table)? {
            loop {
                match step(client, router, |transaction| remove_some(transaction, router, &part))? {
                    Ok(0) => break,
                    Ok(rows) => add(table, rows),
                    Err(session) => {
                        live = Some(session);
                        break 'tables;
                    }
                }
            }
        }
    }
    if live.is_none() {
        match step(client, router, |transaction| remove_identity(transaction, router, past))? {
            Ok(rows) => IDENTITY.into_iter().zip(rows).for_each(|(table, rows)| add(table, rows)),
            Err(session) => live = Some(session),
        }
    }
    Ok(match live {
        Some(live) => Forgotten::Live(live, gone),
        None => Forgotten::Whole(gone),
    })
}

/// Runs one transaction, unless the router has a live session.
fn step<T>(
    client: &mut Client,
    router: &RouterId,
    work: impl FnOnce(&mut Transaction<'_>) -> Result<T>,
) -> Result<std::result::Result<T, Live>> {
    let mut transaction = client.transaction()?;
    // A session that begins waits for this lock, or has begun and is visible below.
    transaction.query_typed_opt(
        "SELECT FROM router_owner WHERE router_id = $1 FOR UPDATE",
        &[(&router.as_str(), Type::TEXT)],
    )?;
    if let Some(live) = live_in(&mut transaction, router)? {
        return Ok(Err(live));
    }
    let done = work(&mut transaction)?;
    transaction.commit()?;
    Ok(Ok(done))
}

/// Returns a table, or its partitions if it is partitioned.
fn parts(client: &mut Client, table: &str) -> Result<Vec<String>> {
    let rows = client.query_typed(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = $1::text::regclass ORDER BY inhrelid",
        &[(&table, Type::TEXT)],
    )?;
    let parts: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    Ok(if parts.is_empty() { vec![table.to_owned()] } else { parts })
}

fn remove_some(transaction: &mut Transaction<'_>, router: &RouterId, table: &str) -> Result<u64> {
    if let Some(kind) = RibKind::ALL.into_iter().find(|kind| statement::render("{routes}", *kind) == table) {
        return routes::forget_some(transaction, kind, router, STEP_ROWS);
    }
    let sql =
        format!("DELETE FROM {table} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {table} WHERE router_id = $1 LIMIT $2))");
    Ok(transaction.execute_typed(&sql, &[(&router.as_str(), Type::TEXT), (&STEP_ROWS, Type::INT8)])?)
}

/// Runs the last step. Returns the number of rows deleted from each table of [`IDENTITY`]. If history stays, an event
/// records that all tables are gone.
fn remove_identity(transaction: &mut Transaction<'_>, router: &RouterId, past: Past) -> Result<[u64; 3]> {
    let mut rows = [0; 3];
    for (table, rows) in IDENTITY.into_iter().zip(&mut rows) {
        let sql = format!("DELETE FROM {table} WHERE router_id = $1");
        *rows = transaction.execute_typed(&sql, &[(&router.as_str(), Type::TEXT)])?;
    }
    if past == Past::Stays && rows.iter().any(|rows| *rows > 0) {
        let event = SessionEvent {
            kind: SessionEventKind::StaleExpired,
            table_name: None,
            peer_address: None,
            afi: None,
            reason: Some(cut_reason("router removed by the command forget").to_owned()),
            routes: None,
        };
        let events = sync::insert_events(transaction, &[(Some(router), &event)])?;
        sync::notify(transaction, &events)?;
    }
    // If it cannot be listed now, the next full evaluation finds it.
    outbox::insert_if_watched(transaction, router, Cause::Session)?;
    Ok(rows)
}

/// Refreshes the summaries if the router is in one. `false`: someone else is running maintenance, whose next run
/// removes it.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn leave_summaries(client: &mut Client, router: &RouterId) -> Result<bool> {
    let row = client.query_typed_one(
        "SELECT EXISTS (SELECT FROM route_summary WHERE router_id = $1)
             OR EXISTS (SELECT FROM adj_rib_in_summary WHERE router_id = $1)
             OR EXISTS (SELECT FROM adj_rib_out_summary WHERE router_id = $1)",
        &[(&router.as_str(), Type::TEXT)],
    )?;
    if !row.get::<_, bool>(0) {
        return Ok(true);
    }
    if !maintenance::begin(client)? {
        return Ok(false);
    }
    maintenance::refresh_summary(client)?;
    maintenance::end(client)?;
    Ok(true)
}

/// Returns some of the routers whose identifier, one of their names, or address is similar to a word.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn like(client: &mut Client, word: &str) -> Result<Vec<(RouterId, Option<String>)>> {
    let rows = client.query_typed(include_str!("../../sql/statements/routers_like.sql"), &[(&word, Type::TEXT)])?;
    Ok(rows.iter().map(|row| (RouterId::new(row.get(0)), row.get(1))).collect())
}

/// Returns those of `routers` that are no longer stored.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn removed(client: &mut Client, routers: &[RouterId]) -> Result<Vec<RouterId>> {
    let names: Vec<&str> = routers.iter().map(RouterId::as_str).collect();
    let rows = client.query_typed(
        "SELECT router_id FROM unnest($1::text[]) AS known (router_id)
         WHERE NOT EXISTS (SELECT FROM routers r WHERE r.router_id = known.router_id)
           AND NOT EXISTS (SELECT FROM router_owner o WHERE o.router_id = known.router_id)",
        &[(&names, Type::TEXT_ARRAY)],
    )?;
    Ok(rows.iter().map(|row| RouterId::new(row.get(0))).collect())
}
