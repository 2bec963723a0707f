//! Replaces the set in force by another one, by their differences, in one transaction.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use postgres::types::Type;
use postgres::{Client, Transaction};

use super::super::copy_fields::{FieldReader, put_bigint, put_bool, put_cidr, put_null, put_text, put_timestamp};
use super::super::error::Result;
use super::super::load::read_rows;
use super::super::routes::Copy;
use super::fields;
use crate::model::rpki::{Aspa, Vrp, VrpKey};
use crate::model::{Asn, Prefix, Timestamp};

/// Times of expiry that are farther away than this are not rewritten when they move: validators move all of them all
/// the time, and nothing asks for them so early.
const EXPIRY_NEAR: Duration = Duration::from_secs(6 * 60 * 60);

/// The rows of one statement.
const CHUNK: usize = 20_000;

/// A set to be in force.
#[derive(Debug)]
pub struct NewSet<'a> {
    /// Its VRPs after SLURM, each once.
    pub vrps: &'a [Vrp],
    /// Those that SLURM removed.
    pub filtered: &'a [Vrp],
    /// The number of those that SLURM added.
    pub added: usize,
    /// Its ASPAs, one for each customer.
    pub aspas: &'a [Aspa],
    /// The number of VRPs of each trust anchor, before SLURM.
    pub trust_anchors: Vec<(&'a str, usize)>,
    /// Where it came from.
    pub source: &'a str,
    /// When it was made.
    pub generated: Timestamp,
    /// False if neither the set nor its source says when it was made.
    pub is_generated_known: bool,
    /// Until when it is valid.
    pub valid_until: Option<Timestamp>,
    /// The age from which it is too old.
    pub max_age_secs: i32,
    /// The missing parts, if it is taken because the time of the hold has passed.
    pub after_hold: Option<&'a str>,
    /// True if what was noted of an earlier one that was taken after its hold is over.
    pub is_recovered: bool,
}

/// The result of a replacement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replaced {
    /// The version of the VRPs now.
    pub version: i64,
    /// VRPs that came.
    pub added: usize,
    /// VRPs that went.
    pub removed: usize,
}

/// Replaces the set.
///
/// # Errors
/// When a statement fails or the connection is lost: the old set stays.
pub fn replace(client: &mut Client, set: &NewSet<'_>) -> Result<Replaced> {
    let mut transaction = client.transaction()?;
    let row = transaction.query_typed_one(
        "SELECT version, (extract(epoch FROM now()) * 1000000)::bigint FROM rpki.vrp_set FOR UPDATE",
        &[],
    )?;
    let (version, now): (i64, i64) = (row.get(0), row.get(1));
    let differences = differences(&mut transaction, set.vrps, now)?;
    let is_changed = differences.added > 0 || differences.removed.iter().any(|(_, is_gone)| *is_gone);
    let version = version + i64::from(is_changed);
    delete(&mut transaction, &differences.removed)?;
    insert(&mut transaction, &differences.written)?;
    if is_changed && version > 1 {
        log_changes(&mut transaction, version, &differences)?;
    }
    replace_filtered(&mut transaction, set.filtered)?;
    replace_aspas(&mut transaction, set.aspas)?;
    replace_trust_anchors(&mut transaction, &set.trust_anchors)?;
    update_set(&mut transaction, set, version, is_changed)?;
    transaction.execute_typed("DELETE FROM rpki.vrp_changes WHERE at < now() - INTERVAL '7 days'", &[])?;
    transaction.commit()?;
    let removed = differences.removed.iter().filter(|(_, is_gone)| *is_gone).count();
    Ok(Replaced { version, added: differences.added, removed })
}

#[derive(Default)]
struct Differences<'a> {
    /// Rows to delete, and whether the VRP is gone: else it is written anew.
    removed: Vec<(VrpKey, bool)>,
    /// Rows to insert, and whether the VRP is new.
    written: Vec<(&'a Vrp, bool)>,
    added: usize,
}

