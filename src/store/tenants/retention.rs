//! Deletes by age what teams were shown: their numbers, and incidents that are over.

use postgres::Client;
use postgres::types::Type;

use crate::store::error::Result;

/// The rows that one statement deletes.
const CHUNK: i64 = 10_000;

/// The statements of one kind in one call: what is left is deleted by the next one.
const CHUNKS_MAX: usize = 50;

/// Deletes what is old, in statements of a bounded size, each a transaction of its own. An incident whose cause somebody
/// has deleted is over.
///
/// # Errors
/// When a statement fails or the connection is lost.
pub(crate) fn forget(client: &mut Client) -> Result<()> {
    client.execute_typed(
        "UPDATE tenant.incidents SET state = 'resolved', resolved_at = now()
         WHERE incident_id IS NULL AND condition IS NOT NULL AND state <> 'resolved'",
        &[],
    )?;
    let numbers = include_str!("../../../sql/statements/tenant_forget_analytics.sql");
    let incidents = include_str!("../../../sql/statements/tenant_forget_incidents.sql");
    let mut is_done = true;
    for sql in [numbers, incidents] {
        is_done &= delete(client, sql)?;
    }
    if is_done {
        client.execute_typed("UPDATE tenant.progress SET forgotten_at = now()", &[])?;
    }
    Ok(())
}

/// Returns whether nothing is left.
fn delete(client: &mut Client, sql: &str) -> Result<bool> {
    for _ in 0..CHUNKS_MAX {
        let gone = client.execute_typed(sql, &[(&CHUNK, Type::INT8)])?;
        if i64::try_from(gone).is_ok_and(|gone| gone < CHUNK) {
            return Ok(true);
        }
    }
    Ok(false)
}
