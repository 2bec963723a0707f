//! The conditions that hold, and the vantages at which the routes of watches were seen.

use postgres::types::Type;
use postgres::{Row, Transaction};

use super::super::error::Result;
use super::evaluate::prefix_of;
use crate::model::watch::{Condition, WatchId};
use crate::model::{Prefix, RouterId, Timestamp};

/// A row of `watch.conditions`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConditionRow {
    /// The watch.
    pub watch: WatchId,
    /// Its team.
    pub team: Option<String>,
    /// The router.
    pub router: RouterId,
    /// Its table.
    pub table: Option<String>,
    /// The condition.
    pub condition: Condition,
    /// Its subject, where a watch can have several.
    pub subject: String,
    /// The prefix that it was found at.
    pub prefix: Option<Prefix>,
    /// Since when it holds.
    pub since: Timestamp,
    /// The findings, as JSON.
    pub detail: String,
}

impl ConditionRow {
    fn vantage(&self) -> String {
        crate::model::watch::Vantage { router: self.router.clone(), table: self.table.clone() }.to_string()
    }
}

/// Returns all conditions.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn conditions(transaction: &mut Transaction<'_>) -> Result<Vec<ConditionRow>> {
    let rows = transaction.query_typed(
        "SELECT watch_id, team, router_id, table_name, condition, subject, prefix::text,
                (extract(epoch FROM since) * 1000000)::bigint, detail::text FROM watch.conditions",
        &[],
    )?;
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        // A condition that a later version judges is none of ours.
        let Some(condition) = Condition::parse(row.get(4)) else { continue };
        let prefix: Option<&str> = row.get(6);
        found.push(ConditionRow {
            watch: WatchId(row.get(0)),
            team: row.get(1),
            router: RouterId::new(row.get(2)),
            table: row.get(3),
            condition,
            subject: row.get(5),
            prefix: prefix.map(prefix_of).transpose()?,
            since: Timestamp::from_unix_micros(row.get(7)),
            detail: row.get(8),
        });
    }
    Ok(found)
}

/// Stores new and changed conditions.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn set_conditions(transaction: &mut Transaction<'_>, rows: &[&ConditionRow]) -> Result<()> {
    let prefixes: Vec<Option<String>> = rows.iter().map(|row| row.prefix.map(|prefix| prefix.to_string())).collect();
    transaction.execute_typed(
        include_str!("../../../sql/statements/watch_set_conditions.sql"),
        &[
            (&rows.iter().map(|row| row.watch.0).collect::<Vec<_>>(), Type::INT8_ARRAY),
            (&rows.iter().map(|row| row.team.as_deref()).collect::<Vec<_>>(), Type::TEXT_ARRAY),
            (&rows.iter().map(|row| row.vantage()).collect::<Vec<_>>(), Type::TEXT_ARRAY),
            (&rows.iter().map(|row| row.router.as_str()).collect::<Vec<_>>(), Type::TEXT_ARRAY),
            (&rows.iter().map(|row| row.table.as_deref()).collect::<Vec<_>>(), Type::TEXT_ARRAY),
            (&rows.iter().map(|row| row.condition.as_str()).collect::<Vec<_>>(), Type::TEXT_ARRAY),
            (&rows.iter().map(|row| row.subject.as_str()).collect::<Vec<_>>(), Type::TEXT_ARRAY),
            (&prefixes, Type::TEXT_ARRAY),
            (&rows.iter().map(|row| row.since.unix_micros()).collect::<Vec<_>>(), Type::INT8_ARRAY),
            (&rows.iter().map(|row| row.detail.as_str()).collect::<Vec<_>>(), Type::TEXT_ARRAY),
        ],
    )?;
    Ok(())
}

/// Deletes conditions that no longer hold.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn delete_conditions(transaction: &mut Transaction<'_>, rows: &[&ConditionRow]) -> Result<()> {
    transaction.execute_typed(
        "DELETE FROM watch.conditions c
         USING unnest($1::bigint[], $2::text[], $3::text[], $4::text[]) AS gone (watch_id, vantage, condition, subject)
         WHERE (c.watch_id, c.vantage, c.condition, c.subject)
             = (gone.watch_id, gone.vantage, gone.condition, gone.subject)",
        &[
            (&rows.iter().map(|row| row.watch.0).collect::<Vec<_>>(), Type::INT8_ARRAY),
            (&rows.iter().map(|row| row.vantage()).collect::<Vec<_>>(), Type::TEXT_ARRAY),
            (&rows.iter().map(|row| row.condition.as_str()).collect::<Vec<_>>(), Type::TEXT_ARRAY),
            (&rows.iter().map(|row| row.subject.as_str()).collect::<Vec<_>>(), Type::TEXT_ARRAY),
        ],
    )?;
    Ok(())
}

/// Where a watch's route was seen: watch, router, table, and when last.
pub type SeenRow = (WatchId, RouterId, String, Timestamp);

/// Returns where the routes of enabled watches were seen.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn seen(transaction: &mut Transaction<'_>) -> Result<Vec<SeenRow>> {
    let rows = transaction.query_typed(
        "SELECT s.watch_id, s.router_id, s.table_name, (extract(epoch FROM s.last_at) * 1000000)::bigint
         FROM watch.seen s JOIN watch.watches w ON w.id = s.watch_id WHERE w.enabled",
        &[],
    )?;
    let seen = |row: &Row| {
        (WatchId(row.get(0)), RouterId::new(row.get(1)), row.get(2), Timestamp::from_unix_micros(row.get(3)))
    };
    Ok(rows.iter().map(seen).collect())
}

/// Stores that these watches' routes are there now, or were until now.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn set_seen(transaction: &mut Transaction<'_>, seen: &[(WatchId, &RouterId, &str)]) -> Result<()> {
    let ids: Vec<i64> = seen.iter().map(|(id, ..)| id.0).collect();
    let routers: Vec<&str> = seen.iter().map(|(_, router, _)| router.as_str()).collect();
    let tables: Vec<&str> = seen.iter().map(|(.., table)| *table).collect();
    transaction.execute_typed(
        "INSERT INTO watch.seen (watch_id, router_id, table_name, first_at, last_at)
         SELECT watch_id, router_id, table_name, now(), now()
         FROM unnest($1::bigint[], $2::text[], $3::text[]) AS new (watch_id, router_id, table_name)
         WHERE EXISTS (SELECT FROM watch.watches w WHERE w.id = new.watch_id)
         ON CONFLICT (watch_id, router_id, table_name) DO UPDATE SET last_at = now()",
        &[(&ids, Type::INT8_ARRAY), (&routers, Type::TEXT_ARRAY), (&tables, Type::TEXT_ARRAY)],
    )?;
    Ok(())
}

/// Forgets where the routes of these watches were seen: their prefix is another, or their state was accepted anew.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn forget_seen(transaction: &mut Transaction<'_>, watches: &[WatchId]) -> Result<()> {
    let ids: Vec<i64> = watches.iter().map(|id| id.0).collect();
    transaction.execute_typed("DELETE FROM watch.seen WHERE watch_id = ANY ($1)", &[(&ids, Type::INT8_ARRAY)])?;
    Ok(())
}
