//! `router_owner` and `routers`: which collector may write the rows of which router.

use std::collections::HashMap;
use std::net::IpAddr;

use postgres::types::Type;
use postgres::{Client, Transaction};

use super::error::Result;
use super::journal_positions::StoredPositions;
use super::time::read_time;
use super::{add_path, journal_positions, sessions, sync, table_names};
use crate::model::{AddPathRecord, RouterId, RouterRecord, TableKey, TableNameRecord, Timestamp};

/// The result of a session's claim to its router.
#[derive(Debug)]
pub struct RouterClaim {
    /// The epoch to check in every write transaction.
    pub epoch: i64,
    /// True if another collector owned the router before.
    pub(crate) is_taken_over: bool,
    /// The time of the claim.
    pub began: Timestamp,
    /// Tables that are stored and that no other session of the router has begun.
    pub tables: Vec<TableKey>,
    /// Evidence of earlier sessions about path identifiers.
    pub add_path: Vec<AddPathRecord>,
    /// The names of the router's tables and their holders.
    pub names: Vec<TableNameRecord>,
    /// The positions up to which the session's input is stored.
    pub positions: StoredPositions,
}

/// Claims a router for a session of `collector`, whose key in `bmp_sessions` is `session`, and stores what is known of
/// the router. `journal` is the session in the journal, empty without one. `has_others`: it has other sessions on this collector, which have begun some of its tables. Returns
/// `None` if `must_be_ours` and another collector owns the router.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn claim(
    client: &mut Client,
    collector: &str,
    session: &str,
    record: &RouterRecord,
    must_be_ours: bool,
    has_others: bool,
    journal: &str,
) -> Result<Option<RouterClaim>> {
    let mut transaction = client.transaction()?;
    let is_taken_over = is_owned_by_another(&mut transaction, collector, &record.router)?;
    if must_be_ours && is_taken_over {
        return Ok(None);
    }
    let row = transaction.query_typed_one(
        include_str!("../../sql/statements/claim_router.sql"),
        &[(&record.router.as_str(), Type::TEXT), (&collector, Type::TEXT)],
    )?;
    let (epoch, micros, was_ours): (i64, i64, bool) = (row.get(0), row.get(1), row.get(2));
    if has_others && was_ours {
        // The router's data comes from its oldest session.
        transaction.execute_typed(
            "UPDATE routers SET last_seen = now() WHERE router_id = $1",
            &[(&record.router.as_str(), Type::TEXT)],
        )?;
    } else {
        upsert_routers(&mut transaction, std::iter::once(record))?;
        sync::mark_all_stale(&mut transaction, &record.router)?;
    }
    sessions::begin(&mut transaction, session, collector, &record.router, record.address)?;
    let tables = sync::stale_tables_of(&mut transaction, &record.router)?;
    let add_path = add_path::of_router(&mut transaction, &record.router)?;
    let names = table_names::of_router(&mut transaction, &record.router)?;
    let positions = match journal {
        "" => StoredPositions::default(),
        session => journal_positions::of_session(&mut transaction, session)?,
    };
    transaction.commit()?;
    let began = Timestamp::from_unix_micros(micros);
    Ok(Some(RouterClaim { epoch, is_taken_over, began, tables, add_path, names, positions }))
}

fn is_owned_by_another(transaction: &mut Transaction<'_>, collector: &str, router: &RouterId) -> Result<bool> {
    let row = transaction.query_typed_opt(
        "SELECT collector_id <> $2 FROM router_owner WHERE router_id = $1 FOR UPDATE",
        &[(&router.as_str(), Type::TEXT), (&collector, Type::TEXT)],
    )?;
    Ok(row.is_some_and(|row| row.get(0)))
}

/// Stores what sessions report about their routers, each router once; values that were not reported stay.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn upsert_routers<'a>(
    transaction: &mut Transaction<'_>,
    records: impl Iterator<Item = &'a RouterRecord>,
) -> Result<()> {
    let records: Vec<&RouterRecord> = records.collect();
    if records.is_empty() {
        return Ok(());
    }
    let routers: Vec<&str> = records.iter().map(|record| record.router.as_str()).collect();
    let addresses: Vec<IpAddr> = records.iter().map(|record| record.address).collect();
    let hostnames: Vec<_> = records.iter().map(|record| record.hostname.as_deref()).collect();
    let asns: Vec<_> = records.iter().map(|record| record.asn.map(|asn| i64::from(asn.0))).collect();
    let descriptions: Vec<_> = records.iter().map(|record| record.description.as_deref()).collect();
    transaction.execute_typed(
        include_str!("../../sql/statements/upsert_routers.sql"),
        &[
            (&routers, Type::TEXT_ARRAY),
            (&addresses, Type::INET_ARRAY),
            (&hostnames, Type::TEXT_ARRAY),
            (&asns, Type::INT8_ARRAY),
            (&descriptions, Type::TEXT_ARRAY),
        ],
    )?;
    Ok(())
}

/// Returns the routers among `epochs` that someone else has claimed since, and locks the others until the transaction
/// ends.
///
/// Every write transaction begins with this: the share lock makes a claim wait for its commit.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn lost(transaction: &mut Transaction<'_>, epochs: &[(RouterId, i64)]) -> Result<Vec<RouterId>> {
    let names: Vec<&str> = epochs.iter().map(|(router, _)| router.as_str()).collect();
    let rows = transaction.query_typed(
        "SELECT router_id, epoch FROM router_owner WHERE router_id = ANY ($1) ORDER BY router_id FOR SHARE",
        &[(&names, Type::TEXT_ARRAY)],
    )?;
    let stored: HashMap<String, i64> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let is_lost = |(router, epoch): &&(RouterId, i64)| stored.get(router.as_str()) != Some(epoch);
    Ok(epochs.iter().filter(is_lost).map(|(router, _)| router.clone()).collect())
}

/// Returns the time at which its owner claimed the router, if it has one, and the epoch of that claim.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn since(client: &mut Client, router: &RouterId) -> Result<Option<(Timestamp, i64)>> {
    let sql = "SELECT since, epoch FROM router_owner WHERE router_id = $1";
    let row = client.query_typed_opt(sql, &[(&router.as_str(), Type::TEXT)])?;
    row.map(|row| Ok((read_time(row.get(0))?, row.get(1)))).transpose()
}

/// Returns the identifiers of the routers seen at each address.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn known_addresses(client: &mut Client) -> Result<Vec<(IpAddr, RouterId)>> {
    let rows = client.query("SELECT router_ip, router_id FROM routers WHERE router_ip IS NOT NULL", &[])?;
    Ok(rows.iter().map(|row| (row.get(0), RouterId::new(row.get(1)))).collect())
}
