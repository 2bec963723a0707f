//! Removal of all that is stored of a router that is gone for good.
//!
//! It runs in short steps, each one transaction: no one waits for a million rows, and finished steps stay done if the
//! command is interrupted. The row of `router_owner` is deleted last. A session that begins waits for that row, so
//! either the step sees the session, or the session sees what the step has left.

pub mod peer;
pub mod references;
mod steps;

use postgres::types::Type;
use postgres::{Client, Transaction};

pub use self::steps::{Forgotten, Live, Past, Rows, STEP_ROWS, live};
use self::steps::{Gone, HISTORY_TIMEOUT, live_in, parts, step};
use super::error::Result;
use super::watch::outbox::{self, Cause};
use super::{maintenance, routes, statement, sync};
use crate::model::{RibKind, RouterId, SessionEvent, SessionEventKind, cut_reason};

/// The tables of the router's present state, in the order of deletion.
const STATE: [&str; 20] = [
    "current_routes",
    "adj_rib_in",
    "adj_rib_out",
    "nlri_loc_rib",
    "nlri_adj_rib_in",
    "nlri_adj_rib_out",
    "peer_statistics",
    "peers",
    "add_path_evidence",
    "table_names",
    "rib_sync_status",
    "adj_rib_in_sync_status",
    "adj_rib_out_sync_status",
    "nlri_loc_rib_sync_status",
    "nlri_adj_rib_in_sync_status",
    "nlri_adj_rib_out_sync_status",
    "route_counts",
    "nlri_route_counts",
    "peer_route_counts",
    "peer_nlri_counts",
];

/// The tables of its history, in the order of deletion.
const PAST: [&str; 6] =
    ["route_snapshots", "snapshots", "route_events", "nlri_route_events", "archives", "session_events"];

/// The tables of its identity and owner: deleted last, in one step.
const IDENTITY: [&str; 4] = ["journal_positions", "bmp_sessions", "routers", "router_owner"];

/// Returns the tables from which rows are deleted.
pub fn tables(past: Past) -> Vec<&'static str> {
    let past: &[&str] = match past {
        Past::Stays => &[],
        Past::Goes => &PAST,
    };
    [&STATE, past, &IDENTITY].concat()
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

/// Deletes the router, unless it has a live session; `done` is called after each step.
///
/// # Errors
/// When a statement fails or the connection is lost. Rows deleted by then stay deleted; the next call continues from
/// there.
pub fn forget(client: &mut Client, router: &RouterId, past: Past, done: impl FnMut(&str, u64)) -> Result<Forgotten> {
    let mut gone = Gone { rows: Vec::new(), done };
    let obstacle = |transaction: &mut Transaction<'_>| live_in(transaction, router);
    let in_steps = tables(past).into_iter().filter(|table| !IDENTITY.contains(table));
    let mut live = None;
    'tables: for table in in_steps {
        if PAST.contains(&table) {
            client.batch_execute(&format!("SET statement_timeout = '{HISTORY_TIMEOUT}'"))?;
        }
        for part in parts(client, table)? {
            loop {
                match step(client, router, obstacle, |transaction| remove_some(transaction, router, &part))? {
                    Ok(0) => break,
                    Ok(rows) => gone.add(table, rows),
                    Err(session) => {
                        live = Some(session);
                        break 'tables;
                    }
                }
            }
        }
    }
    if live.is_none() {
        match step(client, router, obstacle, |transaction| remove_identity(transaction, router, past))? {
            Ok(rows) => IDENTITY.into_iter().zip(rows).for_each(|(table, rows)| gone.add(table, rows)),
            Err(session) => live = Some(session),
        }
    }
    Ok(match live {
        Some(live) => Forgotten::Live(live, gone.rows),
        None => Forgotten::Whole(gone.rows),
    })
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
fn remove_identity(transaction: &mut Transaction<'_>, router: &RouterId, past: Past) -> Result<[u64; IDENTITY.len()]> {
    let mut rows = [0; IDENTITY.len()];
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
