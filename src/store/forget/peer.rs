//! Removal of all that is stored of one peer of a router that is gone for good.
//!
//! While the router has a live session, that session has the peer in memory: nothing is removed of a peer that is up or
//! has tables, and of another one all but what the session would not store again.

use std::net::IpAddr;

use postgres::types::{ToSql, Type};
use postgres::{Client, Transaction};

use super::steps::{Forgotten, Gone, HISTORY_TIMEOUT, Live, Past, Rows, STEP_ROWS, live, live_in, parts, step};
use crate::model::{RibKind, RouterId, SessionEvent, SessionEventKind, cut_reason};
use crate::store::error::Result;
use crate::store::watch::outbox::{self, Cause};
use crate::store::{routes, sync};

/// The tables of its routes.
const ROUTES: [(&str, RibKind); 4] = [
    ("adj_rib_in", RibKind::AdjRibIn),
    ("adj_rib_out", RibKind::AdjRibOut),
    ("nlri_adj_rib_in", RibKind::NlriAdjRibIn),
    ("nlri_adj_rib_out", RibKind::NlriAdjRibOut),
];

/// Tables of which a live session of the router has the rows in memory.
const IN_MEMORY: [&str; 2] = ["table_names", "add_path_evidence"];

/// The other tables of its present state.
const STATE: [&str; 3] = ["peer_statistics", "peer_route_counts", "peer_nlri_counts"];

/// The tables of its history.
const PAST: [&str; 3] = ["route_events", "nlri_route_events", "session_events"];

/// The tables that say that it exists: deleted last, in one step.
const IDENTITY: [&str; 7] = [
    "adj_rib_in_sync_status",
    "adj_rib_out_sync_status",
    "nlri_adj_rib_in_sync_status",
    "nlri_adj_rib_out_sync_status",
    "route_counts",
    "nlri_route_counts",
    "peers",
];

/// A peer of a router, by its address.
#[derive(Clone, Copy, Debug)]
pub struct PeerOf<'a> {
    /// The router.
    pub router: &'a RouterId,
    /// The address. A Loc-RIB has 0.0.0.0 in these tables: it is no peer.
    pub address: IpAddr,
}

impl PeerOf<'_> {
    fn parameters<'a>(&'a self, router: &'a &'a str) -> [(&'a (dyn ToSql + Sync), Type); 2] {
        [(router, Type::TEXT), (&self.address, Type::INET)]
    }
}

/// Returns the tables from which rows are deleted while the router has this session, or none.
pub fn tables(past: Past, session: Option<&Live>) -> Vec<&'static str> {
    let routes = ROUTES.iter().map(|(table, _)| *table);
    let in_memory = IN_MEMORY.into_iter().filter(|_| session.is_none());
    let past = PAST.into_iter().filter(|_| past == Past::Goes);
    routes.chain(in_memory).chain(STATE).chain(past).chain(IDENTITY).collect()
}

/// Counts the rows of a peer, by table.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn count(client: &mut Client, peer: PeerOf<'_>, past: Past) -> Result<Rows> {
    client.batch_execute(&format!("SET statement_timeout = '{HISTORY_TIMEOUT}'"))?;
    let session = live(client, peer.router)?;
    let mut rows = Vec::new();
    for table in tables(past, session.as_ref()) {
        let sql = format!("SELECT count(*) FROM {table} WHERE router_id = $1 AND peer_address = $2");
        let count: i64 = client.query_typed_one(&sql, &peer.parameters(&peer.router.as_str()))?.get(0);
        rows.push((table, u64::try_from(count).unwrap_or(0)));
    }
    rows.retain(|(_, count)| *count > 0);
    Ok(rows)
}

/// Returns the live session of the router, if the peer is up in it or has tables.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn in_use(client: &mut Client, peer: PeerOf<'_>) -> Result<Option<Live>> {
    in_use_in(&mut client.transaction()?, peer)
}

fn in_use_in(transaction: &mut Transaction<'_>, peer: PeerOf<'_>) -> Result<Option<Live>> {
    let Some(session) = live_in(transaction, peer.router)? else { return Ok(None) };
    let sql = include_str!("../../../sql/statements/forget_peer_in_use.sql");
    let is_in_use: bool = transaction.query_typed_one(sql, &peer.parameters(&peer.router.as_str()))?.get(0);
    Ok(is_in_use.then_some(session))
}

