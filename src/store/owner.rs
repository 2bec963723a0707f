//! `router_owner` and `routers`: which collector may write the rows of which router.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use postgres::types::Type;
use postgres::{Client, GenericClient, Transaction};

use super::error::{Error, Result};
use super::journal_positions::StoredPositions;
use super::lease::{self, ClaimGround};
use super::recent::{self, Recent};
use super::time::read_time;
use super::{add_path, journal_positions, sessions, sync, table_names};
use crate::model::{AddPathRecord, RouterId, RouterRecord, TableKey, TableNameRecord, Timestamp};

/// The result of a session's claim to its router.
#[derive(Debug)]
pub struct RouterClaim {
    /// The epoch to check in every write transaction.
    pub epoch: i64,
    /// The collector that owned the router before, and why it does not any more; `None`: no other one did.
    pub(crate) taken_from: Option<String>,
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
    /// The router's last minutes as they are stored, if the session has stood by.
    pub(crate) recent: Recent,
}

/// A session that claims its router.
#[derive(Clone, Copy, Debug)]
pub struct Claimant<'a> {
    /// Its collector.
    pub collector: &'a str,
    /// Its key in `bmp_sessions`.
    pub session: &'a str,
    /// The session in the journal, empty without one.
    pub journal: &'a str,
    /// True if the router has other sessions on this collector, which have begun some of its tables.
    pub has_others: bool,
    /// True if what it has may only be stored if no other collector has had the router meanwhile.
    pub must_be_ours: bool,
    /// True if leases that are over count as such.
    pub may_expire: bool,
    /// The time that the session has heard of the router while it stood by; `None`: it has not stood by.
    pub stood_by: Option<Duration>,
}