fn differences<'a>(transaction: &mut Transaction<'_>, vrps: &'a [Vrp], now: i64) -> Result<Differences<'a>> {
    let mut new: HashMap<VrpKey, &Vrp> = vrps.iter().map(|vrp| (vrp.key(), vrp)).collect();
    let mut names: HashSet<Arc<str>> = HashSet::new();
    let mut differences = Differences::default();
    let reader = transaction.copy_out(include_str!("../../../sql/statements/rpki_copy_vrps.sql"))?;
    read_rows(reader, 7, |row| {
        let mut row = FieldReader::new(row);
        let prefix = fields::prefix(&mut row)?;
        let max_length = fields::max_length(&mut row)?;
        let asn = fields::asn(&mut row)?;
        let name = fields::text(&mut row).unwrap_or_default();
        let trust_anchor = names.get(name).cloned().unwrap_or_else(|| Arc::from(name));
        names.insert(Arc::clone(&trust_anchor));
        let is_slurm = row.bigint() == Some(1);
        let expires = row.bigint();
        let comment = fields::text(&mut row);
        let key: VrpKey = (prefix, max_length, asn, trust_anchor, is_slurm);
        match new.remove(&key) {
            None => differences.removed.push((key, true)),
            Some(vrp) if is_rewritten(vrp, expires, comment, now) => {
                differences.removed.push((key, false));
                differences.written.push((vrp, false));
            }
            Some(_) => {}
        }
        Ok(())
    })?;
    differences.added = new.len();
    differences.written.extend(new.into_values().map(|vrp| (vrp, true)));
    differences.written.sort_unstable_by_key(|(vrp, _)| (vrp.prefix, vrp.max_length, vrp.asn));
    Ok(differences)
}

/// Returns whether a row with the same key has to be written anew.
fn is_rewritten(vrp: &Vrp, expires: Option<i64>, comment: Option<&str>, now: i64) -> bool {
    if vrp.comment.as_deref() != comment {
        return true;
    }
    let near = now.saturating_add(i64::try_from(EXPIRY_NEAR.as_micros()).unwrap_or(i64::MAX));
    match (vrp.expires.map(Timestamp::unix_micros), expires) {
        (Some(new), Some(old)) => new != old && new.min(old) < near,
        (new, old) => new.is_some() != old.is_some(),
    }
}

fn delete(transaction: &mut Transaction<'_>, removed: &[(VrpKey, bool)]) -> Result<()> {
    for chunk in removed.chunks(CHUNK) {
        let prefixes: Vec<String> = chunk.iter().map(|((prefix, ..), _)| prefix.to_string()).collect();
        let lengths: Vec<i16> = chunk.iter().map(|((_, length, ..), _)| i16::from(*length)).collect();
        let asns: Vec<i64> = chunk.iter().map(|((_, _, asn, ..), _)| i64::from(asn.0)).collect();
        let names: Vec<&str> = chunk.iter().map(|((_, _, _, name, _), _)| &**name).collect();
        let slurm: Vec<bool> = chunk.iter().map(|((.., is_slurm), _)| *is_slurm).collect();
        transaction.execute_typed(
            include_str!("../../../sql/statements/rpki_delete_vrps.sql"),
            &[
                (&prefixes, Type::TEXT_ARRAY),
                (&lengths, Type::INT2_ARRAY),
                (&asns, Type::INT8_ARRAY),
                (&names, Type::TEXT_ARRAY),
                (&slurm, Type::BOOL_ARRAY),
            ],
        )?;
    }
    Ok(())
}

fn insert(transaction: &mut Transaction<'_>, written: &[(&Vrp, bool)]) -> Result<()> {
    let mut copy = Copy::begin(
        transaction,
        "COPY rpki.vrps (prefix, max_length, asn, trust_anchor, is_slurm, expires, comment) FROM STDIN (FORMAT binary)",
    )?;
    for (vrp, _) in written {
        let out = copy.row(7)?;
        put_key(out, &vrp.key());
        match vrp.expires {
            Some(time) => put_timestamp(out, time),
            None => put_null(out),
        }
        match &vrp.comment {
            Some(text) => put_text(out, text),
            None => put_null(out),
        }
    }
    copy.finish()?;
    Ok(())
}

fn put_key(out: &mut Vec<u8>, (prefix, max_length, asn, trust_anchor, is_slurm): &VrpKey) {
    put_cidr(out, prefix);
    fields::put_smallint(out, *max_length);
    put_bigint(out, i64::from(asn.0));
    put_text(out, trust_anchor);
    put_bool(out, *is_slurm);
}

fn log_changes(transaction: &mut Transaction<'_>, version: i64, differences: &Differences<'_>) -> Result<()> {
    let mut copy = Copy::begin(
        transaction,
        "COPY rpki.vrp_changes (version, is_added, prefix, max_length, asn, trust_anchor, is_slurm) FROM STDIN (FORMAT binary)",
    )?;
    let gone = differences.removed.iter().filter(|(_, is_gone)| *is_gone).map(|(key, _)| (key.clone(), false));
    let came = differences.written.iter().filter(|(_, is_new)| *is_new).map(|(vrp, _)| (vrp.key(), true));
    for (key, is_added) in gone.chain(came) {
        let out = copy.row(7)?;
        put_bigint(out, version);
        put_bool(out, is_added);
        put_key(out, &key);
    }
    copy.finish()?;
    Ok(())
}