/// Deletes the peer, unless a live session of its router has it; `done` is called after each step.
///
/// # Errors
/// When a statement fails or the connection is lost. Rows deleted by then stay deleted; the next call continues from
/// there.
pub fn forget(client: &mut Client, peer: PeerOf<'_>, past: Past, done: impl FnMut(&str, u64)) -> Result<Forgotten> {
    let mut gone = Gone { rows: Vec::new(), done };
    let session = live(client, peer.router)?;
    let obstacle = |transaction: &mut Transaction<'_>| in_use_in(transaction, peer);
    for table in tables(past, session.as_ref()).into_iter().filter(|table| !IDENTITY.contains(table)) {
        if PAST.contains(&table) {
            client.batch_execute(&format!("SET statement_timeout = '{HISTORY_TIMEOUT}'"))?;
        }
        for part in parts(client, table)? {
            loop {
                match step(client, peer.router, obstacle, |transaction| remove_some(transaction, peer, &part))? {
                    Ok(0) => break,
                    Ok(rows) => gone.add(table, rows),
                    Err(session) => return Ok(Forgotten::Live(session, gone.rows)),
                }
            }
        }
    }
    match step(client, peer.router, obstacle, |transaction| remove_identity(transaction, peer, past))? {
        Ok(rows) => IDENTITY.into_iter().zip(rows).for_each(|(table, rows)| gone.add(table, rows)),
        Err(session) => return Ok(Forgotten::Live(session, gone.rows)),
    }
    Ok(Forgotten::Whole(gone.rows))
}

fn remove_some(transaction: &mut Transaction<'_>, peer: PeerOf<'_>, table: &str) -> Result<u64> {
    if let Some((_, kind)) = ROUTES.iter().find(|(name, _)| *name == table) {
        return routes::forget_some_of_peer(transaction, *kind, (peer.router, peer.address), STEP_ROWS);
    }
    let sql = format!(
        "DELETE FROM {table} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {table} WHERE router_id = $1 AND peer_address = $2 LIMIT $3))"
    );
    let router = peer.router.as_str();
    let [first, second] = peer.parameters(&router);
    Ok(transaction.execute_typed(&sql, &[first, second, (&STEP_ROWS, Type::INT8)])?)
}

/// Runs the last step. Returns the number of rows deleted from each table of [`IDENTITY`]. If history stays, an event of
/// each table records that its routes are gone.
fn remove_identity(transaction: &mut Transaction<'_>, peer: PeerOf<'_>, past: Past) -> Result<[u64; IDENTITY.len()]> {
    let router = peer.router.as_str();
    // Removals for one peer name the table without what stands after its first bar.
    let tables = transaction.query_typed(
        "SELECT DISTINCT split_part(table_name, '|', 1) FROM (
             SELECT table_name FROM adj_rib_in_sync_status WHERE router_id = $1 AND peer_address = $2
             UNION ALL SELECT table_name FROM adj_rib_out_sync_status WHERE router_id = $1 AND peer_address = $2) AS t",
        &peer.parameters(&router),
    )?;
    let mut rows = [0; IDENTITY.len()];
    for (table, rows) in IDENTITY.into_iter().zip(&mut rows) {
        let sql = format!("DELETE FROM {table} WHERE router_id = $1 AND peer_address = $2");
        *rows = transaction.execute_typed(&sql, &peer.parameters(&router))?;
    }
    if past == Past::Stays && !tables.is_empty() {
        let event = |table: String| SessionEvent {
            kind: SessionEventKind::StaleExpired,
            table_name: Some(table.as_str().into()),
            peer_address: Some(peer.address),
            afi: None,
            reason: Some(cut_reason("peer removed by the command forget").to_owned()),
            routes: None,
        };
        let events: Vec<SessionEvent> = tables.iter().map(|row| event(row.get(0))).collect();
        let events: Vec<_> = events.iter().map(|event| (Some(peer.router), event)).collect();
        let events = sync::insert_events(transaction, &events)?;
        sync::notify(transaction, &events)?;
    }
    // If it cannot be listed now, the next full evaluation finds it.
    outbox::insert_if_watched(transaction, peer.router, Cause::Session)?;
    Ok(rows)
}
