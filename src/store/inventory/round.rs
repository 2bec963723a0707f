//! A round of the inventory: addresses become watches, and conditions of these become states.

use postgres::types::Type;
use postgres::{Client, Transaction};

use super::super::error::Result;
use super::jobs::{self, JobEnd};

/// The result of a round.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Round {
    /// The watches that were made, given other terms and removed.
    pub(crate) watches: WatchChanges,
    /// The states that addresses came into, and how many did.
    pub(crate) states: Vec<(String, i64)>,
}

/// Numbers of watches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct WatchChanges {
    pub(crate) added: i64,
    pub(crate) changed: i64,
    pub(crate) removed: i64,
}

/// Works once. Where nothing changed, it is one statement that writes nothing.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn round(client: &mut Client) -> Result<Round> {
    let row = client.query_typed_one(include_str!("../../../sql/statements/inventory_due.sql"), &[])?;
    let (watches_are_due, fingerprint, known): (bool, Option<String>, Option<String>) =
        (row.get(0), row.get(1), row.get(2));
    let mut round = Round::default();
    if watches_are_due {
        let mut transaction = client.transaction()?;
        round.watches = put_watches(&mut transaction)?;
        transaction.commit()?;
    }
    if fingerprint != known {
        let mut transaction = client.transaction()?;
        round.states = put_states(&mut transaction, fingerprint.as_deref())?;
        transaction.commit()?;
    }
    Ok(round)
}

fn put_watches(transaction: &mut Transaction<'_>) -> Result<WatchChanges> {
    // What is noted after this is looked at in the next round.
    transaction.batch_execute("DELETE FROM inventory.changes; UPDATE inventory.evaluated SET checked_at = now()")?;
    let row = transaction.query_typed(include_str!("../../../sql/statements/inventory_watch_counts.sql"), &[])?;
    let Some(row) = row.first() else { return Ok(WatchChanges::default()) };
    let counts = WatchChanges { added: row.get(0), changed: row.get(1), removed: row.get(2) };
    if counts.removed > 0 {
        transaction.execute_typed(include_str!("../../../sql/statements/inventory_remove_watches.sql"), &[])?;
    }
    if counts.added + counts.changed > 0 {
        transaction.execute_typed(include_str!("../../../sql/statements/inventory_put_watches.sql"), &[])?;
    }
    if counts != WatchChanges::default() {
        let WatchChanges { added, changed, removed } = counts;
        let message = format!("{added} added, {changed} changed, {removed} removed");
        jobs::record(transaction, "watches", "watch.watches", JobEnd::Success, &[message])?;
    }
    Ok(counts)
}

fn put_states(transaction: &mut Transaction<'_>, fingerprint: Option<&str>) -> Result<Vec<(String, i64)>> {
    transaction.execute_typed("UPDATE inventory.evaluated SET fingerprint = $1", &[(&fingerprint, Type::TEXT)])?;
    let rows = transaction.query_typed(include_str!("../../../sql/statements/inventory_put_states.sql"), &[])?;
    let states: Vec<(String, i64)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    if !states.is_empty() {
        let messages: Vec<String> = states.iter().map(|(state, count)| format!("{count} {state}")).collect();
        jobs::record(transaction, "reachability", "inventory.address_states", JobEnd::Success, &messages)?;
    }
    Ok(states)
}