/// They are few: written anew when any is another one.
fn replace_filtered(transaction: &mut Transaction<'_>, filtered: &[Vrp]) -> Result<()> {
    type Row = (Prefix, u8, Asn, String, Option<String>);
    let mut stored: HashSet<Row> = HashSet::new();
    let reader = transaction.copy_out(include_str!("../../../sql/statements/rpki_copy_filtered.sql"))?;
    read_rows(reader, 5, |row| {
        let mut row = FieldReader::new(row);
        let prefix = fields::prefix(&mut row)?;
        let max_length = fields::max_length(&mut row)?;
        let asn = fields::asn(&mut row)?;
        let name = fields::text(&mut row).unwrap_or_default().to_owned();
        stored.insert((prefix, max_length, asn, name, fields::text(&mut row).map(str::to_owned)));
        Ok(())
    })?;
    let row = |vrp: &Vrp| {
        let comment = vrp.comment.as_deref().map(str::to_owned);
        (vrp.prefix, vrp.max_length, vrp.asn, vrp.trust_anchor.to_string(), comment)
    };
    let new: HashSet<Row> = filtered.iter().map(row).collect();
    if new == stored {
        return Ok(());
    }
    transaction.execute_typed("DELETE FROM rpki.filtered_vrps", &[])?;
    let mut copy = Copy::begin(
        transaction,
        "COPY rpki.filtered_vrps (prefix, max_length, asn, trust_anchor, comment) FROM STDIN (FORMAT binary)",
    )?;
    for (prefix, max_length, asn, trust_anchor, comment) in new {
        let out = copy.row(5)?;
        put_cidr(out, &prefix);
        fields::put_smallint(out, max_length);
        put_bigint(out, i64::from(asn.0));
        put_text(out, &trust_anchor);
        match comment {
            Some(text) => put_text(out, &text),
            None => put_null(out),
        }
    }
    copy.finish()?;
    Ok(())
}

fn replace_aspas(transaction: &mut Transaction<'_>, aspas: &[Aspa]) -> Result<()> {
    let customers: Vec<i64> = aspas.iter().map(|aspa| i64::from(aspa.customer.0)).collect();
    let providers = |aspa: &Aspa| {
        let numbers: Vec<String> = aspa.providers.iter().map(Asn::to_string).collect();
        format!("{{{}}}", numbers.join(","))
    };
    let providers: Vec<String> = aspas.iter().map(providers).collect();
    let expires: Vec<Option<i64>> = aspas.iter().map(|aspa| aspa.expires.map(Timestamp::unix_micros)).collect();
    transaction
        .execute_typed("DELETE FROM rpki.aspas WHERE customer <> ALL ($1)", &[(&customers, Type::INT8_ARRAY)])?;
    transaction.execute_typed(
        include_str!("../../../sql/statements/rpki_upsert_aspas.sql"),
        &[(&customers, Type::INT8_ARRAY), (&providers, Type::TEXT_ARRAY), (&expires, Type::INT8_ARRAY)],
    )?;
    Ok(())
}

fn replace_trust_anchors(transaction: &mut Transaction<'_>, counts: &[(&str, usize)]) -> Result<()> {
    let names: Vec<&str> = counts.iter().map(|(name, _)| *name).collect();
    let counts: Vec<i64> = counts.iter().map(|(_, count)| i64::try_from(*count).unwrap_or(i64::MAX)).collect();
    transaction.execute_typed(
        "DELETE FROM rpki.trust_anchors WHERE trust_anchor <> ALL ($1)",
        &[(&names, Type::TEXT_ARRAY)],
    )?;
    transaction.execute_typed(
        include_str!("../../../sql/statements/rpki_upsert_trust_anchors.sql"),
        &[(&names, Type::TEXT_ARRAY), (&counts, Type::INT8_ARRAY)],
    )?;
    Ok(())
}

fn update_set(transaction: &mut Transaction<'_>, set: &NewSet<'_>, version: i64, is_changed: bool) -> Result<()> {
    let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let valid_until = set.valid_until.map(Timestamp::unix_micros);
    transaction.execute_typed(
        include_str!("../../../sql/statements/rpki_update_set.sql"),
        &[
            (&version, Type::INT8),
            (&is_changed, Type::BOOL),
            (&set.source, Type::TEXT),
            (&set.generated.unix_micros(), Type::INT8),
            (&set.is_generated_known, Type::BOOL),
            (&valid_until, Type::INT8),
            (&set.max_age_secs, Type::INT4),
            (&count(set.vrps.len()), Type::INT8),
            (&count(set.aspas.len()), Type::INT8),
            (&count(set.filtered.len()), Type::INT8),
            (&count(set.added), Type::INT8),
            (&set.after_hold, Type::TEXT),
            (&set.is_recovered, Type::BOOL),
        ],
    )?;
    Ok(())
}
