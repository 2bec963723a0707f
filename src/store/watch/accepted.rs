//! The prefixes that were accepted as originated by the ASes of watches.

use postgres::types::Type;
use postgres::{Row, Transaction};

use super::super::error::Result;
use super::evaluate::prefix_of;
use crate::model::watch::WatchId;
use crate::model::{Prefix, RouterId};

/// The newly accepted prefixes from which statistics are made anew: the next statement joins them, and PostgreSQL's own
/// ones come a minute later.
const ANALYZE_MIN: usize = 1_000;

/// Returns which enabled watches of ASes have accepted these prefixes.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn accepted(transaction: &mut Transaction<'_>, prefixes: &[Prefix]) -> Result<Vec<(WatchId, Prefix)>> {
    let prefixes: Vec<String> = prefixes.iter().map(Prefix::to_string).collect();
    let rows = transaction.query_typed(
        "SELECT watch_id, prefix::text FROM watch.accepted_prefixes WHERE prefix = ANY ($1::text[]::cidr[])",
        &[(&prefixes, Type::TEXT_ARRAY)],
    )?;
    rows.iter().map(accepted_row).collect()
}

fn accepted_row(row: &Row) -> Result<(WatchId, Prefix)> {
    Ok((WatchId(row.get(0)), prefix_of(row.get(1))?))
}

/// Accepts what the ASes of these watches originate in these tables, and returns it. What is mitigated is left out.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn accept_originated(
    transaction: &mut Transaction<'_>,
    first: &[(WatchId, &RouterId, &str)],
    mitigation: &[String],
) -> Result<Vec<(WatchId, Prefix)>> {
    let rows = transaction.query_typed(
        include_str!("../../../sql/statements/watch_accept_originated.sql"),
        &[
            (&first.iter().map(|(id, ..)| id.0).collect::<Vec<_>>(), Type::INT8_ARRAY),
            (&first.iter().map(|(_, router, _)| router.as_str()).collect::<Vec<_>>(), Type::TEXT_ARRAY),
            (&first.iter().map(|(.., table)| *table).collect::<Vec<_>>(), Type::TEXT_ARRAY),
            (&mitigation, Type::TEXT_ARRAY),
        ],
    )?;
    if rows.len() >= ANALYZE_MIN {
        transaction.batch_execute("ANALYZE watch.accepted_prefixes")?;
    }
    rows.iter().map(accepted_row).collect()
}

/// Forgets what these watches have accepted: they are about another AS now.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub fn forget_accepted(transaction: &mut Transaction<'_>, watches: &[WatchId]) -> Result<()> {
    let ids: Vec<i64> = watches.iter().map(|id| id.0).collect();
    transaction
        .execute_typed("DELETE FROM watch.accepted_prefixes WHERE watch_id = ANY ($1)", &[(&ids, Type::INT8_ARRAY)])?;
    Ok(())
}
