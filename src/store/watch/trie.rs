//! Loads what the state writers match, and says which version of it they have.

use std::collections::HashSet;
use std::net::IpAddr;

use postgres::types::Type;
use postgres::{Client, Row, Transaction};

use super::evaluate::OUTBOX_MAX;
use crate::model::watch::trie::{TargetColumns, Trie, WatchTarget};
use crate::model::watch::{Condition, Kind};
use crate::model::{Afi, Asn, Prefix};
use crate::store::error::{Error, Result};

/// The targets that writers match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matched {
    /// Nothing: no collector that is alive evaluates watches, or the evaluator is so far behind that it will evaluate
    /// everything.
    Nothing,
    /// This version of all targets.
    Version(i64),
}

/// Returns what writers have to match; `None`: the schema is locked.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn wanted(client: &mut Client) -> Result<Option<Matched>> {
    super::unless_locked(client, |transaction| {
        let row = transaction.query_typed_one(include_str!("../../../sql/statements/watch_wanted.sql"), &[])?;
        let (version, is_read, waiting): (i64, bool, i64) = (row.get(0), row.get(1), row.get(2));
        Ok(if is_read && waiting <= OUTBOX_MAX { Matched::Version(version) } else { Matched::Nothing })
    })
}

/// The targets of all enabled watches at one time.
#[derive(Debug)]
pub struct Loaded {
    /// Their version.
    pub version: i64,
    /// The targets; `None`: no watch is enabled.
    pub trie: Option<Trie>,
    /// The prefixes of watches that judge `flapping`.
    pub(crate) flapping: HashSet<Prefix>,
}

/// Loads the targets; `None`: the schema is locked.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn load(client: &mut Client) -> Result<Option<Loaded>> {
    super::unless_locked(client, |transaction| {
        // All statements have to see the same watches: the version says which.
        transaction.batch_execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")?;
        let version: i64 = transaction.query_typed_one("SELECT version FROM watch.trie_version", &[])?.get(0);
        let watches = transaction.query_typed(
            "SELECT kind, prefix::inet, masklen(prefix), address, asn, max_length, conditions,
                    cardinality(expected_downstreams) > 0
             FROM watch.watches WHERE enabled",
            &[],
        )?;
        if watches.is_empty() {
            return Ok(Loaded { version, trie: None, flapping: HashSet::new() });
        }
        let mut targets = prefixes(transaction)?;
        for row in &watches {
            targets.extend(target(row)?);
        }
        Ok(Loaded { version, trie: Some(Trie::of(targets)), flapping: flapping(transaction)? })
    })
}

/// Returns the prefixes that are matched exactly: those that ASes are known to originate, and those that they were
/// found to originate.
fn prefixes(transaction: &mut Transaction<'_>) -> Result<Vec<WatchTarget>> {
    let rows = transaction.query_typed(include_str!("../../../sql/statements/watch_prefixes.sql"), &[])?;
    let exactly = |row: &Row| {
        let prefix = prefix_of(row.get(0), row.get(1))?;
        Ok(WatchTarget::Inside(prefix, prefix.length()))
    };
    rows.iter().map(exactly).collect()
}

/// Returns the prefixes of watches that judge `flapping`.
fn flapping(transaction: &mut Transaction<'_>) -> Result<HashSet<Prefix>> {
    let rows = transaction.query_typed(
        "SELECT DISTINCT prefix::inet, masklen(prefix) FROM watch.watches
         WHERE enabled AND kind = 'prefix' AND (conditions IS NULL OR 'flapping' = ANY (conditions))",
        &[],
    )?;
    rows.iter().map(|row| prefix_of(row.get(0), row.get(1))).collect()
}

fn target(row: &Row) -> Result<Option<WatchTarget>> {
    // A kind or a condition of a newer version is not for these writers.
    let Some(kind) = Kind::parse(row.get(0)) else { return Ok(None) };
    let given: Option<Vec<&str>> = row.get(6);
    let conditions: Vec<Condition> = match given {
        None => kind.default_conditions().to_vec(),
        Some(given) => given.into_iter().filter_map(Condition::parse).collect(),
    };
    let prefix = row.get::<_, Option<IpAddr>>(1).map(|address| prefix_of(address, row.get(2))).transpose()?;
    let asn = row.get::<_, Option<i64>>(4).and_then(|asn| u32::try_from(asn).ok()).map(Asn);
    let max_length = row.get::<_, Option<i16>>(5).and_then(|length| u8::try_from(length).ok());
    let has_downstreams = row.get::<_, Option<bool>>(7).unwrap_or(false);
    let targeting =
        TargetColumns { kind, prefix, address: row.get(3), asn, max_length, has_downstreams, conditions: &conditions };
    Ok(targeting.target())
}

fn prefix_of(address: IpAddr, length: i32) -> Result<Prefix> {
    let length = u8::try_from(length).unwrap_or(u8::MAX);
    let prefix = match address {
        IpAddr::V4(address) => Prefix::new(Afi::Ipv4, &address.octets(), length),
        IpAddr::V6(address) => Prefix::new(Afi::Ipv6, &address.octets(), length),
    };
    prefix.map_err(|error| Error::Unexpected(format!("{address}/{length}: {error}")))
}

/// Stores the version of the targets that the writers of `collector` match; `None`: none.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn report(client: &mut Client, collector: &str, version: Option<i64>) -> Result<()> {
    client.execute_typed(
        "UPDATE collectors SET trie_version = $2 WHERE collector_id = $1",
        &[(&collector, Type::TEXT), (&version, Type::INT8)],
    )?;
    Ok(())
}