/// Claims a router for a session, and stores what is known of the router. If another collector has it, the session is
/// stored as one that stands by, unless it must be ours or is stored already; the error is the name of that collector,
/// and the names of the router's tables.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn claim(
    client: &mut Client,
    claimant: Claimant<'_>,
    record: &RouterRecord,
) -> Result<std::result::Result<RouterClaim, (String, Vec<TableNameRecord>)>> {
    let Claimant { collector, session, .. } = claimant;
    let mut transaction = client.transaction()?;
    let (taken_from, row) = loop {
        let taken_from = match may_claim(&mut transaction, claimant, &record.router)? {
            ClaimGround::Own => None,
            ClaimGround::Taken(from) => Some(from),
            ClaimGround::Denied(owner) => {
                if !claimant.must_be_ours && claimant.stood_by.is_none() {
                    sessions::stand_by(&mut transaction, session, collector, record, &owner)?;
                }
                let names = table_names::of_router(&mut transaction, &record.router)?;
                transaction.commit()?;
                return Ok(Err((owner, names)));
            }
        };
        let row = transaction.query_typed_opt(
            include_str!("../../sql/statements/claim_router.sql"),
            &[(&record.router.as_str(), Type::TEXT), (&collector, Type::TEXT), (&taken_from.is_some(), Type::BOOL)],
        )?;
        // Without a row, another collector has claimed the router since, and its right is to be respected.
        if let Some(row) = row {
            break (taken_from, row);
        }
    };
    let (epoch, micros, was_ours): (i64, i64, bool) = (row.get(0), row.get(1), row.get(2));
    if claimant.has_others && was_ours {
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
    let positions = match claimant.journal {
        "" => StoredPositions::default(),
        session => journal_positions::of_session(&mut transaction, session)?,
    };
    let stood_by = claimant.stood_by.map(|age| recent::of_router(&mut transaction, &record.router, age));
    let recent = stood_by.transpose()?.unwrap_or_default();
    transaction.commit()?;
    let began = Timestamp::from_unix_micros(micros);
    Ok(Ok(RouterClaim { epoch, taken_from, began, tables, add_path, names, positions, recent }))
}

/// Returns whether the session may have the router, whose row is locked if another collector had it. A claim that is
/// denied waits for nothing: the owner is writing.
fn may_claim(transaction: &mut Transaction<'_>, claimant: Claimant<'_>, router: &RouterId) -> Result<ClaimGround> {
    let ground = |transaction: &mut Transaction<'_>| -> Result<ClaimGround> {
        let mut grounds = lease::grounds(transaction, claimant.collector, &[router.as_str()], claimant.may_expire)?;
        let (_, ground) = grounds.pop().expect("there is a row for each router");
        match ground {
            ClaimGround::Taken(from) if claimant.must_be_ours => Ok(ClaimGround::Denied(from)),
            ground => Ok(ground),
        }
    };
    match ground(transaction)? {
        ClaimGround::Taken(_) => {
            // The owner may be back by the time that its transaction is over.
            let sql = include_str!("../../sql/statements/lock_taken.sql");
            transaction.query_typed(sql, &[(&router.as_str(), Type::TEXT)])?;
            ground(transaction)
        }
        ground => Ok(ground),
    }
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
/// When a statement fails or the connection is lost; [`Error::WentBack`]: the database lacks the claim of a router.
pub fn lost(transaction: &mut Transaction<'_>, epochs: &[(RouterId, i64)]) -> Result<Vec<RouterId>> {
    let sql = "SELECT router_id, epoch FROM router_owner WHERE router_id = ANY ($1) ORDER BY router_id FOR SHARE";
    let stored = stored_epochs(transaction, sql, epochs)?;
    // Epochs only grow, and no row is deleted under a live session.
    let lacks = |(router, epoch): &&(RouterId, i64)| stored.get(router.as_str()).is_none_or(|stored| stored < epoch);
    match epochs.iter().find(lacks) {
        Some((router, _)) => Err(Error::WentBack(format!("router {router} was claimed, and is not"))),
        None => Ok(outdated(&stored, epochs)),
    }
}

/// The same without a lock, for sessions that write nothing at the moment: a claim that is missing is none of its errors.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn taken(client: &mut Client, epochs: &[(RouterId, i64)]) -> Result<Vec<RouterId>> {
    let sql = "SELECT router_id, epoch FROM router_owner WHERE router_id = ANY ($1)";
    Ok(outdated(&stored_epochs(client, sql, epochs)?, epochs))
}

fn stored_epochs(
    client: &mut impl GenericClient,
    sql: &str,
    epochs: &[(RouterId, i64)],
) -> Result<HashMap<String, i64>> {
    let names: Vec<&str> = epochs.iter().map(|(router, _)| router.as_str()).collect();
    let rows = client.query_typed(sql, &[(&names, Type::TEXT_ARRAY)])?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

fn outdated(stored: &HashMap<String, i64>, epochs: &[(RouterId, i64)]) -> Vec<RouterId> {
    let is_lost = |(router, epoch): &&(RouterId, i64)| stored.get(router.as_str()).is_some_and(|stored| stored > epoch);
    epochs.iter().filter(is_lost).map(|(router, _)| router.clone()).collect()
}

/// Returns the time at which another collector than this one took the router, if one has it.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn taken_at(client: &mut Client, router: &RouterId, collector: &str) -> Result<Option<Timestamp>> {
    let sql = "SELECT since FROM router_owner WHERE router_id = $1 AND collector_id <> $2";
    let row = client.query_typed_opt(sql, &[(&router.as_str(), Type::TEXT), (&collector, Type::TEXT)])?;
    row.map(|row| read_time(row.get(0))).transpose()
}

/// Returns the identifiers of the routers seen at each address.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn known_addresses(client: &mut Client) -> Result<Vec<(IpAddr, RouterId)>> {
    let rows = client.query("SELECT router_ip, router_id FROM routers WHERE router_ip IS NOT NULL", &[])?;
    Ok(rows.iter().map(|row| (row.get(0), RouterId::new(row.get(1)))).collect())
}
