//! Reads the schema `rpki` for the evaluator: the state of the set, the VRPs that cover prefixes, and what changed.

use postgres::types::Type;
use postgres::{Row, Transaction};

use super::super::error::{Error, Result};
use super::super::rpki::is_in_use;
use crate::model::{Asn, Prefix, Timestamp};

/// The most changes of VRPs that are read. More came and went only where a validator lost a trust anchor.
const CHANGES_MAX: i64 = 100_000;

/// The set of VRPs in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VrpSet {
    /// Grows with each change of the VRPs; 0: no set was ever taken.
    pub version: i64,
    /// True if there is a set that is not too old.
    pub is_usable: bool,
    /// False if it is too old and no collector loads VRPs any more: then it counts as no set.
    pub is_in_use: bool,
    /// Since when it is too old, or from when it will be.
    pub stale_at: Option<Timestamp>,
    /// When the validator made it.
    pub generated: Option<Timestamp>,
    /// The number of its VRPs.
    pub vrps: i64,
    /// When a set that lacks much was taken because its time had passed, and what it lacks.
    pub reduced: Option<(Timestamp, String)>,
}

/// Returns the state of the set.
///
/// # Errors
/// When the statement fails or the connection is lost.
pub fn set(transaction: &mut Transaction<'_>) -> Result<VrpSet> {
    let row = transaction.query_typed_one(include_str!("../../../sql/statements/watch_vrp_set.sql"), &[])?;
    let time = |i: usize| row.get::<_, Option<i64>>(i).map(Timestamp::from_unix_micros);
    let is_usable = row.get(1);
    Ok(VrpSet {
        version: row.get(0),
        is_usable,
        is_in_use: is_usable || is_in_use(transaction)?,
        stale_at: time(2),
        generated: time(3),
        vrps: row.get(4),
        reduced: time(5).map(|at| (at, row.get::<_, Option<String>>(6).unwrap_or_default())),
    })
}

/// A VRP.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct VrpRow {
    /// The prefix.
    pub prefix: Prefix,
    /// The longest prefix inside it that the AS may originate.
    pub max_length: u8,
    /// The AS; 0: none may.
    pub asn: Asn,
    /// When it expires; `None`: the set does not say.
    pub expires: Option<Timestamp>,
}

/// Returns the VRPs of exactly these prefixes.
///
/// # Errors
/// When the statement fails or the connection is lost.
pub fn vrps(transaction: &mut Transaction<'_>, prefixes: &[String]) -> Result<Vec<VrpRow>> {
    let rows = transaction.query_typed(
        "SELECT prefix::text, max_length, asn, (extract(epoch FROM expires) * 1000000)::bigint
         FROM rpki.vrps WHERE prefix = ANY ($1::text[]::cidr[])",
        &[(&prefixes, Type::TEXT_ARRAY)],
    )?;
    let vrp = |row: &Row| {
        let (prefix, max_length, asn) = vrp_of(row)?;
        let expires: Option<i64> = row.get(3);
        Ok(VrpRow { prefix, max_length, asn, expires: expires.map(Timestamp::from_unix_micros) })
    };
    rows.iter().map(vrp).collect()
}

/// A VRP that came or went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VrpChange {
    /// The version of the set that changed it.
    pub version: i64,
    /// True if it came.
    pub is_added: bool,
    /// The prefix.
    pub prefix: Prefix,
    /// Its maxLength.
    pub max_length: u8,
    /// Its AS.
    pub asn: Asn,
    /// When the set was taken.
    pub at: Timestamp,
}

fn change(row: &Row) -> Result<VrpChange> {
    let (prefix, max_length, asn) = vrp_of(row)?;
    let at = Timestamp::from_unix_micros(row.get(3));
    Ok(VrpChange { prefix, max_length, asn, at, version: row.get(4), is_added: row.get(5) })
}

/// Returns the VRPs of exactly these prefixes that went in the last 7 days.
///
/// # Errors
/// When the statement fails or the connection is lost.
pub fn gone(transaction: &mut Transaction<'_>, prefixes: &[String]) -> Result<Vec<VrpChange>> {
    let rows = transaction.query_typed(
        "SELECT prefix::text, max_length, asn, (extract(epoch FROM max(at)) * 1000000)::bigint, max(version), false
         FROM rpki.vrp_changes
         WHERE prefix = ANY ($1::text[]::cidr[]) AND NOT is_added AND at > now() - interval '7 days'
         GROUP BY prefix, max_length, asn",
        &[(&prefixes, Type::TEXT_ARRAY)],
    )?;
    rows.iter().map(change).collect()
}

/// Returns the newest changes since a time, or with a newer version. A VRP that only moved to another trust anchor is
/// not among them.
///
/// # Errors
/// When the statement fails or the connection is lost.
pub fn changes(transaction: &mut Transaction<'_>, since: Timestamp, version: i64) -> Result<Vec<VrpChange>> {
    let rows = transaction.query_typed(
        include_str!("../../../sql/statements/watch_vrp_changes.sql"),
        &[(&since.unix_micros(), Type::INT8), (&version, Type::INT8), (&CHANGES_MAX, Type::INT8)],
    )?;
    rows.iter().map(change).collect()
}

fn vrp_of(row: &Row) -> Result<(Prefix, u8, Asn)> {
    let (max_length, asn): (i16, i64) = (row.get(1), row.get(2));
    let wrong = |_| Error::Unexpected(format!("a VRP with maxLength {max_length} of AS {asn}"));
    Ok((
        super::evaluate::prefix_of(row.get(0))?,
        u8::try_from(max_length).map_err(wrong)?,
        Asn(u32::try_from(asn).map_err(wrong)?),
    ))
}
